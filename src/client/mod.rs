//! Layer 7: [`Client`], what application code calls.
//!
//! A client keeps one session with the quorum, through whichever of its servers is there. What it promises:
//!
//! - Calls are executed and answered in the order in which they were issued.
//! - A call never fails because a connection broke. Every write has a number in its session; on the next connection those without
//!   an answer are sent again under their numbers, and the quorum executes each once.
//! - Watches live through reconnects. A one-shot watch tells a change that happened meanwhile, a lasting
//!   one tells all of them, or says that it cannot.
//! - The end of a session is never silent: every call and watch then fails, and no new session takes its place.
//!
//! A call has no deadline of its own: it waits as long as the session lives, and for the first session without an end.
//! Where that is too long [`Client::within`] sets one; a write that nobody waits for any more may be executed nevertheless.

mod call;
mod digest;
mod driver;
mod error;
mod mailbox;
mod options;
mod reads;
mod session;
mod shared;
mod state;
mod subscription;
mod watch;
mod writes;

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use call::Call;
pub use digest::digest_identity;
pub use driver::ClientDriver;
pub use error::ClientError;
pub use options::ClientOptions;
pub use reads::{ChildList, ChildPages, NodeData, ReadCall, WatchableRead, Watched};
pub use state::{SessionState, States};
pub use watch::{OneShotWatch, WatchItem, WatchStream};
pub use writes::{Create, CreateIfAbsent, Created, Delete, DeleteTree, Multi, SetAcl, SetData};

use call::{Answered, Ask, Start};
use mailbox::Mailbox;
use shared::Shared;
use subscription::Subscription;

use crate::node::{Clock, Connector};
use crate::peer::Answer;
use crate::types::{
    Acl, Expected, Found, Identity, Read, RequestPath, SessionId, Stat, WatchMode, Write, Written, Zxid,
};

/// A session with the quorum. Cheap to clone; clones share the session.
///
/// When the last clone is dropped the session is closed, as by [`close`](Self::close).
///
/// ```no_run
/// # use quorate::client::{Client, ClientError};
/// # async fn example(client: Client) -> Result<(), ClientError> {
/// let lock = client.create("/locks/n-", "").ephemeral().sequential().await?;
/// let config = client.get("/config").watch().await?;
/// println!("{:?} at version {}", config.value.bytes(), config.value.stat.version);
/// println!("{:?}", config.watch.await?);
/// client.delete(&lock.path).version(0).await?;
/// client.close().await
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
    /// How long each call may take.
    span: Option<Duration>,
}

/// Held by the clones: when the last one goes, the session is closed.
struct Handle {
    shared: Arc<Shared>,
    options: ClientOptions,
    clock: Arc<dyn Clock>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.abandon();
    }
}

impl Client {
    /// A client of these servers, and the future that works for it: spawn it on any executor.
    ///
    /// Servers are tried in turn, the first one first; give the one in the same process first. Calls may be
    /// made at once; they wait for the session. The future ends with the session.
    ///
    /// A client of `&node`, or of [`node.connector()`](crate::node::Node::connector), does not keep that server running:
    /// when the last [`Node`](crate::node::Node) is dropped the server stops, and the client goes to its other servers, or
    /// is disconnected and expires. A client that is given the `Node` itself holds it until the session ends.
    ///
    /// # Errors
    ///
    /// When there are no servers or an option cannot work.
    pub fn new(
        servers: impl IntoIterator<Item = impl Into<Arc<dyn Connector>>>,
        clock: Arc<dyn Clock>,
        options: ClientOptions,
    ) -> Result<(Self, ClientDriver), ClientError> {
        options.validate()?;
        let servers = into_connectors(servers);
        if servers.is_empty() {
            return Err(ClientError::NoServers);
        }
        let shared = Arc::new(Shared::new(options.window));
        let driver = ClientDriver::new(Arc::clone(&shared), servers, Arc::clone(&clock), options.clone());
        Ok((Self { handle: Arc::new(Handle { shared, options, clock }), span: None }, driver))
    }

    /// The same session, whose calls fail with [`TimedOut`](ClientError::TimedOut) when there is no answer after `span`,
    /// counted from when a call is awaited.
    ///
    /// A write that timed out may be executed nevertheless, as long as the session lives. What was issued after it in the
    /// same session is executed after it.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use quorate::client::{Client, ClientError};
    /// # async fn example(client: Client) -> Result<(), ClientError> {
    /// let hasty = client.within(Duration::from_millis(500));
    /// match hasty.get("/config").linearizable().await {
    ///     Err(ClientError::TimedOut) => println!("the quorum is out of reach"),
    ///     found => println!("{:?}", found?.bytes()),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn within(&self, span: Duration) -> Self {
        Self { span: Some(span), ..self.clone() }
    }

    /// Waits until the client has a session and a server; gives the session.
    ///
    /// # Errors
    ///
    /// When the session has ended.
    pub async fn connected(&self) -> Result<SessionId, ClientError> {
        std::future::poll_fn(|context| self.handle.shared.poll_connected(context)).await
    }

    /// How the client stands with the quorum now.
    #[must_use]
    pub fn state(&self) -> SessionState {
        self.handle.shared.state()
    }

    /// How that changes from now on.
    #[must_use]
    pub fn states(&self) -> States {
        self.handle.shared.states()
    }

    /// The session, once there is one.
    #[must_use]
    pub fn session_id(&self) -> Option<SessionId> {
        self.handle.shared.session()
    }

    /// The largest position that an answer has shown so far.
    #[must_use]
    pub fn last_seen(&self) -> Zxid {
        self.handle.shared.last_seen()
    }

    /// Makes a node. With [`sequential`](Create::sequential) the path is the beginning of its path.
    pub fn create(&self, path: impl Into<RequestPath>, data: impl Into<Bytes>) -> Create {
        Create::new(self, path.into(), data.into())
    }

    /// Replaces a node's data.
    pub fn set(&self, path: impl Into<RequestPath>, data: impl Into<Bytes>) -> SetData {
        SetData { client: self.clone(), path: path.into(), data: Some(data.into()), expected: Expected::Any }
    }

    /// Deletes a node that has no children.
    pub fn delete(&self, path: impl Into<RequestPath>) -> Delete {
        Delete { client: self.clone(), path: path.into(), expected: Expected::Any }
    }

    /// Deletes a node and all below it, in one transaction.
    pub fn delete_tree(&self, path: impl Into<RequestPath>) -> DeleteTree {
        DeleteTree { client: self.clone(), path: path.into(), limit: 100_000 }
    }

    /// Replaces a node's ACL.
    pub fn set_acl(&self, path: impl Into<RequestPath>, acl: Acl) -> SetAcl {
        SetAcl { client: self.clone(), path: path.into(), acl, expected: Expected::Any }
    }

    /// Several writes, all or none.
    pub fn multi(&self) -> Multi {
        Multi::new(self)
    }

    /// Any write, as the quorum takes it.
    pub fn write(&self, write: Write) -> Call<Written> {
        writes::write(self.clone(), write, Some)
    }

    /// Data and stat of a node.
    pub fn get(&self, path: impl Into<RequestPath>) -> WatchableRead<NodeData> {
        WatchableRead(ReadCall::new(self, Read::Get { path: path.into() }, reads::data))
    }

    /// The stat of a node, if there is one.
    pub fn exists(&self, path: impl Into<RequestPath>) -> WatchableRead<Option<Stat>> {
        WatchableRead(ReadCall::new(self, Read::Exists { path: path.into() }, reads::stat_if_exists))
    }

    /// The names of all children of a node, and its stat. For many children see
    /// [`child_pages`](Self::child_pages).
    pub fn children(&self, path: impl Into<RequestPath>) -> WatchableRead<ChildList> {
        WatchableRead(ReadCall::new(self, Read::Children { path: path.into() }, reads::children))
    }

    /// The names of the children of a node one by one, of which `page` are fetched at a time.
    pub fn child_pages(&self, path: impl Into<RequestPath>, page: u32) -> ChildPages {
        ChildPages::new(self, path.into(), page)
    }

    /// ACL and stat of a node.
    pub fn acl(&self, path: impl Into<RequestPath>) -> ReadCall<(Acl, Stat)> {
        ReadCall::new(self, Read::Acl { path: path.into() }, reads::acl)
    }

    /// Any read, as the servers take it.
    pub fn read(&self, read: Read) -> ReadCall<Found> {
        ReadCall::new(self, read, reads::found)
    }

    /// A lasting watch: on the node and its list of children, or with [`recursive`](Watch::recursive) on all
    /// below it. The node needs not exist.
    pub fn watch(&self, path: impl Into<RequestPath>) -> Watch {
        Watch { client: self.clone(), path: path.into(), mode: WatchMode::Persistent, start: Start::Now }
    }

    /// Waits until the server has all that was committed when this was asked; gives its position.
    pub fn sync(&self) -> Call<Zxid> {
        Call::new(self.clone(), Ask::Sync, |answered| {
            let zxid = answered.zxid;
            answered.accepted().map(|_| zxid)
        })
    }

    /// Proves an identity to the servers, now and after every reconnect. The one scheme is `digest`, whose
    /// credentials are `user:password`; they do not leave the client, their hash does.
    pub fn add_auth(&self, scheme: &str, credentials: &str) -> Call<()> {
        if scheme != "digest" {
            return Call::failed(ClientError::UnknownScheme(scheme.to_owned()));
        }
        let ask = Ask::AddIdentity(digest_identity(credentials));
        Call::new(self.clone(), ask, |answered| answered.accepted().map(|_| ()))
    }

    /// The identities that the client has proved.
    pub fn who_am_i(&self) -> Call<Vec<Identity>> {
        Call::new(self.clone(), Ask::WhoAmI, |answered| match answered.accepted()? {
            Answer::Identities(identities) => Ok(identities),
            _ => Err(ClientError::Mismatched),
        })
    }

    /// Ends the session after all calls that were issued before; its ephemerals go with it. Calls issued
    /// afterwards fail.
    ///
    /// Where no server can be reached this waits until one can, or until the session has expired.
    ///
    /// # Errors
    ///
    /// When the client was closed before, or its future was dropped.
    pub async fn close(&self) -> Result<(), ClientError> {
        Call::new(self.clone(), Ask::Close, |answered| answered.accepted().map(|_| ())).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("session", &self.session_id())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// A lasting watch, to be awaited for its [`WatchStream`].
#[must_use = "nothing is watched unless it is awaited"]
#[derive(Debug)]
pub struct Watch {
    client: Client,
    path: RequestPath,
    mode: WatchMode,
    start: Start,
}

impl Watch {
    /// Watches the node and everything below it; there are no events about lists of children then.
    pub fn recursive(self) -> Self {
        Self { mode: WatchMode::PersistentRecursive, ..self }
    }

    /// Begins with the first change after `zxid`, such as the position of a read. Where the servers do not
    /// remember so far back the stream begins with [`WatchItem::Lost`].
    pub fn from(self, zxid: Zxid) -> Self {
        Self { start: Start::After(zxid), ..self }
    }
}

impl IntoFuture for Watch {
    type Output = Result<WatchStream, ClientError>;
    type IntoFuture = Call<WatchStream>;

    fn into_future(self) -> Call<WatchStream> {
        let Self { client, path, mode, start } = self;
        let capacity = client.handle.options.watch_buffer;
        let mailbox = Mailbox::new(capacity);
        let shared = Arc::clone(client.shared());
        let id = shared.new_subscription();
        let since = match start {
            Start::Now => Zxid::ZERO,
            Start::After(zxid) => zxid,
        };
        let subscription = Subscription::new(path, mode, since, mailbox.clone(), capacity);
        let stream = WatchStream { id, mailbox, shared };
        Call::new(client, Ask::Subscribe(subscription, id, start), move |answered: Answered| {
            answered.accepted().map(|_| stream)
        })
    }
}

fn into_connectors(
    servers: impl IntoIterator<Item = impl Into<Arc<dyn Connector>>>,
) -> Vec<Arc<dyn Connector>> {
    servers.into_iter().map(Into::into).collect()
}
