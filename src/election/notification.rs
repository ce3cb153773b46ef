use serde::{Deserialize, Serialize};

use crate::types::ServerId;

use super::Vote;

/// What a server is doing, as far as elections go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum ServerState {
    /// It looks for a leader.
    Looking,
    /// It follows one: votes and acknowledges.
    Following,
    /// It leads, or gathers its followers.
    Leading,
    /// It follows one and does not vote.
    Observing,
}

/// What servers say to each other in elections. Each says all that its sender has to say; a later one replaces it,
/// so a lost one is only lost.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Notification {
    /// What the sender is doing.
    pub state: ServerState,
    /// The sender's round; of a settled server the one in which its leader was elected.
    pub round: u64,
    /// For whom the sender votes, or whom it follows. None from a server that votes for nobody: an observer, or
    /// one whose disk is suspect.
    pub vote: Option<Vote>,
    /// While looking: the sender as a candidate. None if it must not be elected, and its vote not counted.
    pub candidate: Option<Vote>,
    /// Whether the sender hears the receiver: has heard from it since it began to look, and not long ago. Always true of
    /// a settled server, because it speaks to those only that it heard.
    pub hears_you: bool,
    /// While looking: whether the sender hears, and is heard by, a quorum of looking voters that could vote for it, itself included.
    pub connected: bool,
    /// Whether the sender wants an answer. Answers want none.
    pub ask: bool,
}

impl Notification {
    /// Whether `from` can have meant this. What no correct server sends is dropped whole.
    pub(super) fn is_sane(&self, from: ServerId) -> bool {
        let own_candidate = self.candidate.is_none_or(|candidate| candidate.sid == from);
        let vote_fits = match self.state {
            ServerState::Looking => true,
            ServerState::Leading => self.vote.is_some_and(|vote| vote.sid == from),
            ServerState::Following | ServerState::Observing => self.vote.is_some_and(|vote| vote.sid != from),
        };
        own_candidate && vote_fits
    }
}
