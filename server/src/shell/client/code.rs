use std::fmt;

/// Why a call failed: an error code of ZooKeeper's protocol, those included that only a client finds out.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct KeeperCode(pub(crate) i32);

impl KeeperCode {
    pub(crate) const CONNECTION_LOSS: Self = Self(-4);
    pub(crate) const MARSHALLING_ERROR: Self = Self(-5);
    pub(crate) const BAD_ARGUMENTS: Self = Self(-8);
    pub(crate) const NEW_CONFIG_NO_QUORUM: Self = Self(-13);
    pub(crate) const RECONFIG_IN_PROGRESS: Self = Self(-14);
    pub(crate) const NO_NODE: Self = Self(-101);
    pub(crate) const NO_AUTH: Self = Self(-102);
    pub(crate) const BAD_VERSION: Self = Self(-103);
    pub(crate) const NO_CHILDREN_FOR_EPHEMERALS: Self = Self(-108);
    pub(crate) const NODE_EXISTS: Self = Self(-110);
    pub(crate) const NOT_EMPTY: Self = Self(-111);
    pub(crate) const SESSION_EXPIRED: Self = Self(-112);
    pub(crate) const INVALID_ACL: Self = Self(-114);
    pub(crate) const AUTH_FAILED: Self = Self(-115);
    pub(crate) const NOT_READ_ONLY: Self = Self(-119);
    pub(crate) const NO_WATCHER: Self = Self(-121);
    pub(crate) const QUOTA_EXCEEDED: Self = Self(-125);

    /// The name that ZooKeeper's own clients print behind `KeeperErrorCode =`.
    pub(crate) const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            -1 => "SystemError",
            -2 => "RuntimeInconsistency",
            -3 => "DataInconsistency",
            -4 => "ConnectionLoss",
            -5 => "MarshallingError",
            -6 => "Unimplemented",
            -7 => "OperationTimeout",
            -8 => "BadArguments",
            -13 => "NewConfigNoQuorum",
            -14 => "ReconfigInProgress",
            -100 => "APIError",
            -101 => "NoNode",
            -102 => "NoAuth",
            -103 => "BadVersion",
            -108 => "NoChildrenForEphemerals",
            -110 => "NodeExists",
            -111 => "Directory not empty",
            -112 => "Session expired",
            -113 => "Invalid callback",
            -114 => "InvalidACL",
            -115 => "AuthFailed",
            -118 => "Session moved",
            -119 => "Not a read-only call",
            -120 => "Ephemeral node on local session",
            -121 => "No such watcher",
            -123 => "Reconfig is disabled",
            -124 => "Session closed because client failed to authenticate",
            -125 => "Quota has exceeded",
            -127 => "Op throttled due to high load",
            _ => return None,
        })
    }
}

impl fmt::Display for KeeperCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "KeeperErrorCode = {name}"),
            None => write!(f, "KeeperErrorCode = Unknown error {}", self.0),
        }
    }
}

impl fmt::Debug for KeeperCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
