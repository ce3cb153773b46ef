use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures::executor::block_on;

use super::*;
use crate::transport::{Hub, HubTransport};
use crate::types::ClusterId;

/// A hub with something put around each of its ends.
struct Around<F>(Hub, F);

#[async_trait]
impl<F: Fn(HubTransport) -> Box<dyn Transport> + Send + Sync> Network for Around<F> {
    async fn start(&self, server: ServerId) -> Box<dyn Transport> {
        self.1(self.0.join(server))
    }

    async fn pause(&self) {}
}

fn check_around(wrap: impl Fn(HubTransport) -> Box<dyn Transport> + Send + Sync) -> Result<(), Violation> {
    block_on(check(&Around(Hub::new(ClusterId::new(1)), wrap)))
}

/// A transport that does something to what arrives.
struct Receiving<F>(HubTransport, F);

#[async_trait]
impl<F: Fn(ServerId, Bytes) -> Option<(ServerId, Bytes)> + Send + Sync> Transport for Receiving<F> {
    fn send(&self, to: ServerId, lane: Lane, frame: Bytes) {
        self.0.send(to, lane, frame);
    }

    async fn recv(&self) -> Option<(ServerId, Bytes)> {
        let (from, frame) = self.0.recv().await?;
        (self.1)(from, frame)
    }
}

/// A transport that does something to what is sent.
struct Sending<F>(HubTransport, F);

#[async_trait]
impl<F: Fn(&HubTransport, ServerId, Lane, Bytes) + Send + Sync> Transport for Sending<F> {
    fn send(&self, to: ServerId, lane: Lane, frame: Bytes) {
        (self.1)(&self.0, to, lane, frame);
    }

    async fn recv(&self) -> Option<(ServerId, Bytes)> {
        self.0.recv().await
    }
}

#[test]
fn the_hub_conforms() {
    assert_eq!(check_around(|end| Box::new(end)), Ok(()));
}

#[test]
fn a_transport_that_loses_doubles_and_delays_conforms() {
    let wrap = |end| -> Box<dyn Transport> {
        let late = Mutex::new((0_u64, VecDeque::new()));
        Box::new(Sending(end, move |end: &HubTransport, to, lane, frame: Bytes| {
            let mut late = late.lock().unwrap();
            late.0 += 1;
            match late.0 % 5 {
                0 => {}
                1 => late.1.push_back((to, lane, frame)),
                2 => {
                    end.send(to, lane, frame.clone());
                    end.send(to, lane, frame);
                }
                _ => {
                    end.send(to, lane, frame);
                    for (to, lane, frame) in late.1.drain(..) {
                        end.send(to, lane, frame);
                    }
                }
            }
        }))
    };
    assert_eq!(check_around(wrap), Ok(()));
}

#[test]
fn a_transport_with_one_queue_for_both_lanes_is_found_out() {
    let wrap = |end| -> Box<dyn Transport> {
        Box::new(Sending(end, |end: &HubTransport, to, _, frame| end.send(to, Lane::Bulk, frame)))
    };
    assert_eq!(check_around(wrap), Err(Violation::UrgentWaits));
}

#[test]
fn a_transport_that_cuts_long_frames_is_found_out() {
    let wrap = |end| -> Box<dyn Transport> {
        Box::new(Receiving(end, |from, frame: Bytes| Some((from, frame.slice(..frame.len().min(65_536))))))
    };
    assert_eq!(check_around(wrap), Err(Violation::Damaged { at: TWO, len: 65_536 }));
}

#[test]
fn a_transport_that_confuses_senders_is_found_out() {
    let wrap = |end| -> Box<dyn Transport> { Box::new(Receiving(end, |_, frame| Some((ABSENT, frame)))) };
    assert_eq!(check_around(wrap), Err(Violation::WrongSender { from: ONE, claimed: ABSENT }));
}

#[test]
fn a_transport_that_hands_frames_to_whoever_is_there_is_found_out() {
    let wrap = |end| -> Box<dyn Transport> {
        Box::new(Sending(end, |end: &HubTransport, _, lane, frame| end.send(TWO, lane, frame)))
    };
    assert!(matches!(
        check_around(wrap),
        Err(Violation::Damaged { at: TWO, .. } | Violation::NeverArrived { .. })
    ));
}

#[test]
fn a_transport_that_loses_all_urgent_frames_is_found_out() {
    let wrap = |end| -> Box<dyn Transport> {
        Box::new(Sending(end, |end: &HubTransport, to, lane, frame| {
            if lane == Lane::Bulk {
                end.send(to, lane, frame);
            }
        }))
    };
    let never = Violation::NeverArrived { from: ONE, to: TWO, when: "when all is well" };
    assert_eq!(check_around(wrap), Err(never));
}

#[test]
fn a_transport_that_ends_by_itself_is_found_out() {
    let wrap = |end| -> Box<dyn Transport> { Box::new(Receiving(end, |_, _| None)) };
    assert_eq!(check_around(wrap), Err(Violation::Ended(TWO)));
}

#[test]
fn a_transport_that_does_not_find_a_restarted_server_is_found_out() {
    let started = Arc::new(Mutex::new(Vec::new()));
    let wrap = move |end: HubTransport| -> Box<dyn Transport> {
        let mut started = started.lock().unwrap();
        let again = started.contains(&end.server());
        started.push(end.server());
        if again { Box::new(Sending(end, |_: &HubTransport, _, _, _| {})) } else { Box::new(end) }
    };
    let never = Violation::NeverArrived { from: TWO, to: ONE, when: "after server 2 restarted" };
    assert_eq!(check_around(wrap), Err(never));
}
