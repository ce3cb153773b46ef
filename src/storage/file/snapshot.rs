use std::io;
use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes};
use crc32c::{crc32c, crc32c_append};

use crate::storage::fs::File;
use crate::types::{ClusterId, ServerId, SnapshotChunk, Zxid};

/// The name under which a snapshot is collected until it is whole.
pub(super) const UNFINISHED: &str = "snapshot.new";

const PREFIX: &str = "snapshot-";
const MAGIC: &[u8; 8] = b"QRTSNP\0\x01";
const END_MAGIC: &[u8; 8] = b"QRTSNPE\x01";
const HEADER_LEN: u64 = 36;
const TRAILER_LEN: u64 = 48;
const BLOCK: usize = 64 << 10;
const SUM_LEN: usize = 4;
/// Where in the trailer the checksum of all blocks stands.
const SUM_AT: u64 = 40;

/// Whose snapshot, and of when. It begins every checksum of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SnapshotIdentity {
    pub(super) cluster: ClusterId,
    pub(super) server: ServerId,
    pub(super) zxid: Zxid,
}

/// A snapshot that is being written: header, blocks of 64 KiB (the last one shorter) with a checksum behind
/// each, trailer.
pub(super) struct SnapshotWriter {
    file: Arc<dyn File>,
    identity: SnapshotIdentity,
    received: u64,
    block: Vec<u8>,
    blocks: u64,
    end: u64,
    chain: u32,
}

/// A whole snapshot.
pub(super) struct SnapshotReader {
    file: Arc<dyn File>,
    identity: SnapshotIdentity,
    len: u64,
}

impl SnapshotWriter {
    /// Begins one in an empty file.
    pub(super) fn begin(file: Arc<dyn File>, identity: SnapshotIdentity) -> io::Result<Self> {
        file.write_at(0, &identity.header())?;
        Ok(Self {
            file,
            identity,
            received: 0,
            block: Vec::with_capacity(BLOCK + SUM_LEN),
            blocks: 0,
            end: HEADER_LEN,
            chain: identity.seed(),
        })
    }

    /// The position it is of.
    pub(super) fn zxid(&self) -> Zxid {
        self.identity.zxid
    }

    /// How many bytes of it are there.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Takes more bytes.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.received += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.block.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == BLOCK {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Ends it and makes its bytes durable.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if !self.block.is_empty() {
            self.flush()?;
        }
        self.file.write_at(self.end, &self.identity.trailer(self.received, self.chain))?;
        self.file.sync_data()
    }

    fn flush(&mut self) -> io::Result<()> {
        let checksum = self.identity.block_checksum(self.blocks, &self.block);
        self.chain = crc32c_append(self.chain, &checksum.to_be_bytes());
        self.block.put_u32(checksum);
        self.file.write_at(self.end, &self.block)?;
        self.end += self.block.len() as u64;
        self.blocks += 1;
        self.block.clear();
        Ok(())
    }
}

impl SnapshotReader {
    /// Opens one, if header and trailer are those of this snapshot.
    pub(super) fn open(file: Arc<dyn File>, identity: SnapshotIdentity) -> io::Result<Option<Self>> {
        let mut header = [0; HEADER_LEN as usize];
        let mut trailer = [0; TRAILER_LEN as usize];
        let Some(trailer_at) = file.len()?.checked_sub(TRAILER_LEN) else { return Ok(None) };
        file.read_at(0, &mut header)?;
        file.read_at(trailer_at, &mut trailer)?;
        let mut fields = &trailer[..];
        fields.advance(32);
        let len = fields.get_u64();
        let chain = fields.get_u32();
        let whole = header[..] == identity.header()[..]
            && trailer[..] == identity.trailer(len, chain)[..]
            && trailer_at == HEADER_LEN.saturating_add(len).saturating_add(sums_len(len));
        Ok(whole.then_some(Self { file, identity, len }))
    }

    /// Whether every byte is as it was written.
    pub(super) fn verify(&self) -> io::Result<bool> {
        let mut chain = self.identity.seed();
        for block in 0..self.len.div_ceil(BLOCK as u64) {
            let Some(bytes) = self.block(block)? else { return Ok(false) };
            chain = crc32c_append(chain, &self.identity.block_checksum(block, &bytes).to_be_bytes());
        }
        let mut sum = [0; 4];
        let at = HEADER_LEN + self.len + sums_len(self.len) + SUM_AT;
        Ok(self.file.read_at(at, &mut sum)? == 4 && u32::from_be_bytes(sum) == chain)
    }

    /// How many bytes the snapshot has.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// A piece of at most `limit` bytes; `None` if a block that it lies in is damaged.
    pub(super) fn read(&self, offset: u64, limit: usize) -> io::Result<Option<SnapshotChunk>> {
        let end = self.len.min(offset.saturating_add(limit as u64));
        let mut bytes = Vec::with_capacity((end - offset) as usize);
        let mut at = offset;
        while at < end {
            let block = at / BLOCK as u64;
            let Some(found) = self.block(block)? else { return Ok(None) };
            let begin = (at - block * BLOCK as u64) as usize;
            let wanted = ((end - at) as usize).min(found.len() - begin);
            bytes.extend_from_slice(found.get(begin..begin + wanted).unwrap_or_default());
            at += wanted as u64;
        }
        let zxid = self.identity.zxid;
        Ok(Some(SnapshotChunk { zxid, offset, bytes: Bytes::from(bytes), last: end == self.len }))
    }

    fn block(&self, number: u64) -> io::Result<Option<Vec<u8>>> {
        let begin = number * BLOCK as u64;
        let len = (self.len - begin).min(BLOCK as u64) as usize;
        let mut bytes = vec![0; len + SUM_LEN];
        let at = HEADER_LEN + begin + number * SUM_LEN as u64;
        if self.file.read_at(at, &mut bytes)? < bytes.len() {
            return Ok(None);
        }
        let sum = bytes.split_off(len);
        Ok((sum == self.identity.block_checksum(number, &bytes).to_be_bytes()).then_some(bytes))
    }
}

impl SnapshotIdentity {
    fn seed(&self) -> u32 {
        let seed = crc32c(&self.cluster.number().to_be_bytes());
        let seed = crc32c_append(seed, &self.server.number().to_be_bytes());
        crc32c_append(seed, &self.zxid.as_u64().to_be_bytes())
    }

    fn block_checksum(&self, number: u64, bytes: &[u8]) -> u32 {
        crc32c_append(crc32c_append(self.seed(), &number.to_be_bytes()), bytes)
    }

    fn header(&self) -> Vec<u8> {
        let mut bytes = self.fields(MAGIC);
        bytes.put_u32(crc32c(&bytes));
        bytes
    }

    fn trailer(&self, len: u64, chain: u32) -> Vec<u8> {
        let mut bytes = self.fields(END_MAGIC);
        bytes.put_u64(len);
        bytes.put_u32(chain);
        bytes.put_u32(crc32c(&bytes));
        bytes
    }

    fn fields(&self, magic: &[u8; 8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(TRAILER_LEN as usize);
        bytes.put_slice(magic);
        bytes.put_u64(self.cluster.number());
        bytes.put_u64(self.server.number());
        bytes.put_u64(self.zxid.as_u64());
        bytes
    }
}

/// How long the checksums behind the blocks are together.
fn sums_len(len: u64) -> u64 {
    len.div_ceil(BLOCK as u64) * SUM_LEN as u64
}

/// The name of the file of the snapshot of `zxid`.
pub(super) fn snapshot_name(zxid: Zxid) -> String {
    format!("{PREFIX}{:016x}", zxid.as_u64())
}

/// The position of the snapshot whose file has this name.
pub(super) fn snapshot_zxid(name: &str) -> Option<Zxid> {
    let zxid = Zxid::from_u64(u64::from_str_radix(name.strip_prefix(PREFIX)?, 16).ok()?);
    (snapshot_name(zxid) == name).then_some(zxid)
}
