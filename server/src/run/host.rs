use std::path::PathBuf;
use std::sync::Arc;

use quorate::protocol::words::HostFacts;

use crate::admin::{disk, settings};
use crate::config::{Plan, ZooCfg};
use crate::observe::Counters;

/// What the four-letter words tell beyond what the node knows.
pub(super) struct Host {
    settings: Vec<(String, String)>,
    directories: [PathBuf; 2],
    counters: Arc<Counters>,
}

impl Host {
    pub(super) fn new(cfg: &ZooCfg, plan: &Plan, counters: Arc<Counters>) -> Self {
        Self { settings: settings::lines(cfg, plan), directories: plan.directories.both(), counters }
    }
}

impl HostFacts for Host {
    fn configuration(&self) -> Vec<(String, String)> {
        self.settings.clone()
    }

    fn environment(&self) -> Vec<(String, String)> {
        let dir = std::env::current_dir().map(|dir| dir.display().to_string()).unwrap_or_default();
        vec![("user.dir".to_owned(), dir), ("pid".to_owned(), std::process::id().to_string())]
    }

    fn directory_sizes(&self) -> (u64, u64) {
        let [snapshots, log] = &self.directories;
        (disk::size(snapshots), disk::size(log))
    }

    fn metrics(&self) -> Vec<(String, String)> {
        let metrics = crate::admin::own_metrics(&self.counters.totals());
        metrics.into_iter().map(|(name, value)| (name, value.to_string())).collect()
    }
}
