//! What is known of keys: those that are implemented, those that are not and why, and which one was perhaps meant.

use super::settings::flag;

/// The keys that do something here, each with an example of its value. Families (`server.1`) are named with a dot at the end.
const IMPLEMENTED: &[(&str, &str)] = &[
    ("DigestAuthenticationProvider.superDigest", "super:xQJmxLMiHGwaqBvst5y6rkB6HQs="),
    ("X509AuthenticationProvider.superUser", "CN=admin,O=example"),
    ("4lw.commands.whitelist", "srvr, ruok, mntr"),
    ("admin.commandURL", "/commands"),
    ("admin.enableServer", "true"),
    ("admin.serverAddress", "127.0.0.1"),
    ("admin.serverPort", "8080"),
    ("autopurge.purgeInterval", "1"),
    ("autopurge.snapRetainCount", "3"),
    ("clientPort", "2181"),
    ("clientPortAddress", "127.0.0.1"),
    ("clientPortListenBacklog", "4096"),
    ("clusterId", "1"),
    ("commitLogCount", "10000"),
    ("dataDir", "/var/lib/quorate"),
    ("dataLogDir", "/var/lib/quorate-log"),
    ("db.autocreate", "true"),
    ("dynamicConfigFile", "/etc/quorate/zoo.cfg.dynamic"),
    ("electionAlg", "3"),
    ("extendedTypesEnabled", "true"),
    ("group.", "1:2:3"),
    ("initLimit", "10"),
    ("jute.maxbuffer", "1048575"),
    ("maxClientCnxns", "60"),
    ("maxCnxns", "10000"),
    ("maxSessionTimeout", "40000"),
    ("metricsProvider.className", "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"),
    ("metricsProvider.exportJvmInfo", "false"),
    ("metricsProvider.httpHost", "127.0.0.1"),
    ("metricsProvider.httpPort", "7000"),
    ("minSessionTimeout", "4000"),
    ("peerType", "observer"),
    ("preAllocSize", "4096"),
    ("quorumInsecureTrustedNetwork", "true"),
    ("quorumListenOnAllIPs", "false"),
    ("secureClientPort", "2281"),
    ("secureClientPortAddress", "127.0.0.1"),
    ("server.", "host:2888:3888"),
    ("snapCount", "100000"),
    ("ssl.clientAuth", "need"),
    ("ssl.keyStore.location", "/etc/quorate/server.pem"),
    ("ssl.keyStore.type", "PEM"),
    ("ssl.quorum.clientAuth", "need"),
    ("ssl.quorum.keyStore.location", "/etc/quorate/peer.pem"),
    ("ssl.quorum.keyStore.type", "PEM"),
    ("ssl.quorum.trustStore.location", "/etc/quorate/peers-ca.pem"),
    ("ssl.quorum.trustStore.type", "PEM"),
    ("ssl.trustStore.location", "/etc/quorate/clients-ca.pem"),
    ("ssl.trustStore.type", "PEM"),
    ("sslQuorum", "true"),
    ("standaloneEnabled", "true"),
    ("syncLimit", "5"),
    ("tickTime", "2000"),
    ("weight.", "1"),
];

/// Keys that ask for protection which is not here. To go on without it is for a person to decide.
const GUARDS: &[&str] = &[
    "audit.enable",
    "enforce.auth.enabled",
    "fips-mode",
    "quorum.auth.enableSasl",
    "quorum.auth.learnerRequireSasl",
    "quorum.auth.serverRequireSasl",
    "sessionRequireClientSASLAuth",
    "ssl.crl",
    "ssl.ocsp",
    "ssl.quorum.crl",
    "ssl.quorum.ocsp",
];

/// Keys that are accepted and do nothing, and why. A name that ends with a dot stands for all that begin so.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("admin.idleTimeout", "the admin server closes a connection when it is done with it"),
    ("authProvider.", "there are the schemes world, auth, digest, ip and, over TLS, x509; none can be added"),
    ("clientTcpKeepAlive", "sessions show that a client is alive"),
    ("closeSessionTxn.enabled", "every server knows the ephemeral nodes of a session"),
    ("cnxTimeout", "peers are called again until they answer"),
    ("commitProcessor.", "there are no such threads"),
    ("connectToLearnerMasterLimit", "`initLimit` is used"),
    ("connection_throttle_", "connections are limited by maxClientCnxns and maxCnxns"),
    ("digest.enabled", "the digest is always kept and compared"),
    ("electionPortBindRetry", "the election uses the quorum port; a port that is taken is told at once"),
    ("flushDelay", "whatever waits while the disk works is its next batch"),
    ("forceSync", "what is acknowledged is always on the disk first"),
    ("enforceQuota", "hard quotas are always enforced"),
    ("fsync.warningthresholdms", "the metric `fsynctime` shows how long syncs take"),
    (
        "globalOutstandingLimit",
        "requests are limited for each connection, and at the leader by number and size",
    ),
    ("jvm.", "there is no Java virtual machine"),
    ("largeRequest", "requests are limited by jute.maxbuffer"),
    ("leaderServes", "a leader always serves clients"),
    ("learner.", "learners have no such settings"),
    ("localSessionsEnabled", "all sessions are global"),
    ("localSessionsUpgradingEnabled", "all sessions are global"),
    ("maxBatchSize", "whatever waits while the disk works is its next batch"),
    ("maxGetChildrenResponseCacheSize", "there is no cache of responses"),
    ("maxResponseCacheSize", "there is no cache of responses"),
    ("maxWriteQueuePollTime", "whatever waits while the disk works is its next batch"),
    ("multiAddress.", "the first address of each server is used"),
    ("netty.", "there is no Netty"),
    ("nio.", "there are no such threads"),
    ("observer.", "observers have no such settings"),
    ("observerMasterPort", "observers connect to the leader"),
    ("portUnification", "secureClientPort is a port of its own"),
    ("quorumCnxnTimeoutMs", "a peer is given up after syncLimit ticks"),
    ("readonlymode.enabled", "a server without a quorum serves nobody; read-only mode is not implemented"),
    ("reconfigEnabled", "the ensemble cannot be changed while it runs; clients are told so (-123)"),
    ("request_throttle_", "requests are limited for each connection, and at the leader by number and size"),
    ("serverCnxnFactory", "there is one kind of listener, for both ports"),
    ("skipACL", "ACLs are always checked"),
    ("snapSizeLimitInKb", "snapshots are taken after snapCount transactions"),
    ("snapshot.", "snapshots have one format"),
    ("snapshotSizeFactor", "a learner is sent its missing part of the log while that is there"),
    ("ssl.ciphersuites", "the suites of rustls are used"),
    ("ssl.enabledProtocols", "TLS 1.2 and 1.3 are used"),
    ("ssl.handshakeDetectionTimeoutMillis", "the handshake has a limit of its own"),
    ("ssl.hostnameVerification", "certificates of peers name the server that they are for"),
    ("ssl.protocol", "TLS 1.2 and 1.3 are used"),
    ("ssl.quorum.ciphersuites", "the suites of rustls are used"),
    ("ssl.quorum.enabledProtocols", "TLS 1.3 is used"),
    ("ssl.quorum.hostnameVerification", "certificates of peers name the server that they are for"),
    ("ssl.quorum.protocol", "TLS 1.3 is used"),
    ("sslQuorumReloadCertFiles", "a peer's certificate is read at the start"),
    ("syncEnabled", "observers keep a log like all servers"),
    ("tcpKeepAlive", "the connections between servers carry signs of life of their own"),
    ("throttledOpWaitTime", "requests are limited for each connection, and at the leader by number and size"),
    ("txnLogSizeLimitInKb", "a segment of the log has 64 MiB"),
    ("watchManagerName", "there is one kind of watch manager"),
    ("znode.container.", "containers are looked at every half tick"),
];

/// What becomes of a key that nobody asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Judgement {
    /// It is accepted, with this to say.
    Warn(String),
    /// It is not.
    Refuse {
        /// What is wrong.
        wrong: String,
        /// What to write.
        write: String,
    },
}

/// An example of a value of the key.
pub(super) fn example(key: &str) -> Option<&'static str> {
    IMPLEMENTED.iter().find(|(name, _)| *name == key).map(|(_, example)| *example)
}

pub(super) fn judge(key: &str, value: &str) -> Judgement {
    if GUARDS.contains(&key) {
        return match flag(value) {
            Some(false) => Judgement::Warn(format!("`{key}` is off; quorate does not have it")),
            _ => Judgement::Refuse {
                wrong: "quorate cannot do this, and to leave it out would be less than was asked for"
                    .to_owned(),
                write: format!("remove the line, or write {key}=false, if you can do without"),
            },
        };
    }
    if is_encrypted_key(key) {
        return Judgement::Refuse {
            wrong: "keys with a password cannot be read".to_owned(),
            write: "decrypt the PEM file (openssl pkey -in … -out …), guard it by its owner and mode, and remove the \
                    line"
                .to_owned(),
        };
    }
    let named = |name: &str| {
        name == key || (name.ends_with(['.', '_']) || name == "largeRequest") && key.starts_with(name)
    };
    if let Some((_, why)) = WITHOUT_EFFECT.iter().find(|(name, _)| named(name)) {
        return Judgement::Warn(format!("`{key}` has no effect: {why}"));
    }
    if let Some(plain) = key.strip_prefix("zookeeper.") {
        return Judgement::Warn(format!(
            "`{key}` has no effect, as in ZooKeeper: in this file the property is written `{plain}`"
        ));
    }
    Judgement::Warn(match nearest(key) {
        Some(meant) => format!("`{key}` is not known and has no effect; did you mean `{meant}`?"),
        None => format!("`{key}` is not known and has no effect"),
    })
}

fn is_encrypted_key(key: &str) -> bool {
    key.starts_with("ssl.") && (key.ends_with("keyStore.password") || key.ends_with("keyStore.passwordPath"))
}

/// The known key that was perhaps meant: at most a third of the key's letters away.
fn nearest(key: &str) -> Option<&'static str> {
    let known = IMPLEMENTED.iter().map(|(name, _)| *name).chain(WITHOUT_EFFECT.iter().map(|(name, _)| *name));
    known
        .chain(GUARDS.iter().copied())
        .filter(|name| !name.ends_with(['.', '_']))
        .map(|name| (distance(&key.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= (name.len() / 4).max(1))
        .min()
        .map(|(_, name)| name)
}

/// Insertions, deletions and replacements that make the one of the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, character) in from.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(line + 1);
        for (pair, other) in row.windows(2).zip(&to) {
            let [diagonal, above] = pair else { continue };
            let left = next.last().copied().unwrap_or_default();
            let replaced = diagonal + usize::from(character != *other);
            next.push(replaced.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_told_which_one_was_meant() {
        for (key, meant) in [
            ("ticktime", Some("tickTime")),
            ("clientport", Some("clientPort")),
            ("dataDirectory", None),
            ("datadir", Some("dataDir")),
            ("maxClientCnxn", Some("maxClientCnxns")),
            ("synclimit", Some("syncLimit")),
            ("skipAcl", Some("skipACL")),
            ("foo", None),
        ] {
            assert_eq!(nearest(key), meant, "{key}");
        }
    }

    #[test]
    fn a_protection_that_is_not_here_is_refused_unless_it_is_off() {
        for key in GUARDS {
            assert!(matches!(judge(key, "true"), Judgement::Refuse { .. }), "{key}");
            assert!(matches!(judge(key, "false"), Judgement::Warn(_)), "{key}");
        }
        assert!(matches!(judge("ssl.keyStore.password", "x"), Judgement::Refuse { .. }));
        assert!(matches!(judge("ssl.quorum.keyStore.passwordPath", "x"), Judgement::Refuse { .. }));
    }

    #[test]
    fn a_java_property_with_its_prefix_has_no_effect_as_in_zookeeper() {
        let Judgement::Warn(text) = judge("zookeeper.snapCount", "10") else { panic!("accepted") };
        assert!(text.contains("written `snapCount`"), "{text}");
    }

    #[test]
    fn no_key_is_in_two_tables() {
        for (name, _) in IMPLEMENTED {
            assert!(!WITHOUT_EFFECT.iter().any(|(other, _)| other == name), "{name}");
            assert!(!GUARDS.contains(name), "{name}");
        }
    }
}
