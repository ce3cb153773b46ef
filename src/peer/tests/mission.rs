//! The scenarios of elections and broadcast that every build shows, played by whole peers.

use std::time::Duration;

use futures::executor::block_on;

use super::cluster::{Cluster, create, read, set, sid, write};
use crate::codec;
use crate::peer::{Answer, PeerEvent, Role};
use crate::storage::Storage;
use crate::types::{
    Acl, CreateMode, Epoch, Found, Lifetime, LogEntry, LogOp, Read, ServerId, SessionId, Transaction, Txn,
    WallTime, WriteBatch, Written, ZnodePath, Zxid,
};

fn zxid(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(Epoch::new(epoch), counter)
}

/// The transaction that made `/n<counter>` at 1.<counter>.
fn entry(counter: u32) -> LogEntry {
    let transaction = Transaction {
        session: SessionId::NONE,
        time: WallTime::from_millis(1),
        origin: None,
        request: None,
        witness: None,
        txn: Txn::Create {
            path: ZnodePath::parse(format!("/n{counter}")).unwrap(),
            data: None,
            acl: Acl::open(),
            lifetime: Lifetime::Persistent,
        },
    };
    LogEntry { zxid: zxid(1, counter), payload: codec::encode(&transaction).unwrap() }
}

/// Gives a server the history 1.1 to 1.<counter>.
fn give_history(cluster: &mut Cluster, server: ServerId, counter: u32) {
    let disk = cluster.disk(server);
    block_on(disk.recover()).unwrap();
    let ops = vec![
        LogOp::AcceptedEpoch(Epoch::new(1)),
        LogOp::Append((1..=counter).map(entry).collect()),
        LogOp::CurrentEpoch(Epoch::new(1)),
    ];
    block_on(disk.write(WriteBatch { ops })).unwrap();
}

fn roles(cluster: &Cluster, servers: &[u64]) -> Vec<Role> {
    servers.iter().map(|server| cluster.role(sid(*server))).collect()
}

#[test]
fn first_start_of_five() {
    use Role::{Following, Leading, Looking};
    let settle = Duration::from_secs(1);
    let mut cluster = Cluster::new(5);

    // One vote of five: it goes on looking.
    cluster.start(sid(1));
    cluster.run_for(settle);
    assert_eq!(roles(&cluster, &[1]), [Looking]);
    assert_eq!(cluster.take_votes(), [(1, 1, 1)]);

    // Server 1 hears of the larger sid and changes its vote. Two votes of five: both go on looking.
    cluster.start(sid(2));
    cluster.run_for(settle);
    assert_eq!(roles(&cluster, &[1, 2]), [Looking, Looking]);
    assert_eq!(cluster.take_votes(), [(2, 2, 2), (1, 2, 2)]);

    // Both change to server 3, which has three votes of five.
    cluster.start(sid(3));
    cluster.run_for(settle);
    assert_eq!(roles(&cluster, &[1, 2, 3]), [Following, Following, Leading]);
    let mut votes = cluster.take_votes();
    votes.sort_unstable();
    assert_eq!(votes, [(1, 3, 3), (2, 3, 3), (3, 3, 3)]);

    // Server 4 has the larger sid and joins all the same; so does server 5.
    for joiner in [4, 5] {
        cluster.start(sid(joiner));
        cluster.run_for(settle);
        assert_eq!(cluster.role(sid(joiner)), Following);
        assert_eq!(cluster.leader(), Some(sid(3)));
        assert!(cluster.take_votes().iter().all(|(voter, _, _)| *voter == joiner), "nobody else votes again");
    }
    assert_eq!(cluster.status(sid(5)).epoch, Epoch::new(1));
}

#[test]
fn restart_with_history() {
    let mut cluster = Cluster::new(5);
    for (server, counter) in [(1, 8), (2, 8), (3, 8), (4, 7), (5, 7)] {
        give_history(&mut cluster, sid(server), counter);
    }
    // Server 3 led. It and server 5 are down.
    for server in [1, 2, 4] {
        cluster.start(sid(server));
    }
    cluster.await_serving();
    assert_eq!(roles(&cluster, &[1, 2, 4]), [Role::Following, Role::Leading, Role::Following]);
    // Server 4 has been given the transaction that it lacked.
    for server in [1, 2, 4] {
        assert_eq!(cluster.status(sid(server)).applied, zxid(1, 8));
        assert!(cluster.peer(sid(server)).state().tree.lookup("/n8").is_some());
    }
}

#[test]
fn fresher_zxid_beats_larger_sid() {
    let mut cluster = Cluster::new(3);
    // The larger sid has the shorter history.
    give_history(&mut cluster, sid(1), 10);
    give_history(&mut cluster, sid(2), 9);
    cluster.start(sid(1));
    cluster.start(sid(2));
    cluster.await_serving();
    assert_eq!(cluster.leader(), Some(sid(1)));
    assert_eq!(cluster.status(sid(2)).applied, zxid(1, 10));
}

#[test]
fn joining_server_finds_the_leader() {
    let mut cluster = Cluster::new(3);
    cluster.start(sid(1));
    cluster.start(sid(2));
    cluster.await_serving();
    let client = cluster.connect(sid(1));
    cluster.create(client, "/a", CreateMode::PERSISTENT);
    let before = cluster.status(sid(2));
    cluster.take_votes();

    cluster.start(sid(3));
    cluster.await_serving();
    let after = cluster.status(sid(2));
    assert_eq!((after.role, after.epoch), (Role::Leading, before.epoch), "the leader was not disturbed");
    assert_eq!(cluster.role(sid(3)), Role::Following);
    assert!(cluster.peer(sid(3)).state().tree.lookup("/a").is_some());
    assert!(cluster.take_votes().iter().all(|(voter, _, _)| *voter == 3));
}

#[test]
fn scn_29_members_of_an_epoch_tell_one_vote_whenever_they_came_and_who_returns_finds_the_leader_by_it() {
    // Their histories were not the same when they voted, and one of them comes when the epoch is no more new.
    let mut cluster = Cluster::new(5);
    for (server, counter) in [(1, 8), (2, 8), (3, 8), (4, 7), (5, 7)] {
        give_history(&mut cluster, sid(server), counter);
    }
    [1, 2, 4].into_iter().for_each(|server| cluster.start(sid(server)));
    cluster.await_serving();
    let client = cluster.connect(sid(2));
    cluster.create(client, "/a", CreateMode::PERSISTENT);
    cluster.start(sid(3));
    cluster.await_serving();
    cluster.create(client, "/b", CreateMode::PERSISTENT);
    let told = |cluster: &Cluster, server| cluster.peer(sid(server)).election.vote();
    let vote = told(&cluster, 2).unwrap();
    let before = cluster.status(sid(2));
    assert_eq!((vote.sid, vote.epoch, before.role), (sid(2), before.epoch, Role::Leading));
    assert!([1, 3, 4].iter().all(|server| told(&cluster, *server) == Some(vote)), "leader, epoch and zxid");

    // One that returns and one that comes for the first time; with 3 gone for good a quorum of equal votes is all that is left.
    for server in [1, 3] {
        cluster.stop(sid(server));
    }
    for server in [1, 5] {
        let joined_by = cluster.clock().time + Duration::from_secs(1);
        cluster.start(sid(server));
        cluster.run_until("it follows", |c| c.role(sid(server)) == Role::Following);
        assert!(cluster.clock().time < joined_by, "the votes were equal at once");
        cluster.await_serving();
        assert_eq!(told(&cluster, server), Some(vote));
    }
    let after = cluster.status(sid(2));
    assert_eq!((after.role, after.epoch), (Role::Leading, before.epoch), "nobody was disturbed");
}

#[test]
fn returning_leader_rolls_back() {
    let mut cluster = Cluster::new(3);
    cluster.start(sid(1));
    cluster.start(sid(2));
    cluster.await_serving();
    cluster.start(sid(3));
    cluster.await_serving();
    assert_eq!(cluster.leader(), Some(sid(2)));
    let client = cluster.connect(sid(2));
    cluster.create(client, "/kept", CreateMode::PERSISTENT);
    let common = cluster.status(sid(2)).logged;
    cluster.run_for(Duration::from_millis(50));

    // Leader 2 logs a proposal that nobody else gets, and stops.
    cluster.isolate(sid(2));
    cluster.send(client, write(create("/lost", CreateMode::PERSISTENT)));
    cluster.run_for(Duration::from_millis(50));
    assert!(cluster.status(sid(2)).logged > common);
    cluster.stop(sid(2));
    cluster.heal();

    // 3 and 1 elect 3 and go on.
    cluster.run_until("3 leads", |c| c.leader() == Some(sid(3)));
    cluster.await_serving();
    let client = cluster.connect(sid(1));
    cluster.create(client, "/new", CreateMode::PERSISTENT);
    cluster.events.clear();

    // 2 comes back ahead in its old epoch, is told to truncate and is given what it misses.
    cluster.start(sid(2));
    cluster.await_serving();
    assert!(cluster.events.iter().any(|(server, event)| {
        *server == sid(2) && matches!(event, PeerEvent::RolledBack { to, .. } if *to == common)
    }));
    let client = cluster.connect(sid(2));
    assert!(cluster.exists(client, "/kept"));
    assert!(cluster.exists(client, "/new"));
    assert!(!cluster.exists(client, "/lost"));
    assert_eq!(cluster.status(sid(2)).digest, cluster.status(sid(3)).digest);
}

#[test]
fn below_a_quorum_no_write_is_acknowledged() {
    let mut cluster = Cluster::running(3);
    let leader = cluster.leader().unwrap();
    let client = cluster.connect(leader);
    for server in [1, 2, 3].map(sid) {
        if server != leader {
            cluster.stop(server);
        }
    }
    let tag = cluster.send(client, write(create("/a", CreateMode::PERSISTENT)));
    cluster.run_for(Duration::from_secs(30));
    assert!(!cluster.clients[&client].replies.contains_key(&tag));
    assert_eq!(cluster.role(leader), Role::Looking, "it stepped down");
}

#[test]
fn the_stat_is_shown_as_a_client_prints_it() {
    let mut cluster = Cluster::running(3);
    let client = cluster.connect(sid(1));
    let created = cluster.ask(client, write(create("/zkPro", CreateMode::PERSISTENT)));
    let Ok(Answer::Written(Written::Created { stat, .. })) = created else { panic!("{created:?}") };
    assert_eq!((stat.mzxid, stat.pzxid), (stat.czxid, stat.czxid));
    assert_eq!((stat.cversion, stat.version, stat.data_length, stat.num_children), (0, 0, 6, 0));
    assert_eq!(stat.ephemeral_owner, SessionId::NONE);

    cluster.ask(client, write(set("/zkPro", "myData123"))).unwrap();
    let Ok(Answer::Found(Found::Data { stat: after, .. })) =
        cluster.ask(client, read(Read::Get { path: "/zkPro".into() }))
    else {
        panic!("no data")
    };
    assert_eq!(after.mzxid, stat.mzxid.next().unwrap());
    assert_eq!((after.version, after.data_length), (1, 9));
    assert_eq!((after.czxid, after.pzxid, after.cversion), (stat.czxid, stat.pzxid, 0));
}

#[test]
fn everything_restarts_from_disk() {
    let mut cluster = Cluster::new(3).tuned(|config| config.limits.snapshot_every = 10).run();
    let client = cluster.connect(sid(1));
    for number in 0..25 {
        cluster.create(client, &format!("/n{number}"), CreateMode::PERSISTENT);
    }
    cluster.run_for(Duration::from_secs(1));
    let before = cluster.status(sid(1));
    for server in [1, 2, 3] {
        cluster.stop(sid(server));
    }
    cluster.start_all();
    cluster.await_serving();
    for server in [1, 2, 3] {
        let status = cluster.status(sid(server));
        assert_eq!((status.applied, status.digest), (before.applied, before.digest));
    }
    assert!(cluster.status(sid(1)).epoch > before.epoch);
}
