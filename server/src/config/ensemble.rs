use std::collections::BTreeMap;
use std::sync::Arc;

use super::server_line::ServerLine;
use super::settings::Settings;
use super::zoo_cfg::EnsembleServer;
use super::{Entry, Problem, Properties};

/// Takes `server.A`, `group.G` and `weight.A`, from the settings or from the file of their own.
///
/// Says too whether this is one server that runs alone.
pub(super) fn take(
    settings: &mut Settings,
    dynamic: Option<&Properties>,
) -> (BTreeMap<u64, EnsembleServer>, bool) {
    let mut families = ["server", "group", "weight"].map(|family| settings.family(family));
    if let Some(dynamic) = dynamic {
        for (_, entry) in families.iter().flatten() {
            let write = "move it to the file that dynamicConfigFile names, or remove that setting";
            settings.problem(Problem::at(entry, "it is not in the dynamic configuration file", write));
        }
        let mut theirs = Settings::new("", dynamic);
        families = ["server", "group", "weight"].map(|family| theirs.family(family));
    }
    let [lines, groups, weights] = families;
    let mut servers = servers(settings, lines);
    weigh(settings, &mut servers, weights);
    group(settings, &mut servers, groups);
    let standalone = judge(settings, &servers);
    (servers, standalone)
}

fn servers(settings: &mut Settings, lines: Vec<(String, Entry)>) -> BTreeMap<u64, EnsembleServer> {
    let mut servers: BTreeMap<u64, EnsembleServer> = BTreeMap::new();
    for (id, entry) in lines {
        let Some(id) = server_id(settings, &id, &entry) else { continue };
        let line = match ServerLine::parse(&entry.value) {
            Ok(line) => line,
            Err(wrong) => {
                let write =
                    format!("write server.{id}=host:2888:3888, with :observer behind it for an observer");
                settings.problem(Problem::at(&entry, wrong, write));
                continue;
            }
        };
        if line.more_addresses {
            settings.warn(&entry, "the first address is used, the others are not");
        }
        if let Some((other, _)) = servers.iter().find(|(_, server)| server.line.quorum == line.quorum) {
            let wrong = format!("server {other} has the same host and quorum port");
            settings.problem(Problem::at(&entry, wrong, "give each server its own"));
        }
        let server = EnsembleServer { line, weight: 1, group: 0 };
        if servers.insert(id, server).is_some() {
            settings.problem(Problem::at(
                &entry,
                format!("server {id} is there twice"),
                "number each server once",
            ));
        }
    }
    servers
}

fn server_id(settings: &mut Settings, id: &str, entry: &Entry) -> Option<u64> {
    let parsed = id.parse::<i64>().ok().and_then(|id| u64::try_from(id).ok());
    if parsed.is_none() {
        let write = "write a number, the one in the server's myid file, such as server.1=…";
        settings.problem(Problem::at(entry, format!("`{id}` is not the number of a server"), write));
    }
    parsed
}

fn weigh(
    settings: &mut Settings,
    servers: &mut BTreeMap<u64, EnsembleServer>,
    weights: Vec<(String, Entry)>,
) {
    for (id, entry) in weights {
        let Some(id) = server_id(settings, &id, &entry) else { continue };
        let Some(server) = servers.get_mut(&id) else {
            settings.problem(Problem::at(
                &entry,
                format!("there is no server.{id}"),
                "remove the line, or add the server",
            ));
            continue;
        };
        match entry.value.parse() {
            Ok(weight) => server.weight = weight,
            Err(_) => {
                settings.problem(Problem::at(&entry, "not a weight", "write a number from 0, such as 1"));
            }
        }
    }
}

fn group(settings: &mut Settings, servers: &mut BTreeMap<u64, EnsembleServer>, groups: Vec<(String, Entry)>) {
    let Some((_, first)) = groups.first().cloned() else { return };
    let mut grouped: BTreeMap<u64, u32> = BTreeMap::new();
    for (number, (_, entry)) in (1..).zip(&groups) {
        for id in entry.value.split(':') {
            let Some(id) = server_id(settings, id.trim(), entry) else { continue };
            if !servers.contains_key(&id) {
                settings.problem(Problem::at(
                    entry,
                    format!("there is no server.{id}"),
                    "add it, or take it out",
                ));
            } else if grouped.insert(id, number).is_some() {
                let wrong = format!("server {id} is in two groups");
                settings.problem(Problem::at(entry, wrong, "put each server into one group"));
            }
        }
    }
    for (id, server) in servers.iter_mut().filter(|(_, server)| !server.line.observer) {
        match grouped.get(id) {
            Some(group) => server.group = *group,
            None => {
                let wrong = format!("server {id} votes and is in no group");
                settings.problem(Problem::at(&first, wrong, "put each voting server into a group"));
            }
        }
    }
}

/// What ZooKeeper says of the number of servers; whether it is one that runs alone.
fn judge(settings: &mut Settings, servers: &BTreeMap<u64, EnsembleServer>) -> bool {
    let alone_allowed = settings.flag("standaloneEnabled").unwrap_or(true);
    let voters = servers.values().filter(|server| !server.line.observer).count();
    let file = Arc::clone(settings.file());
    if servers.is_empty() {
        return true;
    }
    if voters == 0 {
        settings.problem(Problem::missing(
            &file,
            "all servers are observers",
            "let at least one server vote: write its line without :observer",
        ));
    } else if voters == 1 && servers.len() > 1 && alone_allowed {
        settings.problem(Problem::missing(
            &file,
            "there are observers and one voting server",
            "let more servers vote, or write standaloneEnabled=false",
        ));
    } else if voters == 1 && alone_allowed {
        settings.warn_all("one server is no ensemble: it runs standalone");
        return true;
    } else if voters == 2 {
        settings
            .warn_all("with two voting servers the loss of either stops both; three bear the loss of one");
    } else if voters > 2 && voters.is_multiple_of(2) {
        settings.warn_all(format!(
            "{voters} voting servers bear the loss of no more than {} do; an odd number is best",
            voters - 1
        ));
    }
    false
}
