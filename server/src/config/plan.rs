use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate::node::NodeConfig;
use quorate::peer::{Ensemble, Member, PeerConfig};
use quorate::storage::{FileStorageOptions, IfEmpty};
use quorate::{ClusterId, ServerId};

use super::zoo_cfg::{Clients, EnsembleServer, KeyFiles, Listen, PeerSecurity, ZooCfg};
use super::{HostPort, Problem, Refused, Warning};

/// The directory of ours in `dataDir` and in `dataLogDir`, beside ZooKeeper's `version-2`.
const SUBDIRECTORY: &str = "quorate";
/// How many connections may be open when `maxCnxns` sets no limit.
const CONNECTIONS: usize = 100_000;

/// What the directory of the data says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Found {
    /// The text of `myid`, if there is such a file.
    pub my_id: Option<String>,
    /// Whether there is a file `initialize`: the operator says that a server without data may vote.
    pub initialize: bool,
}

/// What a server is to be started with: a [`ZooCfg`] in the library's terms. Names are not resolved and no file is read yet.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The node.
    pub node: NodeConfig,
    /// Where its data is.
    pub directories: Directories,
    /// How it is opened.
    pub storage: FileStorageOptions,
    /// Whether a server without data begins as one of a new ensemble, which votes; ZooKeeper's `db.autocreate`, or its file
    /// `initialize`. Otherwise it votes when a leader has brought it level.
    pub may_start_new: bool,
    /// Its peers; none for a server alone.
    pub peers: Option<PeerPlan>,
    /// Its clients.
    pub clients: Clients,
    /// What the operator should know.
    pub warnings: Vec<Warning>,
}

/// Where the data is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Directories {
    /// `dataDir`.
    pub data: PathBuf,
    /// Snapshots.
    pub snapshots: PathBuf,
    /// The log, if it is elsewhere.
    pub log: Option<PathBuf>,
}

impl Directories {
    /// That of the snapshots and that of the log, which may be the same.
    #[must_use]
    pub fn both(&self) -> [PathBuf; 2] {
        [self.snapshots.clone(), self.log.clone().unwrap_or_else(|| self.snapshots.clone())]
    }
}

/// The way to the other servers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerPlan {
    /// Where to listen: a host to resolve, and a port.
    pub listen: HostPort,
    /// All servers.
    pub addresses: BTreeMap<ServerId, String>,
    /// How they know each other.
    pub security: PlannedSecurity,
}

/// [`Security`](quorate::transport::tcp::Security) before its files are read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PlannedSecurity {
    /// All servers are on this machine.
    Loopback,
    /// The operator trusts the network.
    TrustedNetwork,
    /// With these files.
    Tls(KeyFiles),
}

impl Plan {
    /// Makes the plan of what the file and the data directory say. `seed` is fresh entropy.
    ///
    /// # Errors
    ///
    /// What does not fit.
    pub fn new(cfg: &ZooCfg, found: &Found, seed: [u8; 32]) -> Result<Self, Refused> {
        let server = own_id(cfg, found)?;
        let mut warnings = Vec::new();
        let own = cfg.servers.get(&server.number());
        if let (Some(observer), Some(own)) = (cfg.peer_type, own)
            && observer != own.line.observer
        {
            let text = "peerType and the role in the server's own line differ; the line counts".to_owned();
            warnings.push(Warning { place: None, text });
        }
        let cluster = ClusterId::new(cfg.cluster);
        let mut storage = FileStorageOptions::new(cluster, server, IfEmpty::AwaitSync);
        storage.snapshots_kept = usize_of(cfg.storage.snapshots_kept);
        if let Some(kib) = cfg.storage.preallocate_kib {
            storage.preallocate = u64::from(kib).saturating_mul(1024);
        }
        let plan = Self {
            node: node(cfg, cluster, server, seed),
            directories: directories(cfg),
            storage,
            may_start_new: cfg.storage.autocreate || found.initialize,
            peers: own.filter(|_| !cfg.standalone).map(|own| peers(cfg, own)),
            clients: clients(cfg, own),
            warnings,
        };
        plan.node.validate().map_err(|error| {
            let write = "correct the settings that this comes from";
            Refused(vec![Problem::missing(&cfg.file, error.to_string(), write)])
        })?;
        Ok(plan)
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> ServerId {
        self.node.peer.server
    }
}

/// The number in `myid`, which the file must know; a server alone needs none.
fn own_id(cfg: &ZooCfg, found: &Found) -> Result<ServerId, Refused> {
    let file: Arc<str> = cfg.data_dir.join("myid").display().to_string().into();
    let refuse = |wrong: String, write: String| Err(Refused(vec![Problem::missing(&file, wrong, write)]));
    let only = cfg.servers.keys().next().copied();
    let Some(text) = &found.my_id else {
        if cfg.standalone {
            return Ok(ServerId::new(only.unwrap_or(1)));
        }
        return refuse(
            "there is no such file".to_owned(),
            format!(
                "write into it the number A of this server's line server.A, and nothing else ({})",
                known(cfg)
            ),
        );
    };
    let Ok(id) = text.trim().parse::<u64>() else {
        return refuse(
            format!("`{}` is not the number of a server", text.trim().chars().take(40).collect::<String>()),
            "write the number A of this server's line server.A, and nothing else".to_owned(),
        );
    };
    if !cfg.servers.is_empty() && !cfg.servers.contains_key(&id) {
        return refuse(
            format!("there is no line server.{id} in {}", cfg.file),
            format!("add that line, or correct the number ({})", known(cfg)),
        );
    }
    Ok(ServerId::new(id))
}

fn known(cfg: &ZooCfg) -> String {
    let known: Vec<_> = cfg.servers.keys().map(|id| format!("server.{id}")).collect();
    format!("there are {}", known.join(", "))
}

fn node(cfg: &ZooCfg, cluster: ClusterId, server: ServerId, seed: [u8; 32]) -> NodeConfig {
    let ensemble = if cfg.servers.is_empty() {
        Ensemble::majority([server])
    } else {
        cfg.servers.iter().fold(Ensemble::default(), |ensemble, (id, server)| {
            let voting = !server.line.observer;
            let weight = if voting { server.weight } else { 0 };
            ensemble.with_members([ServerId::new(*id)], Member { voting, weight, group: server.group })
        })
    };
    let mut peer = PeerConfig::new(cluster, server, ensemble, seed);
    let timing = &mut peer.timing;
    timing.tick = cfg.tick;
    timing.init_limit = cfg.init_limit;
    timing.sync_limit = cfg.sync_limit;
    timing.session_min = cfg.session_min;
    timing.session_max = cfg.session_max;
    let limits = &mut peer.limits;
    limits.data_len = usize_of(cfg.clients.max_buffer);
    limits.snapshot_every = cfg.storage.snapshot_every.into();
    if let Some(window) = cfg.storage.log_window {
        limits.log_window = usize_of(window);
    }
    let mut node = NodeConfig::new(peer);
    node.connections = match cfg.clients.total {
        0 => CONNECTIONS,
        // The admin page is a client too.
        total => usize_of(total).saturating_add(1),
    };
    node
}

fn directories(cfg: &ZooCfg) -> Directories {
    let log = cfg.data_log_dir.as_ref().filter(|dir| **dir != cfg.data_dir);
    Directories {
        data: cfg.data_dir.clone(),
        snapshots: cfg.data_dir.join(SUBDIRECTORY),
        log: log.map(|dir: &PathBuf| Path::new(dir).join(SUBDIRECTORY)),
    }
}

fn peers(cfg: &ZooCfg, own: &EnsembleServer) -> PeerPlan {
    let mut listen = own.line.quorum.clone();
    if cfg.listen_on_all {
        "0.0.0.0".clone_into(&mut listen.host);
    }
    let addresses =
        cfg.servers.iter().map(|(id, server)| (ServerId::new(*id), server.line.quorum.to_string())).collect();
    let security = match &cfg.peers {
        PeerSecurity::Unsaid => PlannedSecurity::Loopback,
        PeerSecurity::TrustedNetwork => PlannedSecurity::TrustedNetwork,
        PeerSecurity::Tls(files) => PlannedSecurity::Tls(files.clone()),
    };
    PeerPlan { listen, addresses, security }
}

/// The server's own line may name the port for clients too; the setting comes first.
fn clients(cfg: &ZooCfg, own: Option<&EnsembleServer>) -> Clients {
    let mut clients = cfg.clients.clone();
    if let (None, Some(client)) = (&clients.plain, own.and_then(|own| own.line.client.as_ref())) {
        clients.plain = Some(Listen { host: client.host.clone(), port: client.port });
    }
    clients
}

fn usize_of(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
