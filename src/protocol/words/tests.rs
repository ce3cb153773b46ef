use std::time::Duration;

use crate::peer::{Inspection, Role, SessionReport, Status, WatchReport};
use crate::protocol::record::OpCode;
use crate::protocol::{Activity, LastRequest, Latency};
use crate::types::{Epoch, ServerId, SessionId, Time, ZnodePath, Zxid};

use super::*;

fn path(text: &str) -> ZnodePath {
    ZnodePath::parse(text).unwrap()
}

fn report(role: Role) -> ServerReport {
    let mut latency = Latency::default();
    for millis in [1, 2, 4] {
        latency.record(Duration::from_millis(millis));
    }
    let activity = Activity { received: 12, sent: 11, latency, ..Activity::default() };
    let zxid = Zxid::from_u64(0x1_0000_0009);
    let session = SessionId::from_u64(0x1_0000_0001);
    let last = LastRequest { op: OpCode::GET_DATA, xid: 17, zxid, answered: Time::ZERO };
    let connection = ConnectionReport {
        address: "10.0.0.1:4711".parse().unwrap(),
        session,
        timeout_millis: 10_000,
        outstanding: 2,
        activity: Activity { last: Some(last), ..activity },
        established_millis: 1_700_000_000_000,
        answered_millis: 1_700_000_000_500,
        is_secure: false,
    };
    let asking = ConnectionReport { session: SessionId::NONE, ..connection.clone() };
    let mut inspection =
        Inspection { data_size: 44, ephemerals: 1, ephemeral_owners: 1, ..Inspection::default() };
    let ephemerals = vec![path("/e")];
    inspection.sessions = vec![SessionReport { session, timeout_millis: 10_000, is_here: true, ephemerals }];
    inspection.watches = vec![WatchReport { session, paths: vec![path("/a"), path("/b")] }];
    ServerReport {
        status: Some(Status {
            server: ServerId::new(1),
            role,
            serving: true,
            leader: Some(ServerId::new(1)),
            epoch: Epoch::new(1),
            logged: zxid,
            committed: zxid,
            applied: zxid,
            digest: 0xabc,
            znodes: 6,
            sessions: 1,
            clients: 1,
            watches: 2,
            learners: Vec::new(),
        }),
        inspection,
        voters: 3,
        servers: 3,
        activity,
        connection_count: 2,
        outstanding: 2,
        rejected: 5,
        uptime: Duration::from_millis(1_234),
        connections: vec![connection, asking],
    }
}

fn text(word: Word) -> String {
    answer(word, &report(Role::Leading), &NoHostFacts)
}

struct Host;

impl HostFacts for Host {
    fn configuration(&self) -> Vec<(String, String)> {
        vec![("clientPort".to_owned(), "2181".to_owned())]
    }

    fn metrics(&self) -> Vec<(String, String)> {
        vec![("fsync_count".to_owned(), "3".to_owned())]
    }
}

#[test]
fn srvr_is_as_zookeeper_writes_it() {
    let golden = format!(
        "Zookeeper version: {VERSION}, built on unknown\nLatency min/avg/max: 1/2.3333/4\nReceived: 12\nSent: 11\n\
         Connections: 2\nOutstanding: 2\nZxid: 0x100000009\nMode: leader\nNode count: 6\n"
    );
    assert_eq!(text(Word::Srvr), golden);
}

#[test]
fn the_mode_is_that_of_the_server_and_standalone_where_it_is_alone() {
    for (role, mode) in
        [(Role::Leading, "leader"), (Role::Following, "follower"), (Role::Observing, "observer")]
    {
        let text = answer(Word::Srvr, &report(role), &NoHostFacts);
        assert!(text.contains(&format!("\nMode: {mode}\n")), "{text}");
    }
    let alone = ServerReport { servers: 1, voters: 1, ..report(Role::Leading) };
    assert!(answer(Word::Srvr, &alone, &NoHostFacts).contains("\nMode: standalone\n"));
    assert!(answer(Word::Mntr, &alone, &NoHostFacts).contains("\nzk_server_state\tstandalone\n"));
}

#[test]
fn stat_and_cons_list_the_connections() {
    let stat = text(Word::Stat);
    let brief = "Clients:\n /10.0.0.1:4711[1](queued=2,recved=12,sent=11)\n /10.0.0.1:4711[0](queued=2,recved=12,sent=11)\n\n";
    assert!(stat.contains(brief), "{stat}");
    let golden = " /10.0.0.1:4711[1](queued=2,recved=12,sent=11,sid=0x100000001,lop=getData,est=1700000000000,to=10000,\
                  lcxid=0x11,lzxid=0x100000009,lresp=1700000000500,llat=4,minlat=1,avglat=2,maxlat=4)\n \
                  /10.0.0.1:4711[0](queued=2,recved=12,sent=11)\n\n";
    assert_eq!(text(Word::Cons), golden);
}

#[test]
fn mntr_has_a_figure_on_each_line_behind_a_tab() {
    let all = answer(Word::Mntr, &report(Role::Leading), &Host);
    for line in all.lines() {
        let (key, value) = line.split_once('\t').unwrap();
        assert!(key.starts_with("zk_") && !value.is_empty(), "{line}");
    }
    for line in [
        "zk_server_state\tleader",
        "zk_avg_latency\t2.3333",
        "zk_max_latency\t4",
        "zk_packets_received\t12",
        "zk_num_alive_connections\t2",
        "zk_outstanding_requests\t2",
        "zk_znode_count\t6",
        "zk_watch_count\t2",
        "zk_ephemerals_count\t1",
        "zk_approximate_data_size\t44",
        "zk_global_sessions\t1",
        "zk_connection_rejected\t5",
        "zk_uptime\t1234",
        "zk_quorum_size\t3",
        "zk_synced_followers\t0",
        "zk_fsync_count\t3",
    ] {
        assert!(all.lines().any(|found| found == line), "{line} is not in\n{all}");
    }
    assert!(!answer(Word::Mntr, &report(Role::Following), &Host).contains("synced_followers"));
}

#[test]
fn sessions_and_watches_are_listed() {
    assert_eq!(
        text(Word::Dump),
        "SessionTracker dump:\nGlobal Sessions(1):\n0x100000001\t10000ms\nephemeral nodes dump:\n\
         Sessions with Ephemerals (1):\n0x100000001:\n\t/e\n"
    );
    assert_eq!(text(Word::Wchs), "1 connections watching 2 paths\nTotal watches:2\n");
    assert_eq!(text(Word::Wchc), "0x100000001\n\t/a\n\t/b\n\n");
    assert_eq!(text(Word::Wchp), "/a\n\t0x100000001\n/b\n\t0x100000001\n\n");
}

#[test]
fn the_short_ones_are_as_zookeeper_writes_them() {
    assert_eq!(text(Word::Ruok), "imok");
    assert_eq!(text(Word::Isro), "rw");
    assert_eq!(text(Word::Dirs), "datadir_size: 0\nlogdir_size: 0\n");
    assert_eq!(text(Word::Crst), "Connection stats reset.\n");
    assert_eq!(text(Word::Srst), "Server stats reset.\n");
    assert_eq!(text(Word::Gtmk), "0");
    assert_eq!(text(Word::Hash), "0x100000009\t0000000000000abc\n");
    assert_eq!(answer(Word::Conf, &report(Role::Leading), &Host), "clientPort=2181\n");
    assert!(text(Word::Envi).starts_with("Environment:\nzookeeper.version="));
}

#[test]
fn without_a_quorum_only_the_process_answers() {
    let mut waiting = report(Role::Looking);
    waiting.status.as_mut().unwrap().serving = false;
    for report in [waiting, ServerReport::stopped()] {
        for word in Word::ALL {
            let text = answer(*word, &report, &NoHostFacts);
            match word {
                Word::Ruok => assert_eq!(text, "imok"),
                Word::Isro => assert_eq!(text, "null"),
                Word::Envi | Word::Gtmk | Word::Stmk => assert!(!text.contains("not currently")),
                _ => {
                    assert_eq!(text, "This ZooKeeper instance is not currently serving requests\n", "{word}")
                }
            }
        }
    }
}

/// The same report, without what is not said to be needed.
fn only(needs: Needs, all: ServerReport) -> ServerReport {
    let mut some = ServerReport::stopped();
    if needs >= Needs::Status {
        some.status = all.status.clone();
    }
    if needs >= Needs::Connections {
        let inspection = Inspection::default();
        some = ServerReport { inspection, ..all.clone() };
    }
    if needs >= Needs::Inspection {
        some = all;
    }
    some
}

#[test]
fn a_text_is_made_of_what_its_word_needs() {
    let mut waiting = report(Role::Looking);
    waiting.status.as_mut().unwrap().serving = false;
    for report in [report(Role::Leading), report(Role::Following), waiting, ServerReport::stopped()] {
        for word in Word::ALL {
            let text = answer(*word, &only(word.needs(), report.clone()), &Host);
            assert_eq!(text, answer(*word, &report, &Host), "{word}");
        }
    }
}

#[test]
fn a_whitelist_is_read_as_zookeeper_reads_it() {
    assert!(WordSet::default().allows(Word::Srvr) && !WordSet::default().allows(Word::Stat));
    let (set, unknown) = WordSet::parse(" mntr, ruok ,none,");
    assert_eq!(unknown, ["none"]);
    let allowed: Vec<Word> = Word::ALL.iter().copied().filter(|word| set.allows(*word)).collect();
    assert_eq!(allowed, [Word::Mntr, Word::Ruok]);
    assert_eq!(WordSet::parse("*"), (WordSet::ALL, vec![]));
    assert_eq!(Word::parse(*b"mntr"), Some(Word::Mntr));
    assert_eq!(Word::parse(*b"MNTR"), None);
}
