use bytes::BytesMut;
use proptest::prelude::*;

use crate::protocol::record::frame_of;
use crate::protocol::record::tests::call;
use crate::protocol::words::WordSet;

use super::super::*;
use super::host::{Host, connect_request, request_frame};

fn options() -> ConnectionOptions {
    ConnectionOptions {
        outstanding: 3,
        extended_types: true,
        words: WordSet::ALL,
        ..ConnectionOptions::default()
    }
}

/// Runs a stream through a connection in pieces of these lengths.
fn run(stream: &[u8], cuts: &[usize]) -> Host {
    let mut host = Host::new(options());
    let (mut rest, mut cuts) = (stream, cuts.iter().copied().cycle());
    while !rest.is_empty() {
        let (now, later) = rest.split_at(cuts.next().unwrap().clamp(1, rest.len()));
        rest = later;
        host.feed(now);
    }
    host
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let calls = proptest::collection::vec((any::<i32>(), call()), 0..12);
    // Now and then a byte is another, or the end is missing.
    let damage = proptest::option::weighted(0.4, (any::<prop::sample::Index>(), any::<u8>()));
    (calls, damage, proptest::option::weighted(0.2, any::<prop::sample::Index>())).prop_map(
        |(calls, damage, cut)| {
            let mut stream = BytesMut::from(&frame_of(&connect_request())[..]);
            for (xid, call) in calls {
                stream.extend_from_slice(&request_frame(xid, &call));
            }
            if let Some((at, byte)) = damage {
                let at = at.index(stream.len());
                stream[at] = byte;
            }
            if let Some(cut) = cut {
                stream.truncate(cut.index(stream.len()));
            }
            stream.to_vec()
        },
    )
}

proptest! {
    #[test]
    fn however_the_bytes_are_cut_up_the_same_is_asked_and_sent(
        stream in stream(),
        cuts in proptest::collection::vec(1..60_usize, 1..20),
    ) {
        let whole = run(&stream, &[usize::MAX]);
        let pieces = run(&stream, &cuts);
        prop_assert_eq!(&whole.asked, &pieces.asked);
        prop_assert_eq!(&whole.sent, &pieces.sent);
        prop_assert_eq!(whole.connection.is_closing(), pieces.connection.is_closing());
        prop_assert_eq!(whole.connection.outstanding(), pieces.connection.outstanding());
    }

    #[test]
    fn arbitrary_bytes_are_survived_and_no_more_is_held_than_arrived(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        is_open in any::<bool>(),
        cuts in proptest::collection::vec(1..60_usize, 1..20),
    ) {
        let mut stream = if is_open { frame_of(&connect_request()).to_vec() } else { Vec::new() };
        stream.extend_from_slice(&bytes);
        let host = run(&stream, &cuts);
        prop_assert!(host.connection.held() <= stream.len());
    }

    /// Requests are answered in their order, each once, whatever is asked, unless the connection ends.
    #[test]
    fn replies_come_in_the_order_of_requests(calls in proptest::collection::vec(call(), 1..30)) {
        let mut host = Host::open();
        let mut expected = Vec::new();
        for (number, call) in (1..).zip(&calls) {
            host.call(number, call);
            if host.connection.is_closing() {
                expected.push(number);
                break;
            }
            expected.push(if *call == Call::Ping { -2 } else { number });
        }
        let numbers: Vec<i32> = host.headers().into_iter().map(|(xid, _)| xid).collect();
        prop_assert_eq!(numbers, expected);
    }

    #[test]
    fn four_bytes_that_are_no_word_are_a_length(bytes in any::<[u8; 4]>()) {
        prop_assume!(Word::parse(bytes).is_none());
        let mut host = Host::new(options());
        host.feed(&bytes);
        prop_assert!(host.asked.is_empty() && host.sent.is_empty());
    }
}
