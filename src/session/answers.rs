use std::collections::VecDeque;

use crate::types::{NumberedRequest, Refusal, RequestId, Written, Zxid};

use super::form;

/// How many answers of one session are remembered. Part of the replicated state machine: servers of different
/// values would disagree.
pub const MAX_ANSWERS: usize = 1024;

/// How many bytes the remembered answers of one session may have together, in their snapshot form; the newest
/// is kept whatever its length. Part of the replicated state machine, as [`MAX_ANSWERS`] is.
pub const MAX_ANSWERS_LEN: usize = 1 << 20;

/// What a numbered write came to when it was executed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recorded {
    /// The transaction that executed or refused it.
    pub zxid: Zxid,
    /// The answer that the client was given, or would have been.
    pub answer: Result<Written, Refusal>,
}

/// What a session's table says of a write's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen<'a> {
    /// It is larger than every number applied so far: the write is to be executed.
    New,
    /// It was applied: this is its answer, to be given again.
    Answered(&'a Recorded),
    /// It is not larger than the last number applied and has no answer here: the client said that it has it,
    /// or it was the oldest of too many. The write is not to be executed.
    Forgotten,
}

/// The answers to the numbered writes of one session, in the order of their numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    last: RequestId,
    kept: VecDeque<Kept>,
    len: usize,
    digest: u64,
}

#[derive(Clone, Debug)]
struct Kept {
    number: RequestId,
    len: usize,
    digest: u64,
    recorded: Recorded,
}

impl Answers {
    /// Forgets what the client has and keeps `answer`. A number that is not new changes nothing else: the
    /// first answer stands.
    pub(super) fn record(
        &mut self,
        request: NumberedRequest,
        zxid: Zxid,
        answer: Result<Written, Refusal>,
        scratch: &mut Vec<u8>,
    ) {
        while self.kept.front().is_some_and(|oldest| oldest.number < request.answered_below) {
            self.forget_oldest();
        }
        if request.id <= self.last {
            return;
        }
        self.last = request.id;
        if request.id >= request.answered_below {
            self.keep(request.id, Recorded { zxid, answer }, scratch);
        }
    }

    /// Takes an answer of a snapshot. Returns whether it can stand there.
    pub(super) fn restore(&mut self, number: RequestId, recorded: Recorded, scratch: &mut Vec<u8>) -> bool {
        let ordered = self.kept.back().is_none_or(|newest| newest.number < number) && number <= self.last;
        let before = self.kept.len();
        ordered && self.keep(number, recorded, scratch) && self.kept.len() == before + 1
    }

    pub(super) fn with_last(last: RequestId) -> Self {
        Self { last, ..Self::default() }
    }

    pub(super) fn seen(&self, number: RequestId) -> Seen<'_> {
        match self.recorded(number) {
            Some(recorded) => Seen::Answered(recorded),
            None if number > self.last => Seen::New,
            None => Seen::Forgotten,
        }
    }

    pub(super) fn recorded(&self, number: RequestId) -> Option<&Recorded> {
        let at = self.kept.binary_search_by_key(&number, |kept| kept.number).ok()?;
        self.kept.get(at).map(|kept| &kept.recorded)
    }

    pub(super) fn last(&self) -> RequestId {
        self.last
    }

    pub(super) fn count(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (RequestId, &Recorded)> {
        self.kept.iter().map(|kept| (kept.number, &kept.recorded))
    }

    /// Changes with the last number and with every answer that comes and goes.
    pub(super) fn digest(&self) -> u64 {
        self.digest.wrapping_add(form::digest(&self.last.number().to_le_bytes()))
    }

    /// Returns whether the answer was kept: not if it nests so deep that no snapshot could hold it.
    fn keep(&mut self, number: RequestId, recorded: Recorded, scratch: &mut Vec<u8>) -> bool {
        scratch.clear();
        if !form::put_answer(scratch, number, &recorded) {
            return false;
        }
        let kept = Kept { number, len: scratch.len(), digest: form::digest(scratch), recorded };
        self.len += kept.len;
        self.digest = self.digest.wrapping_add(kept.digest);
        self.kept.push_back(kept);
        while self.kept.len() > MAX_ANSWERS || (self.len > MAX_ANSWERS_LEN && self.kept.len() > 1) {
            self.forget_oldest();
        }
        true
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.kept.pop_front() {
            self.len -= oldest.len;
            self.digest = self.digest.wrapping_sub(oldest.digest);
        }
    }
}
