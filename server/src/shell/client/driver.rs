use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Buf as _;
use quorate::protocol::record::{Call, Frames};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::code::KeeperCode;
use super::event::{ConnectionState, Event};
use super::status::{State, Status};
use super::watches::WatchTarget;
use super::wire::{Answer, Greeting, ProtocolError, Wire};

/// The largest answer that is taken: a list of many children is longer than any request may be.
const MAX_FRAME: usize = 64 << 20;
/// How long to wait after all servers were tried in vain, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How long a server may take to confirm the end of a session.
const CLOSING: Duration = Duration::from_secs(2);

/// What the client's owner asks of its driver.
pub(super) enum Order {
    Call(Call, Answer),
    RemoveWatches {
        call: Call,
        target: WatchTarget,
        local: bool,
        answer: Answer,
    },
    /// End the session, and the driver.
    Close,
    /// End the driver and leave the session to time out.
    Abandon,
}

impl Order {
    fn refuse(self, code: KeeperCode) {
        if let Self::Call(_, answer) | Self::RemoveWatches { answer, .. } = self {
            // Whoever asked has gone if nobody listens.
            let _ = answer.send(Err(code));
        }
    }
}

/// Where to connect and for how long.
pub(super) struct Settings {
    pub(super) servers: Vec<String>,
    pub(super) session_timeout: Duration,
    pub(super) read_only: bool,
}

/// Keeps one session alive over whichever server can be reached.
pub(super) struct Driver {
    settings: Settings,
    orders: UnboundedReceiver<Order>,
    /// Taken before there was a connection to send them on.
    backlog: VecDeque<Order>,
    wire: Wire,
    status: Status,
    next_server: usize,
}

/// Why a connection has ended.
enum End {
    /// It is lost; another may take up the session.
    Lost,
    /// The session is over.
    Over(ConnectionState),
}

struct Link {
    stream: TcpStream,
    frames: Frames,
    /// The agreed timeout of the session.
    timeout: Duration,
    heard: Instant,
    sent: Instant,
}

impl Driver {
    pub(super) fn new(settings: Settings, orders: UnboundedReceiver<Order>, status: Status) -> Self {
        Self { settings, orders, backlog: VecDeque::new(), wire: Wire::new(), status, next_server: 0 }
    }

    /// Runs until the session is over and the owner has gone.
    pub(super) async fn run(mut self) {
        let state = loop {
            let link = match self.connect().await {
                ControlFlow::Continue(link) => link,
                ControlFlow::Break(state) => break state,
            };
            match self.serve(link).await {
                End::Lost => {
                    self.status.tell(&Event::Connection(ConnectionState::Disconnected), State::Connecting);
                    self.wire.fail(KeeperCode::CONNECTION_LOSS);
                }
                End::Over(state) => break state,
            }
        };
        let (code, ended) = match state {
            ConnectionState::Expired => (KeeperCode::SESSION_EXPIRED, State::Closed),
            ConnectionState::AuthFailed => (KeeperCode::AUTH_FAILED, State::AuthFailed),
            _ => (KeeperCode::CONNECTION_LOSS, State::Closed),
        };
        self.status.tell(&Event::Connection(state), ended);
        self.wire.fail(code);
        self.orders.close();
        for order in self.backlog.drain(..) {
            order.refuse(code);
        }
        while let Some(order) = self.orders.recv().await {
            order.refuse(code);
        }
    }

    /// Tries the servers, one after the other and for ever, until one takes the session up.
    async fn connect(&mut self) -> ControlFlow<ConnectionState, Link> {
        let mut pause = BACKOFF.0;
        loop {
            for _ in 0..self.settings.servers.len() {
                let attempt = self.next_server;
                self.next_server = (attempt + 1) % self.settings.servers.len().max(1);
                let Some(server) = self.settings.servers.get(attempt).cloned() else { continue };
                self.wire.hello(millis(self.settings.session_timeout), self.settings.read_only);
                let hello = self.wire.output().split();
                let patience = self.patience();
                let stream = match self.meanwhile(timeout(patience, shake_hands(&server, &hello))).await? {
                    Ok(Ok(greeted)) => greeted,
                    Ok(Err(error)) => {
                        tracing::debug!(%server, %error, "no session there");
                        continue;
                    }
                    Err(_) => {
                        tracing::debug!(%server, "no answer in time");
                        continue;
                    }
                };
                let (stream, frames, frame) = stream;
                match self.wire.greeting(frame) {
                    Ok(Greeting::Connected { timeout, read_only }) => {
                        let (told, state) = if read_only {
                            (ConnectionState::ConnectedReadOnly, State::ConnectedReadOnly)
                        } else {
                            (ConnectionState::SyncConnected, State::Connected)
                        };
                        self.status.tell(&Event::Connection(told), state);
                        let timeout = Duration::from_millis(timeout.unsigned_abs().into());
                        let now = Instant::now();
                        return ControlFlow::Continue(Link {
                            stream,
                            frames,
                            timeout,
                            heard: now,
                            sent: now,
                        });
                    }
                    Ok(Greeting::Expired) => return ControlFlow::Break(ConnectionState::Expired),
                    Err(error) => tracing::debug!(%server, %error, "no session there"),
                }
            }
            // No server is there. Whoever waits learns it, as from other clients.
            for order in self.backlog.drain(..) {
                order.refuse(KeeperCode::CONNECTION_LOSS);
            }
            self.meanwhile(sleep(pause)).await?;
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    /// Waits for `what` and takes orders; breaks when the owner wants no more.
    async fn meanwhile<T>(&mut self, what: impl Future<Output = T>) -> ControlFlow<ConnectionState, T> {
        let mut what = std::pin::pin!(what);
        loop {
            tokio::select! {
                done = &mut what => return ControlFlow::Continue(done),
                order = self.orders.recv() => match order {
                    Some(Order::Close | Order::Abandon) | None => return ControlFlow::Break(ConnectionState::Closed),
                    Some(order) => self.backlog.push_back(order),
                },
            }
        }
    }

    /// Carries calls, answers and signs of life until the connection or the session ends.
    async fn serve(&mut self, mut link: Link) -> End {
        let read_timeout = link.timeout * 2 / 3;
        let ping_after = (read_timeout / 2).min(Duration::from_secs(10));
        while let Some(order) = self.backlog.pop_front() {
            if let Some(end) = self.take(order, &mut link).await {
                return end;
            }
        }
        loop {
            // What came behind the greeting is here already.
            match self.frames(&mut link) {
                Ok(None) => {}
                Ok(Some(end)) => return end,
                Err(ProtocolError) => return End::Lost,
            }
            let interest = if self.wire.output().is_empty() {
                Interest::READABLE
            } else {
                Interest::READABLE | Interest::WRITABLE
            };
            let ping_at = link.sent + ping_after;
            let dead_at = link.heard + read_timeout;
            tokio::select! {
                ready = link.stream.ready(interest) => {
                    let Ok(ready) = ready else { return End::Lost };
                    if (ready.is_readable() && !link.read().is_ok_and(|open| open))
                        || (ready.is_writable() && link.write(&mut self.wire).is_err())
                    {
                        // What arrived before the end still counts: a refusal of credentials comes this way.
                        return match self.frames(&mut link) {
                            Ok(Some(end)) => end,
                            _ => End::Lost,
                        };
                    }
                }
                order = self.orders.recv() => {
                    if let Some(end) = self.take(order.unwrap_or(Order::Abandon), &mut link).await {
                        return end;
                    }
                }
                () = sleep_until(ping_at.min(dead_at)) => {
                    if Instant::now() >= dead_at {
                        return End::Lost;
                    }
                    self.wire.ping();
                    link.sent = Instant::now();
                }
            }
        }
    }

    async fn take(&mut self, order: Order, link: &mut Link) -> Option<End> {
        match order {
            Order::Call(call, answer) => self.wire.submit(call, answer),
            Order::RemoveWatches { call, target, local, answer } => {
                for event in self.wire.remove_watches(call, target, local, answer) {
                    self.status.tell_event(&event);
                }
                self.wire.answer();
            }
            Order::Close => {
                self.wire.close_session();
                // The server closes the connection behind its answer. If it does not, the session times out there.
                let _ = timeout(CLOSING, self.farewell(link)).await;
                return Some(End::Over(ConnectionState::Closed));
            }
            Order::Abandon => return Some(End::Over(ConnectionState::Closed)),
        }
        None
    }

    async fn farewell(&mut self, link: &mut Link) -> io::Result<()> {
        link.stream.write_all_buf(self.wire.output()).await?;
        let mut chunk = [0; 4096];
        loop {
            match link.stream.read(&mut chunk).await? {
                0 => return Ok(()),
                len => link.frames.push(chunk.get(..len).unwrap_or_default()),
            }
            if !matches!(self.frames(link), Ok(None)) {
                return Ok(());
            }
        }
    }

    /// Takes apart what has arrived.
    fn frames(&mut self, link: &mut Link) -> Result<Option<End>, ProtocolError> {
        while let Some(frame) = link.frames.next_frame().map_err(|_| ProtocolError)? {
            for event in self.wire.frame(frame)? {
                if event == Event::Connection(ConnectionState::AuthFailed) {
                    return Ok(Some(End::Over(ConnectionState::AuthFailed)));
                }
                self.status.tell_event(&event);
            }
            self.wire.answer();
        }
        Ok(None)
    }

    /// How long one server may take to greet.
    fn patience(&self) -> Duration {
        let servers = u32::try_from(self.settings.servers.len()).unwrap_or(u32::MAX).max(1);
        (self.settings.session_timeout / servers).max(Duration::from_secs(1))
    }
}

impl Link {
    /// Reads what is there; false at the end of the stream.
    fn read(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 16 << 10];
        loop {
            match self.stream.try_read(&mut chunk) {
                Ok(0) => return Ok(false),
                Ok(len) => {
                    self.heard = Instant::now();
                    self.frames.push(chunk.get(..len).unwrap_or_default());
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes what the server takes at once.
    fn write(&mut self, wire: &mut Wire) -> io::Result<()> {
        match self.stream.try_write(wire.output()) {
            Ok(len) => {
                self.sent = Instant::now();
                wire.output().advance(len);
                Ok(())
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// Connects, asks for the session and waits for the first frame.
async fn shake_hands(server: &str, hello: &[u8]) -> io::Result<(TcpStream, Frames, bytes::Bytes)> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    stream.write_all(hello).await?;
    let mut frames = Frames::new(MAX_FRAME);
    let mut chunk = [0; 4096];
    loop {
        let len = stream.read(&mut chunk).await?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        frames.push(chunk.get(..len).unwrap_or_default());
        match frames.next_frame() {
            Ok(Some(frame)) => return Ok((stream, frames, frame)),
            Ok(None) => {}
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
