use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::channel::{mpsc, oneshot};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, FuturesUnordered, SelectAll};
use futures::{FutureExt as _, StreamExt as _};

use super::events::{self, EventSink};
use super::{
    Attach, Clock, Delivery, NodeError, Observer, Outbound, ServerEnd, Shared, Sleep, Undeliverable,
};

use crate::codec;
use crate::peer::{
    ClientRequest, CloseReason, Connect, Detail, Input, Inspection, Message, Output, Peer, Request, Status,
};
use crate::storage::{Storage, StorageError};
use crate::transport::Transport;
use crate::types::{ClientId, Lane, Now, PersistId, ServerId, Time};

/// How much one turn takes from one source before the peer's outputs are carried out.
const TURN: usize = 1_024;

/// How long one turn takes requests. A read may cost whatever its node's size is, and while it is answered nothing else is
/// heard; so heartbeats wait for a slice and one request, not for all requests that there are. What waited for a write is
/// portioned by the peer. After so long the other tasks get their turn too.
const SLICE: Duration = Duration::from_millis(5);

/// How many turns are taken before other tasks of the executor get theirs.
const TURNS_PER_POLL: usize = 16;

/// What a handle asks of the driver.
#[derive(Debug)]
pub(super) enum Command {
    Open {
        attach: Attach,
        end: ServerEnd,
    },
    Status(oneshot::Sender<Status>),
    /// The status as soon as it is another one than `after`.
    NextStatus {
        after: Box<Status>,
        answer: oneshot::Sender<Status>,
    },
    Inspect(Detail, oneshot::Sender<Inspection>),
    Subscribe(EventSink),
    Shutdown,
}

/// The loop of a server, as a future.
///
/// Each turn takes all that is ready, in a fixed order of sources, and only then carries out what the peer
/// asks. So what arrived while a write ran becomes one batch by itself.
pub(super) struct Driver {
    server: ServerId,
    peer: Peer,
    shared: Arc<Shared>,
    transport: Arc<dyn Transport>,
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    commands: mpsc::Receiver<Command>,
    frames: BoxStream<'static, (ServerId, Bytes)>,
    /// Servers whose processes have gone.
    gone: BoxStream<'static, ServerId>,
    /// What clients ask.
    requests: SelectAll<BoxStream<'static, Asked>>,
    clients: BTreeMap<ClientId, Outbound>,
    io: FuturesUnordered<BoxFuture<'static, Result<Completion, StorageError>>>,
    /// What was completed while outputs were carried out.
    completed: VecDeque<Result<Completion, StorageError>>,
    alarm: Option<(Time, Sleep)>,
    events: Vec<EventSink>,
    observer: Option<Arc<dyn Observer>>,
    /// Who waits for a status that is another one than it knows. Dropped behind the storage: whoever waits for the end
    /// may open that again.
    curious: Vec<(Box<Status>, oneshot::Sender<Status>)>,
    /// The last turn left requests waiting because its slice was over.
    slice_over: bool,
    stopping: bool,
}

/// Who asked, what, and under which number of its own; `None` when the client is gone.
type Asked = (ClientId, Option<(u64, Request)>);

/// What the storage has done.
enum Completion {
    Written(PersistId),
    Read(Input),
    Saved(Input),
}

impl Driver {
    pub(super) fn new(
        peer: Peer,
        shared: Arc<Shared>,
        transport: Arc<dyn Transport>,
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        commands: mpsc::Receiver<Command>,
        observer: Option<Arc<dyn Observer>>,
    ) -> Self {
        let frames = stream::unfold(Arc::clone(&transport), |transport| async move {
            let frame = transport.recv().await?;
            Some((frame, transport))
        });
        let gone = stream::unfold(Arc::clone(&transport), |transport| async move {
            let peer = transport.gone().await;
            Some((peer, transport))
        });
        Self {
            server: shared.config.peer.server,
            peer,
            shared,
            transport,
            storage,
            clock,
            commands,
            frames: frames.boxed(),
            gone: gone.boxed(),
            requests: SelectAll::new(),
            clients: BTreeMap::new(),
            io: FuturesUnordered::new(),
            completed: VecDeque::new(),
            alarm: None,
            events: Vec::new(),
            observer,
            curious: Vec::new(),
            slice_over: false,
            stopping: false,
        }
    }

    fn feed(&mut self, now: Now, input: Input) {
        if let Some(observer) = &self.observer {
            observer.input(now, &input);
        }
        self.peer.handle_input(now, input);
    }

    /// Feeds the peer all that is ready, up to a bound; says whether there was anything.
    fn take_inputs(&mut self, context: &mut Context<'_>, now: Now) -> Result<bool, NodeError> {
        let mut any = self.take_completions(context, now)?;
        if self.stopping {
            return Ok(any);
        }
        any |= self.take_commands(context, now);
        any |= self.take_frames(context, now)?;
        any |= self.take_gone(context, now);
        any |= self.take_requests(context, now);
        if self.peer.poll_timeout().is_some_and(|deadline| deadline <= now.time) {
            self.peer.handle_timeout(now);
            any = true;
        }
        Ok(any)
    }

    fn take_completions(&mut self, context: &mut Context<'_>, now: Now) -> Result<bool, NodeError> {
        let mut any = false;
        loop {
            let completion = match self.completed.pop_front() {
                Some(completion) => completion,
                None => match self.io.poll_next_unpin(context) {
                    Poll::Ready(Some(completion)) => completion,
                    Poll::Ready(None) | Poll::Pending => return Ok(any),
                },
            };
            let input = match completion? {
                Completion::Written(id) => Input::Persisted(id),
                Completion::Read(input) | Completion::Saved(input) => input,
            };
            self.feed(now, input);
            any = true;
        }
    }

    fn take_commands(&mut self, context: &mut Context<'_>, now: Now) -> bool {
        for taken in 0..TURN {
            match self.commands.poll_next_unpin(context) {
                Poll::Pending => return taken > 0,
                Poll::Ready(Some(Command::Open { attach, end })) => self.open(now, attach, end),
                // Whoever asked may have gone meanwhile.
                Poll::Ready(Some(Command::Status(asked))) => drop(asked.send(self.peer.status(now))),
                Poll::Ready(Some(Command::NextStatus { after, answer })) => {
                    self.curious.push((after, answer));
                }
                Poll::Ready(Some(Command::Inspect(detail, asked))) => {
                    drop(asked.send(self.peer.inspect(detail)));
                }
                Poll::Ready(Some(Command::Subscribe(sink))) => self.events.push(sink),
                Poll::Ready(Some(Command::Shutdown) | None) => {
                    tracing::info!(server = %self.server, "the server shuts down");
                    self.stopping = true;
                    return true;
                }
            }
        }
        true
    }

    fn take_frames(&mut self, context: &mut Context<'_>, now: Now) -> Result<bool, NodeError> {
        for taken in 0..TURN {
            match self.frames.poll_next_unpin(context) {
                Poll::Pending => return Ok(taken > 0),
                Poll::Ready(None) => return Err(NodeError::TransportClosed),
                Poll::Ready(Some((from, frame))) => match codec::decode_frame_shared::<Message>(frame) {
                    Ok(message) => self.feed(now, Input::Message { from, message }),
                    Err(error) => {
                        tracing::warn!(server = %self.server, %from, %error, "a frame was dropped");
                    }
                },
            }
        }
        Ok(true)
    }

    /// Behind the frames: what a server said before it went still counts.
    fn take_gone(&mut self, context: &mut Context<'_>, now: Now) -> bool {
        let Poll::Ready(Some(peer)) = self.gone.poll_next_unpin(context) else { return false };
        tracing::info!(server = %self.server, %peer, "a server has gone");
        self.feed(now, Input::PeerGone(peer));
        true
    }

    /// At least one, if there is any. Those left over keep their places: the connections are asked in turn.
    fn take_requests(&mut self, context: &mut Context<'_>, now: Now) -> bool {
        let began = self.clock.now().time;
        for taken in 0..TURN {
            self.slice_over = taken > 0 && self.clock.now().time.since(began) >= SLICE;
            if self.slice_over {
                return true;
            }
            match self.requests.poll_next_unpin(context) {
                Poll::Pending | Poll::Ready(None) => return taken > 0,
                Poll::Ready(Some((client, None))) => {
                    self.shared.open_connections.fetch_sub(1, Ordering::AcqRel);
                    if self.clients.remove(&client).is_some() {
                        self.feed(now, Input::Disconnect(client));
                    }
                }
                // A client that was closed may not have noticed yet.
                Poll::Ready(Some((client, Some(_)))) if !self.clients.contains_key(&client) => {}
                Poll::Ready(Some((client, Some((tag, request))))) => {
                    self.feed(now, Input::Request(ClientRequest { client, tag, request }));
                }
            }
        }
        true
    }

    fn open(&mut self, now: Now, attach: Attach, end: ServerEnd) {
        let client = end.inbound.client();
        self.clients.insert(client, end.outbound);
        let requests = end.inbound.map(move |request| (client, Some(request)));
        self.requests.push(requests.chain(stream::iter([(client, None)])).boxed());
        let Attach { resume, timeout_millis, last_seen, identities } = attach;
        let connect = Connect { client, resume, timeout_millis, last_seen, identities };
        self.feed(now, Input::Connect(connect));
    }

    /// Carries out what the peer asks, in order, until it asks for nothing; says whether it asked at all.
    fn carry_out(&mut self, context: &mut Context<'_>, now: Now) -> Result<bool, NodeError> {
        let mut any = false;
        while let Some(output) = self.peer.poll_output() {
            any = true;
            if let Some(observer) = &self.observer {
                observer.output(now, &output);
            }
            match output {
                Output::Persist { .. } | Output::SaveSnapshot(_) if self.stopping => {}
                Output::Persist { id, batch } => {
                    let storage = Arc::clone(&self.storage);
                    let write = async move { storage.write(batch).await.map(|()| Completion::Written(id)) };
                    self.io.push(Box::pin(write));
                    // The disk starts before the sends that follow, and works beside them.
                    if let Poll::Ready(Some(completion)) = self.io.poll_next_unpin(context) {
                        self.completed.push_back(completion);
                    }
                }
                Output::Send { to, lane, message } => self.send(to, lane, &message),
                Output::ReadLog { after, limit } => {
                    let storage = Arc::clone(&self.storage);
                    self.io.push(Box::pin(async move {
                        let entries = present(storage.read_log(after, limit).await)?.unwrap_or_default();
                        Ok(Completion::Read(Input::LogRead { after, entries }))
                    }));
                }
                Output::ReadSnapshot { learner, zxid, offset, limit } => {
                    let storage = Arc::clone(&self.storage);
                    self.io.push(Box::pin(async move {
                        let chunk = present(storage.read_snapshot(zxid, offset, limit).await)?;
                        Ok(Completion::Read(Input::SnapshotRead { learner, chunk }))
                    }));
                }
                Output::SaveSnapshot(chunk) => {
                    let storage = Arc::clone(&self.storage);
                    let (zxid, offset) = (chunk.zxid, chunk.offset);
                    self.io.push(Box::pin(async move {
                        match storage.save_snapshot(chunk).await {
                            Ok(()) => Ok(Completion::Saved(Input::SnapshotSaved { zxid, offset })),
                            // Only the snapshot is lost: the log is another matter, and goes on.
                            Err(StorageError::Refused(_) | StorageError::Full { .. }) => {
                                Ok(Completion::Saved(Input::SnapshotNotSaved { zxid, offset }))
                            }
                            Err(error) => Err(error),
                        }
                    }));
                }
                Output::Connected(connected) => {
                    self.deliver(now, connected.client, Delivery::Connected(connected));
                }
                Output::Reply(reply) => self.deliver(now, reply.client, Delivery::Reply(reply)),
                Output::Watch { client, event } => self.deliver(now, client, Delivery::Watch(event)),
                Output::Closed { client, reason } => {
                    if let Some(outbound) = self.clients.remove(&client) {
                        outbound.close(reason);
                    }
                }
                Output::Event(event) => {
                    events::trace(self.server, &event);
                    self.events.retain_mut(|sink| sink.offer(&event));
                }
                Output::Halt(why) => return Err(why.into()),
            }
        }
        Ok(any)
    }

    /// Tells those who wait for it that the status has changed.
    fn tell_status(&mut self, now: Now) {
        // Most of the time nobody waits.
        if self.curious.is_empty() {
            return;
        }
        let status = self.peer.status(now);
        let waiting = std::mem::take(&mut self.curious).into_iter();
        self.curious = waiting
            .filter_map(|(known, answer)| {
                if answer.is_canceled() {
                    None
                } else if *known == status {
                    Some((known, answer))
                } else {
                    // Whoever asked may have gone meanwhile.
                    drop(answer.send(status.clone()));
                    None
                }
            })
            .collect();
    }

    fn send(&self, to: ServerId, lane: Lane, message: &Message) {
        match codec::encode_frame(message) {
            Ok(frame) => self.transport.send(to, lane, frame),
            // To the peer it is a lost message. It cannot be mended by trying again, so it is told loudly.
            Err(error) => {
                tracing::error!(server = %self.server, %to, %error, "a message could not be encoded");
            }
        }
    }

    fn deliver(&mut self, now: Now, client: ClientId, delivery: Delivery) {
        let Some(outbound) = self.clients.get_mut(&client) else { return };
        let Err(error) = outbound.deliver(delivery) else { return };
        if let (Some(outbound), Undeliverable::Full) = (self.clients.remove(&client), error) {
            tracing::info!(server = %self.server, ?client, "a client does not take what waits for it");
            outbound.close(CloseReason::Overloaded);
        }
        self.feed(now, Input::Disconnect(client));
    }

    /// Sets the alarm to the peer's next deadline; says whether it has gone off already.
    fn set_alarm(&mut self, context: &mut Context<'_>) -> bool {
        let Some(deadline) = self.peer.poll_timeout() else {
            self.alarm = None;
            return false;
        };
        loop {
            match &mut self.alarm {
                // Heartbeats push the deadline away all the time; an alarm that is too early is kept, and set again
                // when it goes off.
                Some((at, sleep)) if *at <= deadline => {
                    if sleep.poll_unpin(context).is_pending() {
                        return false;
                    }
                    let due = *at == deadline;
                    self.alarm = None;
                    if due {
                        return true;
                    }
                }
                _ => self.alarm = Some((deadline, self.clock.sleep_until(deadline))),
            }
        }
    }
}

impl Future for Driver {
    type Output = Result<(), NodeError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut now = self.clock.now();
        let began = now.time;
        for _ in 0..TURNS_PER_POLL {
            self.slice_over = false;
            let mut any = self.take_inputs(context, now)?;
            any |= self.carry_out(context, now)?;
            if let Some(observer) = self.observer.as_ref().filter(|_| any) {
                observer.turn(now, &self.peer.status(now));
            }
            if any {
                self.tell_status(now);
            }
            if self.stopping && self.io.is_empty() && self.completed.is_empty() {
                return Poll::Ready(Ok(()));
            }
            // After a turn in which anything happened comes another: what was given to the storage must have been polled
            // before the task may sleep.
            if !any && (self.stopping || !self.set_alarm(context)) {
                return Poll::Pending;
            }
            now = self.clock.now();
            // The transport may need the executor's thread to bring the frames, and to take them away.
            if self.slice_over || now.time.since(began) >= SLICE {
                break;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A read of what is not there any more is an answer, not a failure.
fn present<T>(read: Result<T, StorageError>) -> Result<Option<T>, StorageError> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(StorageError::Absent(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
