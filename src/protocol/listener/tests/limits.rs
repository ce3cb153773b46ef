use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::protocol::record::{Call, CreateRequest, ReadRequest};
use crate::protocol::{ConnectionOptions, ServeOptions, serve};
use crate::types::Acl;

use super::ensemble::{Client, Servers, connect_request, create};

#[tokio::test]
async fn an_address_has_only_so_many_connections() {
    let servers =
        Servers::start(1, || ServeOptions { connections_per_address: 2, ..ServeOptions::default() }).await;
    let first = servers.client(0).await;
    let mut second = servers.client(0).await;
    let mut third = Client::dial(servers.address(0)).await.stream;
    assert_eq!(third.read(&mut [0; 1]).await.unwrap_or(0), 0, "the third is refused");
    assert_eq!(second.error_of(&Call::Ping).await, 0);
    drop(first);
    // The place is free as soon as the server has noticed.
    loop {
        let mut again = Client::dial(servers.address(0)).await;
        if again.stream.write_all(b"ruok").await.is_ok()
            && again.stream.read(&mut [0; 1]).await.unwrap_or(0) > 0
        {
            break;
        }
    }
}

#[tokio::test]
async fn who_says_nothing_is_not_waited_for() {
    let handshake = Duration::from_millis(50);
    let servers = Servers::start(1, || ServeOptions { handshake, ..ServeOptions::default() }).await;
    let mut silent = Client::dial(servers.address(0)).await.stream;
    let mut slow = Client::dial(servers.address(0)).await.stream;
    slow.write_all(&[0, 0, 0]).await.unwrap();
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert_eq!(slow.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_client_that_is_slow_to_read_holds_up_nobody_and_loses_nothing() {
    let servers = Servers::start(1, || {
        let connection = ConnectionOptions { unsent: 64 << 20, ..ConnectionOptions::default() };
        ServeOptions { connection: Arc::new(connection), ..ServeOptions::default() }
    })
    .await;
    let mut good = servers.client(0).await;
    let data = Some(Bytes::from(vec![7; 500_000]));
    let large = CreateRequest { path: "/large".into(), data, acl: Acl::open(), flags: 0 };
    assert_eq!(good.error_of(&Call::Create(large)).await, 0);
    let mut greedy = servers.client(0).await;
    let read = Call::GetData(ReadRequest { path: "/large".into(), watch: false });
    // Far more than sockets and buffers hold, and less than what the server lets wait.
    for _ in 0..400 {
        greedy.send(&read).await;
    }
    for number in 0..20 {
        assert_eq!(good.error_of(&create(&format!("/{number}"), 0)).await, 0);
    }
    // It was not disturbed for being slow, and gets all that it asked for.
    for _ in 0..400 {
        assert_eq!(greedy.answer().await.unwrap().0.err, 0);
    }
}

#[tokio::test]
async fn a_listener_that_stops_lets_its_clients_go_and_the_node_runs_on() {
    let servers = Servers::start(1, ServeOptions::default).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (service, driver) = serve(&servers.nodes[0], listener, ServeOptions::default()).unwrap();
    let driver = tokio::spawn(driver);
    let mut client = Client::dial(service.local_addr()).await;
    client.connect(&connect_request()).await.unwrap();
    assert_eq!(service.registry().len(), 1);
    service.stop();
    assert!(client.answer().await.is_none());
    drop(client);
    driver.await.unwrap();
    assert!(service.registry().is_empty());
    assert_eq!(servers.client(0).await.error_of(&Call::Ping).await, 0);
}
