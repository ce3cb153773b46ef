use std::fmt;

use bytes::{BufMut as _, BytesMut};

use super::{DecodeError, Decoder, Record};

/// The number of an operation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpCode(i32);

/// The numbers, with the names that ZooKeeper gives them.
macro_rules! op_codes {
    ($($(#[$doc:meta])* $constant:ident = $number:literal, $name:literal;)*) => {
        impl OpCode {
            $($(#[$doc])* pub const $constant: Self = Self($number);)*

            /// ZooKeeper's name for the operation, if it has one.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($name),)*
                    _ => None,
                }
            }
        }
    };
}

op_codes! {
    /// Creates a node; answered with its path.
    CREATE = 1, "create";
    /// Deletes a node.
    DELETE = 2, "delete";
    /// The stat of a node, if it exists.
    EXISTS = 3, "exists";
    /// The data and stat of a node.
    GET_DATA = 4, "getData";
    /// Replaces a node's data.
    SET_DATA = 5, "setData";
    /// The ACL and stat of a node.
    GET_ACL = 6, "getACL";
    /// Replaces a node's ACL.
    SET_ACL = 7, "setACL";
    /// The names of a node's children.
    GET_CHILDREN = 8, "getChildren";
    /// Waits until the server has caught up with its leader.
    SYNC = 9, "sync";
    /// A sign of life.
    PING = 11, "ping";
    /// The names of a node's children, and its stat.
    GET_CHILDREN2 = 12, "getChildren2";
    /// Fails unless a node is at a version; only within a multi.
    CHECK = 13, "check";
    /// Several writes, all or none.
    MULTI = 14, "multi";
    /// Creates a node; answered with its path and stat.
    CREATE2 = 15, "create2";
    /// Changes the ensemble.
    RECONFIG = 16, "reconfig";
    /// Fails unless there are such watches.
    CHECK_WATCHES = 17, "checkWatches";
    /// Removes watches.
    REMOVE_WATCHES = 18, "removeWatches";
    /// Creates a container node.
    CREATE_CONTAINER = 19, "createContainer";
    /// A server's own: removes a container. Refused when it comes from a client.
    DELETE_CONTAINER = 20, "deleteContainer";
    /// Creates a node with a time to live.
    CREATE_TTL = 21, "createTTL";
    /// Several reads, each with a result of its own.
    MULTI_READ = 22, "multiRead";
    /// Proves an identity.
    AUTH = 100, "auth";
    /// Leaves one-shot watches again after a reconnect.
    SET_WATCHES = 101, "setWatches";
    /// A step of SASL.
    SASL = 102, "sasl";
    /// The session's own ephemerals.
    GET_EPHEMERALS = 103, "getEphemerals";
    /// How many nodes are below a node.
    GET_ALL_CHILDREN_NUMBER = 104, "getAllChildrenNumber";
    /// Leaves watches again after a reconnect, lasting ones among them.
    SET_WATCHES2 = 105, "setWatches2";
    /// Leaves a lasting watch.
    ADD_WATCH = 106, "addWatch";
    /// The identities of the connection.
    WHO_AM_I = 107, "whoAmI";
    /// A server's own: begins a session.
    CREATE_SESSION = -10, "createSession";
    /// Ends the session.
    CLOSE_SESSION = -11, "closeSession";
    /// The mark of an error, and of the end, in a multi.
    ERROR = -1, "error";
}

impl OpCode {
    /// The operation of this number.
    #[must_use]
    pub const fn new(number: i32) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Debug for OpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "op {}", self.0),
        }
    }
}

impl Record for OpCode {
    const MIN_LEN: usize = 4;

    fn decode(input: &mut Decoder) -> Result<Self, DecodeError> {
        input.int().map(Self)
    }

    fn encode(&self, output: &mut BytesMut) {
        output.put_i32(self.0);
    }
}
