use bytes::{Buf as _, BufMut as _};

use super::Refusal;
use crate::types::{ClusterId, Lane, ServerId};

/// The first bytes of a connection in both directions.
const MAGIC: [u8; 8] = *b"QRT-peer";

/// The version of the handshake and of what follows it.
pub(super) const VERSION: u16 = 1;

/// Magic and version: the part of the handshake that stays the same in all versions.
pub(super) const PREFIX_LEN: usize = 10;

/// What the one that connects says first.
///
/// | bytes | field, integers big-endian |
/// |---|---|
/// | 0..8 | magic |
/// | 8..10 | version |
/// | 10..18 | ensemble |
/// | 18..26 | the server that connects |
/// | 26..34 | the server that it means to reach |
/// | 34 | lane: 0 urgent, 1 bulk |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hello {
    pub(super) cluster: ClusterId,
    pub(super) from: ServerId,
    pub(super) to: ServerId,
    pub(super) lane: Lane,
}

impl Hello {
    pub(super) const LEN: usize = PREFIX_LEN + 25;

    pub(super) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::LEN);
        bytes.put_slice(&MAGIC);
        bytes.put_u16(VERSION);
        bytes.put_u64(self.cluster.number());
        bytes.put_u64(self.from.number());
        bytes.put_u64(self.to.number());
        bytes.put_u8(match self.lane {
            Lane::Urgent => 0,
            Lane::Bulk => 1,
        });
        bytes
    }

    /// Reads what stands behind the prefix.
    pub(super) fn decode(mut rest: &[u8]) -> Result<Self, Refusal> {
        let mut number = || rest.try_get_u64().map_err(|_| Refusal::Malformed);
        let (cluster, from, to) = (number()?, number()?, number()?);
        let lane = match rest {
            [0] => Lane::Urgent,
            [1] => Lane::Bulk,
            _ => return Err(Refusal::Malformed),
        };
        Ok(Self { cluster: ClusterId::new(cluster), from: ServerId::new(from), to: ServerId::new(to), lane })
    }
}

/// Judges magic and version, the same in both directions. `None`: the other side is none of ours, and deserves no
/// answer.
pub(super) fn check_prefix(prefix: &[u8; PREFIX_LEN]) -> Option<Result<(), Refusal>> {
    let (magic, version) = prefix.split_at(MAGIC.len());
    if *magic != MAGIC {
        return None;
    }
    Some(if *version == VERSION.to_be_bytes() { Ok(()) } else { Err(Refusal::Version) })
}

/// The answer to a [`Hello`]: magic, version, and one byte, 0 for welcome.
pub(super) fn encode_answer(answer: Result<(), Refusal>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(PREFIX_LEN + 1);
    bytes.put_slice(&MAGIC);
    bytes.put_u16(VERSION);
    bytes.put_u8(match answer {
        Ok(()) => 0,
        Err(Refusal::Version) => 1,
        Err(Refusal::Cluster) => 2,
        Err(Refusal::Addressee) => 3,
        Err(Refusal::OwnNumber) => 4,
        Err(Refusal::Unknown) => 5,
        Err(Refusal::Identity) => 6,
        Err(Refusal::Malformed) => 7,
    });
    bytes
}

/// Reads the last byte of an answer.
pub(super) fn decode_answer(code: u8) -> Result<(), Refusal> {
    Err(match code {
        0 => return Ok(()),
        1 => Refusal::Version,
        2 => Refusal::Cluster,
        3 => Refusal::Addressee,
        4 => Refusal::OwnNumber,
        5 => Refusal::Unknown,
        6 => Refusal::Identity,
        _ => Refusal::Malformed,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_hello_is_understood_as_it_was_meant(cluster: u64, from: u64, to: u64, urgent: bool) {
            let hello = Hello {
                cluster: ClusterId::new(cluster),
                from: ServerId::new(from),
                to: ServerId::new(to),
                lane: if urgent { Lane::Urgent } else { Lane::Bulk },
            };
            let bytes = hello.encode();
            prop_assert_eq!(bytes.len(), Hello::LEN);
            let (prefix, rest) = bytes.split_first_chunk().unwrap();
            prop_assert_eq!(check_prefix(prefix), Some(Ok(())));
            prop_assert_eq!(Hello::decode(rest), Ok(hello));
        }

        #[test]
        fn no_other_bytes_are_a_hello(bytes in prop::collection::vec(any::<u8>(), 0..50)) {
            match Hello::decode(&bytes) {
                Ok(hello) => prop_assert_eq!(&hello.encode()[PREFIX_LEN..], bytes),
                Err(refusal) => prop_assert_eq!(refusal, Refusal::Malformed),
            }
        }
    }

    #[test]
    fn every_answer_is_understood_as_it_was_meant() {
        for code in 0..8 {
            assert_eq!(encode_answer(decode_answer(code)).last(), Some(&code));
        }
        assert_eq!(decode_answer(200), Err(Refusal::Malformed));
    }
}
