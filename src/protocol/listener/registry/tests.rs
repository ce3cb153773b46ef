use std::sync::mpsc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::node::Delivery;
use crate::peer::Connected;
use crate::protocol::ConnectionOptions;
use crate::protocol::record::{
    Call, ConnectRequest, ReadRequest, Record, RequestHeader, encode_frame, frame_of,
};
use crate::types::{ClientId, Password};

use super::*;

fn place(registry: &Arc<Registry>) -> Place {
    registry.admit("10.0.0.1:4711".parse().unwrap(), false, 0, 0).unwrap()
}

/// A connection whose client has a session.
fn open() -> ClientConnection {
    let mut connection = ClientConnection::new(Arc::new(ConnectionOptions::default()), Vec::new());
    let request = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: 0,
        timeout: 10_000,
        session: SessionId::NONE,
        password: Some(Bytes::from_static(&[0; 16])),
        read_only: Some(false),
    };
    connection.handle_bytes(Time::ZERO, &frame_of(&request));
    let connected = Connected {
        client: ClientId::new(1),
        session: SessionId::from_u64(7),
        password: Password::new([0; 16]),
        timeout_millis: 10_000,
        resumed: false,
    };
    connection.handle_delivery(Time::ZERO, Delivery::Connected(connected));
    connection
}

/// A request that nobody answers.
fn ask(connection: &mut ClientConnection) {
    let call = Call::GetData(ReadRequest { path: "/".into(), watch: false });
    let mut frame = BytesMut::new();
    encode_frame(&mut frame, |output| {
        RequestHeader { xid: 1, op: call.op() }.encode(output);
        call.encode(output);
    });
    connection.handle_bytes(Time::ZERO, &frame);
}

fn report(registry: &Registry, lists: bool) -> ServerReport {
    let mut report = ServerReport::stopped();
    registry.fill(&mut report, lists);
    report
}

#[test]
fn what_waits_on_all_connections_is_what_waits_on_each() {
    let registry = Arc::new(Registry::new());
    let (ann, bob) = (place(&registry), place(&registry));
    let (mut of_ann, mut of_bob) = (open(), open());
    let check = |each: &[usize]| {
        let report = report(&registry, true);
        let listed: Vec<usize> = report.connections.iter().map(|connection| connection.outstanding).collect();
        assert_eq!((report.outstanding, &*listed), (each.iter().sum(), each));
    };
    check(&[0, 0]);
    ask(&mut of_ann);
    ask(&mut of_ann);
    ask(&mut of_bob);
    ann.update(&mut of_ann);
    ann.update(&mut of_ann);
    bob.update(&mut of_bob);
    check(&[2, 1]);
    // Closing forgets what waits, and is nothing that is counted.
    of_ann.take_activity();
    of_ann.close();
    ann.update(&mut of_ann);
    check(&[0, 1]);
    drop(bob);
    check(&[0]);
    drop(ann);
    check(&[]);
}

#[test]
fn who_asks_for_numbers_alone_waits_for_no_connection() {
    let registry = Arc::new(Registry::new());
    let place = place(&registry);
    let busy = place.entry.facts();
    let (sender, receiver) = mpsc::channel();
    let asking = Arc::clone(&registry);
    let thread = std::thread::spawn(move || sender.send(report(&asking, false).connection_count));
    let count = receiver.recv_timeout(Duration::from_secs(10));
    drop(busy);
    thread.join().unwrap().unwrap();
    assert_eq!(count, Ok(1), "it waited for the connection");
}
