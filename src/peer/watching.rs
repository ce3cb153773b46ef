//! Watches: what a client asks of the registry, and what it missed.

use crate::types::{Acl, ClientId, ErrorCode, RequestPath, WatchMode, ZnodePath, Zxid};
use crate::watch::{Compacted, LostWatches};

use super::deliver::may_read;
use super::{Answer, Output, Peer, WatchRequest};

/// What one watch costs that is left again after a reconnect, in visited nodes.
const RESTORED: u64 = 10;

impl Peer {
    pub(super) fn change_watches(
        &mut self,
        client: ClientId,
        request: WatchRequest,
    ) -> Result<Answer, ErrorCode> {
        match request {
            WatchRequest::Add { path, mode } => {
                self.make_room_for_watches(client, 1)?;
                self.watches.watch_persistently(client, &parse(&path)?, mode);
                Ok(Answer::Done)
            }
            WatchRequest::Remove { path, target } => {
                let found = self.watches.remove(client, path.as_str(), target);
                if found { Ok(Answer::Done) } else { Err(ErrorCode::NoWatcher) }
            }
            WatchRequest::Check { path, target } => {
                let found = self.watches.has(client, path.as_str(), target);
                if found { Ok(Answer::Done) } else { Err(ErrorCode::NoWatcher) }
            }
            WatchRequest::Resume { path, mode, since } => self.resume_watch(client, &path, mode, since),
            WatchRequest::Restore { since, data, exist, child, persistent, recursive } => {
                let lost = LostWatches {
                    since,
                    data: parse_all(&data)?,
                    exist: parse_all(&exist)?,
                    child: parse_all(&child)?,
                    persistent: parse_all(&persistent)?,
                    recursive: parse_all(&recursive)?,
                };
                self.restore_watches(client, &lost)
            }
        }
    }

    /// What a change of watches costs, in visited nodes.
    pub(super) fn work_of(&self, request: &WatchRequest) -> u64 {
        match request {
            WatchRequest::Add { .. } | WatchRequest::Remove { .. } | WatchRequest::Check { .. } => 0,
            WatchRequest::Resume { since, .. } => self.recent.count_after(*since) as u64,
            WatchRequest::Restore { data, exist, child, persistent, recursive, .. } => {
                let paths: usize =
                    [data, exist, child, persistent, recursive].into_iter().map(Vec::len).sum();
                (paths as u64).saturating_mul(RESTORED)
            }
        }
    }

    /// Refuses watches beyond the client's bound.
    pub(super) fn make_room_for_watches(&self, client: ClientId, more: usize) -> Result<(), ErrorCode> {
        let room = self.config.limits.watches_per_client.saturating_sub(self.watches.count_of(client));
        if more <= room { Ok(()) } else { Err(ErrorCode::Throttled) }
    }

    fn resume_watch(
        &mut self,
        client: ClientId,
        path: &RequestPath,
        mode: WatchMode,
        since: Zxid,
    ) -> Result<Answer, ErrorCode> {
        self.make_room_for_watches(client, 1)?;
        let path = parse(path)?;
        let clients = &self.clients;
        let mut permits = |acl: &Acl| may_read(clients, client, acl);
        match self.recent.replay(path.as_str(), mode, since, &mut permits) {
            Ok(missed) => {
                self.watches.watch_persistently(client, &path, mode);
                for event in missed {
                    self.emit(Output::Watch { client, event });
                }
                Ok(Answer::Done)
            }
            Err(Compacted { through }) => Ok(Answer::Compacted { through }),
        }
    }

    fn restore_watches(&mut self, client: ClientId, lost: &LostWatches) -> Result<Answer, ErrorCode> {
        let LostWatches { data, exist, child, persistent, recursive, .. } = lost;
        let more = [data, exist, child, persistent, recursive].into_iter().map(Vec::len).sum();
        self.make_room_for_watches(client, more)?;
        let mut events = Vec::new();
        let (clients, tree) = (&self.clients, &self.state.tree);
        self.watches.restore(
            client,
            lost,
            &|path| tree.lookup(path),
            &mut |client, acl| may_read(clients, client, acl),
            &mut events,
        );
        for (client, event) in events {
            self.emit(Output::Watch { client, event });
        }
        Ok(Answer::Done)
    }
}

fn parse(path: &RequestPath) -> Result<ZnodePath, ErrorCode> {
    path.parse().map_err(|_| ErrorCode::BadArguments)
}

fn parse_all(paths: &[RequestPath]) -> Result<Vec<ZnodePath>, ErrorCode> {
    paths.iter().map(parse).collect()
}
