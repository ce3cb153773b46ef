use bytes::Bytes;

use super::Call;
use crate::shell::error::CommandError;
use crate::shell::output::print_list;

pub(super) fn add_auth(call: &mut Call<'_>) -> Result<(), CommandError> {
    let auth = call.given.arg(1).map(|auth| Bytes::copy_from_slice(auth.as_bytes()));
    Ok(call.client.add_auth(call.arg(0), auth)?)
}

pub(super) fn who_am_i(call: &mut Call<'_>) -> Result<(), CommandError> {
    let identities = call.client.identities()?;
    writeln!(call.out, "Auth scheme: User")?;
    for identity in identities {
        writeln!(call.out, "{}: {}", identity.scheme, identity.id)?;
    }
    Ok(())
}

pub(super) fn ephemerals(call: &mut Call<'_>) -> Result<(), CommandError> {
    let prefix = call.given.arg(0).unwrap_or("/");
    let paths = call.client.ephemerals(prefix)?;
    Ok(print_list(call.out, paths)?)
}

pub(super) fn version(call: &mut Call<'_>) -> Result<(), CommandError> {
    Ok(writeln!(call.out, "quorate shell version: {}", env!("CARGO_PKG_VERSION"))?)
}
