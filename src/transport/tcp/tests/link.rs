//! What two servers that know each other can rely on.

use futures::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::transport::tcp::hello::{Hello, encode_answer};

/// A peer made by hand: takes the connection of the next lane, whichever it is, and welcomes it.
async fn take_by_hand(listener: &TcpListener) -> (Lane, TcpStream) {
    let (mut stream, _) = within(listener.accept()).await.unwrap();
    let mut hello = [0; Hello::LEN];
    within(stream.read_exact(&mut hello)).await.unwrap();
    let hello = Hello::decode(&hello[10..]).unwrap();
    stream.write_all(&encode_answer(Ok(()))).await.unwrap();
    (hello.lane, stream)
}

async fn take_both_by_hand(listener: &TcpListener) -> (TcpStream, TcpStream) {
    match (take_by_hand(listener).await, take_by_hand(listener).await) {
        ((Lane::Urgent, urgent), (Lane::Bulk, bulk)) | ((Lane::Bulk, bulk), (Lane::Urgent, urgent)) => {
            (urgent, bulk)
        }
        _ => panic!("the same lane came twice"),
    }
}

fn by_hand(ports: &Ports, server: ServerId) -> TcpListener {
    let listener = ports.listener(server);
    listener.set_nonblocking(true).unwrap();
    TcpListener::from_std(listener).unwrap()
}

#[tokio::test]
async fn frames_go_both_ways_in_both_lanes() {
    let ports = Ports::of([ONE, TWO]);
    let (one, two) = (ports.start(ONE), ports.start(TWO));
    one.send(TWO, Lane::Urgent, frame(1));
    assert_eq!(next(&two).await, (ONE, 1));
    one.send(TWO, Lane::Bulk, frame(2));
    assert_eq!(next(&two).await, (ONE, 2));
    two.send(ONE, Lane::Urgent, frame(3));
    assert_eq!(next(&one).await, (TWO, 3));
    two.send(ONE, Lane::Bulk, frame(4));
    assert_eq!(next(&one).await, (TWO, 4));
    assert_eq!(one.local_addr(), ports.address(ONE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_lane_keeps_the_order_of_its_frames() {
    let ports = Ports::of([ONE, TWO]);
    let (one, two) = (ports.start(ONE), ports.start(TWO));
    let mut expected = [0, 1];
    for block in 0..100 {
        for number in (block * 100..(block + 1) * 100).step_by(2) {
            one.send(TWO, Lane::Bulk, frame(number));
            one.send(TWO, Lane::Urgent, frame(number + 1));
        }
        for _ in 0..100 {
            let (_, number) = next(&two).await;
            let lane = usize::try_from(number % 2).unwrap();
            assert_eq!(number, expected[lane]);
            expected[lane] += 2;
        }
    }
}

#[tokio::test]
async fn the_largest_frame_arrives_whole() {
    let ports = Ports::of([ONE, TWO]);
    let (one, two) = (ports.start(ONE), ports.start(TWO));
    let large = large_frame(codec::MAX_BODY_LEN - 16);
    one.send(TWO, Lane::Bulk, large.clone());
    let (from, arrived) = within(two.recv()).await.unwrap();
    assert_eq!(from, ONE);
    assert!(arrived == large);
}

#[tokio::test]
async fn what_was_sent_before_the_peer_started_arrives_when_it_does() {
    let mut ports = Ports::of([ONE, TWO]);
    let [first, second] = [ONE, TWO].map(|server| ports.config(server, Security::LoopbackOnly));
    ports.release();
    let one = TcpTransport::bind(first).unwrap();
    one.send(TWO, Lane::Urgent, frame(1));
    one.send(TWO, Lane::Bulk, frame(2));
    until(&one, TWO, |link| matches!(link.error, Some(LinkError::Connect(_)))).await;
    let two = TcpTransport::bind(second).unwrap();
    let mut arrived = [next(&two).await, next(&two).await];
    arrived.sort_unstable();
    assert_eq!(arrived, [(ONE, 1), (ONE, 2)]);
}

#[tokio::test]
async fn a_peer_that_restarts_at_once_on_its_port_is_reached_again() {
    let mut ports = Ports::of([ONE, TWO]);
    let [first, second] = [ONE, TWO].map(|server| ports.config(server, Security::LoopbackOnly));
    ports.release();
    let one = TcpTransport::bind(first).unwrap();
    let mut two = TcpTransport::bind(second.clone()).unwrap();
    for restart in 0..5 {
        until(&one, TWO, |link| link.connected).await;
        one.send(TWO, Lane::Bulk, frame(restart));
        assert_eq!(next(&two).await, (ONE, restart));
        drop(two);
        two = TcpTransport::bind(second.clone()).unwrap();
        // The restarted server speaks first; hearing from it, the other finds the way back.
        two.send(ONE, Lane::Urgent, frame(restart));
        assert_eq!(next(&one).await, (TWO, restart));
        until(&one, TWO, |link| link.connected).await;
    }
}

#[tokio::test]
async fn urgent_frames_pass_bulk_that_the_peer_does_not_read() {
    let ports = Ports::of([ONE, TWO, THREE]);
    let mut config = ports.config(ONE, Security::LoopbackOnly);
    config.limits.silence = Duration::from_secs(60);
    let slow = by_hand(&ports, TWO);
    let (one, three) = (ports.start_with(config), ports.start(THREE));
    let (mut urgent, _unread) = take_both_by_hand(&slow).await;

    // More than the system's buffers hold, and more than the queue does.
    let bulk = large_frame(1 << 20);
    while one.links().iter().all(|link| link.dropped == 0) {
        one.send(TWO, Lane::Bulk, bulk.clone());
        tokio::task::yield_now().await;
    }

    one.send(TWO, Lane::Urgent, frame(5));
    let mut arrived = vec![0; frame(5).len()];
    within(urgent.read_exact(&mut arrived)).await.unwrap();
    assert_eq!(arrived, frame(5));
    one.send(THREE, Lane::Bulk, frame(6));
    assert_eq!(next(&three).await, (ONE, 6));
    let waiting: usize = one.links().iter().map(|link| link.waiting_bytes).sum();
    assert!(waiting <= TcpLimits::default().bulk.bytes, "{waiting}");
}

#[tokio::test]
async fn a_receiver_that_does_not_receive_holds_the_sender_back_and_loses_nothing() {
    let ports = Ports::of([ONE, TWO]);
    let one = ports.start(ONE);
    let two = ports.start_with(narrow(ports.config(TWO, Security::LoopbackOnly), 2));
    for number in 0..500 {
        one.send(TWO, Lane::Bulk, frame(number));
    }
    until(&one, TWO, |link| link.connected && link.waiting_frames == 0).await;
    for number in 0..500 {
        assert_eq!(next(&two).await, (ONE, number));
    }
}

#[tokio::test]
async fn a_full_urgent_lane_keeps_the_newest_and_a_full_bulk_lane_the_oldest() {
    let mut ports = Ports::of([ONE, TWO]);
    let [first, second] = [ONE, TWO].map(|server| ports.config(server, Security::LoopbackOnly));
    ports.release();
    let one = TcpTransport::bind(narrow(first, 3)).unwrap();
    for number in 0..10 {
        one.send(TWO, Lane::Urgent, frame(number));
        one.send(TWO, Lane::Bulk, frame(100 + number));
    }
    assert!(one.links().iter().all(|link| link.dropped == 7 && link.waiting_frames == 3), "{one:?}");
    let two = TcpTransport::bind(second).unwrap();
    let mut arrived = Vec::new();
    for _ in 0..6 {
        arrived.push(next(&two).await.1);
    }
    arrived.sort_unstable();
    assert_eq!(arrived, [7, 8, 9, 100, 101, 102]);
}

#[tokio::test]
async fn bulk_for_a_peer_that_stays_away_is_given_up() {
    let mut ports = Ports::of([ONE, TWO]);
    let mut config = ports.config(ONE, Security::LoopbackOnly);
    ports.release();
    config.limits.silence = Duration::from_millis(50);
    config.limits.ping = Duration::from_millis(10);
    let one = TcpTransport::bind(config).unwrap();
    one.send(TWO, Lane::Urgent, frame(1));
    one.send(TWO, Lane::Bulk, frame(2));
    until(&one, TWO, |link| link.waiting_frames == usize::from(link.lane == Lane::Urgent)).await;
    assert_eq!(one.links().iter().map(|link| link.dropped).collect::<Vec<_>>(), [0, 1]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_peer_behind_a_black_hole_costs_the_others_nothing() {
    let ports = Ports::of([ONE, TWO]);
    // A listener with a full backlog answers no further attempt to connect.
    let hole = TcpSocket::new_v4().unwrap();
    hole.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let hole = hole.listen(1).unwrap();
    let address = hole.local_addr().unwrap();
    let _filled = [within(TcpStream::connect(address)).await, within(TcpStream::connect(address)).await];

    let mut config = ports.config(ONE, Security::LoopbackOnly);
    config.limits.connect = Duration::from_millis(100);
    config.peers.insert(THREE, address.to_string());
    let (one, two) = (ports.start_with(config), ports.start(TWO));
    for number in 0..100 {
        one.send(THREE, Lane::Bulk, frame(number));
        one.send(TWO, Lane::Bulk, frame(number));
        assert_eq!(next(&two).await, (ONE, number));
    }
    until(&one, THREE, |link| link.error == Some(LinkError::Timeout("making a connection"))).await;
    one.send(TWO, Lane::Urgent, frame(5));
    assert_eq!(next(&two).await, (ONE, 5));
}

#[tokio::test]
async fn a_connection_on_which_nothing_is_heard_is_made_anew() {
    let ports = Ports::of([ONE, TWO]);
    let mut config = ports.config(ONE, Security::LoopbackOnly);
    config.limits.silence = Duration::from_millis(100);
    config.limits.ping = Duration::from_millis(20);
    let mute = by_hand(&ports, TWO);
    let one = ports.start_with(config);
    let _first = take_both_by_hand(&mute).await;
    until(&one, TWO, |link| link.error == Some(LinkError::Silent)).await;
    let (mut urgent, _bulk) = take_both_by_hand(&mute).await;
    one.send(TWO, Lane::Urgent, frame(9));
    let mut arrived = [0; 4];
    within(urgent.read_exact(&mut arrived)).await.unwrap();
    assert!(arrived == codec::MAGIC || &arrived == b"QRT~", "{arrived:?}");
}

#[tokio::test]
async fn an_idle_connection_gives_signs_of_life_to_the_peer() {
    let ports = Ports::of([ONE, TWO]);
    let mut config = ports.config(ONE, Security::LoopbackOnly);
    config.limits.ping = Duration::from_millis(10);
    let listener = by_hand(&ports, TWO);
    let _one = ports.start_with(config);
    let (mut urgent, mut bulk) = take_both_by_hand(&listener).await;
    for stream in [&mut urgent, &mut bulk] {
        let mut signs = [0; 12];
        within(stream.read_exact(&mut signs)).await.unwrap();
        assert_eq!(&signs, b"QRT~QRT~QRT~");
    }
}

#[tokio::test]
async fn an_idle_connection_lives_longer_than_the_silence_it_bears() {
    let ports = Ports::of([ONE, TWO]);
    let quick = |server| {
        let mut config = ports.config(server, Security::LoopbackOnly);
        config.limits.silence = Duration::from_millis(200);
        config.limits.ping = Duration::from_millis(10);
        ports.start_with(config)
    };
    let (one, two) = (quick(ONE), quick(TWO));
    until(&one, TWO, |link| link.connected).await;
    until(&two, ONE, |link| link.connected).await;
    // A receive that finds nothing for much longer than the silence.
    assert!(tokio::time::timeout(Duration::from_millis(600), one.recv()).await.is_err());
    assert!(one.links().iter().chain(&two.links()).all(|link| link.connected), "{one:?} {two:?}");
    two.send(ONE, Lane::Bulk, frame(1));
    assert_eq!(next(&one).await, (TWO, 1));
}

#[tokio::test]
async fn what_is_no_frame_or_for_nobody_is_dropped_before_it_is_sent() {
    let ports = Ports::of([ONE, TWO]);
    let (one, two) = (ports.start(ONE), ports.start(TWO));
    let mut longer = frame(1).to_vec();
    longer.push(0);
    for bad in
        [Bytes::new(), Bytes::from_static(b"garbage that is no frame"), longer.into(), frame(1).slice(..12)]
    {
        one.send(TWO, Lane::Bulk, bad);
    }
    one.send(ONE, Lane::Bulk, frame(2));
    one.send(THREE, Lane::Bulk, frame(3));
    one.send(TWO, Lane::Bulk, frame(4));
    assert_eq!(next(&two).await, (ONE, 4));
    assert_eq!(one.links()[1].dropped, 4);
}

#[tokio::test]
async fn a_closed_transport_receives_and_keeps_nothing() {
    let ports = Ports::of([ONE, TWO]);
    let one = Arc::new(ports.start(ONE));
    one.send(TWO, Lane::Urgent, frame(1));
    one.send(TWO, Lane::Bulk, frame(1));
    let waiting = tokio::spawn({
        let one = Arc::clone(&one);
        async move { one.recv().await }
    });
    tokio::task::yield_now().await;
    one.close();
    assert_eq!(within(waiting).await.unwrap(), None);
    assert_eq!(within(one.recv()).await, None);
    one.send(TWO, Lane::Urgent, frame(1));
    one.send(TWO, Lane::Bulk, frame(1));
    assert!(one.links().iter().all(|link| link.waiting_frames == 0 && !link.connected), "{one:?}");
}

#[tokio::test]
async fn a_peer_that_closes_all_and_takes_no_connection_has_gone_behind_its_last_frame() {
    let mut ports = Ports::of([ONE, TWO]);
    let [first, second] = [ONE, TWO].map(|server| ports.config(server, Security::LoopbackOnly));
    ports.release();
    let one = TcpTransport::bind(first).unwrap();
    let mut two = TcpTransport::bind(second.clone()).unwrap();
    for life in 0..2 {
        until(&one, TWO, |link| link.connected).await;
        two.send(ONE, Lane::Bulk, frame(life));
        until(&two, ONE, |link| link.connected && link.waiting_frames == 0).await;
        drop(two);
        assert_eq!(within(one.gone()).await, TWO);
        assert_eq!(one.recv().now_or_never(), Some(Some((TWO, frame(life)))));
        two = TcpTransport::bind(second.clone()).unwrap();
    }
    // A peer that is there has not gone.
    until(&one, TWO, |link| link.connected).await;
    assert_eq!(one.gone().now_or_never(), None);
}
