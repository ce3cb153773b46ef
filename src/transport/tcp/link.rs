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
