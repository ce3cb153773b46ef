//! Three ZAB machines in memory on one thread, without disks and network.

use std::hint::black_box;

use bytes::Bytes;
use quorate::types::{Epoch, Recovered, SeededRng, ServerId, Standing, Time, Zxid};
use quorate::zab::{Output, Zab, ZabConfig};

/// Three ZABs.
pub struct Trio {
    servers: Vec<Zab>,
    now: Time,
    delivered: usize,
}

impl Trio {
    /// Server 1 leads, 2 and 3 follow.
    pub fn new() -> Self {
        let ids = [1, 2, 3].map(ServerId::new);
        let recovered = Recovered {
            accepted_epoch: Epoch::ZERO,
            current_epoch: Epoch::ZERO,
            snapshot: None,
            log_start: Zxid::ZERO,
            log: Vec::new(),
            standing: Standing::Whole,
        };
        let servers = ids.map(|id| {
            let mut config = ZabConfig::majority(id, ids);
            config.window = 256;
            Zab::new(config, recovered.clone(), SeededRng::from_number(id.number()))
        });
        let mut trio = Self { servers: servers.into(), now: Time::from_millis(1), delivered: 0 };
        trio.servers[0].lead(trio.now);
        trio.servers[1].follow(trio.now, ids[0]);
        trio.servers[2].follow(trio.now, ids[0]);
        trio.run();
        assert!(trio.servers[0].is_established() && trio.servers[1].is_synced());
        trio
    }

    /// Carries out outputs until there are none.
    pub fn run(&mut self) {
        loop {
            let mut idle = true;
            for at in 0..3 {
                while let Some(output) = self.servers[at].poll_output() {
                    idle = false;
                    match output {
                        Output::Persist { ticket, op } => {
                            black_box(op);
                            self.servers[at].handle_persisted(self.now, ticket);
                        }
                        Output::Send { to, message, .. } => {
                            let from = ServerId::new(at as u64 + 1);
                            self.servers[to.number() as usize - 1].handle_message(self.now, from, message);
                        }
                        Output::Deliver { zxid, payload } => {
                            black_box((zxid, payload));
                            self.delivered += 1;
                        }
                        other => drop(black_box(other)),
                    }
                }
            }
            if idle {
                return;
            }
        }
    }

    /// Proposes `payload` `batch` times, until all servers have delivered it.
    pub fn commit(&mut self, batch: u64, payload: &Bytes) {
        let before = self.delivered;
        for _ in 0..batch {
            self.servers[0].propose(payload.clone()).expect("it leads");
        }
        self.run();
        assert_eq!(self.delivered - before, 3 * batch as usize);
    }
}
