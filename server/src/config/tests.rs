use super::*;
use quorate::ServerId;
use quorate::protocol::words::WordSet;
use std::time::Duration;

const THREE: &str = "tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir=/data\nclientPort=2181\n\
                     server.1=127.0.0.1:2881:3881\nserver.2=127.0.0.1:2882:3882\nserver.3=127.0.0.1:2883:3883\n";

fn read(text: &str) -> Result<(ZooCfg, Vec<String>), Vec<String>> {
    let properties = Properties::parse("zoo.cfg", text);
    match ZooCfg::read("zoo.cfg", &properties, None) {
        Ok((cfg, warnings)) => Ok((cfg, warnings.iter().map(ToString::to_string).collect())),
        Err(Refused(problems)) => Err(problems.iter().map(ToString::to_string).collect()),
    }
}

fn accepted(text: &str) -> ZooCfg {
    read(text).unwrap_or_else(|problems| panic!("{text}\nis refused: {problems:?}")).0
}

fn plan(text: &str, my_id: Option<&str>) -> Result<Plan, String> {
    let found = Found { my_id: my_id.map(str::to_owned), initialize: false };
    Plan::new(&accepted(text), &found, [7; 32]).map_err(|refused| refused.to_string())
}

#[test]
fn zookeepers_sample_is_read_with_its_own_values() {
    let cfg = accepted("tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir=/tmp/zookeeper\nclientPort=2181\n");
    assert!(cfg.standalone);
    assert_eq!(cfg.tick, Duration::from_secs(2));
    assert_eq!((cfg.session_min, cfg.session_max), (Duration::from_secs(4), Duration::from_secs(40)));
    assert_eq!(cfg.clients.plain, Some(Listen { host: None, port: 2181 }));
    assert_eq!((cfg.clients.per_address, cfg.clients.max_buffer), (60, 1_048_575));
    assert_eq!((cfg.words, cfg.extended_types), (WordSet::default(), false));
    assert_eq!(cfg.admin, Some(HostPort::new("127.0.0.1", 8080)));
    assert_eq!(cfg.metrics, None);
}

#[test]
fn what_the_file_leaves_out_is_as_in_zookeeper() {
    let cfg = accepted("dataDir=/data\nclientPort=2181\n");
    assert_eq!(cfg.tick, Duration::from_secs(3));
    assert_eq!((cfg.session_min, cfg.session_max), (Duration::from_secs(6), Duration::from_secs(60)));
    assert_eq!((cfg.storage.snapshots_kept, cfg.storage.snapshot_every), (3, 100_000));
    assert!(cfg.storage.autocreate);
}

#[test]
fn each_wrong_value_is_refused_with_its_line_and_what_to_write() {
    for (line, says) in [
        (
            "tickTime=fast",
            "zoo.cfg:9: tickTime=fast: not a whole number; write milliseconds, such as tickTime=2000",
        ),
        ("tickTime=0", "zoo.cfg:9: tickTime=0: out of range; write milliseconds from 1 to 3600000"),
        ("initLimit=-3", "zoo.cfg:9: initLimit=-3: out of range; write ticks from 1 to 1000000"),
        ("clientPort=70000", "zoo.cfg:9: clientPort=70000: out of range; write a port from 0 to 65535"),
        (
            "maxClientCnxns=many",
            "not a whole number; write a number of connections, such as maxClientCnxns=60",
        ),
        ("minSessionTimeout=50000", "sessions would last at least 50000 ms and at most 40000 ms"),
        ("admin.enableServer=maybe", "neither true nor false; write admin.enableServer=true"),
        (
            "server.4=127.0.0.1",
            "zoo.cfg:9: server.4=127.0.0.1: the quorum port is missing; write server.4=host",
        ),
        ("server.4=127.0.0.1:2884", "the election port is missing"),
        ("server.4=127.0.0.1:x:3884", "the quorum port `x` is not a port"),
        ("server.4=127.0.0.1:2884:3884:boss", "the role `boss` is not known"),
        ("server.4=127.0.0.1:2884:3884:observer:x", "`x` is too much"),
        ("server.4=[::1:2884:3884", "the bracket is not closed"),
        ("server.4=:2884:3884", "the host is missing"),
        ("server.4=127.0.0.1:2884:3884;x", "the client port `x` is not a port"),
        ("server.four=127.0.0.1:2884:3884", "`four` is not the number of a server"),
        ("server.4=127.0.0.1:2881:3884", "server 1 has the same host and quorum port"),
        ("server.4=zk4:2884:3884", "the servers are on several machines (zk4)"),
        ("weight.9=1", "there is no server.9"),
        ("weight.1=heavy", "not a weight"),
        ("group.1=1:2", "server 3 votes and is in no group"),
        ("group.1=1:2:3:4", "there is no server.4"),
        ("group.1=1:2:3:3", "server 3 is in two groups"),
        ("electionAlg=0", "there is one election algorithm"),
        ("peerType=boss", "write observer or participant"),
        ("jute.maxbuffer=10", "out of range; write bytes from 1024 to 4194304"),
        (
            "DigestAuthenticationProvider.superDigest=super:secret",
            "superDigest=…: not the digest of a super user",
        ),
        ("secureClientPort=2281", "there is no certificate for this port"),
        ("sslQuorum=true", "the keys or the authorities are missing"),
        ("ssl.quorum.keyStore.location=/k.jks", "only PEM files can be read"),
        ("ssl.keyStore.password=x", "keys with a password cannot be read"),
        ("metricsProvider.className=org.example.Mine", "this provider is not here"),
        ("sessionRequireClientSASLAuth=true", "to leave it out would be less than was asked for"),
        ("audit.enable=true", "quorate cannot do this"),
        ("ssl.clientAuth=perhaps", "write need, want or none"),
    ] {
        let problems = read(&format!("{THREE}{line}\n")).expect_err(line);
        assert!(problems.iter().any(|problem| problem.contains(says)), "{line}: {problems:?}");
    }
}

#[test]
fn what_is_missing_is_named() {
    for (text, says) in [
        ("clientPort=2181\n", "zoo.cfg: dataDir is not set; write dataDir="),
        (
            "dataDir=/data\nserver.1=localhost:1:2\nserver.2=localhost:3:4\nserver.3=localhost:5:6\nsyncLimit=5",
            "initLimit is not set",
        ),
        ("dataDir=/data\nclientPortAddress=127.0.0.1\n", "there is no clientPort"),
        (
            "dataDir=/d\ninitLimit=1\nsyncLimit=1\nserver.1=localhost:1:2:observer\n",
            "all servers are observers",
        ),
    ] {
        let problems = read(text).expect_err(text);
        assert!(problems.iter().any(|problem| problem.contains(says)), "{text}: {problems:?}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once_in_the_order_of_the_lines() {
    let problems = read("syncLimit=x\ntickTime=y\nclientPort=z\n").expect_err("refused");
    let starts: Vec<_> = problems.iter().map(|problem| problem.split(": ").next().unwrap()).collect();
    assert_eq!(starts, ["zoo.cfg:1", "zoo.cfg:2", "zoo.cfg:3", "zoo.cfg"]);
}

#[test]
fn what_does_nothing_is_accepted_with_a_warning_that_says_so() {
    for (line, says) in [
        ("ticktime=10", "zoo.cfg:9: `ticktime` is not known and has no effect; did you mean `tickTime`?"),
        ("favouriteColour=blue", "zoo.cfg:9: `favouriteColour` is not known and has no effect"),
        ("forceSync=no", "`forceSync` has no effect: what is acknowledged is always on the disk first"),
        ("skipACL=yes", "`skipACL` has no effect: ACLs are always checked"),
        ("zookeeper.skipACL=yes", "in this file the property is written `skipACL`"),
        ("znode.container.checkIntervalMs=60000", "containers are looked at every half tick"),
        ("readonlymode.enabled=true", "read-only mode is not implemented"),
        ("4lw.commands.whitelist=srvr,mtnr", "there is no four-letter word `mtnr`"),
        ("nio.numWorkerThreads=4", "there are no such threads"),
        ("autopurge.snapRetainCount=1", "at least 3 snapshots are kept"),
        ("autopurge.purgeInterval=0", "old snapshots are always purged"),
        ("audit.enable=false", "`audit.enable` is off"),
        ("clientPort=2182", "`clientPort` is set here and in line 5; this one counts"),
        ("server.4=127.0.0.1:2884:3884", "4 voting servers bear the loss of no more than 3 do"),
        ("server.4=127.0.0.1:2884:3884|127.0.0.2:2884:3884:observer", "the first address is used"),
    ] {
        let (_, warnings) = read(&format!("{THREE}{line}\n")).unwrap_or_else(|e| panic!("{line}: {e:?}"));
        assert!(warnings.iter().any(|warning| warning.contains(says)), "{line}: {warnings:?}");
    }
}

#[test]
fn a_usual_file_brings_no_warning() {
    let lines = "maxClientCnxns=100\nautopurge.snapRetainCount=5\nautopurge.purgeInterval=1\n4lw.commands.whitelist=*\n\
                 extendedTypesEnabled=true\nadmin.serverPort=9090\nstandaloneEnabled=true\n";
    assert_eq!(read(&format!("{THREE}{lines}")).unwrap().1, Vec::<String>::new());
}

#[test]
fn a_server_line_is_read_in_all_its_forms() {
    for (line, host, port, observer, client) in [
        ("zk1:2888:3888", "zk1", 2888, false, None),
        ("zk1:2888:3888:participant", "zk1", 2888, false, None),
        ("zk1:2888:3888:OBSERVER", "zk1", 2888, true, None),
        ("zk1:2888:3888:observer;2181", "zk1", 2888, true, Some((None, 2181))),
        ("zk1:2888:3888;10.0.0.1:2181", "zk1", 2888, false, Some((Some("10.0.0.1"), 2181))),
        ("[2001:db8::1]:2888:3888;[::]:2181", "2001:db8::1", 2888, false, Some((Some("::"), 2181))),
        (" zk1 : 2888 : 3888 ", "", 0, false, None),
    ] {
        let Ok(read) = ServerLine::parse(line) else {
            assert!(host.is_empty(), "{line}");
            continue;
        };
        assert_eq!(
            (read.quorum.host.as_str(), read.quorum.port, read.observer),
            (host, port, observer),
            "{line}"
        );
        let read = read.client.as_ref().map(|client| (client.host.as_deref(), client.port));
        assert_eq!(read, client, "{line}");
    }
}

#[test]
fn servers_on_one_machine_may_speak_plainly_and_others_must_say_how() {
    let security = |text: &str| plan(text, Some("1")).map(|plan| plan.peers.map(|peers| peers.security));
    assert_eq!(security(THREE), Ok(Some(PlannedSecurity::Loopback)));
    let apart = THREE.replace("127.0.0.1", "zk");
    let apart = apart.replace(":288", ".example:288");
    assert!(read(&apart).is_err());
    let trusted = format!("{apart}quorumInsecureTrustedNetwork=true\n");
    assert_eq!(security(&trusted), Ok(Some(PlannedSecurity::TrustedNetwork)));
    let tls = format!(
        "{apart}sslQuorum=true\nssl.quorum.keyStore.location=/k.pem\nssl.quorum.trustStore.location=/ca.pem\n"
    );
    let files = KeyFiles { keys: "/k.pem".into(), authorities: Some("/ca.pem".into()) };
    assert_eq!(security(&tls), Ok(Some(PlannedSecurity::Tls(files))));
    assert!(read(&format!("{tls}quorumInsecureTrustedNetwork=true\n")).is_err(), "both at once");
}

#[test]
fn the_number_in_myid_says_which_server_it_is() {
    let number = |my_id| plan(THREE, my_id).map(|plan| plan.server());
    assert_eq!(number(Some("2\n")), Ok(ServerId::new(2)));
    for (my_id, says) in [
        (None, "/data/myid: there is no such file; write into it the number A"),
        (Some("two"), "/data/myid: `two` is not the number of a server"),
        (Some("4"), "/data/myid: there is no line server.4 in zoo.cfg"),
        (Some(""), "is not the number of a server"),
    ] {
        let refused = number(my_id).expect_err("refused");
        assert!(refused.contains(says), "{my_id:?}: {refused}");
    }
    assert_eq!(plan("dataDir=/d\nclientPort=2181\n", None).unwrap().server(), ServerId::new(1));
    assert_eq!(plan("dataDir=/d\nclientPort=2181\n", Some("5")).unwrap().server(), ServerId::new(5));
}

#[test]
fn the_plan_carries_the_settings_to_the_library() {
    let text = format!(
        "{THREE}snapCount=500\nmaxCnxns=9\njute.maxbuffer=4096\nautopurge.snapRetainCount=4\npreAllocSize=64\n\
         server.4=127.0.0.1:2884:3884:observer\nweight.1=3\ncommitLogCount=77\ndataLogDir=/log\nclusterId=42\n"
    );
    let plan = plan(&text, Some("4")).unwrap();
    let peer = &plan.node.peer;
    assert_eq!(peer.cluster.number(), 42);
    assert_eq!(peer.timing.tick, Duration::from_secs(2));
    assert_eq!((peer.timing.init_limit, peer.timing.sync_limit), (10, 5));
    assert_eq!(
        (peer.timing.session_min, peer.timing.session_max),
        (Duration::from_secs(4), Duration::from_secs(40))
    );
    assert_eq!((peer.limits.snapshot_every, peer.limits.data_len, peer.limits.log_window), (500, 4096, 77));
    assert_eq!(plan.node.connections, 10);
    assert_eq!((plan.storage.snapshots_kept, plan.storage.preallocate), (4, 65_536));
    let members: Vec<_> = peer.ensemble.members().map(|(id, m)| (id.number(), m.voting, m.weight)).collect();
    assert_eq!(members, [(1, true, 3), (2, true, 1), (3, true, 1), (4, false, 0)]);
    assert_eq!(plan.directories.snapshots, std::path::Path::new("/data/quorate"));
    assert_eq!(plan.directories.log.as_deref(), Some(std::path::Path::new("/log/quorate")));
    let peers = plan.peers.unwrap();
    assert_eq!(peers.listen, HostPort::new("127.0.0.1", 2884));
    assert_eq!(peers.addresses[&ServerId::new(2)], "127.0.0.1:2882");
}

#[test]
fn groups_are_carried_to_the_quorum() {
    let text = format!("{THREE}group.1=1:2\ngroup.2=3\nweight.2=0\n");
    let plan = plan(&text, Some("1")).unwrap();
    let members: Vec<_> = plan.node.peer.ensemble.members().map(|(_, m)| (m.group, m.weight)).collect();
    assert_eq!(members, [(1, 1), (1, 0), (2, 1)]);
}

#[test]
fn one_server_line_is_a_server_alone_and_keeps_its_client_port() {
    let text = "dataDir=/d\nserver.7=zk7:2888:3888;2181\n";
    let plan = plan(text, Some("7")).unwrap();
    assert!(plan.peers.is_none());
    assert_eq!(plan.clients.plain, Some(Listen { host: None, port: 2181 }));
    assert_eq!(plan.server(), ServerId::new(7));
}

#[test]
fn a_server_without_data_votes_only_where_the_operator_lets_it() {
    let of = |text: &str, initialize| {
        let found = Found { my_id: None, initialize };
        Plan::new(&accepted(text), &found, [7; 32]).unwrap().may_start_new
    };
    assert!(of("dataDir=/d\nclientPort=1\n", false));
    assert!(!of("dataDir=/d\nclientPort=1\ndb.autocreate=false\n", false));
    assert!(of("dataDir=/d\nclientPort=1\ndb.autocreate=false\n", true));
}

#[test]
fn the_server_lines_may_be_in_a_file_of_their_own() {
    let main = Properties::parse(
        "zoo.cfg",
        "dataDir=/d\ninitLimit=10\nsyncLimit=5\nclientPort=1\ndynamicConfigFile=dyn\n",
    );
    assert_eq!(ZooCfg::dynamic_file(&main), Some("dyn".into()));
    let lines = "server.1=localhost:1:2\nserver.2=localhost:3:4\nserver.3=localhost:5:6\nversion=100000000\n";
    let dynamic = Properties::parse("dyn", lines);
    let (cfg, warnings) = ZooCfg::read("zoo.cfg", &main, Some(&dynamic)).unwrap();
    assert_eq!((cfg.servers.len(), warnings), (3, Vec::new()));
    let wrong = Properties::parse("dyn", "server.1=localhost\n");
    let refused = ZooCfg::read("zoo.cfg", &main, Some(&wrong)).unwrap_err().to_string();
    assert!(refused.starts_with("dyn:1: server.1=localhost"), "{refused}");
    let both = Properties::parse("zoo.cfg", "dataDir=/d\nserver.1=localhost:1:2\ndynamicConfigFile=dyn\n");
    let refused = ZooCfg::read("zoo.cfg", &both, Some(&dynamic)).unwrap_err().to_string();
    assert!(refused.contains("zoo.cfg:2: server.1=localhost:1:2: it is not in the dynamic"), "{refused}");
}
