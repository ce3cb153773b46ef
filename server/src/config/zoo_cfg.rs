use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use quorate::protocol::words::WordSet;

use super::server_line::{HostPort, ServerLine};
use super::settings::Settings;
use super::{Properties, Refused, Warning, take};

/// A `zoo.cfg`, read: typed, complete, and without contradictions. Of the world outside of the file it knows nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ZooCfg {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// `dataDir`: where `myid` is, and the snapshots and the log, in a directory of ours.
    pub data_dir: PathBuf,
    /// `dataLogDir`: where the log is, if not there.
    pub data_log_dir: Option<PathBuf>,
    /// `tickTime`.
    pub tick: Duration,
    /// `initLimit`, in ticks.
    pub init_limit: u32,
    /// `syncLimit`, in ticks.
    pub sync_limit: u32,
    /// `minSessionTimeout`; 2 ticks unless it is set.
    pub session_min: Duration,
    /// `maxSessionTimeout`; 20 ticks unless it is set.
    pub session_max: Duration,
    /// `server.A`, `group.G` and `weight.A`.
    pub servers: BTreeMap<u64, EnsembleServer>,
    /// Whether it is one server that runs alone: there is none, or one and `standaloneEnabled`.
    pub standalone: bool,
    /// `peerType`, if it is set: whether it is an observer.
    pub peer_type: Option<bool>,
    /// `clusterId`; a key of ours.
    pub cluster: u64,
    /// How servers know each other.
    pub peers: PeerSecurity,
    /// `quorumListenOnAllIPs`.
    pub listen_on_all: bool,
    /// Where clients come in.
    pub clients: Clients,
    /// What is kept on the disk.
    pub storage: StorageSettings,
    /// `4lw.commands.whitelist`.
    pub words: WordSet,
    /// `extendedTypesEnabled`: whether nodes with a time to live can be made.
    pub extended_types: bool,
    /// `DigestAuthenticationProvider.superDigest`: the identity of the super user.
    pub super_digest: Option<String>,
    /// `X509AuthenticationProvider.superUser`: the subject of the certificate that makes a client the super user.
    pub super_subject: Option<String>,
    /// `admin.*`; none when it is switched off.
    pub admin: Option<HostPort>,
    /// `metricsProvider.*`: a listener for metrics alone, if one is asked for.
    pub metrics: Option<HostPort>,
}

/// One server of the ensemble.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EnsembleServer {
    /// Its line.
    pub line: ServerLine,
    /// Its weight in votes; 1 unless it is set.
    pub weight: u32,
    /// Its group; 0 where there are none.
    pub group: u32,
}

/// How the servers of an ensemble know each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PeerSecurity {
    /// The file says nothing: right for servers that are all on this machine.
    Unsaid,
    /// `quorumInsecureTrustedNetwork=true`, a key of ours.
    TrustedNetwork,
    /// `sslQuorum=true`.
    Tls(KeyFiles),
}

/// Files in PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyFiles {
    /// A private key and the chain of certificates for it.
    pub keys: PathBuf,
    /// The certificates of the authorities.
    pub authorities: Option<PathBuf>,
}

/// Where clients come in, and how many.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Clients {
    /// `clientPort` and `clientPortAddress`; without a host on every address.
    pub plain: Option<Listen>,
    /// `secureClientPort` and `secureClientPortAddress`.
    pub secure: Option<SecureListen>,
    /// `maxClientCnxns`: connections from one address; 0 for any number.
    pub per_address: u32,
    /// `maxCnxns`: connections in all; 0 for any number.
    pub total: u32,
    /// `clientPortListenBacklog`: how many connections may wait to be accepted, as far as the system allows it.
    pub backlog: u32,
    /// `jute.maxbuffer`, in bytes.
    pub max_buffer: u32,
}

/// A port to listen at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listen {
    /// The host; none for every address of the machine.
    pub host: Option<String>,
    /// The port.
    pub port: u16,
}

/// A port to listen at with TLS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecureListen {
    /// The port.
    pub listen: Listen,
    /// The files.
    pub keys: KeyFiles,
    /// Whether clients must, may or need not show a certificate.
    pub client_auth: ClientAuth,
}

/// `ssl.clientAuth`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientAuth {
    /// Clients must show a certificate; the default.
    Need,
    /// They may.
    Want,
    /// They are not asked.
    None,
}

/// What is kept on the disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StorageSettings {
    /// `snapCount`: after how many transactions a snapshot is taken.
    pub snapshot_every: u32,
    /// `autopurge.snapRetainCount`: how many snapshots are kept.
    pub snapshots_kept: u32,
    /// `preAllocSize`, in KiB, if it is set.
    pub preallocate_kib: Option<u32>,
    /// `commitLogCount`: how many entries are kept in memory for learners, if it is set.
    pub log_window: Option<u32>,
    /// `db.autocreate`: whether a server without data votes.
    pub autocreate: bool,
}

impl ZooCfg {
    /// The name of the file of `server.` lines, if the settings are spread over two.
    #[must_use]
    pub fn dynamic_file(properties: &Properties) -> Option<PathBuf> {
        let last = properties.entries().iter().rev().find(|entry| entry.key == "dynamicConfigFile")?;
        (!last.value.is_empty()).then(|| PathBuf::from(&last.value))
    }

    /// Reads settings; `dynamic` are those of the file that [`dynamic_file`](Self::dynamic_file) names.
    ///
    /// # Errors
    ///
    /// All that is wrong.
    pub fn read(
        file: &str,
        properties: &Properties,
        dynamic: Option<&Properties>,
    ) -> Result<(Self, Vec<Warning>), Refused> {
        let mut settings = Settings::new(file, properties);
        settings.entry("dynamicConfigFile");
        let cfg = take::take(&mut settings, dynamic);
        let (problems, warnings) = settings.finish();
        match cfg {
            Some(cfg) if problems.is_empty() => Ok((cfg, warnings)),
            _ => Err(Refused(problems)),
        }
    }
}
