//! The four-letter words: texts for administrators and their scripts, asked for in place of a session.

mod report;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;

use crate::peer::Detail;

pub use report::{ConnectionReport, HostFacts, NoHostFacts, ServerReport, VERSION};
pub use text::answer;

macro_rules! words {
    ($($(#[$doc:meta])* $word:ident = $text:literal,)*) => {
        /// A four-letter word.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Word {
            $($(#[$doc])* $word,)*
        }

        impl Word {
            /// All words, in the order of the alphabet.
            pub const ALL: &[Self] = &[$(Self::$word),*];

            /// The word as it is sent.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$word => $text,)*
                }
            }
        }
    };
}

words! {
    /// The configuration.
    Conf = "conf",
    /// The connections, in full.
    Cons = "cons",
    /// Resets the connections' counters.
    Crst = "crst",
    /// The sizes of the directories.
    Dirs = "dirs",
    /// The sessions and their ephemerals.
    Dump = "dump",
    /// The environment.
    Envi = "envi",
    /// The trace mask. There is none: 0.
    Gtmk = "gtmk",
    /// The digest of the state.
    Hash = "hash",
    /// Whether the server only reads: `ro` or `rw`.
    Isro = "isro",
    /// Figures to be watched.
    Mntr = "mntr",
    /// Whether the process is alive: `imok`.
    Ruok = "ruok",
    /// Resets the server's counters.
    Srst = "srst",
    /// The server in brief.
    Srvr = "srvr",
    /// The server and its connections in brief.
    Stat = "stat",
    /// Sets the trace mask. There is none: 0.
    Stmk = "stmk",
    /// The watches, by session.
    Wchc = "wchc",
    /// The watches, by path.
    Wchp = "wchp",
    /// How many watches there are.
    Wchs = "wchs",
}

/// What a text is made of, besides what the host knows. Each takes in those before it, and costs more.
#[cfg(any(test, feature = "tokio"))]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::protocol) enum Needs {
    /// Nothing at all.
    Nothing,
    /// The status, if only to tell whether there is a quorum.
    Status,
    /// The counters of the connections, and the connections where [`Word::lists_connections`].
    Connections,
    /// What the peer holds, as far as [`Word::detail`].
    Inspection,
}

impl Word {
    /// The word of these bytes.
    #[must_use]
    pub fn parse(bytes: [u8; 4]) -> Option<Self> {
        Self::ALL.iter().copied().find(|word| word.as_str().as_bytes() == bytes)
    }

    /// What is answered where the word is not allowed.
    #[must_use]
    pub fn refusal(self) -> String {
        format!("{} is not executed because it is not in the whitelist.\n", self.as_str())
    }

    /// How much of the peer the text shows.
    #[must_use]
    pub const fn detail(self) -> Detail {
        match self {
            Self::Dump | Self::Wchc | Self::Wchp | Self::Wchs => Detail::Lists,
            _ => Detail::Counts,
        }
    }

    /// Whether the text lists the connections.
    #[must_use]
    pub const fn lists_connections(self) -> bool {
        matches!(self, Self::Cons | Self::Stat)
    }

    /// What the text is made of. Anybody may ask, as often as they like, so nothing is looked up in vain.
    #[cfg(any(test, feature = "tokio"))]
    pub(in crate::protocol) const fn needs(self) -> Needs {
        match self {
            Self::Ruok | Self::Envi | Self::Gtmk | Self::Stmk => Needs::Nothing,
            Self::Isro | Self::Crst | Self::Srst | Self::Conf | Self::Dirs | Self::Hash => Needs::Status,
            Self::Srvr | Self::Stat | Self::Cons => Needs::Connections,
            Self::Mntr | Self::Dump | Self::Wchc | Self::Wchp | Self::Wchs => Needs::Inspection,
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The words that are answered; ZooKeeper's `4lw.commands.whitelist`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WordSet(u32);

impl WordSet {
    /// No word.
    pub const NONE: Self = Self(0);
    /// Every word.
    pub const ALL: Self = Self(u32::MAX);

    /// The words in ZooKeeper's notation: `srvr, mntr`, or `*` for all. Words that there are none of are passed over, and
    /// given back.
    #[must_use]
    pub fn parse(list: &str) -> (Self, Vec<&str>) {
        let (mut set, mut unknown) = (Self::NONE, Vec::new());
        for text in list.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            match text.as_bytes().try_into().ok().and_then(Word::parse) {
                Some(word) => set = set.with(word),
                None if text == "*" => set = Self::ALL,
                None => unknown.push(text),
            }
        }
        (set, unknown)
    }

    /// The same words and this one.
    #[must_use]
    pub const fn with(self, word: Word) -> Self {
        Self(self.0 | word.bit())
    }

    /// Whether the word is among them.
    #[must_use]
    pub const fn allows(self, word: Word) -> bool {
        self.0 & word.bit() != 0
    }
}

impl Default for WordSet {
    /// `srvr` alone, as ZooKeeper.
    fn default() -> Self {
        Self::NONE.with(Word::Srvr)
    }
}

impl fmt::Debug for WordSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(Word::ALL.iter().filter(|word| self.allows(**word))).finish()
    }
}
