//! Bytes that are decoded without being copied.
//!
//! A payload lies in the frame that it arrived in, and goes from there to the log, the other servers and the state machine. A
//! decoder sees plain bytes and can only copy them; [`while_decoding`] tells it whose they are, and the fields
//! that are marked with [`bytes`], [`maybe_bytes`] or [`list`] share that memory. Without it, and under another decoder, they copy.

use std::cell::RefCell;
use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

thread_local! {
    /// What is being decoded on this thread. A decoder has no other place to keep what surrounds a record.
    static SOURCE: RefCell<Source> = const { RefCell::new(Source { bytes: Bytes::new(), least: 0 }) };
}

struct Source {
    bytes: Bytes,
    least: usize,
}

/// Decodes a record that lies in `source`. What has `least` bytes or more is shared; what has less is copied, so that it
/// does not keep a large buffer alive.
pub(crate) fn while_decoding<R>(source: Bytes, least: usize, decode: impl FnOnce(&[u8]) -> R) -> R {
    SOURCE.with(|cell| {
        // A record decoded while another is: its bytes are copied.
        let Ok(mut current) = cell.try_borrow_mut() else { return decode(&source) };
        *current = Source { bytes: source, least };
        drop(current);
        let record = decode(&cell.borrow().bytes);
        cell.replace(Source { bytes: Bytes::new(), least: 0 });
        record
    })
}

/// Decodes bytes.
pub(crate) fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    Shared::deserialize(deserializer).map(|Shared(bytes)| bytes)
}

/// Decodes bytes that may be absent.
pub(crate) fn maybe_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
    Ok(Option::<Shared>::deserialize(deserializer)?.map(|Shared(bytes)| bytes))
}

/// Decodes a list of bytes.
pub(crate) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Bytes>, D::Error> {
    let list = Vec::<Shared>::deserialize(deserializer)?;
    Ok(list.into_iter().map(|Shared(bytes)| bytes).collect())
}

struct Shared(Bytes);

impl<'de> Deserialize<'de> for Shared {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Share).map(Self)
    }
}

struct Share;

impl<'de> Visitor<'de> for Share {
    type Value = Bytes;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("bytes")
    }

    fn visit_borrowed_bytes<E: Error>(self, part: &'de [u8]) -> Result<Bytes, E> {
        Ok(SOURCE.with_borrow(|source| {
            if part.len() < source.least { Bytes::copy_from_slice(part) } else { share(&source.bytes, part) }
        }))
    }

    fn visit_bytes<E: Error>(self, part: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes::copy_from_slice(part))
    }
}

/// `part` as a piece of `source`, if it lies there, or else a copy.
fn share(source: &Bytes, part: &[u8]) -> Bytes {
    let start = part.as_ptr().addr().checked_sub(source.as_ptr().addr());
    let range = start.and_then(|start| Some(start..start.checked_add(part.len())?));
    match range {
        Some(range) if range.end <= source.len() && !part.is_empty() => source.slice(range),
        _ => Bytes::copy_from_slice(part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_elsewhere_is_copied() {
        let (source, other) = (Bytes::from(vec![1; 10]), Bytes::from(vec![2; 10]));
        assert_eq!(share(&source, &other), other);
        assert_eq!(share(&source, &source[3..]), source.slice(3..));
        assert_eq!(share(&source, &[]), Bytes::new());
    }
}
