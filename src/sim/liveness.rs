use std::time::Duration;

use crate::client::ClientError;
use crate::types::{Epoch, ErrorCode, ServerId, Zxid};

use super::coverage::Point;
use super::{Actor, Failure, Fault, JoinHandle, LinkFaults, World};

/// How many spans servers may take until all are in one state, if the hindmost comes nearer in each of them.
const NEARING: u32 = 5;

/// How long nothing may change in a settled ensemble that nobody uses.
const QUIET: Duration = Duration::from_secs(10);

/// How many such spans it may take until the last sessions have expired.
const SETTLING: u32 = 6;

/// How many messages a second an idle ensemble may send for each ordered pair of servers: heartbeats and their answers, and
/// the votes of those who find no leader.
const IDLE_MESSAGES: u64 = 60;

/// What is demanded of an ensemble that is left in peace.
impl World {
    /// Heals the servers of `core` and the links among them, and leaves everything else as broken as it is: who is down
    /// stays down, what is cut or held stays so. No link loses frames any more by chance: who loses one in ten for ever, has
    /// the newest history and is elected for it can never bring anybody level, and ZooKeeper's election would elect it again.
    /// Clients reach all servers that run.
    pub fn heal(&self, core: &[ServerId]) {
        self.note(Actor::World, "heal", &[core.len() as u64], || format!("{core:?}"));
        self.network().set_all_faults(LinkFaults::default());
        for a in core {
            for b in core.iter().filter(|b| *b != a) {
                self.network().repair(*a, *b);
            }
            self.give_back(*a);
            self.apply(Fault::RepairDisk(*a));
            self.with_clock(*a, |clock| clock.set_rate(1_000_000));
            self.apply(Fault::Resume(*a));
            self.apply(Fault::Restart(*a));
        }
        let mut number = 0;
        while let Some(lines) = self.lines(number) {
            lines.set_blocked(false);
            number += 1;
        }
    }

    /// Demands that the servers of `core`, a healed quorum, come to life: within `span` one of them leads, and a write
    /// of a new client of theirs is committed, and all of them reach one state. How long who was away needs for that is a
    /// matter of what it has missed and of its disk: while the hindmost applies more in every `span`, they have five.
    ///
    /// # Errors
    ///
    /// [`Failure::TooSlow`] when they do not.
    pub async fn demand_progress(&self, core: &[ServerId], span: Duration) -> Result<(), Failure> {
        let mut deadline = self.now() + span;
        let process = self.process();
        let client = process.client_of(core, self.client_options());
        let write = async {
            loop {
                match client.create("/quorum-lives-", "").sequential().await {
                    Err(error) if error.is(ErrorCode::Throttled) => {
                        self.sleep(Duration::from_millis(20)).await;
                    }
                    other => return other,
                }
            }
        };
        match self.timeout(span, write).await {
            // A refusal too is a transaction, and has been committed.
            Some(Ok(_) | Err(ClientError::Refused(_))) => {}
            Some(Err(error)) => return Err(self.too_slow(core, &format!("a write: {error}"))),
            None => return Err(self.too_slow(core, "a write of a new client")),
        }
        for _ in 0..NEARING {
            let before = self.hindmost(core);
            while self.now() < deadline {
                if self.is_level(core) {
                    drop(client);
                    return Ok(());
                }
                self.sleep(Duration::from_millis(50)).await;
            }
            if self.hindmost(core) <= before {
                break;
            }
            deadline += span;
        }
        Err(self.too_slow(core, "that all servers reach one state"))
    }

    /// How far those of these servers have come that have applied least.
    fn hindmost(&self, servers: &[ServerId]) -> Option<Zxid> {
        self.inner().checker().with_cluster(|cluster| {
            let views = servers.iter().filter_map(|server| cluster.servers.get(server));
            views.filter_map(|view| view.status.as_ref()).map(|status| status.applied).min()
        })
    }

    /// Whether all of these servers have applied all that is committed, as far as they can reach the leader: it may
    /// be one outside of them, of whose links no more is asked than that a quorum can live with them.
    fn is_level(&self, servers: &[ServerId]) -> bool {
        let Some(leader) = self.current_leader().map(|leader| leader.id()) else { return false };
        let reachable = |server: ServerId| {
            self.network().is_connected(server, leader) && self.network().is_connected(leader, server)
        };
        self.inner().checker().with_cluster(|cluster| {
            let last = cluster.ghost.last();
            servers.iter().filter(|server| reachable(**server)).all(|server| {
                cluster
                    .servers
                    .get(server)
                    .and_then(|view| view.status.as_ref())
                    .is_some_and(|status| status.serving && status.applied == last)
            })
        })
    }

    fn too_slow(&self, core: &[ServerId], what: &str) -> Failure {
        let states: Vec<_> = self
            .servers()
            .iter()
            .filter(|server| core.contains(&server.id()))
            .map(|server| match server.status() {
                Some(status) => format!(
                    "S{} {:?} serving {} epoch {} logged {} committed {} applied {}",
                    status.server,
                    status.role,
                    status.serving,
                    status.epoch,
                    status.logged,
                    status.committed,
                    status.applied
                ),
                None => format!("S{} down ({:?})", server.id(), server.ended()),
            })
            .collect();
        Failure::TooSlow { at: self.now(), what: format!("{what} ({})", states.join("; ")) }
    }

    /// Demands all that an ensemble owes when no fault comes any more, and those there are stay for good: within `span` a
    /// leader and a commit, within `span` more an end of all that clients had begun; and then quiet: one leader, no new
    /// epochs, no more messages than heartbeats need.
    ///
    /// # Errors
    ///
    /// [`Failure::TooSlow`] or [`Failure::Violated`] when something of that does not hold.
    pub(super) async fn demand_liveness(
        &self,
        core: &[ServerId],
        clients: Vec<JoinHandle<()>>,
        span: Duration,
    ) -> Result<(), Failure> {
        self.demand_progress(core, span).await?;
        let all = futures::future::join_all(clients);
        let Some(_) = self.timeout(span, all).await else {
            return Err(self.too_slow(core, "that all clients finish what they have begun"));
        };
        self.demand_drained(core, span).await?;
        self.demand_progress(core, span).await?;
        self.demand_quiet(core).await
    }

    /// Waits until no server of the core has a request without an answer.
    async fn demand_drained(&self, core: &[ServerId], span: Duration) -> Result<(), Failure> {
        let deadline = self.now() + span;
        loop {
            let waiting: usize = core.iter().map(|server| self.inner().oracle.unanswered(*server)).sum();
            if waiting == 0 {
                return Ok(());
            }
            if self.now() >= deadline {
                return Err(self.too_slow(core, &format!("that {waiting} requests are answered")));
            }
            self.sleep(Duration::from_millis(100)).await;
        }
    }

    /// Nobody uses the ensemble: it keeps its leader and its epoch, and says no more than it must. (SCN-36, SCN-37.)
    ///
    /// A server with a disk that fails for good may ask for a snapshot again and again: its pieces are not counted then.
    async fn demand_quiet(&self, core: &[ServerId]) -> Result<(), Failure> {
        struct Look {
            committed: usize,
            reign: (Option<ServerId>, Epoch),
            sent: u64,
            pieces: u64,
        }
        let look = || Look {
            committed: self.inner().checker().with_cluster(|cluster| cluster.ghost.len()),
            reign: (self.current_leader().map(|leader| leader.id()), self.newest_epoch(core)),
            sent: self.network().counters().sent,
            pieces: self.hits(Point::SnapshotResumed),
        };
        // Votes of a past election may still travel.
        self.sleep(QUIET / 2).await;
        let (mut before, mut after) = (look(), look());
        for _ in 0..SETTLING {
            before = look();
            self.sleep(QUIET).await;
            after = look();
            // The sessions of clients that have gone still expire, and may spend the last zxids of an epoch.
            if before.committed == after.committed {
                break;
            }
        }
        if before.reign != after.reign {
            let (before, after) = (before.reign, after.reign);
            let what =
                format!("leader and newest epoch were {before:?} and became {after:?} without a fault");
            return Err(Failure::Violated { at: self.now(), invariant: "StableLeader", what });
        }
        let servers = self.servers().len() as u64;
        let mut bound = servers * servers.saturating_sub(1) * IDLE_MESSAGES * QUIET.as_secs();
        if self.has_failing_disk() {
            // Each piece is answered.
            bound += 2 * (after.pieces - before.pieces);
        }
        let sent = after.sent - before.sent;
        if sent > bound {
            let what =
                format!("{servers} idle servers sent {sent} messages in {QUIET:?}; {bound} would be many");
            return Err(Failure::Violated { at: self.now(), invariant: "NoMessageStorm", what });
        }
        Ok(())
    }

    /// How often this was reached.
    fn hits(&self, point: Point) -> u64 {
        let all = self.inner().coverage.hits();
        all.iter().filter(|(reached, _)| *reached == point).map(|(_, hits)| hits).sum()
    }

    /// Whether the disk of any server fails, or has only so much room.
    fn has_failing_disk(&self) -> bool {
        self.lock().machines.values().any(|machine| machine.disk.is_failing())
    }

    /// The newest epoch that any of these servers has promised.
    fn newest_epoch(&self, servers: &[ServerId]) -> Epoch {
        self.inner().checker().with_cluster(|cluster| {
            let views = servers.iter().filter_map(|server| cluster.servers.get(server));
            views.map(|view| view.asked.accepted).max().unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::{Latency, Server, WorldConfig};
    use super::*;
    use crate::peer::{ClientRequest, Connect, Input, Request};
    use crate::transport::Transport as _;
    use crate::types::{ClientId, Lane};

    const SPAN: Duration = Duration::from_secs(10);

    fn all(world: &World) -> Vec<ServerId> {
        world.servers().iter().map(Server::id).collect()
    }

    async fn follower(world: &World) -> Server {
        let leader = world.leader().await.id();
        world.servers().into_iter().find(|server| server.id() != leader).unwrap()
    }

    /// What is found when `trouble` comes while the ensemble is demanded to live.
    fn demand(trouble: impl Fn(&World)) -> Result<(), Failure> {
        let world = World::new(11);
        let core = all(&world);
        let lived = world.run(async {
            world.leader().await;
            trouble(&world);
            world.demand_liveness(&core, Vec::new(), SPAN).await
        });
        world.end();
        lived.and_then(|lived| lived)
    }

    fn violated(found: Result<(), Failure>) -> &'static str {
        match found {
            Err(Failure::Violated { invariant, .. }) => invariant,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_ensemble_that_is_left_in_peace_lives() {
        assert_eq!(demand(|_| {}), Ok(()));
    }

    #[test]
    fn a_core_that_cannot_make_a_quorum_is_found() {
        let found = demand(|world| world.servers().iter().for_each(Server::isolate));
        assert!(matches!(found, Err(Failure::TooSlow { .. })), "{found:?}");
    }

    /// What is found when a server has missed so many writes and reads them one at a time from a slow disk.
    fn demand_after_missing(writes: usize) -> Result<(), Failure> {
        let mut config =
            WorldConfig { disk_latency: Latency::fixed(Duration::from_millis(20)), ..WorldConfig::default() };
        (config.limits.snapshot_chunk, config.limits.log_window) = (16, 1);
        let world = World::with(11, config);
        let core = all(&world);
        let lived = world.run(async {
            let away = follower(&world).await;
            away.crash();
            let client = world.client();
            let written = (0..writes).map(|_| async { client.set("/", "x").await.map(drop) });
            futures::future::try_join_all(written).await.unwrap();
            away.restart();
            world.demand_progress(&core, SPAN / 10).await
        });
        world.end();
        lived.and_then(|lived| lived)
    }

    #[test]
    fn a_server_that_comes_nearer_has_as_long_as_that_goes_on() {
        assert_eq!(demand_after_missing(100), Ok(()));
    }

    #[test]
    fn a_server_that_comes_nearer_for_too_long_is_found() {
        let found = demand_after_missing(1_000);
        assert!(matches!(found, Err(Failure::TooSlow { .. })), "{found:?}");
    }

    #[test]
    fn a_server_that_does_not_come_nearer_is_found_at_once() {
        let world = World::new(11);
        let core = all(&world);
        let span = world.run(async {
            follower(&world).await.pause();
            let began = world.now();
            let found = world.demand_progress(&core, SPAN).await;
            assert!(matches!(found, Err(Failure::TooSlow { .. })), "{found:?}");
            world.now().since(began)
        });
        assert_eq!(span.unwrap().as_secs(), SPAN.as_secs());
        world.end();
    }

    #[test]
    fn a_leader_that_changes_without_need_is_found() {
        let found = demand(|world| {
            let later = world.clone();
            drop(world.spawn(async move {
                later.sleep(Duration::from_secs(12)).await;
                later.leader().await.bounce();
            }));
        });
        assert_eq!(violated(found), "StableLeader");
    }

    /// A stranger sends a server a thousand messages a second.
    fn storm(world: &World) {
        let later = world.clone();
        let stranger = world.network().transport(ServerId::new(99));
        drop(world.spawn(async move {
            for _ in 0..200 {
                later.sleep(Duration::from_millis(100)).await;
                for _ in 0..100 {
                    stranger.send(ServerId::new(1), Lane::Bulk, Bytes::new());
                }
            }
        }));
    }

    #[test]
    fn a_storm_of_messages_is_found() {
        assert_eq!(violated(demand(storm)), "NoMessageStorm");
    }

    /// What is found of a server without room for the snapshot that it asks for, whose leader sends it in small pieces.
    fn demand_without_room(trouble: impl Fn(&World)) -> Result<(), Failure> {
        let mut config = WorldConfig::default();
        (config.limits.snapshot_chunk, config.limits.snapshot_every, config.limits.log_window) = (16, 2, 1);
        config.files.preallocate = 0;
        let world = World::with(11, config);
        let lived = world.run(async {
            let away = follower(&world).await;
            away.crash();
            let client = world.client();
            for _ in 0..20 {
                client.create("/part-", vec![7; 1_000]).sequential().await.unwrap();
                // Time to save a snapshot, so that the log before it is purged.
                world.sleep(Duration::from_secs(1)).await;
            }
            drop(client);
            away.wipe_disk();
            world.apply(Fault::DiskFull(away.id(), 16_000));
            away.restart();
            trouble(&world);
            let core: Vec<_> = all(&world).into_iter().filter(|server| *server != away.id()).collect();
            let lived = world.demand_liveness(&core, Vec::new(), SPAN).await;
            assert!(world.hits(Point::SnapshotNotSaved) > 5, "it asks again and again");
            lived
        });
        world.end();
        lived.and_then(|lived| lived)
    }

    #[test]
    fn a_server_that_asks_again_for_a_snapshot_that_it_has_no_room_for_makes_no_storm() {
        assert_eq!(demand_without_room(|_| {}), Ok(()));
        assert_eq!(violated(demand_without_room(storm)), "NoMessageStorm");
    }

    #[test]
    fn a_request_that_a_server_does_not_answer_is_found() {
        let (server, client) = (ServerId::new(1), ClientId::new(7));
        let asks = |world: &World| {
            let (resume, timeout_millis, last_seen, identities) = (None, 1_000, Zxid::ZERO, Vec::new());
            let connect = Connect { client, resume, timeout_millis, last_seen, identities };
            let request = ClientRequest { client, tag: 1, request: Request::Ping };
            for input in [Input::Connect(connect), Input::Request(request)] {
                world.inner().oracle.input(server, &input);
            }
        };
        match demand(asks) {
            Err(Failure::TooSlow { what, .. }) => assert!(what.starts_with("that 1 requests"), "{what}"),
            other => panic!("{other:?}"),
        }
        let goes = |world: &World| {
            asks(world);
            let later = world.clone();
            drop(world.spawn(async move {
                later.sleep(SPAN / 2).await;
                later.inner().oracle.input(server, &Input::Disconnect(client));
            }));
        };
        assert_eq!(demand(goes), Ok(()), "whoever has gone waits no more");
    }

    #[test]
    fn a_client_that_never_gets_its_answer_is_found() {
        let world = World::new(11);
        let core = all(&world);
        let stuck = world.spawn(std::future::pending());
        let lived = world.run(world.demand_liveness(&core, vec![stuck], SPAN)).unwrap();
        assert!(matches!(lived, Err(Failure::TooSlow { .. })), "{lived:?}");
        world.end();
    }
}
