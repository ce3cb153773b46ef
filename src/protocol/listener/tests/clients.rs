use bytes::Bytes;
use futures::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::protocol::record::{
    AclResponse, AuthPacket, Call, ConnectRequest, ConnectResponse, CreateRequest, DataResponse, PathRequest,
    PathResponse, ReadRequest, Record, SetDataRequest, SetWatches, VersionedRequest, WatcherEvent, xid,
};
use crate::protocol::words::Word;
use crate::protocol::{ServeOptions, record};
use crate::types::{Acl, AclEntry, Identity, Permissions, Zxid};

use super::ensemble::{Client, Servers, connect_request, create};

fn read(path: &str, watch: bool) -> ReadRequest {
    ReadRequest { path: path.into(), watch }
}

fn set(path: &str, data: &'static [u8]) -> Call {
    Call::SetData(SetDataRequest { path: path.into(), data: Some(Bytes::from_static(data)), version: -1 })
}

#[tokio::test]
async fn what_one_client_writes_at_one_server_another_hears_and_reads_at_another() {
    let servers = Servers::start(3, ServeOptions::default).await;
    let (mut writer, mut reader) = (servers.client(0).await, servers.client(1).await);
    let (header, mut body) = writer.call(&create("/a", 0)).await;
    assert_eq!((header.xid, header.err), (1, 0));
    assert_eq!(&*PathResponse::decode(&mut body).unwrap().path, "/a");

    reader.call(&Call::Sync(PathRequest { path: "/".into() })).await;
    let (header, mut body) = reader.call(&Call::GetData(read("/a", true))).await;
    assert_eq!(header.err, 0);
    assert_eq!(DataResponse::decode(&mut body).unwrap().data.unwrap(), "x");

    let (written, _) = writer.call(&set("/a", b"y")).await;
    let (header, mut body) = reader.answer().await.unwrap();
    assert_eq!((header.xid, header.zxid), (xid::NOTIFICATION, written.zxid));
    assert_eq!(WatcherEvent::decode(&mut body), Ok(WatcherEvent { kind: 3, state: 3, path: "/a".into() }));
    let (_, mut body) = reader.call(&Call::GetData(read("/a", false))).await;
    assert_eq!(DataResponse::decode(&mut body).unwrap().data.unwrap(), "y");
}

#[tokio::test]
async fn a_session_moves_to_another_server_with_its_password_and_without_it_nobody_is_disturbed() {
    let servers = Servers::start(3, ServeOptions::default).await;
    let mut first = servers.client(0).await;
    first.call(&create("/e", 1)).await;
    let resume = ConnectRequest {
        session: first.session,
        password: Some(first.password.clone()),
        ..connect_request()
    };

    for wrong in [&[0; 16][..], &[1; 15], &[]] {
        let mut thief = Client::dial(servers.address(1)).await;
        let request = ConnectRequest { password: Some(Bytes::copy_from_slice(wrong)), ..resume.clone() };
        assert_eq!(thief.connect(&request).await, Some(ConnectResponse::expired(Some(false))));
        assert!(thief.answer().await.is_none());
    }
    assert_eq!(first.error_of(&Call::Ping).await, 0, "the owner is still attached");

    let mut second = Client::dial(servers.address(1)).await;
    let response = second.connect(&resume).await.unwrap();
    assert_eq!(response.session, first.session);
    assert_eq!(second.error_of(&Call::Exists(read("/e", false))).await, 0);
    assert_eq!(second.error_of(&Call::CloseSession).await, 0);
    assert!(second.answer().await.is_none());
    let mut third = servers.client(1).await;
    assert_eq!(
        third.error_of(&Call::Exists(read("/e", false))).await,
        -101,
        "the ephemeral went with its session"
    );
}

#[tokio::test]
async fn a_server_behind_what_the_client_has_seen_closes_without_a_word() {
    let servers = Servers::start(1, ServeOptions::default).await;
    let mut client = Client::dial(servers.address(0)).await;
    let request = ConnectRequest { last_zxid_seen: i64::MAX, ..connect_request() };
    assert_eq!(client.connect(&request).await, None);
}

#[tokio::test]
async fn session_timeouts_are_bent_to_the_servers_bounds() {
    let servers = Servers::start(1, ServeOptions::default).await;
    for (asked, given) in [(i32::MIN, 400), (0, 400), (1_234, 1_234), (i32::MAX, 60_000)] {
        let mut client = Client::dial(servers.address(0)).await;
        let request = ConnectRequest { timeout: asked, ..connect_request() };
        assert_eq!(client.connect(&request).await.unwrap().timeout, given);
    }
}

#[tokio::test]
async fn what_is_no_path_has_the_code_of_its_place() {
    let servers = Servers::start(1, ServeOptions::default).await;
    let mut client = servers.client(0).await;
    let bad = [
        "",
        "a",
        "/a/",
        "//",
        "//a",
        "/./a",
        "/../a",
        "/a/.",
        "/a/..",
        "/\u{1}",
        "/\u{1f}",
        "/\u{7f}",
        "/\u{9f}",
        "/\u{e000}",
        "/\u{f8ff}",
        "/\u{fff0}",
        "/\u{ffff}",
        "/\u{fffd}",
        "/\u{1f600}",
    ];
    client.call(&create("/a", 0)).await;
    for path in bad {
        let error = client.error_of(&create(path, 0)).await;
        // A parent that is missing is told before the rest of the path is looked at.
        assert!(error == -8 || (error == -101 && path.contains("/.")), "create {path:?}: {error}");
        assert_eq!(client.error_of(&Call::GetData(read(path, false))).await, -101, "get {path:?}");
        assert_eq!(client.error_of(&Call::Exists(read(path, true))).await, -101, "exists {path:?}");
    }
    for path in ["/a\0b", "\0"] {
        assert_eq!(client.error_of(&create(path, 0)).await, -8);
        assert_eq!(client.error_of(&Call::Exists(read(path, false))).await, -8);
        assert_eq!(client.error_of(&Call::GetData(read(path, false))).await, -8);
    }
    for path in ["/a..b", "/...", "/a/b\u{a0}"] {
        assert_eq!(client.error_of(&create(path, 0)).await, 0, "{path:?}");
    }
    for path in ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"] {
        let delete = Call::Delete(VersionedRequest { path: path.into(), version: -1 });
        assert_eq!(client.error_of(&delete).await, -8, "{path}");
    }
    assert_eq!(client.error_of(&create("/a", 0)).await, -110);
    assert_eq!(client.error_of(&create("/missing/a", 0)).await, -101);
    assert_eq!(
        client.error_of(&Call::Delete(VersionedRequest { path: "/a".into(), version: -1 })).await,
        -111
    );
    assert_eq!(
        client.error_of(&Call::Delete(VersionedRequest { path: "/...".into(), version: 4 })).await,
        -103
    );
    assert_eq!(client.error_of(&create("/e", 1)).await, 0);
    assert_eq!(client.error_of(&create("/e/c", 0)).await, -108);
    let deep = "/d".repeat(250_000);
    assert_eq!(client.error_of(&create(&deep, 0)).await, -101);
    assert_eq!(client.error_of(&Call::Exists(read(&deep, true))).await, -101);
}

#[tokio::test]
async fn acls_hold_for_reads_writes_and_watches() {
    let servers = Servers::start(1, ServeOptions::default).await;
    let (mut ann, mut eve) = (servers.client(0).await, servers.client(0).await);
    let auth = Some(Bytes::from_static(b"ann:pw"));
    assert_eq!(ann.error_of(&Call::Auth(AuthPacket { kind: 0, scheme: "digest".into(), auth })).await, 0);
    let secret = |path: &str, acl: Acl| {
        Call::Create(CreateRequest { path: path.into(), data: Some(Bytes::from_static(b"s")), acl, flags: 0 })
    };
    assert_eq!(ann.error_of(&secret("/s", Acl::creator_only())).await, 0);
    assert_eq!(ann.error_of(&secret("/t", Acl::new([]))).await, -114);
    let entry = |scheme| AclEntry { permissions: Permissions::ALL, identity: Identity::new(scheme, "x") };
    assert_eq!(ann.error_of(&secret("/t", Acl::new([entry("bogus")]))).await, -114);
    assert_eq!(eve.error_of(&secret("/t", Acl::creator_only())).await, -114, "eve has proved nothing");

    assert_eq!(eve.error_of(&Call::GetData(read("/s", false))).await, -102);
    assert_eq!(eve.error_of(&set("/s", b"e")).await, -102);
    assert_eq!(eve.error_of(&create("/s/x", 0)).await, -102);
    assert_eq!(eve.error_of(&Call::GetAcl(PathRequest { path: "/s".into() })).await, -102);

    // Neither a watch nor one that is set again after a reconnect tells what may not be read.
    let watches = SetWatches { since: Zxid::ZERO, data: vec![], exist: vec!["/s".into()], child: vec![] };
    assert_ne!(eve.call(&Call::SetWatches(watches)).await.0.xid, xid::NOTIFICATION);
    let watch = Call::AddWatch(record::AddWatchRequest { path: "/".into(), mode: 1 });
    assert_eq!(eve.error_of(&watch).await, 0);
    assert_eq!(ann.error_of(&set("/s", b"t")).await, 0);
    assert_eq!(ann.error_of(&create("/open", 0)).await, 0);
    let (header, mut body) = eve.answer().await.unwrap();
    assert_eq!(header.xid, xid::NOTIFICATION);
    assert_eq!(&*WatcherEvent::decode(&mut body).unwrap().path, "/open");

    let (_, mut body) = ann.call(&Call::GetAcl(PathRequest { path: "/s".into() })).await;
    let acl = AclResponse::decode(&mut body).unwrap().acl;
    assert_eq!(&*acl.entries()[0].identity.id, "ann:RYbu6l5aZwqon8VWmkcGvezdzfc=");
}

#[tokio::test]
async fn the_words_are_answered_to_whoever_asks_and_to_the_program() {
    let servers = Servers::start(1, ServeOptions::default).await;
    let _client = servers.client(0).await;
    let mut asking = Client::dial(servers.address(0)).await.stream;
    asking.write_all(b"srvr\n").await.unwrap();
    let mut text = String::new();
    asking.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("Zookeeper version: 3.9."), "{text}");
    assert!(text.contains("\nMode: standalone\nNode count: 4\n"), "{text}");
    let figures = servers.services[0].word(Word::Mntr).await;
    assert!(figures.contains("zk_global_sessions\t1\n"), "{figures}");
    servers.nodes[0].shutdown();
}

#[tokio::test]
async fn a_word_asks_the_server_no_more_than_its_text_needs() {
    let servers = Servers::start(1, ServeOptions::default).await;
    // Nothing else runs while this task does not wait: what is there at once was made without the server.
    for word in [Word::Ruok, Word::Envi, Word::Gtmk, Word::Stmk] {
        assert!(servers.services[0].word(word).now_or_never().is_some(), "{word} asks the server");
    }
    for word in [
        Word::Isro,
        Word::Crst,
        Word::Srst,
        Word::Conf,
        Word::Dirs,
        Word::Hash,
        Word::Srvr,
        Word::Stat,
        Word::Cons,
    ] {
        let mut text = Box::pin(servers.services[0].word(word));
        assert!((&mut text).now_or_never().is_none(), "{word} tells whether there is a quorum");
        // The server answers in turn: when it has answered this, it has answered the first question of the word.
        servers.nodes[0].status().await.unwrap();
        assert!((&mut text).now_or_never().is_some(), "{word} asks the server twice");
    }
}

#[tokio::test]
async fn sessions_ephemerals_and_watches_can_be_listed() {
    let servers = Servers::start(3, ServeOptions::default).await;
    let (mut ann, mut bob) = (servers.client(0).await, servers.client(1).await);
    ann.call(&create("/e", 1)).await;
    bob.call(&Call::Sync(PathRequest { path: "/".into() })).await;
    bob.call(&Call::GetData(read("/e", true))).await;
    let service = &servers.services[1];
    let dump = service.word(Word::Dump).await;
    assert!(dump.contains(&format!("Sessions with Ephemerals (1):\n{}:\n\t/e\n", ann.session)), "{dump}");
    assert!(dump.contains(&format!("\n{}\t10000ms\n", bob.session)), "{dump}");
    assert_eq!(service.word(Word::Wchc).await, format!("{}\n\t/e\n\n", bob.session));
    assert_eq!(service.word(Word::Wchs).await, "1 connections watching 1 paths\nTotal watches:1\n");
    assert_eq!(servers.services[0].word(Word::Wchp).await, "\n", "watches are the server's own");

    let report = service.report(Word::Cons).await;
    let [connection] = &report.connections[..] else { panic!("{:?}", report.connections) };
    assert_eq!((connection.session, connection.timeout_millis), (bob.session, 10_000));
    assert_eq!((connection.activity.received, connection.activity.sent), (3, 3));
    service.word(Word::Crst).await;
    assert!(service.registry().connections()[0].activity.is_empty());
}

#[tokio::test]
async fn a_client_that_asks_much_at_once_is_slowed_down_and_not_closed() {
    let servers = Servers::start(1, ServeOptions::default).await;
    let mut client = servers.client(0).await;
    for number in 0..1_000 {
        client.send(&create(&format!("/{number}"), 0)).await;
    }
    for _ in 0..1_000 {
        assert_eq!(client.answer().await.unwrap().0.err, 0);
    }
}

#[tokio::test]
async fn a_node_that_has_stopped_says_that_it_does_not_serve() {
    let servers = Servers::start(1, ServeOptions::default).await;
    let mut client = servers.client(0).await;
    servers.nodes[0].shutdown();
    assert!(client.answer().await.is_none());
    let mut late = Client::dial(servers.address(0)).await;
    assert_eq!(late.connect(&connect_request()).await, None);
    let text = servers.services[0].word(Word::Srvr).await;
    assert_eq!(text, "This ZooKeeper instance is not currently serving requests\n");
    assert_eq!(servers.services[0].word(Word::Ruok).await, "imok");
}
