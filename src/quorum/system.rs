use std::collections::BTreeMap;

use crate::types::ServerId;

/// How the sets of voters that decide are made.
///
/// Invariant: lists of voters are ascending and without doubles.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum System {
    /// More than half of these.
    Majority(Vec<ServerId>),
    /// More than half of the groups that have weight.
    Groups(Vec<Group>),
    /// A quorum of each.
    Both(Box<(System, System)>),
}

/// Voters of which more than half of the weight stands for all.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Group {
    /// Ascending, without doubles.
    members: Vec<(ServerId, u64)>,
    /// The sum of the members' weights. A group without weight has no say.
    weight: u64,
}

impl System {
    pub(super) fn majority(voters: impl IntoIterator<Item = ServerId>) -> Self {
        let mut voters: Vec<_> = voters.into_iter().collect();
        voters.sort_unstable();
        voters.dedup();
        Self::Majority(voters)
    }

    pub(super) fn hierarchical(members: impl IntoIterator<Item = (ServerId, u32, u32)>) -> Self {
        let members: BTreeMap<_, _> =
            members.into_iter().map(|(server, weight, group)| (server, (weight, group))).collect();
        let mut groups: BTreeMap<u32, Vec<(ServerId, u64)>> = BTreeMap::new();
        for (server, (weight, group)) in &members {
            groups.entry(*group).or_default().push((*server, u64::from(*weight)));
        }
        if groups.len() <= 1 && members.values().all(|(weight, _)| *weight == 1) {
            return Self::Majority(members.into_keys().collect());
        }
        Self::Groups(groups.into_values().map(Group::new).collect())
    }

    pub(super) fn collect_voters(&self, into: &mut Vec<ServerId>) {
        match self {
            Self::Majority(voters) => into.extend(voters),
            Self::Groups(groups) => {
                into.extend(groups.iter().flat_map(|group| &group.members).map(|(server, _)| *server));
            }
            Self::Both(both) => {
                both.0.collect_voters(into);
                both.1.collect_voters(into);
            }
        }
    }

    pub(super) fn weight(&self, server: ServerId) -> u64 {
        match self {
            Self::Majority(voters) => voters.binary_search(&server).is_ok().into(),
            Self::Groups(groups) => {
                groups.iter().map(|group| group.weight_of(server)).max().unwrap_or_default()
            }
            Self::Both(both) => both.0.weight(server).max(both.1.weight(server)),
        }
    }

    pub(super) fn is_reached(&self, has: &impl Fn(ServerId) -> bool) -> bool {
        match self {
            Self::Majority(voters) => voters.iter().filter(|server| has(**server)).count() > voters.len() / 2,
            Self::Groups(groups) => {
                let won = groups.iter().filter(|group| group.is_won(has)).count();
                won > groups_with_weight(groups).count() / 2
            }
            Self::Both(both) => both.0.is_reached(has) && both.1.is_reached(has),
        }
    }

    pub(super) fn reached<T: Ord + Copy>(&self, of: &impl Fn(ServerId) -> Option<T>) -> Option<T> {
        match self {
            Self::Majority(voters) => {
                let values = voters.iter().map(|server| of(*server));
                sorted_down(voters.len(), None, values, |values| more_than_half(values))
            }
            Self::Groups(groups) => {
                let count = groups_with_weight(groups).count();
                let values = groups_with_weight(groups).map(|group| group.reached(of));
                sorted_down(count, None, values, |values| more_than_half(values))
            }
            // A value is reached in both when it is at most what each has reached; `None` is below all.
            Self::Both(both) => both.0.reached(of).min(both.1.reached(of)),
        }
    }
}

impl Group {
    fn new(members: Vec<(ServerId, u64)>) -> Self {
        let weight = members.iter().map(|(_, weight)| weight).sum();
        Self { members, weight }
    }

    fn weight_of(&self, server: ServerId) -> u64 {
        let found = self.members.binary_search_by_key(&server, |(member, _)| *member).ok();
        found.and_then(|at| self.members.get(at)).map_or(0, |(_, weight)| *weight)
    }

    fn is_won(&self, has: &impl Fn(ServerId) -> bool) -> bool {
        let won: u64 = self.members.iter().filter(|(server, _)| has(*server)).map(|(_, weight)| weight).sum();
        won > self.weight / 2
    }

    fn reached<T: Ord + Copy>(&self, of: &impl Fn(ServerId) -> Option<T>) -> Option<T> {
        let values = self.members.iter().map(|(server, weight)| (of(*server), *weight));
        sorted_down(self.members.len(), (None, 0), values, |values| {
            let mut won = 0;
            let enough = values.iter().find(|(_, weight)| {
                won += *weight;
                won > self.weight / 2
            });
            enough.and_then(|(value, _)| *value)
        })
    }
}

fn groups_with_weight(groups: &[Group]) -> impl Iterator<Item = &Group> {
    groups.iter().filter(|group| group.weight > 0)
}

/// The value that more than half are at or above, of values that stand in falling order.
fn more_than_half<T: Copy>(falling: &[Option<T>]) -> Option<T> {
    falling.get(falling.len() / 2).copied().flatten()
}

/// Hands `len` items to `judge` in falling order; on the stack when they are few. `filler` is any item.
fn sorted_down<T: Ord + Copy, R>(
    len: usize,
    filler: T,
    items: impl Iterator<Item = T>,
    judge: impl FnOnce(&[T]) -> R,
) -> R {
    const FEW: usize = 16;
    let mut few = [filler; FEW];
    let mut many = Vec::new();
    let sorted = if let Some(slots) = few.get_mut(..len) {
        slots.iter_mut().zip(items).for_each(|(slot, item)| *slot = item);
        slots
    } else {
        many.extend(items);
        many.as_mut_slice()
    };
    sorted.sort_unstable_by(|left, right| right.cmp(left));
    judge(sorted)
}
