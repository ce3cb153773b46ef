//! The listener of the admin server: takes so many connections and no more, and ends those that stand still.
//!
//! Whoever reaches the port may open connections and say nothing. Without a bound they would take the descriptors that
//! clients and the storage need.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// How many connections there may be at a time; more wait with the system, where they cost no descriptor.
const CONNECTIONS: usize = 64;

/// How long a connection may stand still: before it asks, while it asks, and while it does not take the answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A listener that takes only so many connections.
pub(super) struct BoundedListener {
    listener: TcpListener,
    places: Arc<Semaphore>,
    patience: Duration,
}

impl BoundedListener {
    /// With the bounds of the admin server.
    pub(super) fn new(listener: TcpListener) -> Self {
        Self::with(listener, CONNECTIONS, PATIENCE)
    }

    fn with(listener: TcpListener, connections: usize, patience: Duration) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(connections)), patience }
    }
}

impl Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (BoundedStream, SocketAddr) {
        if self.places.available_permits() == 0 {
            tracing::debug!("the admin server has as many connections as it takes, and others wait");
        }
        #[expect(clippy::expect_used, reason = "nobody closes the semaphore")]
        let place = Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is open");
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (BoundedStream::new(stream, place, self.patience), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails when it has stood still for too long.
pub(super) struct BoundedStream {
    stream: TcpStream,
    patience: Duration,
    deadline: Pin<Box<Sleep>>,
    /// Whether the next byte begins a request. Only that one gives more time: who sends a request byte by byte has no more
    /// than who stops in its middle.
    is_between_requests: bool,
    /// Given back when the connection is dropped.
    _place: OwnedSemaphorePermit,
}

impl BoundedStream {
    fn new(stream: TcpStream, place: OwnedSemaphorePermit, patience: Duration) -> Self {
        let deadline = Box::pin(sleep(patience));
        Self { stream, patience, deadline, is_between_requests: true, _place: place }
    }

    fn renew(&mut self) {
        self.deadline.as_mut().reset(Instant::now() + self.patience);
    }

    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        self.deadline.as_mut().poll(context).is_ready()
    }

    /// What writing comes to: what is taken gives more time, and what is not is waited for only so long.
    fn after_write(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(len)) if len > 0 => {
                self.is_between_requests = true;
                self.renew();
                written
            }
            Poll::Pending if self.is_late(context) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            _ => written,
        }
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Looked at first, so that a client that always has something to say does not get by.
        if self.is_late(context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before && self.is_between_requests {
            self.is_between_requests = false;
            self.renew();
        }
        read
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.after_write(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.after_write(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);
    /// After that a test has failed.
    const AT_MOST: Duration = Duration::from_secs(10);

    async fn bounded(connections: usize, patience: Duration) -> (BoundedListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (BoundedListener::with(listener, connections, patience), address)
    }

    /// Where a site that is patient for a tenth of a second is.
    async fn site() -> SocketAddr {
        let (listener, address) = bounded(8, Duration::from_millis(100)).await;
        let router = Router::new().route("/", get(|| async { "hello" }));
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    #[tokio::test]
    async fn who_says_nothing_or_half_of_a_request_is_not_waited_for() {
        let address = site().await;
        for said in [&b""[..], b"GET / HTTP/1.1\r\nHos"] {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(said).await.unwrap();
            let mut answer = Vec::new();
            let ended = timeout(AT_MOST, client.read_to_end(&mut answer)).await;
            assert!(ended.is_ok(), "still open after {said:?}");
        }
    }

    #[tokio::test]
    async fn who_sends_a_request_byte_by_byte_gets_no_more_time_for_it() {
        let mut client = TcpStream::connect(site().await).await.unwrap();
        let drip = async {
            while client.write_all(b"G").await.is_ok() {
                let quiet = timeout(Duration::from_millis(10), client.read(&mut [0; 64])).await;
                if matches!(quiet, Ok(Ok(0) | Err(_))) {
                    break;
                }
            }
        };
        assert!(timeout(AT_MOST, drip).await.is_ok(), "still open");
    }

    #[tokio::test]
    async fn who_does_not_take_the_answer_is_not_waited_for() {
        let (mut listener, address) = bounded(1, Duration::from_millis(100)).await;
        let _client = TcpStream::connect(address).await.unwrap();
        let (mut stream, _) = listener.accept().await;
        let answer = vec![7; 64 << 20];
        let written = timeout(AT_MOST, stream.write_all(&answer)).await;
        assert_eq!(written.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_request_and_an_answer_give_more_time_and_the_rest_of_a_request_does_not() {
        let (mut listener, address) = bounded(1, LONG).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut stream, _) = listener.accept().await;
        let mut last = stream.deadline.deadline();
        client.write_all(b"GET GET").await.unwrap();
        for (begins, name) in [(true, "first"), (false, "second"), (false, "third")] {
            stream.read_u8().await.unwrap();
            assert_eq!(stream.deadline.deadline() > last, begins, "the {name} byte");
            last = stream.deadline.deadline();
        }
        stream.write_all(b"200").await.unwrap();
        assert!(stream.deadline.deadline() > last, "an answer");
        last = stream.deadline.deadline();
        stream.read_u8().await.unwrap();
        assert!(stream.deadline.deadline() > last, "the next request");
    }

    #[tokio::test]
    async fn one_connection_more_waits_for_another_to_end() {
        let (mut listener, address) = bounded(1, LONG).await;
        let _first = TcpStream::connect(address).await.unwrap();
        let _second = TcpStream::connect(address).await.unwrap();
        let (taken, _) = listener.accept().await;
        let early = timeout(Duration::from_millis(100), listener.accept()).await;
        assert!(early.is_err(), "a second connection is taken");
        drop(taken);
        assert!(timeout(AT_MOST, listener.accept()).await.is_ok(), "the place is not given back");
    }
}
