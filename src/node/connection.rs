use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use futures::channel::mpsc;
use futures::{SinkExt as _, Stream, StreamExt};
use thiserror::Error;

use crate::peer::{CloseReason, Connected, Reply, Request};
use crate::types::{ClientId, Identity, Password, SessionId, WatchEvent, Zxid};

use super::weight::weight;

/// A client's wish for a session; what a connection begins with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attach {
    /// The session to take up again, or none for a new one.
    pub resume: Option<(SessionId, Password)>,
    /// The session timeout that the client asks for, in milliseconds; it gets one within the server's bounds.
    pub timeout_millis: u32,
    /// The largest zxid that the client has seen. A server that is behind it refuses.
    pub last_seen: Zxid,
    /// What the connection proves by itself, such as its address.
    pub identities: Vec<Identity>,
}

/// Something that clients can attach to: a [`Node`](super::Node), or what stands for one.
pub trait Connector: Send + Sync {
    /// Opens a connection that asks for a session. It answers with [`Delivery::Connected`] or
    /// [`Delivery::Closed`].
    ///
    /// # Errors
    ///
    /// When no connection can be had here at present; another server may give one.
    fn open(&self, attach: Attach) -> Result<Connection, OpenError>;
}

/// Why a node gave no connection. Nothing was started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The node's future has ended or was dropped.
    #[error("the server has stopped; attach to another, or start it again")]
    Stopped,
    /// The node has as many connections as it may.
    #[error("the server has as many connections as it may; attach to another, or raise the limit")]
    Full,
}

/// A client's connection to a node, seen from the client. Bounded in both directions.
///
/// Requests go in and are answered in order. What comes out is [`Delivery::Connected`] once, then replies and
/// watch events, and [`Delivery::Closed`] as the very last. A client that does not take what is
/// delivered is closed as [`Overloaded`](CloseReason::Overloaded) when the queue is full.
///
/// Dropping it, or its [`Requests`] half, disconnects; the session goes on until it expires.
#[derive(Debug)]
pub struct Connection {
    requests: Requests,
    deliveries: Deliveries,
}

impl Connection {
    /// A connection and the server's end of it, where up to `inbound` requests and `outbound` deliveries wait.
    #[must_use]
    pub fn pair(client: ClientId, inbound: usize, outbound: usize) -> (Self, ServerEnd) {
        Self::pair_within(client, inbound, outbound, usize::MAX)
    }

    /// As [`pair`](Self::pair), where the deliveries that wait may also keep no more than `outbound_len` bytes in memory;
    /// data, which is shared with the tree, is not counted. Where none waits, one of any length may.
    #[must_use]
    pub fn pair_within(
        client: ClientId,
        inbound: usize,
        outbound: usize,
        outbound_len: usize,
    ) -> (Self, ServerEnd) {
        let (request_sender, request_receiver) = mpsc::channel(inbound);
        let (delivery_sender, delivery_receiver) = mpsc::channel(outbound);
        let reason = Arc::new(OnceLock::new());
        let waiting = Arc::new(AtomicUsize::new(0));
        let connection = Self {
            requests: Requests { client, queue: request_sender, limit: usize::MAX },
            deliveries: Deliveries {
                queue: Some(delivery_receiver),
                waiting: Arc::clone(&waiting),
                reason: Arc::clone(&reason),
            },
        };
        let inbound = Inbound { client, queue: request_receiver };
        let outbound = Outbound { queue: delivery_sender, waiting, limit: outbound_len, reason };
        (connection, ServerEnd { inbound, outbound })
    }

    /// The same connection, on which at most so many requests may be without an answer: one more, and the server
    /// closes it as [`Overloaded`](CloseReason::Overloaded).
    #[must_use]
    pub fn with_limit(mut self, unanswered: usize) -> Self {
        self.requests.limit = unanswered;
        self
    }

    /// The connection's number at its server.
    #[must_use]
    pub fn client(&self) -> ClientId {
        self.requests.client
    }

    /// Sends a request under the caller's own number for it; waits while the queue is full.
    ///
    /// # Errors
    ///
    /// When the connection is closed; the reason is the last delivery.
    pub async fn send(&mut self, tag: u64, request: Request) -> Result<(), Disconnected> {
        self.requests.send(tag, request).await
    }

    /// The next delivery; `None` after [`Delivery::Closed`].
    pub async fn next(&mut self) -> Option<Delivery> {
        self.deliveries.next().await
    }

    /// Both directions apart, for two tasks.
    #[must_use]
    pub fn split(self) -> (Requests, Deliveries) {
        (self.requests, self.deliveries)
    }
}

/// The way in of a [`Connection`].
#[derive(Debug)]
pub struct Requests {
    client: ClientId,
    queue: mpsc::Sender<(u64, Request)>,
    limit: usize,
}

impl Requests {
    /// How many requests may be without an answer; [local](crate::peer::ReadLevel::Local) reads count too here.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The connection's number at its server.
    #[must_use]
    pub fn client(&self) -> ClientId {
        self.client
    }

    /// Sends a request under the caller's own number for it; waits while the queue is full.
    ///
    /// # Errors
    ///
    /// When the connection is closed; the reason is the last delivery.
    pub async fn send(&mut self, tag: u64, request: Request) -> Result<(), Disconnected> {
        self.queue.send((tag, request)).await.map_err(|_| Disconnected)
    }

    /// Whether there is room for a request; `Pending` leaves a wake-up for when there is.
    ///
    /// # Errors
    ///
    /// When the connection is closed.
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Disconnected>> {
        self.queue.poll_ready(context).map_err(|_| Disconnected)
    }

    /// Sends a request if there is room, as after [`poll_ready`](Self::poll_ready).
    ///
    /// # Errors
    ///
    /// When the connection is closed or the queue is full.
    pub fn start_send(&mut self, tag: u64, request: Request) -> Result<(), Disconnected> {
        self.queue.start_send((tag, request)).map_err(|_| Disconnected)
    }
}

/// The connection is closed. What was not answered may or may not have happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the connection to the server is closed; attach again")]
pub struct Disconnected;

/// The way out of a [`Connection`]; also a `Stream`.
#[derive(Debug)]
pub struct Deliveries {
    queue: Option<mpsc::Receiver<(usize, Delivery)>>,
    /// How many bytes wait.
    waiting: Arc<AtomicUsize>,
    reason: Arc<OnceLock<CloseReason>>,
}

impl Deliveries {
    /// The next delivery; `None` after [`Delivery::Closed`].
    pub async fn next(&mut self) -> Option<Delivery> {
        StreamExt::next(self).await
    }
}

impl Stream for Deliveries {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let Some(queue) = &mut self.queue else { return Poll::Ready(None) };
        Poll::Ready(Some(match ready!(queue.poll_next_unpin(context)) {
            Some((weight, delivery)) => {
                self.waiting.fetch_sub(weight, Ordering::AcqRel);
                delivery
            }
            None => {
                self.queue = None;
                // A node that went without a word has stopped: the client tries elsewhere.
                Delivery::Closed(self.reason.get().copied().unwrap_or(CloseReason::NotServing))
            }
        }))
    }
}

/// What a connection brings to its client, in order.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Delivery {
    /// The client has its session.
    Connected(Connected),
    /// The answer to a request.
    Reply(Reply),
    /// A watch fired; it stands before any reply that shows the new state.
    Watch(WatchEvent),
    /// The connection has ended; a node that stopped says [`NotServing`](CloseReason::NotServing).
    Closed(CloseReason),
}

/// The server's end of a [`Connection`].
#[derive(Debug)]
pub struct ServerEnd {
    /// What the client asks; a stream that ends when the client is gone.
    pub inbound: Inbound,
    /// The way to the client.
    pub outbound: Outbound,
}

/// What a client asks; a `Stream` that ends when the client is gone.
#[derive(Debug)]
pub struct Inbound {
    client: ClientId,
    queue: mpsc::Receiver<(u64, Request)>,
}

impl Inbound {
    /// Whose requests they are.
    #[must_use]
    pub fn client(&self) -> ClientId {
        self.client
    }

    /// The next request and the client's number for it; `None` when the client is gone.
    pub async fn next(&mut self) -> Option<(u64, Request)> {
        self.queue.next().await
    }
}

impl Stream for Inbound {
    type Item = (u64, Request);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.queue.poll_next_unpin(context)
    }
}

/// The way to a client. Dropping it closes the connection.
#[derive(Debug)]
pub struct Outbound {
    /// Deliveries, each with its weight.
    queue: mpsc::Sender<(usize, Delivery)>,
    /// How many bytes wait. Only what is sent adds to it, before it is sent: it never falls below zero.
    waiting: Arc<AtomicUsize>,
    limit: usize,
    reason: Arc<OnceLock<CloseReason>>,
}

impl Outbound {
    /// Delivers, if the client keeps up. [`Delivery::Closed`] is for [`close`](Self::close), not for here.
    ///
    /// # Errors
    ///
    /// When the queue is full or the client is gone; the server then closes the connection.
    pub fn deliver(&mut self, delivery: Delivery) -> Result<(), Undeliverable> {
        if self.queue.is_closed() {
            return Err(Undeliverable::Gone);
        }
        let weight = weight(&delivery);
        let waiting = self.waiting.load(Ordering::Acquire);
        if waiting > 0 && waiting.saturating_add(weight) > self.limit {
            return Err(Undeliverable::Full);
        }
        self.waiting.fetch_add(weight, Ordering::AcqRel);
        self.queue.try_send((weight, delivery)).map_err(|error| {
            self.waiting.fetch_sub(weight, Ordering::AcqRel);
            if error.is_full() { Undeliverable::Full } else { Undeliverable::Gone }
        })
    }

    /// Closes the connection. What was delivered before still arrives, and then the reason, even if the
    /// queue is full.
    pub fn close(self, reason: CloseReason) {
        // A connection is closed once: `self` is gone afterwards.
        let _first = self.reason.set(reason);
    }
}

/// Why something could not be delivered to a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Undeliverable {
    /// The client does not take what waits for it.
    #[error("the client does not take what waits for it")]
    Full,
    /// The client is gone.
    #[error("the client is gone")]
    Gone,
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::types::{Found, ZnodePath};

    fn pair(inbound: usize, outbound: usize) -> (Connection, ServerEnd) {
        Connection::pair(ClientId::new(1), inbound, outbound)
    }

    fn reply(tag: u64) -> Delivery {
        Delivery::Reply(Reply {
            client: ClientId::new(1),
            tag,
            zxid: Zxid::ZERO,
            result: Ok(crate::peer::Answer::Done),
        })
    }

    #[test]
    fn what_was_delivered_before_the_close_still_arrives() {
        let (mut connection, mut server) = pair(1, 4);
        server.outbound.deliver(reply(1)).unwrap();
        server.outbound.close(CloseReason::Expired);
        block_on(async {
            assert_eq!(connection.next().await, Some(reply(1)));
            assert_eq!(connection.next().await, Some(Delivery::Closed(CloseReason::Expired)));
            assert_eq!(connection.next().await, None);
        });
    }

    #[test]
    fn a_full_queue_refuses_but_the_reason_of_the_close_still_arrives() {
        let (mut connection, mut server) = pair(1, 1);
        let mut taken = 0;
        while server.outbound.deliver(reply(taken)) != Err(Undeliverable::Full) {
            taken += 1;
            assert!(taken <= 2, "the queue has no bound");
        }
        server.outbound.close(CloseReason::Overloaded);
        block_on(async {
            for tag in 0..taken {
                assert_eq!(connection.next().await, Some(reply(tag)));
            }
            assert_eq!(connection.next().await, Some(Delivery::Closed(CloseReason::Overloaded)));
        });
    }

    #[test]
    fn bytes_that_wait_are_bounded_and_one_delivery_of_any_length_may_wait() {
        let list = |tag| {
            let paths = (0..10).map(|number| ZnodePath::parse(format!("/{number:01000}")).unwrap());
            let found = Found::Many(vec![Ok(Found::Count(1)), Ok(Found::Ephemerals(paths.collect()))]);
            let result = Ok(crate::peer::Answer::Found(found));
            Delivery::Reply(Reply { client: ClientId::new(1), tag, zxid: Zxid::ZERO, result })
        };
        for (limit, fit) in [(1, 1), (10_000, 1), (35_000, 3)] {
            let (mut connection, mut server) = Connection::pair_within(ClientId::new(1), 1, 100, limit);
            // Whatever was taken before makes room, and what was refused takes none.
            for _ in 0..3 {
                for tag in 0..fit {
                    assert_eq!(server.outbound.deliver(list(tag)), Ok(()), "{limit}");
                }
                assert_eq!(server.outbound.deliver(list(fit)), Err(Undeliverable::Full), "{limit}");
                for tag in 0..fit {
                    assert_eq!(block_on(connection.next()), Some(list(tag)), "{limit}");
                }
            }
            drop(connection);
            assert_eq!(server.outbound.deliver(list(0)), Err(Undeliverable::Gone));
        }
    }

    #[test]
    fn a_server_that_went_without_a_word_is_not_serving() {
        let (mut connection, server) = pair(1, 1);
        drop(server);
        assert_eq!(block_on(connection.next()), Some(Delivery::Closed(CloseReason::NotServing)));
        assert_eq!(block_on(connection.send(1, Request::Ping)), Err(Disconnected));
    }

    #[test]
    fn the_server_hears_that_the_client_is_gone() {
        let (mut connection, mut server) = pair(2, 1);
        block_on(connection.send(7, Request::Ping)).unwrap();
        drop(connection);
        assert_eq!(block_on(server.inbound.next()), Some((7, Request::Ping)));
        assert_eq!(block_on(server.inbound.next()), None);
        assert_eq!(server.outbound.deliver(reply(7)), Err(Undeliverable::Gone));
    }
}
