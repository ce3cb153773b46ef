use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, ExternalPrinter, Helper};

use super::client::{Client, State};
use super::completion::{Wanted, paths, wanted};
use super::interpreter::{Next, Shell};
use super::options::Options;

/// How many lines the history file keeps.
const HISTORY_LEN: usize = 1000;
/// How long a prompt waits for the connection, so that it need not say CONNECTING.
const PROMPT: Duration = Duration::from_millis(500);
/// From how many candidates on the terminal asks before it lists them.
const ASK_FROM: usize = 100;

/// Reads commands from a terminal, with history and completion, until there are no more; says whether the last one did what
/// it was told.
///
/// # Errors
///
/// When the terminal cannot be used.
pub(super) fn run(options: Options) -> io::Result<bool> {
    let config = Config::builder()
        .max_history_size(HISTORY_LEN)
        .map_err(to_io)?
        .completion_type(CompletionType::List)
        .completion_show_all_if_ambiguous(true)
        .completion_prompt_limit(ASK_FROM)
        .build();
    let mut editor: Editor<Completion, FileHistory> = Editor::with_config(config).map_err(to_io)?;
    let history = history_file();
    if let Some(file) = &history
        && let Err(error) = editor.load_history(file)
        && !matches!(&error, ReadlineError::Io(cause) if cause.kind() == io::ErrorKind::NotFound)
    {
        eprintln!("the history {} cannot be read: {error}", file.display());
    }

    // Events come while a line is typed; the editor prints them above it.
    let printer: Box<dyn ExternalPrinter + Send> = Box::new(editor.create_external_printer().map_err(to_io)?);
    let printer = Arc::new(Mutex::new(printer));
    let mut shell = Shell::open(options, move |text| {
        // A terminal that has gone shows nothing any more.
        let _ = printer.lock().unwrap_or_else(PoisonError::into_inner).print(text);
    })?;
    let client = Rc::new(RefCell::new(shell.client()));
    editor.set_helper(Some(Completion { client: Rc::clone(&client) }));

    loop {
        shell.client().await_connection(PROMPT);
        let line = match editor.readline(&shell.prompt()) {
            Ok(line) => line,
            // Ctrl-C drops the line; Ctrl-D ends the shell.
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(to_io(error)),
        };
        // What is proved with is no matter for a file.
        if !line.trim_start().starts_with("addauth") {
            editor.add_history_entry(line.trim()).map_err(to_io)?;
        }
        // Not locked: an event is printed by another thread, and a command waits for the events before its answer.
        let next = shell.run_line(&line, &mut io::stdout(), &mut io::stderr())?;
        client.replace(shell.client());
        if next == Next::Quit {
            break;
        }
    }
    shell.client().close();
    if let Some(file) = &history
        && let Err(error) = editor.save_history(file)
    {
        eprintln!("the history {} cannot be written: {error}", file.display());
    }
    Ok(shell.succeeded())
}

/// `$QUORATE_SHELL_HISTORY`, or `.quorate_history` in the home directory.
fn history_file() -> Option<PathBuf> {
    std::env::var_os("QUORATE_SHELL_HISTORY")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".quorate_history")))
}

/// Completes commands, options and, by asking the server, paths.
struct Completion {
    client: Rc<RefCell<Rc<Client>>>,
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(match wanted(line.get(..pos).unwrap_or_default()) {
            Wanted::Word { start, candidates } => (start, candidates),
            Wanted::Node { start, parent, prefix, quote } => {
                let client = self.client.borrow();
                // Without a connection the question would wait, and the line with it.
                let connected = matches!(client.state(), State::Connected | State::ConnectedReadOnly);
                match connected.then(|| client.children(&parent, false)) {
                    Some(Ok(found)) => {
                        (start, paths(&parent, &prefix, quote, found.children.iter().map(|name| &**name)))
                    }
                    _ => (start, Vec::new()),
                }
            }
        })
    }
}

impl Hinter for Completion {
    type Hint = String;
}

impl Highlighter for Completion {}
impl Validator for Completion {}
impl Helper for Completion {}

fn to_io(error: ReadlineError) -> io::Error {
    match error {
        ReadlineError::Io(error) => error,
        other => io::Error::other(other),
    }
}
