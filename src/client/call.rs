use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::channel::oneshot;

use super::shared::Shared;
use super::watch::OneShotWatch;
use super::{Client, ClientError};

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
            step: Step::Entering { client, turn: None, call: Some(call), answer: Some(receiver) },
            finish: Some(Box::new(finish)),
        }
    }

    pub(super) fn failed(error: ClientError) -> Self {
        Self { step: Step::Failed(error), finish: None }
    }
}

impl<T> Future for Call<T> {
    type Output = Result<T, ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.step {
                Step::Entering { client, turn, call, answer } => {
                    let entered = match client.shared().poll_enter(context, turn, call) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(entered) => entered,
                    };
                    let step = match (entered, answer.take()) {
                        (Ok(()), Some(answer)) => Step::UnderWay(answer),
                        (Ok(()), None) => Step::Failed(ClientError::Stopped),
                        (Err(error), _) => Step::Failed(error),
                    };
                    self.step = step;
                }
                Step::UnderWay(answer) => {
                    let answer = match answer.poll_unpin(context) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(answer) => answer.unwrap_or(Err(ClientError::Stopped)),
                    };
                    self.step = Step::Done;
                    let finish = self.finish.take().ok_or(ClientError::Stopped);
                    return Poll::Ready(answer.and_then(|answered| finish?(answered)));
                }
                Step::Failed(error) => return Poll::Ready(Err(error.clone())),
                Step::Done => return Poll::Pending,
            }
        }
    }
}

impl<T> Drop for Call<T> {
    fn drop(&mut self) {
        if let Step::Entering { client, turn: Some(turn), .. } = &self.step {
            client.shared().give_up(*turn);
        }
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.step {
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
}
