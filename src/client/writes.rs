use std::future::IntoFuture;
use std::time::Duration;

use bytes::Bytes;

use super::call::{Answered, Ask, Call};
use super::{Client, ClientError};

use crate::peer::Answer;
use crate::types::{Acl, CreateMode, Expected, Lifetime, RequestPath, Stat, Ttl, Write, Written, ZnodePath};

/// A node that was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Created {
    /// Its path, with its sequence number where it has one.
    pub path: ZnodePath,
    /// Its stat.
    pub stat: Stat,
}

/// The making of a node, to be awaited. By default the node stays and everybody may do everything with it.
#[must_use = "nothing is made unless it is awaited"]
#[derive(Debug)]
pub struct Create {
    client: Client,
    path: RequestPath,
    data: Option<Bytes>,
    acl: Acl,
    mode: CreateMode,
    error: Option<ClientError>,
}

impl Create {
    pub(super) fn new(client: &Client, path: RequestPath, data: Bytes) -> Self {
        Self {
            client: client.clone(),
            path,
            data: Some(data),
            acl: Acl::open(),
            mode: CreateMode::PERSISTENT,
            error: None,
        }
    }

    /// The node goes with the client's session.
    pub fn ephemeral(self) -> Self {
        self.lifetime(Lifetime::Ephemeral)
    }

    /// The node goes after its last child.
    pub fn container(self) -> Self {
        self.lifetime(Lifetime::Container)
    }

    /// The node goes when it has had no children, and its data was not set, for `span`.
    pub fn ttl(mut self, span: Duration) -> Self {
        match Ttl::new(span) {
            Ok(ttl) => self.lifetime(Lifetime::Ttl(ttl)),
            Err(error) => {
                self.error = Some(error.into());
                self
            }
        }
    }

    /// The parent's counter is appended to the name, as ten digits.
    pub fn sequential(mut self) -> Self {
        self.mode.sequential = true;
        self
    }

    /// All of the mode at once.
    pub fn mode(self, mode: CreateMode) -> Self {
        Self { mode, ..self }
    }

    /// Who may do what with the node.
    pub fn acl(self, acl: Acl) -> Self {
        Self { acl, ..self }
    }

    /// The node has no data, which is not the same as empty data.
    pub fn without_data(self) -> Self {
        Self { data: None, ..self }
    }

    fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.mode.lifetime = lifetime;
        self
    }
}

impl IntoFuture for Create {
    type Output = Result<Created, ClientError>;
    type IntoFuture = Call<Created>;

    fn into_future(self) -> Call<Created> {
        let Self { client, path, data, acl, mode, error } = self;
        match error {
            Some(error) => Call::failed(error),
            None => write(client, Write::Create { path, data, acl, mode }, |written| match written {
                Written::Created { path, stat } => Some(Created { path, stat }),
                _ => None,
            }),
        }
    }
}

/// A new value for a node, to be awaited.
#[must_use = "nothing is set unless it is awaited"]
#[derive(Debug)]
pub struct SetData {
    pub(super) client: Client,
    pub(super) path: RequestPath,
    pub(super) data: Option<Bytes>,
    pub(super) expected: Expected,
}

impl SetData {
    /// Only if the data is at this version.
    pub fn version(self, version: i32) -> Self {
        Self { expected: Expected::Version(version), ..self }
    }

    /// The node has no data afterwards, which is not the same as empty data.
    pub fn without_data(self) -> Self {
        Self { data: None, ..self }
    }
}

impl IntoFuture for SetData {
    type Output = Result<Stat, ClientError>;
    type IntoFuture = Call<Stat>;

    fn into_future(self) -> Call<Stat> {
        let Self { client, path, data, expected } = self;
        write(client, Write::SetData { path, data, expected }, |written| match written {
            Written::DataSet(stat) => Some(stat),
            _ => None,
        })
    }
}

/// A new ACL for a node, to be awaited.
#[must_use = "nothing is set unless it is awaited"]
#[derive(Debug)]
pub struct SetAcl {
    pub(super) client: Client,
    pub(super) path: RequestPath,
    pub(super) acl: Acl,
    pub(super) expected: Expected,
}

impl SetAcl {
    /// Only if the ACL is at this version.
    pub fn version(self, version: i32) -> Self {
        Self { expected: Expected::Version(version), ..self }
    }
}

impl IntoFuture for SetAcl {
    type Output = Result<Stat, ClientError>;
    type IntoFuture = Call<Stat>;

    fn into_future(self) -> Call<Stat> {
        let Self { client, path, acl, expected } = self;
        write(client, Write::SetAcl { path, acl, expected }, |written| match written {
            Written::AclSet(stat) => Some(stat),
            _ => None,
        })
    }
}

/// The end of a node without children, to be awaited.
#[must_use = "nothing is deleted unless it is awaited"]
#[derive(Debug)]
pub struct Delete {
    pub(super) client: Client,
    pub(super) path: RequestPath,
    pub(super) expected: Expected,
}

impl Delete {
    /// Only if the data is at this version.
    pub fn version(self, version: i32) -> Self {
        Self { expected: Expected::Version(version), ..self }
    }
}

impl IntoFuture for Delete {
    type Output = Result<(), ClientError>;
    type IntoFuture = Call<()>;

    fn into_future(self) -> Call<()> {
        let Self { client, path, expected } = self;
        write(client, Write::Delete { path, expected }, |written| (written == Written::Deleted).then_some(()))
    }
}

/// The end of a node and all below it, in one transaction, to be awaited. Gives how many nodes went.
#[must_use = "nothing is deleted unless it is awaited"]
#[derive(Debug)]
pub struct DeleteTree {
    pub(super) client: Client,
    pub(super) path: RequestPath,
    pub(super) limit: u32,
}

impl DeleteTree {
    /// Refused with [`BadArguments`](crate::ErrorCode::BadArguments) if more nodes than this would go;
    /// 100,000 unless set.
    pub fn limit(self, limit: u32) -> Self {
        Self { limit, ..self }
    }
}

impl IntoFuture for DeleteTree {
    type Output = Result<u32, ClientError>;
    type IntoFuture = Call<u32>;

    fn into_future(self) -> Call<u32> {
        let Self { client, path, limit } = self;
        write(client, Write::DeleteTree { path, limit }, |written| match written {
            Written::TreeDeleted { count } => Some(count),
            _ => None,
        })
    }
}

/// Several writes of which all are executed, at one zxid, or none; to be awaited. Each is judged against the
/// effect of those before it. A refusal names the [operation](crate::Refusal::operation) that failed.
#[must_use = "nothing is written unless it is awaited"]
#[derive(Debug)]
pub struct Multi {
    client: Client,
    writes: Vec<Write>,
}

impl Multi {
    pub(super) fn new(client: &Client) -> Self {
        Self { client: client.clone(), writes: Vec::new() }
    }

    /// Makes a node that everybody may do everything with.
    pub fn create(self, path: impl Into<RequestPath>, data: impl Into<Bytes>, mode: CreateMode) -> Self {
        let (path, data) = (path.into(), Some(data.into()));
        self.write(Write::Create { path, data, acl: Acl::open(), mode })
    }

    /// Replaces a node's data.
    pub fn set(self, path: impl Into<RequestPath>, data: impl Into<Bytes>, expected: Expected) -> Self {
        self.write(Write::SetData { path: path.into(), data: Some(data.into()), expected })
    }

    /// Deletes a node without children.
    pub fn delete(self, path: impl Into<RequestPath>, expected: Expected) -> Self {
        self.write(Write::Delete { path: path.into(), expected })
    }

    /// Fails all unless the node exists, at this version.
    pub fn check(self, path: impl Into<RequestPath>, expected: Expected) -> Self {
        self.write(Write::Check { path: path.into(), expected })
    }

    /// Any other write.
    pub fn write(mut self, write: Write) -> Self {
        self.writes.push(write);
        self
    }
}

impl IntoFuture for Multi {
    type Output = Result<Vec<Written>, ClientError>;
    type IntoFuture = Call<Vec<Written>>;

    fn into_future(self) -> Call<Vec<Written>> {
        write(self.client, Write::Multi(self.writes), |written| match written {
            Written::Multi(results) => Some(results),
            _ => None,
        })
    }
}

/// Executes `write`; `finish` picks its result.
pub(super) fn write<T: 'static>(client: Client, write: Write, finish: fn(Written) -> Option<T>) -> Call<T> {
    Call::new(client, Ask::Write(write), move |answered: Answered| match answered.accepted()? {
        Answer::Written(written) => finish(written).ok_or(ClientError::Mismatched),
        _ => Err(ClientError::Mismatched),
    })
}
