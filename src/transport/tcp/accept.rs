use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::hello::{self, Hello, PREFIX_LEN};
use super::link::{FrameReader, Stream, write_ping};
use super::{LinkError, Refusal, Shared};
use crate::types::{Lane, ServerId};

/// How long to wait when the system gives no connection, for want of file descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How much of what a refused peer goes on to send is read, in bytes.
const UNREAD: u64 = 4096;

/// Takes in the connections that peers make, and what arrives on them.
pub(super) struct Acceptor {
    shared: Arc<Shared>,
    handshakes: JoinSet<Option<Introduced>>,
    /// Which of `handshakes` is the oldest.
    order: VecDeque<AbortHandle>,
    /// At most one for each peer and lane.
    readers: BTreeMap<(ServerId, Lane), Reader>,
}

/// A connection whose maker we know.
struct Introduced {
    from: ServerId,
    lane: Lane,
    stream: Box<dyn Stream>,
}

/// A task that ends when this is dropped.
struct Reader(JoinHandle<()>);

impl Acceptor {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, handshakes: JoinSet::new(), order: VecDeque::new(), readers: BTreeMap::new() }
    }

    /// Runs until the listener is taken away or this is dropped.
    pub(super) async fn run(mut self) {
        loop {
            tokio::select! {
                accepted = accept(&self.shared) => match accepted {
                    None => return,
                    Some(Ok((stream, address))) => self.welcome(stream, address),
                    Some(Err(error)) => {
                        tracing::warn!(server = %self.shared.server, %error, "cannot accept connections now");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(done) = self.handshakes.join_next() => {
                    self.order.retain(|handshake| !handshake.is_finished());
                    if let Ok(Some(introduced)) = done {
                        self.admit(introduced);
                    }
                }
            }
        }
    }

    fn welcome(&mut self, stream: TcpStream, address: SocketAddr) {
        if self.order.len() >= self.shared.limits.handshakes
            && let Some(oldest) = self.order.pop_front()
        {
            oldest.abort();
        }
        let shared = Arc::clone(&self.shared);
        self.order.push_back(self.handshakes.spawn(async move {
            let limit = shared.limits.handshake;
            let outcome = timeout(limit, introduction(&shared, stream))
                .await
                .unwrap_or(Err(LinkError::Timeout("the handshake")));
            outcome
                .inspect_err(|error| {
                    shared.count_refused();
                    tracing::warn!(server = %shared.server, %address, %error, "refused a connection");
                })
                .ok()
        }));
    }

    fn admit(&mut self, introduced: Introduced) {
        let Introduced { from, lane, stream } = introduced;
        // If the peer can reach us, we can most likely reach it.
        self.shared.set_reachable(from);
        // The peer itself has given up the older connection, whether we have noticed or not.
        self.readers.remove(&(from, lane));
        let shared = Arc::clone(&self.shared);
        let inbound = shared.absence.arrived(from);
        let reader = tokio::spawn(async move {
            let error = receive(&shared, from, lane, stream).await;
            // All that came on it can be received now.
            drop(inbound);
            tracing::debug!(server = %shared.server, peer = %from, ?lane, %error, "a peer's connection ended");
        });
        self.readers.insert((from, lane), Reader(reader));
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The next connection; `None` when the listener was taken away.
async fn accept(shared: &Shared) -> Option<std::io::Result<(TcpStream, SocketAddr)>> {
    poll_fn(|context| match &*shared.listener() {
        Some(listener) => listener.poll_accept(context).map(Some),
        None => Poll::Ready(None),
    })
    .await
}

/// Finds out who has connected, and tells it whether it may stay. Nothing else changes.
async fn introduction(shared: &Shared, stream: TcpStream) -> Result<Introduced, LinkError> {
    let closed = |error: std::io::Error| LinkError::Handshake(error.to_string());
    stream.set_nodelay(true).map_err(closed)?;
    let (mut stream, identity): (Box<dyn Stream>, _) = match &shared.tls {
        Some(tls) => tls.accept(stream).await.map(|(stream, identity)| (stream, Some(identity)))?,
        None => (Box::new(stream), None),
    };
    let mut prefix = [0; PREFIX_LEN];
    stream.read_exact(&mut prefix).await.map_err(closed)?;
    let verdict = hello::check_prefix(&prefix)
        .ok_or_else(|| LinkError::Handshake("it begins in another protocol".to_owned()))?;
    let verdict = match verdict {
        Err(refusal) => Err(refusal),
        Ok(()) => {
            let mut rest = [0; Hello::LEN - PREFIX_LEN];
            stream.read_exact(&mut rest).await.map_err(closed)?;
            Hello::decode(&rest).and_then(|hello| {
                judge(shared, &hello)?;
                // An identity is proof for one server only, whatever the hello says.
                match &identity {
                    Some(identity) if !identity.is(hello.from) => Err(Refusal::Identity),
                    _ => Ok(hello),
                }
            })
        }
    };
    stream.write_all(&hello::encode_answer(verdict.map(|_| ()))).await.map_err(closed)?;
    stream.flush().await.map_err(closed)?;
    match verdict {
        Ok(Hello { from, lane, .. }) => Ok(Introduced { from, lane, stream }),
        Err(refusal) => {
            stream.shutdown().await.map_err(closed)?;
            // Bytes that nobody has read would reset the connection, and the answer would be lost with it.
            let mut rest = stream.take(UNREAD);
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await.map_err(closed)?;
            Err(LinkError::Refused(refusal))
        }
    }
}

fn judge(shared: &Shared, hello: &Hello) -> Result<(), Refusal> {
    if hello.cluster != shared.cluster {
        Err(Refusal::Cluster)
    } else if hello.from == shared.server {
        Err(Refusal::OwnNumber)
    } else if hello.to != shared.server {
        Err(Refusal::Addressee)
    } else if !shared.peers.contains_key(&hello.from) {
        Err(Refusal::Unknown)
    } else {
        Ok(())
    }
}

/// Takes in frames until the connection breaks; says why it did.
async fn receive(shared: &Shared, from: ServerId, lane: Lane, stream: Box<dyn Stream>) -> LinkError {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut frames = FrameReader::new(reader, shared.limits.silence);
    let read = async {
        loop {
            let frame = frames.next().await?;
            // While there is no room nothing is read: the peer's own queue fills, and it decides what to drop.
            if !shared.inbox.put(from, lane, frame).await {
                return Err(LinkError::Closed("this server is shutting down".to_owned()));
            }
        }
    };
    let ping = async {
        loop {
            sleep(shared.limits.ping).await;
            write_ping(&mut writer).await?;
        }
    };
    let ended: Result<std::convert::Infallible, LinkError> = tokio::select! {
        ended = read => ended,
        ended = ping => ended,
    };
    match ended {
        Err(error) => error,
        Ok(never) => match never {},
    }
}
