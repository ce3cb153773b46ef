//! The bytes of a snapshot of the tree.
//!
//! After [`MAGIC`] come records, each with its length before it (a varint). The first byte of a record is its kind:
//!
//! | kind | record | content |
//! |---|---|---|
//! | 0 | padding | nothing |
//! | 1 | ACL | number, entries: permissions, scheme, identity |
//! | 2 | node | number, parent's number, name, ACL's number, and the rest as [`put_node`] writes it |
//! | 3 | end | number of nodes, digest as eight bytes, little-endian; nothing follows |
//!
//! Nodes come in no particular order; an ACL comes before the first node that has it. Numbers are varints
//! (seven bits a byte, low end first), signed ones zigzag; text and data are a length and the bytes.

use std::time::Duration;

use bytes::{BufMut, BytesMut};

use crate::types::{Acl, AclEntry, Identity, Permissions, SessionId, Ttl, WallTime, Zxid};

use super::acls::AclId;
use super::edit::owned;
use super::node::{Kind, Node, NodeId};

/// What a snapshot begins with: name and version of the format.
pub(super) const MAGIC: [u8; 8] = *b"QRTREE\x00\x01";

/// A record as it was read.
#[derive(Debug)]
pub(super) enum Record {
    Padding,
    Acl(AclId, Acl),
    /// The node's own number and the node; its key and children are still to be found out.
    Node(NodeId, Node),
    End {
        nodes: u64,
        digest: u64,
    },
}

/// Writes padding.
pub(super) fn put_padding(out: &mut BytesMut) {
    out.put_slice(&[1, 0]);
}

/// Writes an ACL.
pub(super) fn put_acl(out: &mut BytesMut, id: AclId, acl: &Acl) {
    let mut body = BytesMut::new();
    body.put_u8(1);
    put_varint(&mut body, u64::from(id.0));
    put_varint(&mut body, acl.entries().len() as u64);
    for entry in acl.entries() {
        put_varint(&mut body, u64::from(entry.permissions.bits()));
        put_bytes(&mut body, entry.identity.scheme.as_bytes());
        put_bytes(&mut body, entry.identity.id.as_bytes());
    }
    put_bytes(out, &body);
}

/// Writes a node.
pub(super) fn put_node(out: &mut BytesMut, id: NodeId, node: &Node) {
    // All but name and data, which are long, is put together first, so that the length is known.
    let mut fixed = Fixed { bytes: [0; 160], len: 0 };
    let fields = &mut fixed;
    put_varint(fields, u64::from(node.acl.0));
    put_varint(fields, node.czxid.as_u64());
    put_varint(fields, node.mzxid.as_u64().wrapping_sub(node.czxid.as_u64()));
    put_varint(fields, node.pzxid.as_u64().wrapping_sub(node.czxid.as_u64()));
    put_signed(fields, node.ctime.as_millis());
    put_signed(fields, node.mtime.as_millis().wrapping_sub(node.ctime.as_millis()));
    put_signed(fields, i64::from(node.version));
    put_signed(fields, i64::from(node.aversion));
    put_varint(fields, node.created);
    put_varint(fields, node.ordinal);
    match node.kind {
        Kind::Persistent => put_varint(fields, 0),
        Kind::Ephemeral(session) => {
            put_varint(fields, 1);
            put_varint(fields, session.as_u64());
        }
        Kind::Container => put_varint(fields, 2),
        Kind::Ttl(ttl) => {
            put_varint(fields, 3);
            put_varint(fields, ttl.as_millis());
        }
    }
    // No data is 0, so that a length stands for one more than itself.
    put_varint(fields, node.data.as_ref().map_or(0, |data| data.len() as u64 + 1));
    let fixed = fixed.bytes.get(..fixed.len).unwrap_or_default();
    let parent = u64::from(node.parent.0);
    let head = 1 + varint_len(u64::from(id.0)) + varint_len(parent) + varint_len(node.name.len() as u64);
    put_varint(out, (head + node.name.len() + fixed.len() + node.data_len()) as u64);
    out.put_u8(2);
    put_varint(out, u64::from(id.0));
    put_varint(out, parent);
    put_bytes(out, node.name.as_bytes());
    out.put_slice(fixed);
    if let Some(data) = &node.data {
        out.put_slice(data);
    }
}

/// Writes the end.
pub(super) fn put_end(out: &mut BytesMut, nodes: u64, digest: u64) {
    let mut body = BytesMut::new();
    body.put_u8(3);
    put_varint(&mut body, nodes);
    body.put_u64_le(digest);
    put_bytes(out, &body);
}

/// Reads a record, its length already taken off. `None` if it makes no sense.
pub(super) fn read(bytes: &[u8]) -> Option<Record> {
    let mut from = Reader { rest: bytes };
    let record = match from.byte()? {
        0 => Record::Padding,
        1 => from.acl()?,
        2 => from.node()?,
        3 => {
            let nodes = from.varint()?;
            Record::End { nodes, digest: u64::from_le_bytes(*from.take(8)?.first_chunk()?) }
        }
        _ => return None,
    };
    from.rest.is_empty().then_some(record)
}

/// The length that stands before a record, and how many bytes it takes; `None` if there are too few. A length that no
/// record has is as large as can be.
pub(super) fn read_len(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut from = Reader { rest: bytes };
    match from.varint() {
        Some(len) => Some((len, bytes.len() - from.rest.len())),
        None if bytes.len() >= 10 => Some((u64::MAX, 10)),
        None => None,
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn acl(&mut self) -> Option<Record> {
        let id = AclId(self.id()?);
        let count = self.length()?;
        // An entry has at least three bytes.
        let mut entries = Vec::with_capacity(count.min(self.rest.len() / 3));
        for _ in 0..count {
            let permissions = Permissions::from_bits(self.id()?);
            let (scheme, name) = (self.text()?, self.text()?);
            entries.push(AclEntry { permissions, identity: Identity::new(scheme, name) });
        }
        Some(Record::Acl(id, Acl::new(entries)))
    }

    fn node(&mut self) -> Option<Record> {
        let id = NodeId(self.id()?);
        let parent = NodeId(self.id()?);
        let name = self.text()?.into();
        let acl = AclId(self.id()?);
        let czxid = self.varint()?;
        let mzxid = czxid.wrapping_add(self.varint()?);
        let pzxid = czxid.wrapping_add(self.varint()?);
        let ctime = self.signed()?;
        let mtime = ctime.wrapping_add(self.signed()?);
        let version = i32::try_from(self.signed()?).ok()?;
        let aversion = i32::try_from(self.signed()?).ok()?;
        let created = self.varint()?;
        let ordinal = self.varint()?;
        let kind = match self.varint()? {
            0 => Kind::Persistent,
            1 => Kind::Ephemeral(SessionId::from_u64(self.varint()?)),
            2 => Kind::Container,
            3 => Kind::Ttl(Ttl::new(Duration::from_millis(self.varint()?)).ok()?),
            _ => return None,
        };
        let data = match self.length()?.checked_sub(1) {
            Some(len) => Some(owned(self.take(len)?)),
            None => None,
        };
        let node = Node {
            name,
            data,
            children: None,
            key: 0,
            czxid: Zxid::from_u64(czxid),
            mzxid: Zxid::from_u64(mzxid),
            pzxid: Zxid::from_u64(pzxid),
            ctime: WallTime::from_millis(ctime),
            mtime: WallTime::from_millis(mtime),
            created,
            ordinal,
            kind,
            version,
            aversion,
            parent,
            acl,
            stamp: 0,
            local: false,
        };
        Some(Record::Node(id, node))
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let bits = self.varint()?;
        Some((bits >> 1) as i64 ^ -((bits & 1) as i64))
    }

    fn id(&mut self) -> Option<u32> {
        u32::try_from(self.varint()?).ok()
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.varint()?).ok()
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = self.length()?;
        std::str::from_utf8(self.take(len)?).ok()
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }
}

/// Room for the short fields of a node: 13 varints of at most ten bytes.
struct Fixed {
    bytes: [u8; 160],
    len: usize,
}

/// Something that varints are written to.
trait Sink {
    fn put(&mut self, byte: u8);
}

impl Sink for BytesMut {
    fn put(&mut self, byte: u8) {
        self.put_u8(byte);
    }
}

impl Sink for Fixed {
    fn put(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }
}

fn put_varint(out: &mut impl Sink, mut value: u64) {
    while value > 0x7f {
        out.put(value as u8 | 0x80);
        value >>= 7;
    }
    out.put(value as u8);
}

fn put_signed(out: &mut impl Sink, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.put_slice(bytes);
}

fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros()).div_ceil(7) as usize
}
