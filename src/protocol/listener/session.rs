use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Buf as _;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::node::{Attach, Deliveries, Requests};
use crate::peer::Request;
use crate::protocol::{ClientConnection, ConnectionEvent};
use crate::types::Identity;

use super::Server;
use super::registry::Place;

/// How much is read at once; on the stack, so that a connection that waits holds no buffer.
const READ_LEN: usize = 16 << 10;

/// How much may wait to be sent before no more deliveries are taken. The node closes a client for which too many wait.
const FULL_OUTPUT: usize = 1 << 20;

/// How often one poll goes round before other tasks get their turn.
const TURNS_PER_POLL: usize = 32;

/// How much of what a client still sends is read and thrown away when its connection is closed, so that what it was last
/// told is not lost with the connection.
const UNREAD: usize = 64 << 10;

/// One connection of a client, as a future: carries bytes between the socket and the [`ClientConnection`], and requests and
/// deliveries between that and the node.
pub(super) struct Session<S> {
    server: Arc<Server>,
    ending: Arc<AtomicBool>,
    place: Place,
    stream: S,
    connection: ClientConnection,
    node: Option<(Requests, Deliveries)>,
    /// What the node had no room for yet.
    delayed: Option<(u64, Request)>,
    text: Option<BoxFuture<'static, String>>,
    /// Ends the handshake, and the farewell.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Ends a connection whose output is full, and whose client takes nothing of it. As no deliveries are taken then, even the
    /// end of its session would not.
    stalled: Option<Pin<Box<Sleep>>>,
    needs_flush: bool,
    is_parting: bool,
    is_shut: bool,
    unread: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    pub(super) fn new(
        server: Arc<Server>,
        ending: Arc<AtomicBool>,
        place: Place,
        stream: S,
        identities: Vec<Identity>,
    ) -> Self {
        let connection = ClientConnection::new(Arc::clone(&server.options.connection), identities);
        let deadline = Some(Box::pin(tokio::time::sleep(server.options.handshake)));
        Self {
            server,
            ending,
            place,
            stream,
            connection,
            node: None,
            delayed: None,
            text: None,
            deadline,
            stalled: None,
            needs_flush: false,
            is_parting: false,
            is_shut: false,
            unread: 0,
        }
    }

    /// One round over all that may be ready. Whether there was anything; an error ends the connection at once.
    fn turn(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        let mut any = self.read(context)?;
        any |= self.take_text(context);
        any |= self.take_deliveries(context);
        any |= self.carry_out(context);
        any |= self.write(context)?;
        Ok(any)
    }

    fn read(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        if !self.connection.wants_bytes() || self.delayed.is_some() {
            return Ok(false);
        }
        let mut space = [MaybeUninit::uninit(); READ_LEN];
        let mut buffer = ReadBuf::uninit(&mut space);
        match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
            Poll::Pending => Ok(false),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            Poll::Ready(Ok(())) => {
                let now = self.server.options.registry.now();
                self.connection.handle_bytes(now, buffer.filled());
                Ok(true)
            }
        }
    }

    fn take_text(&mut self, context: &mut Context<'_>) -> bool {
        let Some(text) = &mut self.text else { return false };
        let Poll::Ready(text) = text.poll_unpin(context) else { return false };
        self.text = None;
        self.connection.handle_text(&text);
        true
    }

    fn take_deliveries(&mut self, context: &mut Context<'_>) -> bool {
        let mut any = false;
        while self.connection.output().len() < FULL_OUTPUT
            && let Some((_, deliveries)) = &mut self.node
            && let Poll::Ready(delivery) = deliveries.poll_next_unpin(context)
        {
            any = true;
            match delivery {
                Some(delivery) => {
                    let now = self.server.options.registry.now();
                    self.connection.handle_delivery(now, delivery);
                }
                None => self.node = None,
            }
        }
        any
    }

    fn carry_out(&mut self, context: &mut Context<'_>) -> bool {
        let mut any = false;
        loop {
            if let Some((tag, request)) = self.delayed.take() {
                let Some((requests, _)) = &mut self.node else { return any };
                match requests.poll_ready(context) {
                    Poll::Pending => {
                        self.delayed = Some((tag, request));
                        return any;
                    }
                    // That the node has gone comes as its last delivery.
                    Poll::Ready(Err(_)) => {}
                    Poll::Ready(Ok(())) => {
                        // The socket was not looked at while this waited.
                        any = true;
                        let _gone_comes_as_a_delivery = requests.start_send(tag, request);
                    }
                }
            }
            let Some(event) = self.connection.poll_event() else { return any };
            any = true;
            match event {
                ConnectionEvent::Word(word) => {
                    let server = Arc::clone(&self.server);
                    self.text = Some(async move { server.word(word).await }.boxed());
                }
                ConnectionEvent::Attach(attach) => self.attach(attach),
                ConnectionEvent::Request { tag, request } => self.delayed = Some((tag, request)),
            }
        }
    }

    fn attach(&mut self, attach: Attach) {
        match self.server.node.open(attach) {
            Ok(connection) => self.node = Some(connection.split()),
            Err(error) => {
                tracing::info!(%error, "a client cannot be attached");
                self.connection.close();
            }
        }
    }

    fn write(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        let any = self.write_output(context)?;
        if any {
            self.stalled = None;
            // Requests may have waited for that.
            self.connection.handle_sent(self.server.options.registry.now());
        }
        Ok(any)
    }

    fn write_output(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        let mut any = false;
        while !self.connection.output().is_empty() {
            let output = self.connection.output();
            match Pin::new(&mut self.stream).poll_write(context, output) {
                Poll::Pending => return Ok(any),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    output.advance(written);
                    any = true;
                    self.needs_flush = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        if any {
            // Nothing waits: nothing is held.
            *self.connection.output() = bytes::BytesMut::new();
        }
        if self.needs_flush
            && let Poll::Ready(flushed) = Pin::new(&mut self.stream).poll_flush(context)
        {
            flushed?;
            self.needs_flush = false;
        }
        Ok(any)
    }

    /// Whether the client has taken nothing for a whole session timeout, while the output was full.
    fn poll_stalled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.connection.output().len() < FULL_OUTPUT {
            self.stalled = None;
            return Poll::Pending;
        }
        let span = Duration::from_millis(self.connection.timeout_millis().into());
        self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(span))).poll_unpin(context)
    }

    /// Whether the connection is over: all is sent, and the client has closed too or has had its time.
    fn poll_farewell(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.connection.output().is_empty() || self.needs_flush {
            return Poll::Pending;
        }
        if !self.is_shut {
            match Pin::new(&mut self.stream).poll_shutdown(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => self.is_shut = true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
            }
        }
        let mut space = [MaybeUninit::uninit(); READ_LEN];
        while self.unread < UNREAD {
            let mut buffer = ReadBuf::uninit(&mut space);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => self.unread += buffer.filled().len(),
                Poll::Ready(_) => break,
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Session<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.place.entry.waker.register(context.waker());
        let mut is_idle = false;
        for _ in 0..TURNS_PER_POLL {
            if this.ending.load(Ordering::Acquire) && !this.connection.is_closing() {
                this.connection.close();
            }
            match this.turn(context) {
                Ok(true) => {}
                Ok(false) => {
                    is_idle = true;
                    break;
                }
                Err(error) => {
                    tracing::trace!(%error, "a client's connection ended");
                    return Poll::Ready(());
                }
            }
        }
        this.place.update(&mut this.connection);
        if !is_idle {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if this.connection.is_open() {
            this.deadline = None;
            if this.poll_stalled(context).is_ready() {
                tracing::debug!("a client takes nothing of what waits for it, and is let go");
                return Poll::Ready(());
            }
        } else if this.connection.is_closing() {
            if !this.is_parting {
                this.is_parting = true;
                (this.node, this.delayed, this.text) = (None, None, None);
                this.deadline = Some(Box::pin(tokio::time::sleep(this.server.options.farewell)));
            }
            if this.poll_farewell(context).is_ready() {
                return Poll::Ready(());
            }
        }
        match &mut this.deadline {
            Some(deadline) => deadline.poll_unpin(context),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
