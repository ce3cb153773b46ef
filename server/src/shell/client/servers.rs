use std::str::FromStr;

use thiserror::Error;

use super::path::{BadPath, check_path};

/// The port of an address that names none.
const DEFAULT_PORT: u16 = 2181;

/// Where to connect: `host:port[,host:port…][/chroot]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ConnectString {
    /// As it was written; what the prompt shows.
    pub(crate) text: String,
    /// The servers, each `host:port`, in the order in which they are tried.
    pub(crate) servers: Vec<String>,
    /// What every path of the client lies below.
    pub(crate) chroot: Chroot,
}

/// Why a connection string is none.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub(crate) enum BadConnectString {
    /// It names no server.
    #[error("{0:?} names no server; write host:port[,host:port...][/path]")]
    NoServer(String),
    /// A port is no port.
    #[error("{0:?} has no valid port; write host:port with a port from 1 to 65535")]
    Port(String),
    /// What follows the servers is no path.
    #[error(transparent)]
    Chroot(#[from] BadPath),
}

impl FromStr for ConnectString {
    type Err = BadConnectString;

    fn from_str(text: &str) -> Result<Self, BadConnectString> {
        let (servers, chroot) = match text.find('/') {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        let servers: Vec<String> = servers
            .split(',')
            .map(str::trim)
            .filter(|server| !server.is_empty())
            .map(address)
            .collect::<Result<_, _>>()?;
        if servers.is_empty() {
            return Err(BadConnectString::NoServer(text.to_owned()));
        }
        Ok(Self { text: text.to_owned(), servers, chroot: Chroot::new(chroot)? })
    }
}

/// A path that all others are below, and that nobody sees. The client alone knows of it; the server gets whole paths.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Chroot(String);

impl Chroot {
    fn new(path: &str) -> Result<Self, BadPath> {
        if matches!(path, "" | "/") {
            return Ok(Self::default());
        }
        check_path(path)?;
        Ok(Self(path.to_owned()))
    }

    /// Whether there is none.
    pub(crate) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path as the server knows it.
    pub(crate) fn outer(&self, path: &str) -> Box<str> {
        match (&*self.0, path) {
            ("", path) => path.into(),
            (root, "/") => root.into(),
            (root, path) => format!("{root}{path}").into(),
        }
    }

    /// The path as the user knows it. One that is not below the chroot, such as that of the configuration, stays as it is.
    pub(crate) fn inner<'a>(&self, path: &'a str) -> &'a str {
        match path.strip_prefix(&*self.0) {
            Some("") => "/",
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        }
    }
}

fn address(server: &str) -> Result<String, BadConnectString> {
    let bad_port = || BadConnectString::Port(server.to_owned());
    // An IPv6 address without brackets has no room for a port.
    if server.matches(':').count() > 1 && !server.starts_with('[') {
        return Ok(format!("[{server}]:{DEFAULT_PORT}"));
    }
    let after_host = server.rfind(']').map_or(0, |at| at + 1);
    match server.get(after_host..).and_then(|rest| rest.rfind(':')).map(|at| server.split_at(after_host + at))
    {
        None => Ok(format!("{server}:{DEFAULT_PORT}")),
        Some((host, port)) => {
            let port = port.trim_start_matches(':').parse::<u16>().ok().filter(|port| *port != 0);
            if host.is_empty() {
                return Err(BadConnectString::NoServer(server.to_owned()));
            }
            port.map(|port| format!("{host}:{port}")).ok_or_else(bad_port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_names_servers_and_perhaps_a_chroot() {
        for (text, servers, chroot) in [
            ("localhost:2181", vec!["localhost:2181"], ""),
            ("localhost", vec!["localhost:2181"], ""),
            ("a:1,b:2, c", vec!["a:1", "b:2", "c:2181"], ""),
            ("a:1,b:2/apps/one", vec!["a:1", "b:2"], "/apps/one"),
            ("a:1/", vec!["a:1"], ""),
            ("[::1]:2182", vec!["[::1]:2182"], ""),
            ("[::1]", vec!["[::1]:2181"], ""),
            ("::1", vec!["[::1]:2181"], ""),
        ] {
            let parsed: ConnectString = text.parse().unwrap();
            assert_eq!(parsed.servers, servers, "{text}");
            assert_eq!(parsed.chroot.0, chroot, "{text}");
        }
    }

    #[test]
    fn what_is_no_connection_string_is_refused() {
        for text in ["", "/apps", ",", "a:0", "a:65536", "a:x", ":2181", "a:1/apps/"] {
            assert!(text.parse::<ConnectString>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_chroot_is_put_before_paths_and_taken_off_again() {
        let chroot = Chroot::new("/apps").unwrap();
        for (inner, outer) in [("/", "/apps"), ("/a", "/apps/a"), ("/a/b", "/apps/a/b")] {
            assert_eq!(&*chroot.outer(inner), outer);
            assert_eq!(chroot.inner(outer), inner);
        }
        assert_eq!(chroot.inner("/appserver"), "/appserver");
        assert_eq!(chroot.inner("/zookeeper/config"), "/zookeeper/config");
        assert_eq!(&*Chroot::default().outer("/a"), "/a");
        assert_eq!(Chroot::default().inner("/a"), "/a");
    }
}
