use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn sid(number: u64) -> ServerId {
    ServerId::new(number)
}

fn reached_by(quorum: &Quorum, servers: &[u64]) -> bool {
    quorum.is_reached(|server| servers.contains(&server.number()))
}

#[test]
fn a_majority_is_more_than_half_of_all_voters() {
    let four = Quorum::majority([4, 2, 1, 3, 2].map(sid));
    assert_eq!(four.voters().collect::<Vec<_>>(), [1, 2, 3, 4].map(sid));
    assert!(!reached_by(&four, &[1, 2]));
    assert!(reached_by(&four, &[1, 2, 4]));
    assert!(!reached_by(&four, &[1, 2, 9]), "a server that does not vote never counts");
}

#[test]
fn without_voters_nothing_is_ever_decided() {
    let nobody = Quorum::majority([]);
    assert!(!nobody.is_reached(|_| true));
    assert_eq!(nobody.reached(|_| Some(1)), None);
    let weightless = Quorum::hierarchical([(sid(1), 0, 0), (sid(2), 0, 1)]);
    assert!(!weightless.is_reached(|_| true));
    assert_eq!(weightless.reached(|_| Some(1)), None);
}

#[test]
fn a_voter_of_weight_zero_votes_and_never_counts() {
    let quorum = Quorum::hierarchical([(sid(1), 1, 0), (sid(2), 1, 0), (sid(3), 1, 0), (sid(4), 0, 0)]);
    assert!(quorum.is_voter(sid(4)));
    assert_eq!(quorum.weight(sid(4)), 0);
    assert!(!reached_by(&quorum, &[1, 4]));
    assert!(reached_by(&quorum, &[1, 3]));
}

#[test]
fn groups_decide_by_more_than_half_of_the_groups_that_have_weight() {
    let members = (1..=9).map(|number| (sid(number), 1, ((number - 1) / 3) as u32));
    let three_by_three = Quorum::hierarchical(members.chain([(sid(10), 0, 7)]));
    assert!(reached_by(&three_by_three, &[1, 2, 4, 5]), "four of nine: two of three in two of three groups");
    assert!(!reached_by(&three_by_three, &[1, 4, 7, 2, 10]));
    assert!(!reached_by(&three_by_three, &[1, 2, 3, 4, 7]));
}

#[test]
fn weights_in_one_group_are_plain_weighted_votes() {
    let quorum = Quorum::hierarchical([(sid(1), 3, 0), (sid(2), 1, 0), (sid(3), 1, 0)]);
    assert!(reached_by(&quorum, &[1]));
    assert!(!reached_by(&quorum, &[2, 3]));
    assert_eq!(quorum.weight(sid(1)), 3);
    assert_eq!(quorum.reached(|server| Some(server.number())), Some(1));
}

#[test]
fn equal_weights_in_one_group_are_a_majority() {
    let weighted = Quorum::hierarchical((1..=3).map(|number| (sid(number), 1, 5)));
    assert_eq!(weighted, Quorum::majority((1..=3).map(sid)));
}

#[test]
fn a_joint_quorum_needs_both() {
    let joint = Quorum::joint(Quorum::majority([1, 2, 3].map(sid)), Quorum::majority([3, 4, 5].map(sid)));
    assert_eq!(joint.voters().collect::<Vec<_>>(), [1, 2, 3, 4, 5].map(sid));
    assert!(!reached_by(&joint, &[1, 2, 3]));
    assert!(!reached_by(&joint, &[3, 4, 5]));
    assert!(reached_by(&joint, &[1, 3, 5]));
    assert_eq!(joint.reached(|server| Some(server.number())), Some(2));
}

#[test]
fn the_later_word_on_a_member_counts() {
    let quorum = Quorum::hierarchical([(sid(1), 9, 0), (sid(2), 1, 0), (sid(3), 1, 0), (sid(1), 1, 0)]);
    assert_eq!(quorum, Quorum::majority([1, 2, 3].map(sid)));
}

/// The definitions word for word, over sets.
#[derive(Clone, Debug)]
enum Model {
    Majority(BTreeSet<u64>),
    Groups(Vec<(u64, u32, u32)>),
    Joint(Box<Model>, Box<Model>),
}

impl Model {
    fn quorum(&self) -> Quorum {
        match self {
            Self::Majority(voters) => Quorum::majority(voters.iter().copied().map(sid)),
            Self::Groups(members) => Quorum::hierarchical(members.iter().map(|(s, w, g)| (sid(*s), *w, *g))),
            Self::Joint(old, new) => Quorum::joint(old.quorum(), new.quorum()),
        }
    }

    fn is_reached(&self, set: &BTreeSet<u64>) -> bool {
        match self {
            Self::Majority(voters) => 2 * voters.intersection(set).count() > voters.len(),
            Self::Groups(members) => {
                let weight_of = |group: u32, only: Option<&BTreeSet<u64>>| -> u32 {
                    let counted = members
                        .iter()
                        .filter(|(s, _, g)| *g == group && only.is_none_or(|only| only.contains(s)));
                    counted.map(|(_, weight, _)| weight).sum()
                };
                let groups: BTreeSet<u32> = members.iter().map(|(_, _, group)| *group).collect();
                let voting: Vec<u32> = groups.into_iter().filter(|g| weight_of(*g, None) > 0).collect();
                let won =
                    voting.iter().filter(|g| 2 * weight_of(**g, Some(set)) > weight_of(**g, None)).count();
                2 * won > voting.len()
            }
            Self::Joint(old, new) => old.is_reached(set) && new.is_reached(set),
        }
    }
}

const SERVERS: u64 = 8;

fn simple() -> impl Strategy<Value = Model> {
    prop_oneof![
        prop::collection::btree_set(0..SERVERS, 0..=SERVERS as usize).prop_map(Model::Majority),
        prop::collection::btree_map(0..SERVERS, (0..4u32, 0..4u32), 0..=SERVERS as usize)
            .prop_map(|members| Model::Groups(members.into_iter().map(|(s, (w, g))| (s, w, g)).collect())),
    ]
}

fn model() -> impl Strategy<Value = Model> {
    prop_oneof![
        4 => simple(),
        1 => (simple(), simple()).prop_map(|(old, new)| Model::Joint(Box::new(old), Box::new(new))),
    ]
}

fn set_of(bits: u64) -> BTreeSet<u64> {
    (0..SERVERS).filter(|server| bits & (1 << server) != 0).collect()
}

proptest! {
    #[test]
    fn sets_are_judged_as_the_definition_says_and_more_servers_never_undo_a_quorum(model in model()) {
        let quorum = model.quorum();
        for bits in 0..1 << SERVERS {
            let set = set_of(bits);
            let is = quorum.is_reached(|server| set.contains(&server.number()));
            prop_assert_eq!(is, model.is_reached(&set));
            for more in 0..SERVERS {
                let larger = set_of(bits | 1 << more);
                prop_assert!(!is || quorum.is_reached(|server| larger.contains(&server.number())));
            }
        }
    }

    #[test]
    fn any_two_quorums_share_a_voter_that_counts(model in model()) {
        let quorum = model.quorum();
        let quorums: Vec<u64> = (0..1 << SERVERS)
            .filter(|bits| quorum.is_reached(|server| bits & (1 << server.number()) != 0))
            .collect();
        for one in &quorums {
            for other in &quorums {
                prop_assert!(quorum.voters().any(|s| (one & other) & (1 << s.number()) != 0 && quorum.weight(s) > 0));
            }
        }
    }

    #[test]
    fn the_value_reached_is_the_largest_that_a_quorum_is_at_or_above(
        model in model(),
        values in prop::collection::vec(prop::option::of(0..6u8), SERVERS as usize),
    ) {
        let quorum = model.quorum();
        let of = |server: ServerId| values[server.number() as usize];
        let naive = (0..6u8).rev().find(|v| quorum.is_reached(|server| of(server) >= Some(*v)));
        prop_assert_eq!(quorum.reached(of), naive);
    }

    #[test]
    fn the_value_reached_by_many_voters_is_the_same_off_the_stack(values in prop::collection::vec(0..99u64, 1..40)) {
        let quorum = Quorum::majority((0..values.len() as u64).map(sid));
        let mut falling = values.clone();
        falling.sort_unstable_by(|left, right| right.cmp(left));
        prop_assert_eq!(
            quorum.reached(|server| Some(values[server.number() as usize])),
            Some(falling[values.len() / 2])
        );
    }
}
