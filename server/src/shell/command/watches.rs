use super::Call;
use crate::shell::client::WatchTarget;
use crate::shell::error::CommandError;

pub(super) fn add_watch(call: &mut Call<'_>) -> Result<(), CommandError> {
    let recursive = match call.given.value("m").map(str::to_ascii_uppercase).as_deref() {
        None | Some("PERSISTENT_RECURSIVE") => true,
        Some("PERSISTENT") => false,
        Some(_) => {
            let usage = super::Command::named("addWatch").map(super::Command::usage).unwrap_or_default();
            return Err(CommandError::Malformed(usage));
        }
    };
    Ok(call.client.add_watch(call.arg(0), recursive)?)
}

pub(super) fn remove(call: &mut Call<'_>) -> Result<(), CommandError> {
    let target = [
        ("c", WatchTarget::Children),
        ("d", WatchTarget::Data),
        ("p", WatchTarget::Persistent),
        ("r", WatchTarget::Recursive),
    ]
    .into_iter()
    .find(|(flag, _)| call.given.has(flag))
    .map_or(WatchTarget::Any, |(_, target)| target);
    Ok(call.client.remove_watches(call.arg(0), target, call.given.has("l"))?)
}
