use std::collections::BTreeMap;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::tz::TimeZone;

use super::client::{Client, ConnectString, Event, Listener};
use super::command::{Action, COMMANDS, Call, Command, Local};
use super::error::CommandError;
use super::options::Options;
use super::words;

/// Runs commands, one after the other, over one session at a time.
pub(super) struct Shell {
    options: Options,
    client: Rc<Client>,
    listener: Listener,
    watches_shown: Arc<AtomicBool>,
    history: BTreeMap<usize, String>,
    /// The number of the command that is being typed.
    number: usize,
    zone: TimeZone,
    /// Whether the last command did what it was told.
    succeeded: bool,
    /// Whether the session has ephemeral nodes that a command made.
    has_ephemerals: bool,
}

/// What comes behind a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    Command,
    Quit,
}

impl Shell {
    /// Begins to connect. Events are shown by `show`, each a text of several lines, on a thread of the client's.
    pub(super) fn open(options: Options, show: impl Fn(String) + Send + Sync + 'static) -> io::Result<Self> {
        let watches_shown = Arc::new(AtomicBool::new(true));
        let shown = Arc::clone(&watches_shown);
        let listener: Listener = Arc::new(move |event: &Event| {
            if shown.load(Ordering::Relaxed) {
                show(format!("\nWATCHER::\n\n{event}\n"));
            }
        });
        let client = connect(&options, options.connect.clone(), &listener)?;
        Ok(Self {
            options,
            client,
            listener,
            watches_shown,
            history: BTreeMap::new(),
            number: 0,
            zone: TimeZone::system(),
            succeeded: true,
            has_ephemerals: false,
        })
    }

    /// What stands before a line that is typed: `[zk: host(CONNECTED) 3] `.
    pub(super) fn prompt(&self) -> String {
        format!("[zk: {}({}) {}] ", self.client.connect_string().text, self.client.state(), self.number)
    }

    /// The present session, to complete paths with.
    pub(super) fn client(&self) -> Rc<Client> {
        Rc::clone(&self.client)
    }

    /// Whether the last command did what it was told.
    pub(super) fn succeeded(&self) -> bool {
        self.succeeded
    }

    /// Runs a line as it was typed.
    pub(super) fn run_line(
        &mut self,
        line: &str,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> io::Result<Next> {
        let words = words::split(line);
        if words.is_empty() {
            return Ok(Next::Command);
        }
        self.history.insert(self.number, line.to_owned());
        let next = self.run(&words, out, err)?;
        self.number += 1;
        Ok(next)
    }

    /// Runs a command. That it fails is printed; an error is that nothing can be printed any more.
    pub(super) fn run(
        &mut self,
        words: &[String],
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> io::Result<Next> {
        let done = self.dispatch(words, out, err);
        // How the program ends is said by the command before `quit`.
        if !matches!(done, Ok(Next::Quit)) {
            self.succeeded = done.is_ok();
        }
        let next = match done {
            Ok(next) => next,
            Err(CommandError::Output(error)) => return Err(error),
            Err(error) => {
                match &error {
                    CommandError::Unknown(_) => print_usage(err)?,
                    // zkCli says this on standard output.
                    CommandError::NotConnected => writeln!(out, "{error}")?,
                    _ => {}
                }
                if !matches!(error, CommandError::NotConnected) {
                    writeln!(err, "{error}")?;
                }
                Next::Command
            }
        };
        out.flush()?;
        err.flush()?;
        Ok(next)
    }

    /// Ends the session without a word about it. After an ephemeral node was created it is left to time out instead, since
    /// the node would go with it.
    pub(super) fn leave(&self) {
        self.watches_shown.store(false, Ordering::Relaxed);
        if self.has_ephemerals {
            self.client.abandon();
        } else {
            self.client.close();
        }
    }

    fn dispatch(
        &mut self,
        words: &[String],
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<Next, CommandError> {
        let Some((name, rest)) = words.split_first() else { return Ok(Next::Command) };
        let command = Command::named(name).ok_or_else(|| CommandError::Unknown(name.clone()))?;
        let given = command.parse(rest);
        let run = match command.action {
            Action::Local(what) => return self.run_local(what, given?.arg(0), out, err),
            Action::Remote(run) => run,
        };
        if !self.client.state().is_alive() {
            return Err(CommandError::NotConnected);
        }
        let given = given?;
        self.has_ephemerals |= command.name == "create" && given.has("e");
        run(&mut Call { name: command.name, given, client: &self.client, zone: &self.zone, out, err })?;
        Ok(Next::Command)
    }

    fn run_local(
        &mut self,
        what: Local,
        arg: Option<&str>,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<Next, CommandError> {
        match what {
            Local::Quit => {
                self.client.close();
                return Ok(Next::Quit);
            }
            Local::Close => self.client.close(),
            Local::Connect => self.connect(arg)?,
            Local::Help => print_usage(out)?,
            Local::History => {
                for number in self.number.saturating_sub(10)..=self.number {
                    if let Some(line) = self.history.get(&number) {
                        writeln!(out, "{number} - {line}")?;
                    }
                }
            }
            Local::PrintWatches => match arg {
                None => {
                    let state = if self.watches_shown.load(Ordering::Relaxed) { "on" } else { "off" };
                    writeln!(out, "printwatches is {state}")?;
                }
                Some(wish) => self.watches_shown.store(wish == "on", Ordering::Relaxed),
            },
            Local::Redo => return self.redo(arg.unwrap_or_default(), out, err),
        }
        Ok(Next::Command)
    }

    fn connect(&mut self, wish: Option<&str>) -> Result<(), CommandError> {
        let to: ConnectString = match wish {
            Some(text) => text.parse()?,
            None => self.client.connect_string().clone(),
        };
        // An ended session has said so already.
        if self.client.state().is_alive() {
            self.client.close();
        }
        self.has_ephemerals = false;
        self.client = connect(&self.options, to, &self.listener)?;
        Ok(())
    }

    fn redo(&mut self, wish: &str, out: &mut dyn Write, err: &mut dyn Write) -> Result<Next, CommandError> {
        let malformed = |text: &str| CommandError::Malformed(text.to_owned());
        let number = match wish.strip_prefix("0x") {
            Some(digits) => usize::from_str_radix(digits, 16),
            None => wish.parse(),
        };
        let number = number.map_err(|_| malformed("redo wants the number of a command; see history"))?;
        let line = self.history.get(&number).filter(|_| number < self.number).cloned();
        let line = line.ok_or_else(|| malformed("Command index out of range"))?;
        let words = words::split(&line);
        if words.first().is_some_and(|name| name == "redo") {
            return Err(malformed("No redoing redos"));
        }
        self.history.insert(self.number, line);
        self.dispatch(&words, out, err)
    }
}

fn connect(options: &Options, to: ConnectString, listener: &Listener) -> io::Result<Rc<Client>> {
    Client::open(to, options.session_timeout, options.read_only, Arc::clone(listener)).map(Rc::new)
}

fn print_usage(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "quorate shell [-server host:port[,host:port...][/path]] [-timeout ms] [-r] [cmd args]")?;
    for command in COMMANDS.iter().filter(|command| command.is_listed()) {
        writeln!(out, "\t{}", command.usage())?;
    }
    Ok(())
}
