use super::node::NodeId;

/// Lists shorter than this are not worth compacting.
const SMALL: usize = 16;

/// The children of one node in the order of their creation, which is the same on every replica.
///
/// Each has an ordinal, the parent's count of creations when it was made; so the list is sorted, a child is found
/// by bisection, and a page of a listing goes on behind an ordinal. A child that goes leaves its place empty; when
/// more than half of the places are empty the list is rewritten.
#[derive(Debug, Default)]
pub(super) struct Children {
    entries: Vec<(u64, NodeId)>,
    /// Every place before this one is empty: taking from the front, as a queue does, stays cheap.
    front: usize,
    len: usize,
}

impl Children {
    /// An empty list with room for one, the most frequent size.
    pub(super) fn new() -> Self {
        Self { entries: Vec::with_capacity(1), front: 0, len: 0 }
    }

    /// Adds a child whose ordinal is larger than all before.
    pub(super) fn push(&mut self, ordinal: u64, id: NodeId) {
        debug_assert!(self.entries.last().is_none_or(|(last, _)| *last < ordinal));
        self.entries.push((ordinal, id));
        self.len += 1;
    }

    /// Adds a child of any ordinal; [`sort`](Self::sort) follows before anything else.
    pub(super) fn push_unsorted(&mut self, ordinal: u64, id: NodeId) {
        self.entries.push((ordinal, id));
        self.len += 1;
    }

    /// Sorts by ordinal. False if two children have the same.
    pub(super) fn sort(&mut self) -> bool {
        if !self.entries.is_sorted_by(|a, b| a.0 < b.0) {
            self.entries.sort_unstable();
        }
        self.entries.is_sorted_by(|a, b| a.0 < b.0)
    }

    /// Removes the child with this ordinal.
    pub(super) fn remove(&mut self, ordinal: u64) {
        let Ok(at) = self.entries.binary_search_by_key(&ordinal, |entry| entry.0) else { return };
        let Some(entry) = self.entries.get_mut(at) else { return };
        if entry.1 == NodeId::NONE {
            return;
        }
        entry.1 = NodeId::NONE;
        self.len -= 1;
        if at == self.front {
            let empty = self.entries.iter().skip(at).take_while(|(_, id)| *id == NodeId::NONE).count();
            self.front = at + empty;
        }
        if self.entries.len() > SMALL && self.len < self.entries.len() / 2 {
            self.entries.retain(|(_, id)| *id != NodeId::NONE);
            self.entries.shrink_to(self.entries.len().saturating_mul(2));
            self.front = 0;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The children with their ordinals, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, NodeId)> + '_ {
        self.from(self.front)
    }

    /// Those behind the ordinal `after`.
    pub(super) fn after(&self, after: u64) -> impl Iterator<Item = (u64, NodeId)> + '_ {
        self.from(self.entries.partition_point(|(ordinal, _)| *ordinal <= after).max(self.front))
    }

    fn from(&self, at: usize) -> impl Iterator<Item = (u64, NodeId)> + '_ {
        self.entries.get(at..).unwrap_or_default().iter().copied().filter(|(_, id)| *id != NodeId::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_stay_in_order_however_they_go() {
        let mut children = Children::new();
        for ordinal in 0..100 {
            children.push(ordinal, NodeId(ordinal as u32));
        }
        for ordinal in (0..100).filter(|ordinal| ordinal % 7 != 3) {
            children.remove(ordinal);
        }
        children.remove(1);
        let left: Vec<u64> = children.iter().map(|(ordinal, _)| ordinal).collect();
        assert_eq!(left, (0..100).filter(|ordinal| ordinal % 7 == 3).collect::<Vec<_>>());
        assert_eq!(children.len(), left.len());
        assert_eq!(children.after(10).map(|(ordinal, _)| ordinal).next(), Some(17));
        assert!(children.entries.len() < 50, "it was compacted");
    }

    #[test]
    fn a_queue_taken_from_the_front_is_not_scanned() {
        let mut children = Children::new();
        for ordinal in 0..1_000 {
            children.push(ordinal, NodeId(ordinal as u32));
        }
        for ordinal in 0..400 {
            children.remove(ordinal);
        }
        assert_eq!(children.front, 400);
        assert_eq!(children.iter().next(), Some((400, NodeId(400))));
        assert_eq!(children.after(5).next(), Some((400, NodeId(400))));
    }

    #[test]
    fn equal_ordinals_are_found_out() {
        let mut children = Children::new();
        children.push_unsorted(4, NodeId(1));
        children.push_unsorted(2, NodeId(2));
        assert!(children.sort());
        children.push_unsorted(4, NodeId(3));
        assert!(!children.sort());
    }
}
