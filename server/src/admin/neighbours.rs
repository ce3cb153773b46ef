use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use quorate::{ServerId, Time};
use tokio::sync::Mutex;

use crate::config::{HostPort, ZooCfg};
use crate::process::ask;

/// How long an answer is good for.
const FRESH: Duration = Duration::from_millis(1_500);
/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_millis(800);

/// What the other servers say of themselves when they are asked `srvr`, as everybody may ask them.
#[derive(Debug)]
pub(super) struct Neighbours {
    addresses: BTreeMap<ServerId, HostPort>,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    when: Option<Time>,
    words: BTreeMap<ServerId, Option<Word>>,
}

/// What a server said.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Word {
    pub(super) mode: String,
    pub(super) zxid: String,
    pub(super) connections: u64,
    pub(super) latency: String,
}

impl Neighbours {
    /// The client port of each other server: what its line says, or else, where every server has a host of its own, the port of
    /// this one.
    pub(super) fn new(cfg: &ZooCfg, me: ServerId) -> Self {
        let host_of = |id: &u64| cfg.servers.get(id).map(|server| server.line.quorum.host.as_str());
        let own = |id: &u64| cfg.servers.keys().filter(|other| host_of(other) == host_of(id)).count() == 1;
        let port = cfg.clients.plain.as_ref().map(|listen| listen.port);
        let others = cfg.servers.iter().filter(|(id, _)| **id != me.number());
        let addresses = others.filter_map(|(id, server)| {
            let host = server.line.quorum.host.clone();
            let client = match &server.line.client {
                Some(client) => {
                    let host = client.host.clone().filter(|host| host != "0.0.0.0" && host != "::");
                    HostPort { host: host.unwrap_or(server.line.quorum.host.clone()), port: client.port }
                }
                None => HostPort { host, port: port.filter(|_| own(id))? },
            };
            Some((ServerId::new(*id), client))
        });
        Self { addresses: addresses.collect(), heard: Mutex::default() }
    }

    /// What each says: nothing of one whose client port is not known, `None` of one that does not answer.
    pub(super) async fn ask(&self, now: Time) -> BTreeMap<ServerId, Option<Word>> {
        let mut heard = self.heard.lock().await;
        if heard.when.is_none_or(|when| now.since(when) > FRESH) {
            let asked = self.addresses.iter().map(|(id, at)| async move {
                let answer = ask(&at.host, at.port, "srvr", PATIENCE).await.ok();
                (*id, answer.as_deref().and_then(Word::parse))
            });
            *heard = Heard { when: Some(now), words: join_all(asked).await.into_iter().collect() };
        }
        heard.words.clone()
    }
}

impl Word {
    fn parse(text: &str) -> Option<Self> {
        let line = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(str::trim).map(str::to_owned)
        };
        Some(Self {
            mode: line("Mode")?,
            zxid: line("Zxid")?,
            connections: line("Connections").and_then(|count| count.parse().ok()).unwrap_or_default(),
            latency: line("Latency min/avg/max").unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Properties;

    fn addresses(lines: &str) -> Vec<String> {
        let text = format!(
            "dataDir=/d\ninitLimit=1\nsyncLimit=1\nclientPort=2181\nquorumInsecureTrustedNetwork=true\n{lines}"
        );
        let (cfg, _) = ZooCfg::read("zoo.cfg", &Properties::parse("zoo.cfg", &text), None).unwrap();
        Neighbours::new(&cfg, ServerId::new(1)).addresses.values().map(ToString::to_string).collect()
    }

    #[test]
    fn a_servers_client_port_is_in_its_line_or_the_same_on_every_machine() {
        assert_eq!(
            addresses("server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2;0.0.0.0:99\n"),
            ["b:2181", "c:99"]
        );
        assert_eq!(addresses("server.1=a:1:2\nserver.2=a:3:4\nserver.3=a:5:6\n"), Vec::<String>::new());
    }

    #[test]
    fn the_answer_to_srvr_is_understood() {
        let text = "Zookeeper version: 3.8\nLatency min/avg/max: 0/0.5/7\nReceived: 3\nConnections: 2\nZxid: 0x100000003\n\
                    Mode: follower\nNode count: 5\n";
        let word = Word::parse(text).unwrap();
        assert_eq!((word.mode.as_str(), word.zxid.as_str()), ("follower", "0x100000003"));
        assert_eq!((word.connections, word.latency.as_str()), (2, "0/0.5/7"));
        assert_eq!(Word::parse("This ZooKeeper instance is not currently serving requests\n"), None);
    }
}
