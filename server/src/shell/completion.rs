use super::command::{COMMANDS, Command};
use super::words;

/// What the word at the cursor may become.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Wanted {
    /// One of these words; the word starts here.
    Word { start: usize, candidates: Vec<String> },
    /// A node below `parent` whose name begins with `prefix`; the word starts here, perhaps with a quote.
    Node { start: usize, parent: String, prefix: String, quote: Option<char> },
}

/// What could stand at the end of `line`.
pub(super) fn wanted(line: &str) -> Wanted {
    let (start, word) = words::last(line);
    let before = words::split(line.get(..start).unwrap_or_default());
    let Some(name) = before.first() else {
        let names =
            COMMANDS.iter().filter(|command| command.is_listed()).map(|command| command.name.to_owned());
        return Wanted::Word { start, candidates: names.filter(|name| name.starts_with(word)).collect() };
    };
    let quote = word.chars().next().filter(|first| matches!(first, '"' | '\''));
    let typed = quote.map_or(word, |quote| word.trim_start_matches(quote));
    if let Some((parent, prefix)) = typed.rsplit_once('/').filter(|_| typed.starts_with('/')) {
        let parent = if parent.is_empty() { "/" } else { parent };
        return Wanted::Node { start, parent: parent.to_owned(), prefix: prefix.to_owned(), quote };
    }
    let candidates = options(name, before.last().map(String::as_str)).into_iter();
    Wanted::Word { start, candidates: candidates.filter(|option| option.starts_with(word)).collect() }
}

/// The paths that the word may become, of all names of the parent's children. A name with white space gets quotes, since
/// without them it would be two words.
pub(super) fn paths<'a>(
    parent: &str,
    prefix: &str,
    quote: Option<char>,
    names: impl IntoIterator<Item = &'a str>,
) -> Vec<String> {
    let parent = parent.trim_end_matches('/');
    names
        .into_iter()
        .filter(|name| name.starts_with(prefix))
        .map(|name| {
            let path = format!("{parent}/{name}");
            let quote = quote.or_else(|| {
                let mark = if path.contains('"') { '\'' } else { '"' };
                path.contains(char::is_whitespace).then_some(mark)
            });
            quote.map_or_else(String::new, String::from) + &path
        })
        .collect()
}

fn options(command: &str, previous: Option<&str>) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    match (command, previous) {
        ("addWatch", Some("-m")) => words(&["PERSISTENT", "PERSISTENT_RECURSIVE"]),
        ("addauth", Some("addauth")) => words(&["digest"]),
        ("printwatches", _) => words(&["off", "on"]),
        _ => Command::named(command)
            .map(|command| command.flags.iter().map(|flag| format!("-{}", flag.name)).collect())
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words_for(line: &str) -> Vec<String> {
        match wanted(line) {
            Wanted::Word { candidates, .. } => candidates,
            node @ Wanted::Node { .. } => panic!("{node:?}"),
        }
    }

    #[test]
    fn the_first_word_is_a_command() {
        assert_eq!(words_for("getA"), ["getAcl", "getAllChildrenNumber"]);
        assert_eq!(words_for("  del"), ["delete", "deleteall", "delquota"]);
        assert_eq!(words_for("nothing"), [""; 0]);
        assert_eq!(
            words_for("r"),
            ["reconfig", "redo", "removewatches"],
            "what is deprecated is not offered"
        );
        assert!(words_for("").len() > 20);
    }

    #[test]
    fn what_begins_with_a_slash_is_a_path() {
        let node = |start, parent: &str, prefix: &str, quote| Wanted::Node {
            start,
            parent: parent.to_owned(),
            prefix: prefix.to_owned(),
            quote,
        };
        assert_eq!(wanted("ls /"), node(3, "/", "", None));
        assert_eq!(wanted("ls /zoo"), node(3, "/", "zoo", None));
        assert_eq!(wanted("ls -s /zoo/keeper"), node(6, "/zoo", "keeper", None));
        assert_eq!(wanted("get '/with space/n"), node(4, "/with space", "n", Some('\'')));
        assert_eq!(wanted("setAcl /größe/"), node(7, "/größe", "", None));
    }

    #[test]
    fn what_begins_with_a_dash_is_an_option_of_the_command() {
        assert_eq!(words_for("ls -"), ["-s", "-w", "-R"]);
        assert_eq!(words_for("get -s -"), ["-s", "-w"]);
        assert_eq!(words_for("addWatch -m PERSISTENT_"), ["PERSISTENT_RECURSIVE"]);
        assert_eq!(words_for("printwatches o"), ["off", "on"]);
        assert_eq!(words_for("unknown -"), [""; 0]);
    }

    #[test]
    fn paths_are_whole_and_quoted_where_they_must_be() {
        let names = ["a", "ab", "with space", "b"];
        assert_eq!(paths("/", "a", None, names), ["/a", "/ab"]);
        assert_eq!(paths("/p", "", Some('\''), ["x"]), ["'/p/x"]);
        assert_eq!(paths("/p", "w", None, names), ["\"/p/with space"]);
        assert_eq!(paths("/p", "", None, ["say \"hi\" now"]), ["'/p/say \"hi\" now"]);
    }
}
