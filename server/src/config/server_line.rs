use std::fmt;
use std::net::IpAddr;

/// A host with a port, such as `zk1:2888` or `[::1]:2888`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostPort {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl HostPort {
    /// A host and a port.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// Whether nobody but this machine can get there: `localhost` or a loopback address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// One line `server.A=host:quorum port:election port[:role][;[client host:]client port]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerLine {
    /// Where the server's peers reach it. The election port is not used: all goes through this one.
    pub quorum: HostPort,
    /// Whether it observes and does not vote.
    pub observer: bool,
    /// Where its clients reach it, if the line says so; without a host on every address.
    pub client: Option<ClientAddress>,
    /// Whether it had more addresses, of which the first is used.
    pub more_addresses: bool,
}

/// The part of a [`ServerLine`] behind the semicolon.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientAddress {
    /// The host; none for every address of the machine.
    pub host: Option<String>,
    /// The port.
    pub port: u16,
}

impl ServerLine {
    /// Reads the value of a line.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub(super) fn parse(value: &str) -> Result<Self, String> {
        let (addresses, client) = match value.split_once(';') {
            Some((addresses, client)) => (addresses, Some(client)),
            None => (value, None),
        };
        let mut each = addresses.split('|');
        let (quorum, observer) = address(each.next().unwrap_or_default())?;
        let mut more_addresses = false;
        for other in each {
            address(other)?;
            more_addresses = true;
        }
        let client = client.map(client_address).transpose()?;
        Ok(Self { quorum, observer, client, more_addresses })
    }
}

fn address(text: &str) -> Result<(HostPort, bool), String> {
    let (host, rest) = host(text.trim())?;
    let mut parts = rest.split(':');
    let (Some(quorum), Some(election)) = (parts.next(), parts.next()) else {
        return Err("the election port is missing".to_owned());
    };
    let quorum = port(quorum, "the quorum port")?;
    port(election, "the election port")?;
    let observer = match parts.next().map(str::to_ascii_lowercase).as_deref() {
        None | Some("participant") => false,
        Some("observer") => true,
        Some(other) => return Err(format!("the role `{other}` is not known")),
    };
    if let Some(more) = parts.next() {
        return Err(format!("`{more}` is too much"));
    }
    Ok((HostPort::new(host, quorum), observer))
}

/// The host, which may stand in brackets, and what follows its colon.
fn host(text: &str) -> Result<(&str, &str), String> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(text) => {
            let (host, rest) = text.split_once(']').ok_or("the bracket is not closed")?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| format!("`{host}` is no IPv6 address"))?;
            (host, rest.strip_prefix(':').ok_or("the quorum port is missing")?)
        }
        None => text.split_once(':').ok_or("the quorum port is missing")?,
    };
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err("the host is missing".to_owned());
    }
    Ok((host, rest))
}

fn port(text: &str, which: &str) -> Result<u16, String> {
    match text.trim().parse() {
        Ok(0) | Err(_) => Err(format!("{which} `{text}` is not a port")),
        Ok(port) => Ok(port),
    }
}

fn client_address(text: &str) -> Result<ClientAddress, String> {
    let (host, port_text) = match text.rsplit_once(':') {
        Some((host, port)) => (Some(host.trim_start_matches('[').trim_end_matches(']')), port),
        None => (None, text),
    };
    let host = host.filter(|host| !host.is_empty()).map(str::to_owned);
    Ok(ClientAddress { host, port: port(port_text, "the client port")? })
}
