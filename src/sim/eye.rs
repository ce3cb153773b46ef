use std::sync::Mutex;

use crate::node::Observer;
use crate::peer::{
    Answer, CloseReason, Input, Message, Output, PeerEvent, ReadLevel, Request, Role, Status, WatchRequest,
};
use crate::types::{ErrorCode, Now, Refusal, ServerId, WatchEventKind, Zxid};
use crate::zab::{Body, Promise};

use super::check::{Checker, Seen};
use super::coverage::{Coverage, Point};
use super::leases::Leases;
use super::oracle::Oracle;
use super::wording::{happened, said};
use super::{Actor, Executor, Trace};

/// Looks on at one incarnation of a server, for the trace and for the checkers.
pub(super) struct Eye {
    pub(super) server: ServerId,
    pub(super) executor: Executor,
    pub(super) trace: Trace,
    pub(super) checker: Checker,
    pub(super) oracle: Oracle,
    pub(super) coverage: Coverage,
    pub(super) leases: Leases,
    /// Whether it led and served when it was last seen.
    pub(super) led: Mutex<bool>,
}

impl Eye {
    fn note(&self, kind: &'static str, numbers: &[u64], detail: impl FnOnce() -> String) {
        self.trace.note(self.executor.now(), Actor::Server(self.server), kind, numbers, detail);
    }
}

impl Observer for Eye {
    fn input(&self, now: Now, input: &Input) {
        match input {
            Input::Message { from, message } => {
                self.note("hears", &[from.number()], || format!("from S{from}: {}", said(message)));
            }
            Input::Persisted(id) => self.note("persisted", &[id.number()], || format!("{id:?}")),
            input => self.note("input", &[], || format!("{input:?}")),
        }
        if let Some(point) = of_input(input) {
            self.coverage.sometimes(point);
        }
        self.leases.input(self.server, now.time, input);
        self.oracle.input(self.server, input);
    }

    fn output(&self, now: Now, output: &Output) {
        match output {
            Output::Event(event) => self.note("event", &[], || happened(event)),
            Output::Send { to, message, .. } => {
                self.note("says", &[to.number()], || format!("to S{to}: {}", said(message)));
                let seen = Seen::Says { to: *to, message };
                self.checker.see(self.executor.now(), self.server, &seen);
            }
            Output::Reply(reply) => {
                let numbers = [reply.client.number(), reply.tag, reply.zxid.as_u64()];
                self.note("reply", &numbers, || format!("{reply:?}"));
            }
            Output::Watch { client, event } => {
                self.note("watch", &[client.number(), event.zxid.as_u64()], || {
                    format!("{client:?} {event:?}")
                });
            }
            _ => {}
        }
        if let Some(point) = of_output(output) {
            self.coverage.sometimes(point);
        }
        self.leases.output(self.executor.now(), self.server, now.time, output, &self.checker);
        self.oracle.output(self.executor.now(), self.server, output, &self.checker);
    }

    fn turn(&self, now: Now, status: &Status) {
        self.leases.turn(self.server, now.time);
        self.note("turn", &[status.committed.as_u64(), status.applied.as_u64(), status.digest], || {
            format!(
                "{:?} leader {:?} serving {} epoch {} logged {} committed {} applied {}",
                status.role,
                status.leader,
                status.serving,
                status.epoch,
                status.logged,
                status.committed,
                status.applied
            )
        });
        let leads = status.role == Role::Leading && status.serving;
        if let Ok(mut led) = self.led.lock()
            && std::mem::replace(&mut *led, leads)
            && !leads
        {
            self.coverage.sometimes(Point::LeaderStepsDown);
        }
        if status.role == Role::Observing && status.serving && status.clients > 0 {
            self.coverage.sometimes(Point::ObserverServes);
        }
        self.checker.see(self.executor.now(), self.server, &Seen::Status(status));
        self.oracle.applied(self.executor.now(), status, &self.checker);
    }
}

fn of_input(input: &Input) -> Option<Point> {
    Some(match input {
        Input::LogRead { .. } => Point::LogReadForLearner,
        Input::Request(request) => match &request.request {
            Request::Read { level: ReadLevel::Linearizable, .. } => Point::ReadLinearizable,
            Request::Read { level: ReadLevel::Local, .. } => Point::ReadLocal,
            Request::Watch(WatchRequest::Resume { .. }) => Point::WatchResumed,
            _ => return None,
        },
        _ => return None,
    })
}

fn of_output(output: &Output) -> Option<Point> {
    Some(match output {
        Output::Event(event) => match event {
            PeerEvent::LearnerSync { mode: "DIFF", .. } => Point::SyncDiff,
            PeerEvent::LearnerSync { mode: "TRUNC", .. } => Point::SyncTruncate,
            PeerEvent::LearnerSync { mode: "SNAP", .. } => Point::SyncSnapshot,
            PeerEvent::RolledBack { .. } => Point::RolledBack,
            PeerEvent::LinkReset { .. } => Point::LinkReset,
            PeerEvent::SnapshotSaved { .. } => Point::SnapshotSaved,
            PeerEvent::SnapshotNotSaved { .. } => Point::SnapshotNotSaved,
            PeerEvent::SessionExpired { .. } => Point::SessionExpires,
            _ => return None,
        },
        Output::Send { message: Message::Zab(message), .. } => match &message.body {
            Body::Chunk(chunk) if chunk.offset > 0 => Point::SnapshotResumed,
            Body::AckEpoch(promise) if promise.promise == Promise::Standing => Point::PromiseStanding,
            Body::AckEpoch(promise) if promise.promise == Promise::Newer => Point::PromiseNewer,
            Body::Join(join) if join.suspect => Point::JoinSuspect,
            Body::NotLeading => Point::NotLeading,
            Body::Propose { entries, .. } if entries.len() > 1 => Point::ManyProposed,
            _ => return None,
        },
        Output::Connected(connected) if connected.resumed => Point::SessionResumed,
        Output::Closed { reason, .. } => match reason {
            CloseReason::NotServing => Point::ClosedNotServing,
            CloseReason::Behind => Point::ClosedBehind,
            CloseReason::Moved => Point::SessionMoved,
            CloseReason::ClosedByClient => Point::ClosedByClient,
            _ => return None,
        },
        Output::Watch { event, .. } if event.zxid == Zxid::ZERO => Point::WatchMissed,
        Output::Watch { event, .. } => match event.kind {
            WatchEventKind::Created => Point::WatchCreated,
            WatchEventKind::Deleted => Point::WatchDeleted,
            WatchEventKind::DataChanged => Point::WatchDataChanged,
            WatchEventKind::ChildrenChanged => Point::WatchChildrenChanged,
        },
        Output::Reply(reply) => match &reply.result {
            Ok(Answer::Compacted { .. }) => Point::WatchCompacted,
            Err(Refusal { operation: Some(1..), .. }) => Point::MultiRefused,
            Err(refusal) => return of_refusal(refusal.code),
            _ => return None,
        },
        _ => return None,
    })
}

fn of_refusal(code: ErrorCode) -> Option<Point> {
    Some(match code {
        ErrorCode::NoNode => Point::RefusedNoNode,
        ErrorCode::NodeExists => Point::RefusedNodeExists,
        ErrorCode::BadVersion => Point::RefusedBadVersion,
        ErrorCode::NotEmpty => Point::RefusedNotEmpty,
        ErrorCode::NoAuth => Point::RefusedNoAuth,
        ErrorCode::NoChildrenForEphemerals => Point::RefusedEphemeralParent,
        ErrorCode::InvalidAcl => Point::RefusedInvalidAcl,
        ErrorCode::BadArguments => Point::RefusedBadArguments,
        ErrorCode::QuotaExceeded => Point::RefusedQuota,
        ErrorCode::Throttled => Point::RefusedThrottled,
        _ => return None,
    })
}
