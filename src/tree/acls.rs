use std::collections::BTreeMap;

use crate::types::Acl;

use super::digest;

/// The number of an ACL in the [`AclTable`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct AclId(pub(super) u32);

/// Each ACL once, however many nodes have it.
///
/// While a snapshot is running no number is given to another ACL ([`hold`](Self::hold)): nodes that have changed or
/// gone since it began are still written with the number that they had.
#[derive(Debug, Default)]
pub(super) struct AclTable {
    slots: Vec<Option<Slot>>,
    vacant: Vec<AclId>,
    by_value: BTreeMap<Acl, AclId>,
    held: bool,
    /// Numbers that lost their last node while held.
    idle: Vec<AclId>,
}

#[derive(Debug)]
struct Slot {
    acl: Acl,
    hash: u64,
    nodes: u64,
}

impl AclTable {
    /// The number of `acl`, for one more node.
    pub(super) fn acquire(&mut self, acl: &Acl) -> AclId {
        if let Some(id) = self.by_value.get(acl).copied() {
            return self.acquire_again(id);
        }
        let slot = Slot { acl: acl.clone(), hash: digest::acl_hash(acl), nodes: 1 };
        let id = match self.vacant.pop() {
            Some(id) => {
                if let Some(vacant) = self.slots.get_mut(id.0 as usize) {
                    *vacant = Some(slot);
                }
                id
            }
            None => {
                // There are fewer ACLs than nodes, and those are fewer than 2^32.
                let id = AclId(u32::try_from(self.slots.len()).unwrap_or(u32::MAX));
                self.slots.push(Some(slot));
                id
            }
        };
        self.by_value.insert(acl.clone(), id);
        id
    }

    /// The same number, for one more node.
    pub(super) fn acquire_again(&mut self, id: AclId) -> AclId {
        if let Some(slot) = self.slot_mut(id) {
            slot.nodes += 1;
        }
        id
    }

    /// One node less has it.
    pub(super) fn release(&mut self, id: AclId) {
        let Some(slot) = self.slot_mut(id) else { return };
        slot.nodes = slot.nodes.saturating_sub(1);
        if slot.nodes == 0 {
            if self.held {
                self.idle.push(id);
            } else {
                self.forget(id);
            }
        }
    }

    /// From now on numbers keep their meaning.
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// Ends [`hold`](Self::hold).
    pub(super) fn unhold(&mut self) {
        self.held = false;
        for id in std::mem::take(&mut self.idle) {
            // It may have found nodes again, or stand in the list twice.
            if self.slot(id).is_some_and(|slot| slot.nodes == 0) {
                self.forget(id);
            }
        }
    }

    #[expect(clippy::expect_used, reason = "a node's ACL is held by the node, or by the running snapshot")]
    pub(super) fn get(&self, id: AclId) -> &Acl {
        &self.slot(id).expect("an ACL that a node has").acl
    }

    /// The hash of the ACL's content, the same on every replica.
    pub(super) fn hash(&self, id: AclId) -> u64 {
        self.slot(id).map_or(0, |slot| slot.hash)
    }

    fn forget(&mut self, id: AclId) {
        if let Some(slot) = self.slots.get_mut(id.0 as usize).and_then(Option::take) {
            self.by_value.remove(&slot.acl);
            self.vacant.push(id);
        }
    }

    fn slot(&self, id: AclId) -> Option<&Slot> {
        self.slots.get(id.0 as usize)?.as_ref()
    }

    fn slot_mut(&mut self, id: AclId) -> Option<&mut Slot> {
        self.slots.get_mut(id.0 as usize)?.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_used_again_only_after_its_last_node_and_snapshot() {
        let mut acls = AclTable::default();
        let open = acls.acquire(&Acl::open());
        assert_eq!(acls.acquire(&Acl::open()), open);
        acls.release(open);
        acls.hold();
        acls.release(open);
        let other = acls.acquire(&Acl::read_only());
        assert_ne!(other, open);
        assert_eq!(*acls.get(open), Acl::open());
        assert_eq!(acls.acquire(&Acl::open()), open);
        acls.release(open);
        acls.unhold();
        assert_eq!(acls.acquire(&Acl::creator_only()), open);
    }
}
