use std::collections::VecDeque;
use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::str::Utf8Error;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::{FutureExt as _, Stream};

use super::call::{Answered, Ask, Call};
use super::watch::OneShotWatch;
use super::{Client, ClientError};

use crate::peer::{Answer, ReadLevel};
use crate::types::{Acl, ChildCursor, Found, Read, RequestPath, Stat};

/// What a node holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeData {
    /// The data; none and empty are told apart.
    pub data: Option<Bytes>,
    /// The stat.
    pub stat: Stat,
}

impl NodeData {
    /// The data, where none is as good as empty.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        self.data.clone().unwrap_or_default()
    }

    /// The data as text, where none is as good as empty.
    ///
    /// ```
    /// # use quorate::client::Client;
    /// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let limit: u32 = client.get("/config/limit").await?.text()?.parse()?;
    /// # drop(limit);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the data is no UTF-8.
    pub fn text(&self) -> Result<&str, Utf8Error> {
        std::str::from_utf8(self.data.as_deref().unwrap_or_default())
    }
}

/// The children of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChildList {
    /// Their names, in the order of their creation.
    pub names: Vec<Box<str>>,
    /// The stat of the node itself.
    pub stat: Stat,
}

/// What a read found, and the one-shot watch that it left.
#[derive(Debug)]
pub struct Watched<T> {
    /// What was found.
    pub value: T,
    /// The watch: on the node's data, its coming into being, or its children.
    pub watch: OneShotWatch,
}

/// A read to be awaited. By default it is answered by the server that the client is attached to, in the
/// session's order: after its own earlier writes, and never before what it saw.
#[must_use = "a read does nothing unless it is awaited"]
pub struct ReadCall<T> {
    client: Client,
    read: Read,
    level: ReadLevel,
    finish: fn(Answered) -> Result<T, ClientError>,
}

impl<T: Send + 'static> ReadCall<T> {
    pub(super) fn new(client: &Client, read: Read, finish: fn(Answered) -> Result<T, ClientError>) -> Self {
        Self { client: client.clone(), read, level: ReadLevel::default(), finish }
    }

    /// Finds all that was acknowledged to anybody before the read was asked; costs a round to a quorum.
    pub fn linearizable(self) -> Self {
        Self { level: ReadLevel::Linearizable, ..self }
    }

    /// Finds what the server has now; does not even wait for the client's own writes.
    pub fn local(self) -> Self {
        Self { level: ReadLevel::Local, ..self }
    }

    fn call(self) -> Call<T> {
        let ask = Ask::Read { read: self.read, level: self.level, watch: false };
        Call::new(self.client, ask, self.finish)
    }
}

impl<T: Send + 'static> IntoFuture for ReadCall<T> {
    type Output = Result<T, ClientError>;
    type IntoFuture = Call<T>;

    fn into_future(self) -> Call<T> {
        self.call()
    }
}

impl<T> fmt::Debug for ReadCall<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadCall")
            .field("read", &self.read)
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

/// A [`ReadCall`] that can leave a one-shot watch.
#[must_use = "a read does nothing unless it is awaited"]
#[derive(Debug)]
pub struct WatchableRead<T>(pub(super) ReadCall<T>);

impl<T: Send + 'static> WatchableRead<T> {
    /// Finds all that was acknowledged to anybody before the read was asked; costs a round to a quorum.
    pub fn linearizable(self) -> Self {
        Self(self.0.linearizable())
    }

    /// Finds what the server has now; does not even wait for the client's own writes.
    pub fn local(self) -> Self {
        Self(self.0.local())
    }

    /// Leaves a one-shot watch too: it tells the first change after what the read finds.
    ///
    /// A `get` or a `children` of a node that does not exist fails and leaves none; an `exists` leaves one that
    /// tells the creation.
    pub fn watch(self) -> Call<Watched<T>> {
        let ReadCall { client, read, level, finish } = self.0;
        Call::new(client, Ask::Read { read, level, watch: true }, move |mut answered| {
            let watch = answered.watch.take();
            let value = finish(answered)?;
            Ok(Watched { value, watch: watch.ok_or(ClientError::Mismatched)? })
        })
    }
}

impl<T: Send + 'static> IntoFuture for WatchableRead<T> {
    type Output = Result<T, ClientError>;
    type IntoFuture = Call<T>;

    fn into_future(self) -> Call<T> {
        self.0.call()
    }
}

/// The children of a node page by page, as a `Stream` of names. The order is that of creation. A child
/// that was there all the time is told exactly once, others may be.
///
/// A failure ends the stream.
#[must_use = "nothing is read unless the stream is polled"]
#[derive(Debug)]
pub struct ChildPages {
    client: Client,
    path: RequestPath,
    limit: u32,
    names: VecDeque<Box<str>>,
    step: Step,
}

/// The names of a page, and where the next one begins.
type Page = (Vec<Box<str>>, Option<ChildCursor>);

#[derive(Debug)]
enum Step {
    Ask(Option<ChildCursor>),
    Asked(Box<Call<Page>>),
    Done,
}

impl ChildPages {
    pub(super) fn new(client: &Client, path: RequestPath, limit: u32) -> Self {
        Self { client: client.clone(), path, limit, names: VecDeque::new(), step: Step::Ask(None) }
    }

    /// The next name; `None` after the last.
    pub async fn next(&mut self) -> Option<Result<Box<str>, ClientError>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for ChildPages {
    type Item = Result<Box<str>, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(name) = self.names.pop_front() {
                return Poll::Ready(Some(Ok(name)));
            }
            match &mut self.step {
                Step::Done => return Poll::Ready(None),
                Step::Ask(after) => {
                    let after = *after;
                    let read = Read::ChildrenPage { path: self.path.clone(), after, limit: self.limit };
                    self.step = Step::Asked(Box::new(ReadCall::new(&self.client, read, page).call()));
                }
                Step::Asked(call) => match ready!(call.poll_unpin(context)) {
                    Ok((names, next)) => {
                        self.names = names.into();
                        self.step = next.map_or(Step::Done, |cursor| Step::Ask(Some(cursor)));
                    }
                    Err(error) => {
                        self.step = Step::Done;
                        return Poll::Ready(Some(Err(error)));
                    }
                },
            }
        }
    }
}

pub(super) fn found(answered: Answered) -> Result<Found, ClientError> {
    match answered.accepted()? {
        Answer::Found(found) => Ok(found),
        _ => Err(ClientError::Mismatched),
    }
}

pub(super) fn data(answered: Answered) -> Result<NodeData, ClientError> {
    match found(answered)? {
        Found::Data { data, stat } => Ok(NodeData { data, stat }),
        _ => Err(ClientError::Mismatched),
    }
}

pub(super) fn stat_if_exists(answered: Answered) -> Result<Option<Stat>, ClientError> {
    match answered.if_exists()? {
        None => Ok(None),
        Some(Answer::Found(Found::Stat(stat))) => Ok(Some(stat)),
        Some(_) => Err(ClientError::Mismatched),
    }
}

pub(super) fn children(answered: Answered) -> Result<ChildList, ClientError> {
    match found(answered)? {
        Found::Children { names, stat } => Ok(ChildList { names, stat }),
        _ => Err(ClientError::Mismatched),
    }
}

pub(super) fn acl(answered: Answered) -> Result<(Acl, Stat), ClientError> {
    match found(answered)? {
        Found::Acl { acl, stat } => Ok((acl, stat)),
        _ => Err(ClientError::Mismatched),
    }
}

fn page(answered: Answered) -> Result<Page, ClientError> {
    match found(answered)? {
        Found::ChildrenPage { names, next, .. } => Ok((names, next)),
        _ => Err(ClientError::Mismatched),
    }
}
