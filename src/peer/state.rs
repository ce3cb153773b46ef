use crate::session::{Seen, Sessions};
use crate::tree::{Tree, TreeLimits};
use crate::types::{Change, ErrorCode, Refusal, SeededRng, SessionId, Transaction, Txn, Written, Zxid};

use super::PeerConfig;

/// The replicated state: what applying the history up to one position makes. Equal on every replica at
/// equal position, to the byte.
#[derive(Debug)]
pub struct State {
    pub(super) tree: Tree,
    pub(super) sessions: Sessions,
    pub(super) applied: Zxid,
}

/// What applying one transaction came to.
#[derive(Debug)]
pub(super) struct Applied {
    /// The position to answer with. For a repetition too it is that of the transaction at hand, not of the first one: a
    /// client is never shown a position before one that it has seen.
    pub(super) zxid: Zxid,
    pub(super) result: Result<Written, Refusal>,
}

impl State {
    /// The state before the first transaction.
    #[must_use]
    pub(super) fn new(config: &PeerConfig) -> Self {
        Self { tree: Tree::new(tree_limits(config)), sessions: Sessions::new(), applied: Zxid::ZERO }
    }

    /// The position whose state this is.
    #[must_use]
    pub fn applied(&self) -> Zxid {
        self.applied
    }

    /// A number that is equal for equal states and, but for one chance in 2^64, for no others.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.tree.digest().wrapping_add(self.sessions.digest())
    }

    /// Applies the transaction at `zxid`, which follows `applied`.
    pub(super) fn apply(
        &mut self,
        zxid: Zxid,
        transaction: &Transaction,
        changes: &mut Vec<Change>,
    ) -> Applied {
        self.applied = zxid;
        let session = transaction.session;
        let result = match &transaction.txn {
            Txn::CreateSession { timeout_millis, password } => {
                self.sessions.create(SessionId::from_u64(zxid.as_u64()), *timeout_millis, *password);
                return Applied { zxid, result: Ok(Written::Checked) };
            }
            Txn::CloseSession { .. } => {
                let result = self.tree.apply(zxid, session, transaction.time, &transaction.txn, changes);
                self.sessions.close(session);
                return Applied { zxid, result };
            }
            Txn::Repeated => return self.first_answer(zxid, transaction),
            txn => self.tree.apply(zxid, session, transaction.time, txn, changes),
        };
        if let Some(request) = transaction.request {
            self.sessions.record(session, request, zxid, result.clone());
        }
        Applied { zxid, result }
    }

    fn first_answer(&self, zxid: Zxid, transaction: &Transaction) -> Applied {
        let forgotten = Applied { zxid, result: Err(ErrorCode::BadArguments.into()) };
        let Some(request) = transaction.request else {
            return forgotten;
        };
        match self.sessions.seen(transaction.session, request.id) {
            Seen::Answered(recorded) => Applied { zxid, result: recorded.answer.clone() },
            Seen::New | Seen::Forgotten => forgotten,
        }
    }
}

pub(super) fn tree_limits(config: &PeerConfig) -> TreeLimits {
    // Secret, so that nobody can choose names that collide in the look-up table. No output depends on it.
    let lookup_seed = SeededRng::new(config.seed).next_u64();
    TreeLimits { data_len: config.limits.data_len, lookup_seed, ..TreeLimits::default() }
}
