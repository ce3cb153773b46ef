use std::time::Duration;

use quorate::Now;
use quorate::node::NodeStopped;
use quorate::peer::{Detail, Role, Status};
use quorate::protocol::words::{ServerReport, Word};

use super::Admin;
use crate::observe::Totals;

/// One look at a server.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) now: Now,
    pub(super) up: Duration,
    pub(super) status: Status,
    /// What the listeners know, and what the node holds.
    pub(super) report: ServerReport,
    pub(super) totals: Totals,
    pub(super) standalone: bool,
}

impl Facts {
    /// Without lists.
    pub(super) async fn of(admin: &Admin) -> Result<Self, NodeStopped> {
        Self::look(admin, Detail::Counts).await
    }

    /// With the lists of connections, sessions and watches.
    pub(super) async fn in_full(admin: &Admin) -> Result<Self, NodeStopped> {
        Self::look(admin, Detail::Lists).await
    }

    async fn look(admin: &Admin, detail: Detail) -> Result<Self, NodeStopped> {
        let status = admin.node.status().await?;
        let mut report = match &admin.service {
            Some(service) => {
                service.report(if detail == Detail::Lists { Word::Cons } else { Word::Srvr }).await
            }
            None => ServerReport::stopped(),
        };
        report.inspection = admin.node.inspect(detail).await?;
        let now = admin.clock.now();
        Ok(Self {
            now,
            up: now.time.since(admin.started.time),
            status,
            report,
            totals: admin.counters.totals(),
            standalone: admin.cfg.standalone,
        })
    }

    /// As ZooKeeper names it.
    pub(super) fn mode(&self) -> &'static str {
        match self.status.role {
            _ if !self.status.serving => "looking",
            Role::Leading if self.standalone => "standalone",
            role => role_name(role),
        }
    }
}

pub(super) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Looking => "looking",
        Role::Following => "follower",
        Role::Leading => "leader",
        Role::Observing => "observer",
    }
}
