use std::fmt;

use crate::protocol::record::DEFAULT_MAX_FRAME;
use crate::protocol::words::WordSet;

/// What a [`ClientConnection`](super::ClientConnection) must be told.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionOptions {
    /// The largest frame that is taken, in bytes; ZooKeeper's `jute.maxbuffer`.
    pub max_frame: usize,
    /// How many requests may wait before no more are read. It is to be below what the node allows one client
    /// ([`Limits::requests_per_client`](crate::peer::Limits::requests_per_client)), or a busy client is closed as overloaded; `serve` sees to that.
    pub outstanding: usize,
    /// How many bytes the requests that wait may have before no more are read; one request is taken whatever its length.
    pub outstanding_len: usize,
    /// How many bytes may wait to be sent before no more requests are read or taken; those that are taken already are answered.
    pub unsent: usize,
    /// Whether nodes with a time to live can be created; ZooKeeper's `extendedTypesEnabled`.
    pub extended_types: bool,
    /// Who is the superuser: `user:base64(sha1("user:password"))`, as in ZooKeeper's
    /// `DigestAuthenticationProvider.superDigest`. Without it nobody is.
    pub super_digest: Option<Box<str>>,
    /// Which four-letter words are answered.
    pub words: WordSet,
}

impl Default for ConnectionOptions {
    /// As ZooKeeper has them: frames of up to 1 MiB - 1, no time to live, no superuser, `srvr` alone.
    fn default() -> Self {
        Self {
            max_frame: DEFAULT_MAX_FRAME,
            outstanding: 512,
            outstanding_len: 4 << 20,
            unsent: 256 << 10,
            extended_types: false,
            super_digest: None,
            words: WordSet::default(),
        }
    }
}

/// Does not show the superuser's hash.
impl fmt::Debug for ConnectionOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionOptions")
            .field("max_frame", &self.max_frame)
            .field("outstanding", &self.outstanding)
            .field("outstanding_len", &self.outstanding_len)
            .field("unsent", &self.unsent)
            .field("extended_types", &self.extended_types)
            .field("super_digest", &self.super_digest.as_ref().map(|_| ".."))
            .field("words", &self.words)
            .finish()
    }
}
