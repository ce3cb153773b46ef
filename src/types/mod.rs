//! Layer 0: the nouns. Each is a type of its own, so that no bare number or string crosses a module border.

mod acl;
mod change;
mod create_mode;
mod error_code;
mod flat;
mod id;
mod log;
mod path;
mod request;
mod rng;
pub(crate) mod shared;
mod stat;
mod time;
mod txn;
mod watch;
mod zxid;

pub use acl::{Acl, AclEntry, Identity, Permissions};
pub use change::{Change, ChangeKind};
pub use create_mode::{CreateMode, InvalidTtl, Lifetime, Ttl};
pub use error_code::ErrorCode;
pub use id::{ClientId, ClusterId, Password, RequestId, ServerId, SessionId};
pub use log::{Lane, LogEntry, LogOp, PersistId, Recovered, SnapshotChunk, Standing, WriteBatch};
pub use path::{PathError, RequestPath, ZnodePath};
pub use request::{Caller, ChildCursor, Expected, Found, Read, Refusal, Write, Written};
pub use rng::SeededRng;
pub use stat::Stat;
pub use time::{Now, Time, WallTime};
pub use txn::{NumberedRequest, Origin, Transaction, Txn, Witness};
pub use watch::{WatchEvent, WatchEventKind, WatchMode, WatchTarget};
pub use zxid::{Epoch, Zxid};
