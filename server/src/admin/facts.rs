use std::time::Duration;

use quorate::Now;
use quorate::node::NodeStopped;
use quorate::peer::{Role, Status};

use super::Admin;
use crate::observe::Totals;

/// One look at a server.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) now: Now,
    pub(super) up: Duration,
    pub(super) status: Status,
    pub(super) totals: Totals,
    pub(super) standalone: bool,
}

impl Facts {
    pub(super) async fn of(admin: &Admin) -> Result<Self, NodeStopped> {
        let status = admin.node.status().await?;
        let now = admin.clock.now();
        Ok(Self {
            now,
            up: now.time.since(admin.started.time),
            status,
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
