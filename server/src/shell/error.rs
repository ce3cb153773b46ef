use std::io;

use thiserror::Error;

use super::client::{BadConnectString, BadPath, Fault, KeeperCode};
use super::flags::BadFlag;

/// Why a command failed; shown in the words of zkCli 3.8, which scripts look for.
#[derive(Debug, Error)]
pub(super) enum CommandError {
    /// It was not written as it should be. Says how, or what is wrong.
    #[error("{0}")]
    Malformed(String),
    /// There is no such command.
    #[error("Command not found: Command not found {0}")]
    Unknown(String),
    /// An option is none.
    #[error(transparent)]
    Flag(#[from] BadFlag),
    /// The path is none.
    #[error(transparent)]
    Path(#[from] BadPath),
    /// What was to be connected to is no connection string.
    #[error(transparent)]
    Connect(#[from] BadConnectString),
    /// The server refused, or did not answer.
    #[error("{}", refusal(*.code, .path.as_deref()))]
    Refused { code: KeeperCode, path: Option<String> },
    /// There is no session.
    #[error("Not connected")]
    NotConnected,
    /// What it printed could not be written: the reader has gone.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

impl From<Fault> for CommandError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Path(error) => Self::Path(error),
            Fault::Refused { code, path } => Self::Refused { code, path },
        }
    }
}

/// What zkCli says to a refusal. Where no path is known it prints `null`, and so does this.
fn refusal(code: KeeperCode, path: Option<&str>) -> String {
    let shown = path.unwrap_or("null");
    match code {
        KeeperCode::NO_NODE => format!("Node does not exist: {shown}"),
        KeeperCode::NO_CHILDREN_FOR_EPHEMERALS => format!("Ephemerals cannot have children: {shown}"),
        KeeperCode::NODE_EXISTS => format!("Node already exists: {shown}"),
        KeeperCode::NOT_EMPTY => format!("Node not empty: {shown}"),
        KeeperCode::NOT_READ_ONLY => format!("Not a read-only call: {shown}"),
        KeeperCode::INVALID_ACL => format!("Acl is not valid : {shown}"),
        KeeperCode::NO_AUTH => format!("Insufficient permission : {shown}"),
        KeeperCode::BAD_ARGUMENTS => format!("Arguments are not valid : {shown}"),
        KeeperCode::BAD_VERSION => format!("version No is not valid : {shown}"),
        KeeperCode::QUOTA_EXCEEDED => format!("Quota has exceeded : {shown}"),
        KeeperCode::RECONFIG_IN_PROGRESS => {
            "Another reconfiguration is in progress -- concurrent reconfigs not supported (yet)".to_owned()
        }
        KeeperCode::NEW_CONFIG_NO_QUORUM => {
            "No quorum of new config is connected and up-to-date with the leader of last \
             commmitted config - try invoking reconfiguration after new servers are connected and synced"
                .to_owned()
        }
        code => plain(code, path),
    }
}

/// What ZooKeeper's client library says to a refusal.
pub(super) fn plain(code: KeeperCode, path: Option<&str>) -> String {
    match path {
        Some(path) => format!("{code} for {path}"),
        None => code.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_worded_as_zkcli_words_them() {
        let shown = |code, path: Option<&str>| {
            CommandError::Refused { code: KeeperCode(code), path: path.map(str::to_owned) }.to_string()
        };
        // As zkCli.sh 3.8.0 printed them.
        for (code, message) in [
            (-101, "Node does not exist: /x"),
            (-110, "Node already exists: /x"),
            (-111, "Node not empty: /x"),
            (-102, "Insufficient permission : /x"),
            (-103, "version No is not valid : /x"),
            (-108, "Ephemerals cannot have children: /x"),
            (-114, "Acl is not valid : /x"),
            (-8, "Arguments are not valid : /x"),
            (-121, "KeeperErrorCode = No such watcher for /x"),
            (-4, "KeeperErrorCode = ConnectionLoss for /x"),
        ] {
            assert_eq!(shown(code, Some("/x")), message);
        }
        assert_eq!(shown(-114, None), "Acl is not valid : null");
        assert_eq!(shown(-123, None), "KeeperErrorCode = Reconfig is disabled");
        assert_eq!(shown(-9999, Some("/x")), "KeeperErrorCode = Unknown error -9999 for /x");
    }
}
