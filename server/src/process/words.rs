use std::io;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An answer is a page of text at most; one that grows beyond this is no answer.
const LONGEST: u64 = 1 << 20;

/// Why a four-letter word got no answer. Nothing changed at the server.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WordError {
    /// There is nobody at the address, or the connection broke.
    #[error("{address}: {source}; is the server running?")]
    Io {
        /// Who was asked.
        address: String,
        /// What happened.
        source: io::Error,
    },
    /// No answer came in time.
    #[error("{0}: no answer in time; is the server overloaded, or is another program at this port?")]
    Timeout(String),
}

/// Asks the server at `host` and `port` a four-letter word such as `srvr`.
///
/// # Errors
///
/// When no whole answer comes within `limit`.
pub async fn ask(host: &str, port: u16, word: &str, limit: Duration) -> Result<String, WordError> {
    let address = format!("{host}:{port}");
    let asked = async {
        let mut stream = TcpStream::connect((host, port)).await?;
        stream.write_all(word.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(LONGEST).read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    match timeout(limit, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(WordError::Io { address, source }),
        Err(_) => Err(WordError::Timeout(address)),
    }
}
