//! The commands, those of zkCli 3.8, and the two that it has dropped (`ls2`, `rmr`).

mod acls;
mod ensemble;
mod nodes;
mod quotas;
mod sessions;
mod watches;

use std::io::Write;

use jiff::tz::TimeZone;

use super::client::Client;
use super::error::CommandError;
use super::flags::{Flag, Given, switch, valued};

/// A command: how it is written and what it does.
pub(super) struct Command {
    pub(super) name: &'static str,
    /// What follows the name.
    pub(super) usage: &'static str,
    pub(super) flags: &'static [Flag],
    /// Options of which only one may be given.
    exclusive: &'static [&'static str],
    /// How many words it needs that are no options.
    least_args: usize,
    pub(super) action: Action,
}

/// What carries a command out.
pub(super) enum Action {
    /// The shell itself.
    Local(Local),
    /// A session.
    Remote(fn(&mut Call<'_>) -> Result<(), CommandError>),
}

/// What the shell does by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Local {
    Close,
    Connect,
    Help,
    History,
    PrintWatches,
    Quit,
    Redo,
}

/// One use of a command.
pub(super) struct Call<'a> {
    pub(super) name: &'static str,
    pub(super) given: Given,
    pub(super) client: &'a Client,
    pub(super) zone: &'a TimeZone,
    pub(super) out: &'a mut dyn Write,
    pub(super) err: &'a mut dyn Write,
}

impl Command {
    /// The command of this name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        COMMANDS.iter().find(|command| command.name == name)
    }

    /// How it is written.
    pub(super) fn usage(&self) -> String {
        format!("{} {}", self.name, self.usage)
    }

    /// Judges what stands behind the name.
    pub(super) fn parse(&self, words: &[String]) -> Result<Given, CommandError> {
        let given = Given::parse(self.flags, words)?;
        given.at_most_one(self.exclusive)?;
        if given.args() < self.least_args {
            return Err(CommandError::Malformed(self.usage()));
        }
        Ok(given)
    }

    /// Whether it is named where all are.
    pub(super) fn is_listed(&self) -> bool {
        !matches!(self.name, "ls2" | "rmr")
    }
}

impl Call<'_> {
    /// The word at this place, of which the command's table has said that there is one.
    fn arg(&self, index: usize) -> &str {
        self.given.arg(index).unwrap_or_default()
    }

    /// The number behind an option; `default` without it.
    fn number(&self, flag: &str, default: i32) -> Result<i32, CommandError> {
        match self.given.value(flag) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| CommandError::Malformed(format!("-{flag} argument must be an int value"))),
        }
    }

    /// Says that a second word behind the path is an old way to write an option.
    fn deprecated(&mut self, old: &str, new: &str) -> Result<(), CommandError> {
        Ok(writeln!(
            self.err,
            "'{} {old}' has been deprecated. Please use '{} {new}' instead.",
            self.name, self.name
        )?)
    }
}

const fn local(name: &'static str, usage: &'static str, least_args: usize, what: Local) -> Command {
    Command { name, usage, flags: &[], exclusive: &[], least_args, action: Action::Local(what) }
}

const fn remote(
    name: &'static str,
    usage: &'static str,
    flags: &'static [Flag],
    least_args: usize,
    run: fn(&mut Call<'_>) -> Result<(), CommandError>,
) -> Command {
    Command { name, usage, flags, exclusive: &[], least_args, action: Action::Remote(run) }
}

const QUOTAS: &[&str] = &["n", "b", "N", "B"];

/// All commands, in the order in which they are listed.
pub(super) const COMMANDS: &[Command] = &[
    remote(
        "addWatch",
        "[-m mode] path # optional mode is one of [PERSISTENT, PERSISTENT_RECURSIVE] - default is PERSISTENT_RECURSIVE",
        &[valued("m")],
        1,
        watches::add_watch,
    ),
    remote("addauth", "scheme auth", &[], 1, sessions::add_auth),
    local("close", "", 0, Local::Close),
    remote("config", "[-c] [-w] [-s]", &[switch("c"), switch("w"), switch("s")], 0, ensemble::config),
    local("connect", "host:port", 0, Local::Connect),
    remote(
        "create",
        "[-s] [-e] [-c] [-t ttl] path [data] [acl]",
        &[switch("s"), switch("e"), switch("c"), valued("t")],
        1,
        nodes::create,
    ),
    remote("delete", "[-v version] path", &[valued("v")], 1, nodes::delete),
    remote("deleteall", "path [-b batch size]", &[valued("b")], 1, nodes::delete_all),
    Command {
        exclusive: QUOTAS,
        ..remote(
            "delquota",
            "[-n|-b|-N|-B] path",
            &[switch("n"), switch("b"), switch("N"), switch("B")],
            1,
            quotas::delete,
        )
    },
    remote("get", "[-s] [-w] path", &[switch("s"), switch("w")], 1, nodes::get),
    remote("getAcl", "[-s] path", &[switch("s")], 1, acls::get),
    remote("getAllChildrenNumber", "path", &[], 1, nodes::count),
    remote("getEphemerals", "path", &[], 0, sessions::ephemerals),
    local("help", "", 0, Local::Help),
    local("history", "", 0, Local::History),
    remote("listquota", "path", &[], 1, quotas::list),
    remote("ls", "[-s] [-w] [-R] path", &[switch("s"), switch("w"), switch("R")], 1, nodes::list),
    remote("ls2", "path", &[switch("w")], 1, nodes::list_with_stat),
    local("printwatches", "on|off", 0, Local::PrintWatches),
    local("quit", "", 0, Local::Quit),
    remote(
        "reconfig",
        "[-s] [-v version] [[-file path] | [-members serverID=host:port1:port2;port3[,...]*]] | \
         [-add serverId=host:port1:port2;port3[,...]]* [-remove serverId[,...]*]",
        &[switch("s"), valued("v"), valued("file"), valued("members"), valued("add"), valued("remove")],
        0,
        ensemble::reconfig,
    ),
    local("redo", "cmdno", 1, Local::Redo),
    remote(
        "removewatches",
        "path [-c|-d|-a] [-l]",
        &[switch("c"), switch("d"), switch("p"), switch("r"), switch("a"), switch("l")],
        1,
        watches::remove,
    ),
    remote("rmr", "path", &[valued("b")], 1, nodes::delete_all),
    remote("set", "[-s] [-v version] path data", &[switch("s"), valued("v")], 2, nodes::set),
    remote(
        "setAcl",
        "[-s] [-v version] [-R] path acl",
        &[switch("s"), valued("v"), switch("R")],
        2,
        acls::set,
    ),
    Command {
        exclusive: QUOTAS,
        ..remote(
            "setquota",
            "-n|-b|-N|-B val path",
            &[valued("n"), valued("b"), valued("N"), valued("B")],
            0,
            quotas::set,
        )
    },
    remote("stat", "[-w] path", &[switch("w")], 1, nodes::stat),
    remote("sync", "path", &[], 1, nodes::sync),
    remote("version", "", &[], 0, sessions::version),
    remote("whoami", "", &[], 0, sessions::who_am_i),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        super::super::words::split(line)
    }

    #[test]
    fn commands_are_listed_in_the_order_of_their_names() {
        assert!(COMMANDS.is_sorted_by(|one, other| one.name < other.name));
        assert!(Command::named("ls").is_some());
        assert!(Command::named("LS").is_none());
    }

    #[test]
    fn a_command_with_too_little_says_how_it_is_written() {
        for (line, usage) in [
            ("ls", "ls [-s] [-w] [-R] path"),
            ("create -e", "create [-s] [-e] [-c] [-t ttl] path [data] [acl]"),
            ("set /a", "set [-s] [-v version] path data"),
            ("setAcl /a", "setAcl [-s] [-v version] [-R] path acl"),
            ("getAllChildrenNumber", "getAllChildrenNumber path"),
            ("redo", "redo cmdno"),
        ] {
            let words = words(line);
            let command = Command::named(&words[0]).unwrap();
            assert_eq!(command.parse(&words[1..]).unwrap_err().to_string(), usage, "{line}");
        }
    }

    #[test]
    fn options_are_those_of_the_command() {
        for (line, message) in [
            ("ls -x /", "Unrecognized option: -x"),
            ("getAcl -w /", "Unrecognized option: -w"),
            ("create -t", "Missing argument for option: t"),
            (
                "setquota -N 200 -B 20000 /a",
                "The option 'B' was specified but an option from this group has already been selected: 'N'",
            ),
        ] {
            let words = words(line);
            let command = Command::named(&words[0]).unwrap();
            assert_eq!(command.parse(&words[1..]).unwrap_err().to_string(), message, "{line}");
        }
    }
}
