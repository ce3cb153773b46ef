//! What strangers can do: nothing.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::transport::tcp::hello::{Hello, encode_answer};

const HELLO: Hello = Hello { cluster: CLUSTER, from: TWO, to: ONE, lane: Lane::Bulk };

async fn connect(to: &TcpTransport) -> TcpStream {
    within(TcpStream::connect(to.local_addr())).await.unwrap()
}

/// A connection of a peer that keeps to the protocol so far.
async fn welcomed(to: &TcpTransport, hello: Hello) -> TcpStream {
    let mut stream = connect(to).await;
    stream.write_all(&hello.encode()).await.unwrap();
    let mut answer = [0; 11];
    within(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer[..], encode_answer(Ok(())));
    stream
}

/// Reads until the other side closes the connection, in whichever way.
async fn closed(mut stream: TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    // A reset is as good an end as any.
    let _ = within(stream.read_to_end(&mut rest)).await;
    rest
}

#[tokio::test]
async fn whoever_is_not_expected_is_refused_and_told_why() {
    let ports = Ports::of([ONE, TWO]);
    let one = ports.start(ONE);
    let foreign = Hello { cluster: ClusterId::new(0xac), ..HELLO };
    let mut newer = HELLO.encode();
    newer[9] = 2;
    newer.extend([0; 100]);
    let mut lane = HELLO.encode();
    lane[34] = 2;
    for (hello, refusal) in [
        (foreign.encode(), Refusal::Cluster),
        (Hello { from: THREE, ..HELLO }.encode(), Refusal::Unknown),
        (Hello { from: ONE, ..HELLO }.encode(), Refusal::OwnNumber),
        (Hello { to: THREE, ..HELLO }.encode(), Refusal::Addressee),
        (newer, Refusal::Version),
        (lane, Refusal::Malformed),
    ] {
        let mut stream = connect(&one).await;
        stream.write_all(&hello).await.unwrap();
        stream.write_all(&frame(66)).await.unwrap();
        let mut answer = [0; 11];
        within(stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(answer[..], encode_answer(Err(refusal)), "{refusal}");
        assert_eq!(closed(stream).await, []);
    }
    // The server is as it was, and no frame of a stranger got in.
    let mut good = welcomed(&one, HELLO).await;
    good.write_all(&frame(7)).await.unwrap();
    assert_eq!(next(&one).await, (TWO, 7));
    assert_eq!(one.refused(), 6);
}

#[tokio::test]
async fn the_one_that_is_refused_says_why_and_goes_on_trying() {
    let ports = Ports::of([ONE, TWO]);
    let _one = ports.start(ONE);
    let foreign = TcpConfig { cluster: ClusterId::new(1), ..ports.config(TWO, Security::LoopbackOnly) };
    let two = ports.start_with(foreign);
    until(&two, ONE, |link| link.error == Some(LinkError::Refused(Refusal::Cluster))).await;
    drop(two);
    let two = ports.start(TWO);
    until(&two, ONE, |link| link.connected).await;
}

#[tokio::test]
async fn a_handshake_and_frames_that_arrive_byte_by_byte_are_understood() {
    let ports = Ports::of([ONE, TWO]);
    let one = ports.start(ONE);
    let mut stream = connect(&one).await;
    stream.set_nodelay(true).unwrap();
    let bytes: Vec<u8> = [HELLO.encode(), frame(1).to_vec(), b"QRT~".to_vec(), frame(2).to_vec()].concat();
    for byte in bytes {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(next(&one).await, (TWO, 1));
    assert_eq!(next(&one).await, (TWO, 2));
}

#[tokio::test]
async fn scn_30_garbage_before_or_after_the_handshake_closes_that_connection_only() {
    let ports = Ports::of([ONE, TWO]);
    let one = ports.start(ONE);
    let mut good = welcomed(&one, Hello { lane: Lane::Urgent, ..HELLO }).await;

    let mut stranger = connect(&one).await;
    stranger.write_all(b"GET / HTTP/1.1\r\nhost: one\r\n\r\n").await.unwrap();
    assert_eq!(closed(stranger).await, []);

    let mut oversized = codec::MAGIC.to_vec();
    oversized.extend(u32::MAX.to_be_bytes());
    oversized.extend([0; 4]);
    for bad in [b"nonsense".to_vec(), oversized] {
        let mut stream = welcomed(&one, HELLO).await;
        stream.write_all(&frame(1)).await.unwrap();
        stream.write_all(&bad).await.unwrap();
        // The frame before it counts; what is behind it does not.
        let _ = stream.write_all(&frame(2)).await;
        assert_eq!(next(&one).await, (TWO, 1));
        closed(stream).await;
    }
    good.write_all(&frame(3)).await.unwrap();
    assert_eq!(next(&one).await, (TWO, 3));
}

#[tokio::test]
async fn a_connection_that_breaks_inside_a_frame_leaves_no_trace() {
    let ports = Ports::of([ONE, TWO]);
    let one = ports.start(ONE);
    let mut stream = welcomed(&one, HELLO).await;
    stream.write_all(&frame(1)[..9]).await.unwrap();
    drop(stream);
    let mut stream = welcomed(&one, HELLO).await;
    stream.write_all(&frame(2)).await.unwrap();
    assert_eq!(next(&one).await, (TWO, 2));
}

#[tokio::test]
async fn a_newer_connection_of_the_same_lane_replaces_the_older() {
    let ports = Ports::of([ONE, TWO]);
    let one = ports.start(ONE);
    let older = welcomed(&one, HELLO).await;
    let mut other_lane = welcomed(&one, Hello { lane: Lane::Urgent, ..HELLO }).await;
    let mut newer = welcomed(&one, HELLO).await;
    closed(older).await;
    newer.write_all(&frame(1)).await.unwrap();
    assert_eq!(next(&one).await, (TWO, 1));
    other_lane.write_all(&frame(2)).await.unwrap();
    assert_eq!(next(&one).await, (TWO, 2));
}

#[tokio::test]
async fn one_that_connects_and_says_nothing_is_given_up() {
    let ports = Ports::of([ONE, TWO]);
    let mut config = ports.config(ONE, Security::LoopbackOnly);
    config.limits.handshake = Duration::from_millis(50);
    config.limits.silence = Duration::from_millis(100);
    config.limits.ping = Duration::from_millis(40);
    let one = ports.start_with(config);
    assert_eq!(closed(connect(&one).await).await, []);
    // After the handshake too; until then there are signs of life.
    let signs = closed(welcomed(&one, HELLO).await).await;
    assert!(signs.starts_with(b"QRT~") && signs.len() % 4 == 0, "{signs:?}");
}

#[tokio::test]
async fn a_crowd_that_says_nothing_keeps_nobody_out() {
    let ports = Ports::of([ONE, TWO]);
    let mut config = ports.config(ONE, Security::LoopbackOnly);
    config.limits.handshakes = 4;
    config.limits.handshake = Duration::from_secs(600);
    let one = ports.start_with(config);
    let mut crowd = Vec::new();
    for _ in 0..20 {
        crowd.push(connect(&one).await);
    }
    let mut stream = welcomed(&one, HELLO).await;
    stream.write_all(&frame(1)).await.unwrap();
    assert_eq!(next(&one).await, (TWO, 1));
    // The oldest had to go.
    assert_eq!(closed(crowd.swap_remove(0)).await, []);
}
