use crate::node::Observer;
use crate::peer::{Input, Output, Status};
use crate::types::{Now, ServerId};

use super::check::{Checker, Seen};
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
}

impl Eye {
    fn note(&self, kind: &'static str, numbers: &[u64], detail: impl FnOnce() -> String) {
        self.trace.note(self.executor.now(), Actor::Server(self.server), kind, numbers, detail);
    }
}

impl Observer for Eye {
    fn input(&self, _now: Now, input: &Input) {
        match input {
            Input::Message { from, message } => {
                self.note("hears", &[from.number()], || format!("from S{from}: {}", said(message)));
            }
            Input::Persisted(id) => self.note("persisted", &[id.number()], || format!("{id:?}")),
            input => self.note("input", &[], || format!("{input:?}")),
        }
        self.oracle.input(self.server, input);
    }

    fn output(&self, _now: Now, output: &Output) {
        match output {
            Output::Event(event) => self.note("event", &[], || happened(event)),
            Output::Send { to, message, .. } => {
                self.note("says", &[to.number()], || format!("to S{to}: {}", said(message)));
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
        self.oracle.output(self.executor.now(), self.server, output, &self.checker);
    }

    fn turn(&self, _now: Now, status: &Status) {
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
        self.checker.see(self.executor.now(), self.server, &Seen::Status(status));
        self.oracle.applied(self.executor.now(), self.server, status.applied, &self.checker);
    }
}
