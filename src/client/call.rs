use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt as _;
use futures::channel::oneshot;

use super::shared::Shared;
use super::watch::OneShotWatch;
use super::{Client, ClientError};

use crate::node::{Clock, Sleep};
use crate::peer::{Answer, ReadLevel};
use crate::types::{ErrorCode, Identity, Read, Refusal, Write, Zxid};

/// A request under way. It is issued when it is polled for the first time and resolves with the quorum's
/// answer, which for a write means that it is executed and durable on a quorum.
///
/// Requests of one client are executed and answered in the order in which they were issued. Dropping a call
/// that was issued leaves it to be executed; its answer is lost, and the order of the others stays.
#[must_use = "a call does nothing unless it is awaited"]
pub struct Call<T> {
    step: Step,
    finish: Option<Finish<T>>,
    /// For a call that takes several requests: all of it.
    composed: Option<Composed<T>>,
    deadline: Deadline,
}

type Composed<T> = Pin<Box<dyn Future<Output = Result<T, ClientError>> + Send>>;

/// How long a call may take, from when it is polled for the first time.
enum Deadline {
    None,
    In(Duration, Arc<dyn Clock>),
    At(Sleep),
}

type Finish<T> = Box<dyn FnOnce(Answered) -> Result<T, ClientError> + Send>;

enum Step {
    Entering {
        /// The client is kept until the call is under way, so that it is not abandoned before.
        client: Client,
        turn: Option<u64>,
        call: Option<Asked>,
        answer: Option<oneshot::Receiver<Result<Answered, ClientError>>>,
    },
    UnderWay(oneshot::Receiver<Result<Answered, ClientError>>),
    Failed(ClientError),
    Done,
}

/// A call as the client's future sees it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) ask: Ask,
    pub(super) answer: oneshot::Sender<Result<Answered, ClientError>>,
}

/// What is asked.
#[derive(Debug)]
pub(super) enum Ask {
    Write(Write),
    Read { read: Read, level: ReadLevel, watch: bool },
    Sync,
    WhoAmI,
    AddIdentity(Identity),
    Subscribe(super::subscription::Subscription, u64, Start),
    Close,
}

/// Where a lasting watch begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Start {
    Now,
    After(Zxid),
}

/// The quorum's answer.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) zxid: Zxid,
    pub(super) result: Result<Answer, Refusal>,
    pub(super) watch: Option<OneShotWatch>,
}

impl<T> Call<T> {
    pub(super) fn new(
        client: Client,
        ask: Ask,
        finish: impl FnOnce(Answered) -> Result<T, ClientError> + Send + 'static,
    ) -> Self {
        let (sender, receiver) = oneshot::channel();
        let call = Asked { ask, answer: sender };
        Self {
            deadline: client.deadline(),
            step: Step::Entering { client, turn: None, call: Some(call), answer: Some(receiver) },
            finish: Some(Box::new(finish)),
            composed: None,
        }
    }

    /// A call that takes several requests, which `make` issues one after the other.
    pub(super) fn composed<F>(client: &Client, make: impl FnOnce(Client) -> F) -> Self
    where
        F: Future<Output = Result<T, ClientError>> + Send + 'static,
    {
        // The span is for all of them.
        let composed = Some(Box::pin(make(client.without_deadline())) as Composed<T>);
        Self { step: Step::Done, finish: None, composed, deadline: client.deadline() }
    }

    pub(super) fn failed(error: ClientError) -> Self {
        Self { step: Step::Failed(error), finish: None, composed: None, deadline: Deadline::None }
    }

    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Result<T, ClientError>> {
        if let Some(composed) = &mut self.composed {
            let answer = ready!(composed.as_mut().poll(context));
            self.composed = None;
            return Poll::Ready(answer);
        }
        loop {
            match &mut self.step {
                Step::Entering { client, turn, call, answer } => {
                    let entered = ready!(client.shared().poll_enter(context, turn, call));
                    let step = match (entered, answer.take()) {
                        (Ok(()), Some(answer)) => Step::UnderWay(answer),
                        (Ok(()), None) => Step::Failed(ClientError::Stopped),
                        (Err(error), _) => Step::Failed(error),
                    };
                    self.step = step;
                }
                Step::UnderWay(answer) => {
                    let answer = ready!(answer.poll_unpin(context)).unwrap_or(Err(ClientError::Stopped));
                    self.step = Step::Done;
                    let finish = self.finish.take().ok_or(ClientError::Stopped);
                    return Poll::Ready(answer.and_then(|answered| finish?(answered)));
                }
                Step::Failed(error) => return Poll::Ready(Err(error.clone())),
                Step::Done => return Poll::Pending,
            }
        }
    }

    /// Leaves the queue of those that wait to enter.
    fn give_up(&mut self) {
        if let Step::Entering { client, turn: Some(turn), .. } = &self.step {
            client.shared().give_up(*turn);
        }
        self.step = Step::Done;
        self.composed = None;
    }
}

impl<T> Future for Call<T> {
    type Output = Result<T, ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(answer) = self.poll_answer(context) {
            return Poll::Ready(answer);
        }
        if let Deadline::In(span, clock) = &self.deadline {
            self.deadline = Deadline::At(clock.sleep_until(clock.now().time + *span));
        }
        match &mut self.deadline {
            Deadline::At(sleep) => {
                ready!(sleep.poll_unpin(context));
                self.deadline = Deadline::None;
                self.give_up();
                Poll::Ready(Err(ClientError::TimedOut))
            }
            Deadline::None | Deadline::In(..) => Poll::Pending,
        }
    }
}

impl<T> Drop for Call<T> {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.step {
            _ if self.composed.is_some() => "Call(under way)",
            Step::Entering { .. } => "Call(waiting)",
            Step::UnderWay(_) => "Call(under way)",
            Step::Failed(_) | Step::Done => "Call(done)",
        })
    }
}

impl Answered {
    /// The answer, where it is not a refusal.
    pub(super) fn accepted(self) -> Result<Answer, ClientError> {
        self.result.map_err(ClientError::Refused)
    }

    /// The same, where "no such node" is an answer.
    pub(super) fn if_exists(self) -> Result<Option<Answer>, ClientError> {
        match self.result {
            Ok(answer) => Ok(Some(answer)),
            Err(Refusal { code: ErrorCode::NoNode, .. }) => Ok(None),
            Err(refusal) => Err(ClientError::Refused(refusal)),
        }
    }
}

impl Client {
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    fn deadline(&self) -> Deadline {
        self.span.map_or(Deadline::None, |span| Deadline::In(span, Arc::clone(&self.handle.clock)))
    }

    pub(super) fn without_deadline(&self) -> Self {
        Self { span: None, ..self.clone() }
    }
}
