use std::time::Duration;

use thiserror::Error;

use super::client::{BadConnectString, ConnectString};

/// How the shell was called: zkCli's options, then perhaps one command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Options {
    pub(super) connect: ConnectString,
    pub(super) session_timeout: Duration,
    pub(super) read_only: bool,
    /// A command and what is given to it; the shell ends behind it.
    pub(super) command: Option<Vec<String>>,
}

/// Why the options are none.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub(super) enum BadOption {
    #[error("no argument found for option {0}")]
    NoValue(String),
    #[error("{0:?} is no timeout; write a number of milliseconds behind -timeout")]
    Timeout(String),
    #[error("there is no option {0}; there are -server host:port[,host:port...][/path], -timeout ms and -r")]
    Unknown(String),
    #[error(transparent)]
    Connect(#[from] BadConnectString),
}

impl Options {
    /// Reads the words behind `quorate shell`.
    pub(super) fn parse(words: &[String]) -> Result<Self, BadOption> {
        let mut server = "localhost:2181";
        let mut timeout = "30000";
        let mut read_only = false;
        let mut command = None;
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let mut value =
                || rest.next().map(String::as_str).ok_or_else(|| BadOption::NoValue(word.clone()));
            match &**word {
                "-server" | "--server" => server = value()?,
                "-timeout" | "--timeout" => timeout = value()?,
                "-r" => read_only = true,
                // It does what zkCli needs this option for: a command waits for the connection.
                "-waitforconnection" => {}
                option if option.starts_with('-') => return Err(BadOption::Unknown(option.to_owned())),
                _ => {
                    command = Some(std::iter::once(word).chain(rest).cloned().collect());
                    break;
                }
            }
        }
        let millis =
            timeout.parse().ok().filter(|millis| (1..=i32::MAX.unsigned_abs().into()).contains(millis));
        Ok(Self {
            connect: server.parse()?,
            session_timeout: Duration::from_millis(
                millis.ok_or_else(|| BadOption::Timeout(timeout.to_owned()))?,
            ),
            read_only,
            command,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, BadOption> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn options_come_before_the_command() {
        let options = parse("-server a:1,b:2/app -timeout 5000 -r create -e /x -r").unwrap();
        assert_eq!(options.connect.servers, ["a:1", "b:2"]);
        assert_eq!(options.session_timeout, Duration::from_secs(5));
        assert!(options.read_only);
        assert_eq!(options.command.unwrap(), ["create", "-e", "/x", "-r"]);

        let options = parse("").unwrap();
        assert_eq!(options.connect.servers, ["localhost:2181"]);
        assert_eq!((options.session_timeout, options.read_only), (Duration::from_secs(30), false));
        assert_eq!(options.command, None);
    }

    #[test]
    fn wrong_options_are_refused() {
        for line in
            ["-server", "-timeout", "-timeout x", "-timeout 0", "-timeout -5", "-server a:b", "-x ls /"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
