use quorate::protocol::record::ReconfigRequest;

use super::Call;
use crate::shell::error::CommandError;
use crate::shell::output::{print_data, print_stat};

pub(super) fn config(call: &mut Call<'_>) -> Result<(), CommandError> {
    let found = call.client.configuration(call.given.has("w"))?;
    if call.given.has("c") {
        let text = String::from_utf8_lossy(found.data.as_deref().unwrap_or_default());
        writeln!(call.out, "{}", connect_string(&text))?;
    } else {
        print_data(call.out, found.data.as_deref())?;
    }
    if call.given.has("s") {
        print_stat(call.out, &found.stat, call.zone)?;
    }
    Ok(())
}

pub(super) fn reconfig(call: &mut Call<'_>) -> Result<(), CommandError> {
    let request = request(call)?;
    let agreed = call.client.reconfigure(request)?;
    let text = String::from_utf8_lossy(agreed.data.as_deref().unwrap_or_default()).into_owned();
    writeln!(call.out, "Committed new configuration:\n{text}")?;
    if call.given.has("s") {
        print_stat(call.out, &agreed.stat, call.zone)?;
    }
    Ok(())
}

fn request(call: &Call<'_>) -> Result<ReconfigRequest, CommandError> {
    let malformed = |text: &str| CommandError::Malformed(text.to_owned());
    let has = |flag| call.given.has(flag);
    let whole = has("file") || has("members");
    if !whole && !has("add") && !has("remove") {
        return Err(malformed(
            &super::Command::named("reconfig").map(super::Command::usage).unwrap_or_default(),
        ));
    }
    let current = match call.given.value("v") {
        None => -1,
        // Shown, and therefore written, in hexadecimal.
        Some(text) => i64::from_str_radix(text, 16)
            .map_err(|_| malformed("-v must be followed by a long (configuration version)"))?,
    };
    if whole && (has("add") || has("remove")) {
        return Err(malformed(
            "Can't use -file or -members together with -add or -remove (mixing incremental and non-incremental modes is \
             not allowed)",
        ));
    }
    if has("file") && has("members") {
        return Err(malformed("Can't use -file and -members together (conflicting non-incremental modes)"));
    }
    let text = |flag| call.given.value(flag).map(|text| text.to_lowercase().into_boxed_str());
    let members = match call.given.value("file") {
        None => text("members"),
        Some(file) => Some(members_of(file)?.into()),
    };
    Ok(ReconfigRequest { joining: text("add"), leaving: text("remove"), members, current })
}

/// The lines `server.N=…` of a dynamic configuration file, joined as the request wants them.
fn members_of(file: &str) -> Result<String, CommandError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| CommandError::Malformed(format!("Error processing {file}: {error}")))?;
    let servers: Vec<&str> = text.lines().map(str::trim).filter(|line| line.starts_with("server.")).collect();
    if servers.is_empty() {
        return Err(CommandError::Malformed(format!("Error processing {file}: it has no line server.N=...")));
    }
    Ok(servers.join(","))
}

/// What a client would connect to, behind the version: `<version> host:port[,…]`.
fn connect_string(configuration: &str) -> String {
    let mut version = "";
    let mut addresses = Vec::new();
    for line in configuration.lines() {
        match line.split_once('=') {
            Some(("version", number)) => version = number,
            Some((key, server)) if key.starts_with("server.") => addresses.extend(client_address(server)),
            _ => {}
        }
    }
    format!("{version} {}", addresses.join(","))
}

/// The client address of `host:port:port:role;[address:]port`; a server that names a port alone is reached at its host.
fn client_address(server: &str) -> Option<String> {
    let (server, client) = server.split_once(';')?;
    if client.contains(':') {
        return Some(client.to_owned());
    }
    let host = match server.strip_prefix('[') {
        Some(rest) => format!("[{}]", rest.split(']').next()?),
        None => server.split(':').next()?.to_owned(),
    };
    Some(format!("{host}:{client}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_becomes_what_clients_connect_to() {
        let text = "server.1=zk1:2888:3888:participant;0.0.0.0:2181\nserver.2=zk2:2888:3888:participant;2182\n\
                    server.3=[::1]:1:2:observer;2183\nversion=100000000";
        assert_eq!(connect_string(text), "100000000 0.0.0.0:2181,zk2:2182,[::1]:2183");
        // What zkCli.sh 3.8.0 prints for a standalone server, whose configuration is empty.
        assert_eq!(connect_string(""), " ");
    }
}
