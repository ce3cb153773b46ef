use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::LinkError;
use crate::codec;

/// A sign of life, between frames. It differs from the beginning of every frame.
const PING: [u8; 4] = *b"QRT~";

/// How many bytes are made room for before a read. The buffer grows with what arrives, never with what is announced.
const READ_LEN: usize = 64 << 10;

/// A connection, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The frames that arrive at one connection.
#[derive(Debug)]
pub(super) struct FrameReader<R> {
    stream: R,
    buffer: BytesMut,
    silence: Duration,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(stream: R, silence: Duration) -> Self {
        Self { stream, buffer: BytesMut::new(), silence }
    }

    /// The next frame.
    pub(super) async fn next(&mut self) -> Result<Bytes, LinkError> {
        loop {
            if let Some(frame) = self.take_frame()? {
                return Ok(frame);
            }
            self.buffer.reserve(READ_LEN);
            match timeout(self.silence, self.stream.read_buf(&mut self.buffer)).await {
                Err(_) => return Err(LinkError::Silent),
                Ok(Err(error)) => return Err(LinkError::Closed(error.to_string())),
                Ok(Ok(0)) => return Err(LinkError::Closed("the peer closed it".to_owned())),
                Ok(Ok(_)) => {}
            }
        }
    }

    fn take_frame(&mut self) -> Result<Option<Bytes>, LinkError> {
        while self.buffer.starts_with(&PING) {
            self.buffer.advance(PING.len());
        }
        if let Some(magic) = self.buffer.first_chunk::<4>()
            && *magic != codec::MAGIC
        {
            return Err(LinkError::Frame(codec::CodecError::Magic(*magic)));
        }
        if self.buffer.len() < codec::HEADER_LEN {
            return Ok(None);
        }
        let len = codec::frame_len(&self.buffer).map_err(LinkError::Frame)?;
        Ok((len <= self.buffer.len()).then(|| self.buffer.split_to(len).freeze()))
    }
}

/// Writes a sign of life.
pub(super) async fn write_ping(stream: &mut (impl AsyncWrite + Unpin)) -> Result<(), LinkError> {
    let written = async {
        stream.write_all(&PING).await?;
        stream.flush().await
    };
    written.await.map_err(|error| LinkError::Closed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    #[test]
    fn a_frame_that_is_only_announced_costs_no_memory() {
        run(async {
            let (mut peer, stream) = tokio::io::duplex(1 << 20);
            let mut reader = FrameReader::new(stream, Duration::from_millis(10));
            let mut announced = codec::MAGIC.to_vec();
            announced.extend(u32::try_from(codec::MAX_BODY_LEN).unwrap().to_be_bytes());
            announced.extend([0; 92]);
            peer.write_all(&announced).await.unwrap();
            assert_eq!(reader.next().await, Err(LinkError::Silent));
            assert!(reader.buffer.capacity() <= 2 * READ_LEN, "{}", reader.buffer.capacity());
            peer.write_all(&vec![0; 500_000]).await.unwrap();
            assert_eq!(reader.next().await, Err(LinkError::Silent));
            assert!(reader.buffer.capacity() <= 2 << 20, "{}", reader.buffer.capacity());
        });
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_they_are_cut(
            records in prop::collection::vec(prop::option::of(0_usize..3000), 0..20),
            window in 1_usize..5000,
        ) {
            let frames: Vec<_> =
                records.iter().flatten().map(|len| codec::encode_frame(&vec![1_u8; *len]).unwrap()).collect();
            let received = run(async {
                let (mut peer, stream) = tokio::io::duplex(window);
                let mut reader = FrameReader::new(stream, Duration::from_secs(20));
                let write = async {
                    let mut frames = frames.iter();
                    for record in &records {
                        match record {
                            Some(_) => peer.write_all(frames.next().unwrap()).await.unwrap(),
                            None => write_ping(&mut peer).await.unwrap(),
                        }
                    }
                    drop(peer);
                };
                let read = async {
                    let mut received = Vec::new();
                    while let Ok(frame) = reader.next().await {
                        received.push(frame);
                    }
                    received
                };
                tokio::join!(write, read).1
            });
            prop_assert_eq!(received, frames);
        }

        #[test]
        fn whatever_arrives_is_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), good in any::<bool>()) {
            let mut stream = if good { codec::MAGIC.to_vec() } else { Vec::new() };
            stream.extend(bytes);
            let ended = run(async {
                let mut reader = FrameReader::new(&stream[..], Duration::from_secs(20));
                loop {
                    if let Err(error) = reader.next().await {
                        return error;
                    }
                }
            });
            prop_assert!(matches!(ended, LinkError::Closed(_) | LinkError::Frame(_)));
        }
    }
}
