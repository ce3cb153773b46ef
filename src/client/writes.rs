use std::future::IntoFuture;
use std::time::Duration;

use bytes::Bytes;

use super::call::{Answered, Ask, Call};
use super::{Client, ClientError};

use crate::peer::Answer;
use crate::types::{
    Acl, CreateMode, ErrorCode, Expected, Lifetime, RequestPath, Stat, Ttl, Write, Written, ZnodePath,
};

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
    parents: bool,
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
            parents: false,
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

    /// The nodes above it are made first where they are not there: they stay, have no data, and the same ACL.
    ///
    /// Each is a write of its own, and what other clients of the same session issue may come between them. When the call
    /// fails some of them may have been made.
    ///
    /// ```
    /// # use quorate::client::{Client, ClientError};
    /// # async fn example(client: Client) -> Result<(), ClientError> {
    /// let lock = client.create("/app/locks/build/n-", "").sequential().ephemeral().with_parents().await?;
    /// println!("{}", lock.path);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_parents(self) -> Self {
        Self { parents: true, ..self }
    }

    /// That the node is there already is no failure: `None` is the answer then, and nothing was changed.
    ///
    /// ```
    /// # use quorate::client::{Client, ClientError};
    /// # async fn example(client: Client) -> Result<(), ClientError> {
    /// if client.create("/app", "first").if_absent().await?.is_none() {
    ///     println!("another was first: {:?}", client.get("/app").await?.text());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn if_absent(self) -> CreateIfAbsent {
        CreateIfAbsent(self)
    }

    fn call<T: Send + 'static>(
        self,
        finish: fn(Result<Created, ClientError>) -> Result<T, ClientError>,
    ) -> Call<T> {
        let Self { client, path, data, acl, mode, parents, error } = self;
        if let Some(error) = error {
            return Call::failed(error);
        }
        let create = Write::Create { path: path.clone(), data, acl: acl.clone(), mode };
        if parents {
            return Call::composed(&client, move |client| async move {
                finish(create_with_parents(client, path, acl, create).await)
            });
        }
        Call::new(client, Ask::Write(create), move |answered| finish(created(answered)))
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
        self.call(|created| created)
    }
}

/// The making of a node that may be there already, to be awaited.
#[must_use = "nothing is made unless it is awaited"]
#[derive(Debug)]
pub struct CreateIfAbsent(Create);

impl CreateIfAbsent {
    /// As [`Create::with_parents`].
    pub fn with_parents(self) -> Self {
        Self(self.0.with_parents())
    }
}

impl IntoFuture for CreateIfAbsent {
    type Output = Result<Option<Created>, ClientError>;
    type IntoFuture = Call<Option<Created>>;

    fn into_future(self) -> Call<Option<Created>> {
        self.0.call(|created| match created {
            Err(error) if error.is(ErrorCode::NodeExists) => Ok(None),
            other => other.map(Some),
        })
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

/// Executes `create`; where the parent is missing, all nodes above it are made first.
async fn create_with_parents(
    client: Client,
    path: RequestPath,
    acl: Acl,
    create: Write,
) -> Result<Created, ClientError> {
    let first = Call::new(client.clone(), Ask::Write(create.clone()), created).await;
    // Mostly they are there. Of a path that cannot be, nothing is made.
    let parent = match (&first, path.parent_str().map(ZnodePath::parse)) {
        (Err(error), Some(Ok(parent))) if error.is(ErrorCode::NoNode) => parent,
        _ => return first,
    };
    let mut above = Some(parent);
    let mut missing: Vec<ZnodePath> = std::iter::from_fn(|| {
        let next = above.as_ref().and_then(ZnodePath::parent);
        std::mem::replace(&mut above, next).filter(|path| !path.is_root())
    })
    .collect();
    while let Some(path) = missing.pop() {
        client.create(path, "").without_data().acl(acl.clone()).if_absent().await?;
    }
    Call::new(client, Ask::Write(create), created).await
}

fn created(answered: Answered) -> Result<Created, ClientError> {
    match answered.accepted()? {
        Answer::Written(Written::Created { path, stat }) => Ok(Created { path, stat }),
        _ => Err(ClientError::Mismatched),
    }
}

/// Executes `write`; `finish` picks its result.
pub(super) fn write<T: 'static>(client: Client, write: Write, finish: fn(Written) -> Option<T>) -> Call<T> {
    Call::new(client, Ask::Write(write), move |answered: Answered| match answered.accepted()? {
        Answer::Written(written) => finish(written).ok_or(ClientError::Mismatched),
        _ => Err(ClientError::Mismatched),
    })
}
