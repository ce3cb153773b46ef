use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::hello::{self, Hello, PREFIX_LEN};
use super::link::{FrameReader, Stream, write_ping};
use super::outbox::Outbox;
use super::{LinkError, Shared};
use crate::types::{Lane, SeededRng, ServerId};

/// How many addresses of one name are tried.
const ADDRESSES: usize = 4;

/// The connection to one peer that one lane is sent on: made, used, and made again when it breaks.
pub(super) struct Dialler {
    pub(super) shared: Arc<Shared>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) peer: ServerId,
    pub(super) address: String,
    pub(super) lane: Lane,
}

impl Dialler {
    /// Runs until it is dropped.
    pub(super) async fn run(self) {
        let limits = &self.shared.limits;
        // Only the jitter is drawn from it: that it differs from link to link is all that matters.
        let mut rng = SeededRng::from_number(
            self.shared.server.number().rotate_left(32)
                ^ self.peer.number().rotate_left(1)
                ^ self.lane as u64,
        );
        let mut pause = Duration::ZERO;
        let mut last_connected = Instant::now();
        loop {
            let error = match self.connect().await {
                Ok(stream) => {
                    tracing::debug!(server = %self.shared.server, peer = %self.peer, lane = ?self.lane, "connected");
                    self.outbox.set_connected();
                    self.shared.absence.reached(self.peer);
                    let connected = Instant::now();
                    let error = self.transfer(stream).await;
                    last_connected = Instant::now();
                    if last_connected.duration_since(connected) >= limits.retry_max {
                        pause = Duration::ZERO;
                        self.outbox.forget_error();
                    }
                    error
                }
                Err(error) => error,
            };
            self.tell(&error);
            if last_connected.elapsed() >= limits.silence {
                self.outbox.give_up_bulk();
            }
            self.rest(pause, &mut rng).await;
            pause = pause.saturating_mul(2).clamp(limits.retry_min, limits.retry_max);
        }
    }

    fn tell(&self, error: &LinkError) {
        let (server, peer, lane) = (self.shared.server, self.peer, self.lane);
        if self.outbox.set_failed(error) {
            tracing::warn!(%server, %peer, ?lane, %error, "no connection; trying on");
        } else {
            tracing::debug!(%server, %peer, ?lane, %error, "still no connection");
        }
    }

    /// Waits before the next attempt: at most `pause`; less when there is something new to send or the peer
    /// shows that it is there; but never less than the shortest pause, whatever happens.
    async fn rest(&self, pause: Duration, rng: &mut SeededRng) {
        let micros = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
        let jittered = Duration::from_micros(micros - rng.below(micros / 2 + 1));
        let least = self.shared.limits.retry_min.min(jittered);
        sleep(least).await;
        tokio::select! {
            () = sleep(jittered - least) => {}
            () = self.outbox.wanted() => {}
            () = self.outbox.reachable() => {}
        }
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, LinkError> {
        let limits = &self.shared.limits;
        let stream = timeout(limits.connect, self.reach())
            .await
            .unwrap_or(Err(LinkError::Timeout("making a connection")))?;
        timeout(limits.handshake, self.introduce(stream))
            .await
            .unwrap_or(Err(LinkError::Timeout("the handshake")))
    }

    async fn reach(&self) -> Result<TcpStream, LinkError> {
        let failed = |error: std::io::Error| LinkError::Connect(format!("{}: {error}", self.address));
        let addresses: Vec<_> =
            tokio::net::lookup_host(&self.address).await.map_err(failed)?.take(ADDRESSES).collect();
        // One address that swallows what is sent to it must not use up the time of the others.
        let share = self.shared.limits.connect / u32::try_from(addresses.len().max(1)).unwrap_or(1);
        let mut error = LinkError::Connect(format!("{}: no address for this name", self.address));
        // Whether every address of it says that nobody is there.
        let mut nobody = !addresses.is_empty();
        for address in addresses {
            if self.shared.security.admits(address).is_err() {
                error = LinkError::Exposed(address);
                nobody = false;
                continue;
            }
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true).map_err(failed)?;
                    return Ok(stream);
                }
                Ok(Err(cause)) => {
                    nobody &= cause.kind() == std::io::ErrorKind::ConnectionRefused;
                    error = failed(cause);
                    continue;
                }
                Err(_) => error = LinkError::Timeout("making a connection"),
            }
            nobody = false;
        }
        if nobody {
            self.shared.absence.refused(self.peer);
        }
        Err(error)
    }

    async fn introduce(&self, stream: TcpStream) -> Result<Box<dyn Stream>, LinkError> {
        let mut stream = match &self.shared.tls {
            Some(tls) => tls.connect(stream, self.peer).await?,
            None => Box::new(stream),
        };
        let hello =
            Hello { cluster: self.shared.cluster, from: self.shared.server, to: self.peer, lane: self.lane };
        let mut prefix = [0; PREFIX_LEN];
        let exchanged = async {
            stream.write_all(&hello.encode()).await?;
            stream.flush().await?;
            stream.read_exact(&mut prefix).await?;
            stream.read_u8().await
        };
        let code = exchanged.await.map_err(|error| LinkError::Handshake(error.to_string()))?;
        hello::check_prefix(&prefix)
            .ok_or_else(|| LinkError::Handshake("it answers in another protocol".to_owned()))?
            .and_then(|()| hello::decode_answer(code))
            .map_err(LinkError::Refused)?;
        Ok(stream)
    }

    /// Sends what there is to send until the connection breaks; says why it did.
    async fn transfer(&self, stream: Box<dyn Stream>) -> LinkError {
        let limits = &self.shared.limits;
        let (reader, mut writer) = tokio::io::split(stream);
        let mut signs = FrameReader::new(reader, limits.silence);
        let write = async {
            loop {
                let Ok(mut batch) = timeout(limits.ping, self.outbox.batch()).await else {
                    write_ping(&mut writer).await?;
                    continue;
                };
                let written = async {
                    writer.write_all_buf(&mut batch).await?;
                    writer.flush().await
                };
                written.await.map_err(|error| LinkError::Closed(error.to_string()))?;
            }
        };
        // The peer sends signs of life only. One that sends frames here is no worse than one that is silent.
        let listen = async {
            loop {
                signs.next().await?;
            }
        };
        let ended: Result<std::convert::Infallible, LinkError> = tokio::select! {
            ended = write => ended,
            ended = listen => ended,
        };
        match ended {
            Err(error) => error,
            Ok(never) => match never {},
        }
    }
}
