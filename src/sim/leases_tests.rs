use crate::peer::{ClientRequest, Connected, Request, hearing_of};
use crate::types::{Epoch, Lane, Password};

use super::*;

const SERVER: ServerId = ServerId::new(1);
const OTHER: ServerId = ServerId::new(2);

/// Longer than anything that these leaders do not hear for.
const PATIENT: Duration = Duration::from_secs(60);

/// A leader since 1 s, whose client has session 7 with a timeout of 2 s.
struct Leader {
    leases: Leases,
    checker: Checker,
}

impl Leader {
    fn new(stall_guard: Duration) -> Self {
        let leader = Self { leases: Leases::new(stall_guard), checker: Checker::new([(SERVER, true)]) };
        leader.output(1_000, &Output::Event(PeerEvent::Serving { epoch: Epoch::new(1) }));
        let connected = Connected {
            client: ClientId::new(3),
            session: SessionId::from_u64(7),
            password: Password::new([0; 16]),
            timeout_millis: 2_000,
            resumed: false,
        };
        leader.output(1_500, &Output::Connected(connected));
        leader
    }

    fn output(&self, millis: u64, output: &Output) {
        let now = Time::from_millis(millis);
        self.leases.output(now, SERVER, now, output, &self.checker);
    }

    fn turn(&self, millis: u64) {
        self.leases.turn(SERVER, Time::from_millis(millis));
    }

    fn hears(&self, millis: u64) {
        let request = ClientRequest { client: ClientId::new(3), tag: 1, request: Request::Ping };
        self.leases.input(SERVER, Time::from_millis(millis), &Input::Request(request));
    }

    /// The session's client has gone to another server, which tells of it on a link.
    fn is_told(&self, millis: u64, link: u64, sequence: u64) {
        let payloads = vec![hearing_of(vec![SessionId::from_u64(9), SessionId::from_u64(7)])];
        let message =
            Message::Zab(zab::Message { link: id(link), sequence, body: Body::Forward { payloads } });
        self.leases.input(SERVER, Time::from_millis(millis), &Input::Message { from: OTHER, message });
    }

    fn says(&self, millis: u64, link: u64, body: Body) {
        let message = Message::Zab(zab::Message { link: id(link), sequence: 0, body });
        self.output(millis, &Output::Send { to: OTHER, lane: Lane::Urgent, message });
    }

    /// Whether the session may expire now.
    fn expires(&self, millis: u64) -> bool {
        let session = SessionId::from_u64(7);
        self.output(millis, &Output::Event(PeerEvent::SessionExpired { session }));
        self.checker.failure().is_none()
    }
}

fn id(number: u64) -> LinkId {
    LinkId { life: 1, number }
}

#[test]
fn an_expiry_soon_after_a_sign_of_life_is_found() {
    for (expires, sound) in [(5_001, false), (6_999, false), (7_000, true)] {
        let leader = Leader::new(PATIENT);
        leader.hears(5_000);
        assert_eq!(leader.expires(expires), sound, "it counts at once, and for so long");
    }
}

#[test]
fn an_expiry_soon_after_another_server_told_of_the_session_is_found() {
    for (expires, sound) in [(5_001, false), (6_999, false), (7_000, true)] {
        let leader = Leader::new(PATIENT);
        leader.is_told(5_000, 1, 4);
        leader.turn(5_000);
        assert_eq!(leader.expires(expires), sound);
    }
}

#[test]
fn what_a_leader_does_not_take_from_another_server_is_no_sign_of_life() {
    // It turns the other server away, and may do so before it has looked at what that says.
    for body in [Body::Reset, Body::NotLeading] {
        let leader = Leader::new(PATIENT);
        leader.is_told(5_000, 1, 4);
        leader.says(5_000, 1, body);
        leader.turn(5_000);
        assert!(leader.expires(5_500));
    }
    // It has heard that before, and another link makes no difference to that.
    let leader = Leader::new(PATIENT);
    leader.is_told(3_000, 2, 4);
    leader.is_told(3_000, 1, 9);
    leader.turn(3_000);
    leader.is_told(5_000, 2, 4);
    leader.turn(5_000);
    assert!(leader.expires(5_500));
    // It does not lead yet.
    let leader = Leader::new(PATIENT);
    leader.output(3_000, &Output::Event(PeerEvent::NotServing));
    leader.is_told(3_500, 1, 1);
    leader.turn(3_500);
    leader.output(3_600, &Output::Event(PeerEvent::Serving { epoch: Epoch::new(2) }));
    leader.output(5_600, &Output::Event(PeerEvent::SessionExpired { session: SessionId::from_u64(7) }));
    assert_eq!(leader.checker.failure(), None);
}

#[test]
fn an_expiry_soon_after_the_reign_began_is_found() {
    assert!(!Leader::new(PATIENT).expires(2_999));
    assert!(Leader::new(PATIENT).expires(3_000));
}

#[test]
fn an_expiry_because_of_time_in_which_the_leader_stood_still_is_found() {
    let guard = Duration::from_millis(1_000);
    // It was called often enough.
    for (expires, sound) in [(7_499, false), (7_500, true)] {
        let leader = Leader::new(guard);
        (3..6).for_each(|seconds| leader.turn(seconds * 1_000));
        leader.hears(5_500);
        leader.turn(6_500);
        assert_eq!(leader.expires(expires), sound);
    }
    // It was not called for 1.5 s.
    for (expires, sound) in [(8_999, false), (9_000, true)] {
        let leader = Leader::new(guard);
        (3..6).for_each(|seconds| leader.turn(seconds * 1_000));
        leader.hears(5_500);
        leader.turn(7_000);
        leader.turn(8_000);
        assert_eq!(leader.expires(expires), sound);
    }
}
