use std::time::Duration;

use quorate::peer::{Answer, ClientRequest, CloseReason, ReadLevel, Reply};
use quorate::types::{Epoch, LogEntry, Read, ServerId, SessionId, WallTime, WriteBatch};

use super::*;

fn at(millis: u64) -> Now {
    Now { time: Time::from_millis(millis), wall: WallTime::from_millis(0) }
}

fn client(number: u64) -> ClientId {
    ClientId::new(number)
}

fn ask(counters: &Counters, millis: u64, who: u64, tag: u64, request: Request) {
    let asked = ClientRequest { client: client(who), tag, request };
    counters.input(at(millis), &Input::Request(asked));
}

fn reply(counters: &Counters, millis: u64, who: u64, tag: u64) {
    let reply = Reply { client: client(who), tag, zxid: Zxid::ZERO, result: Ok(Answer::Done) };
    counters.output(at(millis), &Output::Reply(reply));
}

fn read() -> Request {
    Request::Read { read: Read::Get { path: "/".into() }, level: ReadLevel::Session, watch: false }
}

#[test]
fn a_request_is_timed_from_its_arrival_to_its_reply_whatever_the_order() {
    let counters = Counters::default();
    ask(&counters, 0, 1, 1, Request::Sync);
    ask(&counters, 10, 1, 2, read());
    ask(&counters, 10, 2, 1, read());
    reply(&counters, 12, 1, 2);
    reply(&counters, 40, 1, 1);
    let totals = counters.totals();
    assert_eq!((totals.reads.count(), totals.reads.sum()), (1, 2.0));
    assert_eq!((totals.updates.count(), totals.updates.sum()), (1, 40.0));
    assert_eq!(totals.outstanding, 1);
    counters.output(at(50), &Output::Closed { client: client(2), reason: CloseReason::NotServing });
    assert_eq!(counters.totals().outstanding, 0, "nobody waits on a connection that is closed");
    reply(&counters, 60, 2, 1);
    assert_eq!(counters.totals().reads.count(), 1);
}

#[test]
fn a_sync_of_the_log_is_timed_until_it_is_durable_and_its_transactions_counted() {
    let counters = Counters::default();
    let entry = |counter| LogEntry { zxid: Zxid::new(Epoch::new(1), counter), payload: Vec::new().into() };
    let batch = WriteBatch {
        ops: vec![LogOp::AcceptedEpoch(Epoch::new(1)), LogOp::Append(vec![entry(1), entry(2)])],
    };
    counters.output(at(5), &Output::Persist { id: PersistId::FIRST, batch });
    counters.input(at(6), &Input::Persisted(PersistId::FIRST.next()));
    assert_eq!(counters.totals().fsync.count(), 0, "that was another");
    counters.input(at(9), &Input::Persisted(PersistId::FIRST));
    let totals = counters.totals();
    assert_eq!((totals.fsync.count(), totals.fsync.sum()), (1, 4.0));
    assert_eq!((totals.batch.count(), totals.batch.sum()), (1, 2.0));
    assert_eq!(totals.proposals, 0, "it does not lead");
}

#[test]
fn an_election_and_the_time_without_answers_are_timed() {
    let counters = Counters::default();
    let tell = |millis, event| counters.output(at(millis), &Output::Event(event));
    let role = |role| PeerEvent::RoleChanged { role, leader: None, reason: String::new() };
    tell(0, PeerEvent::NotServing);
    tell(0, PeerEvent::ElectionStarted { round: 1 });
    tell(3, PeerEvent::ElectionStarted { round: 2 });
    tell(5, role(Role::Looking));
    tell(20, role(Role::Leading));
    tell(30, PeerEvent::Serving { epoch: Epoch::new(1) });
    tell(31, PeerEvent::LearnerSync { learner: ServerId::new(2), mode: "DIFF", from: Zxid::ZERO });
    tell(31, PeerEvent::LearnerSync { learner: ServerId::new(3), mode: "SNAP", from: Zxid::ZERO });
    tell(40, PeerEvent::SessionExpired { session: SessionId::from_u64(1) });
    let totals = counters.totals();
    assert_eq!((totals.election.count(), totals.election.sum(), totals.looking), (1, 20.0, 2));
    assert_eq!((totals.unavailable.count(), totals.unavailable.sum()), (1, 30.0));
    assert_eq!((totals.diffs, totals.snaps, totals.expired), (1, 1, 1));
    assert_eq!(totals.leading_since, Some(Time::ZERO + Duration::from_millis(20)));
    tell(50, role(Role::Looking));
    assert_eq!(counters.totals().leading_since, None);
}
