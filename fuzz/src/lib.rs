//! What is fuzzed, and what must hold. Each target takes any bytes, and panics on a finding.

mod house;
mod node;

pub use house::{log_file, peer_message};

use bytes::{Bytes, BytesMut};
use quorate::Stat;
use quorate::protocol::record::{
    Call, ConnectRequest, ConnectResponse, Decoder, MultiResponse, OpCode, Record, ReplyHeader,
    RequestHeader, SetWatches2, WatcherEvent, WhoAmIResponse,
};

use node::Host;

/// The numbers of all operations, and some that are none.
const OPS: &[i32] = &[
    1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 14, 15, 16, 17, 18, 19, 21, 22, 100, 101, 102, 103, 104, 105, 106,
    107, -11, 0, 13, 20, 99, -1, -10,
];

/// A record that can be decoded is decoded to the same again when it is encoded; whatever cannot is refused.
pub fn record(input: &[u8]) {
    let Some((kind, rest)) = input.split_first() else { return };
    let bytes = Bytes::copy_from_slice(rest);
    match *kind as usize {
        0 => round_trip::<ConnectRequest>(&bytes),
        1 => round_trip::<ConnectResponse>(&bytes),
        2 => round_trip::<RequestHeader>(&bytes),
        3 => round_trip::<ReplyHeader>(&bytes),
        4 => round_trip::<MultiResponse>(&bytes),
        5 => round_trip::<WatcherEvent>(&bytes),
        6 => round_trip::<WhoAmIResponse>(&bytes),
        7 => round_trip::<Stat>(&bytes),
        8 => round_trip::<SetWatches2>(&bytes),
        kind => {
            let op = OpCode::new(OPS[kind % OPS.len()]);
            let Ok(call) = Call::decode(op, &mut Decoder::new(bytes)) else { return };
            let mut again = BytesMut::new();
            call.encode(&mut again);
            assert_eq!(Call::decode(op, &mut Decoder::new(again.freeze())), Ok(call));
        }
    }
}

/// A connection asks for the same and sends the same however the bytes are cut up, holds no more than what arrived, and
/// sends whole frames.
///
/// The first byte says where the stream is cut; after a first frame that begins a session the rest is as it comes.
pub fn connection(input: &[u8]) {
    let Some((cut, stream)) = input.split_first() else { return };
    let mut whole = Host::new();
    whole.feed(stream);
    let mut pieces = Host::new();
    for piece in stream.chunks(usize::from(*cut).max(1)) {
        pieces.feed(piece);
        assert!(pieces.connection.held() <= stream.len(), "more is held than arrived");
    }
    assert_eq!(whole.asked, pieces.asked);
    assert_eq!(whole.sent, pieces.sent);
    assert_eq!(whole.connection.is_closing(), pieces.connection.is_closing());
    if whole.had_session {
        let mut rest = &whole.sent[..];
        while let Some((length, later)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            rest = later.get(length..).expect("a frame that is whole");
        }
        assert!(rest.is_empty());
    }
}

fn round_trip<T: Record + PartialEq + std::fmt::Debug>(bytes: &Bytes) {
    let Ok(record) = T::decode(&mut Decoder::new(bytes.clone())) else { return };
    let mut again = BytesMut::new();
    record.encode(&mut again);
    assert!(again.len() >= T::MIN_LEN, "shorter than the shortest");
    assert_eq!(T::decode(&mut Decoder::new(again.freeze())).as_ref(), Ok(&record));
}
