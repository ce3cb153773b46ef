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
    static SOURCE: RefCell<Bytes> = const { RefCell::new(Bytes::new()) };
}

/// Decodes a record that lies in `source`.
pub(crate) fn while_decoding<R>(source: &Bytes, decode: impl FnOnce() -> R) -> R {
    let _outer = Outer(SOURCE.replace(source.clone()));
    decode()
}

/// Puts back what was being decoded before, whatever happens.
struct Outer(Bytes);

impl Drop for Outer {
    fn drop(&mut self) {
        SOURCE.set(std::mem::take(&mut self.0));
    }
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
        Ok(SOURCE.with_borrow(|source| share(source, part)))
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
    use crate::codec;
    use crate::types::{LogEntry, Zxid};

    #[test]
    fn a_payload_lies_in_the_memory_of_what_it_was_decoded_from() {
        let entry = LogEntry { zxid: Zxid::from_u64(7), payload: Bytes::from(vec![1; 100]) };
        let encoded = codec::encode(&entry).unwrap();
        let within = |part: &Bytes| encoded.as_ptr_range().contains(&part.as_ptr());
        let shared: LogEntry = codec::decode_shared(&encoded).unwrap();
        assert_eq!(shared, entry);
        assert!(within(&shared.payload));
        let copied: LogEntry = codec::decode(&encoded).unwrap();
        assert_eq!(copied, entry);
        assert!(!within(&copied.payload));
    }

    #[test]
    fn what_lies_elsewhere_is_copied() {
        let (source, other) = (Bytes::from(vec![1; 10]), Bytes::from(vec![2; 10]));
        assert_eq!(share(&source, &other), other);
        assert_eq!(share(&source, &source[3..]), source.slice(3..));
        assert_eq!(share(&source, &[]), Bytes::new());
    }
}
