//! The shapes of partitions, after the names that Jepsen gave them: who is cut off from whom, and on which nodes the rules
//! for that stand. Pure: nodes are numbers.

use std::collections::BTreeSet;

use super::network::Direction;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Partition {
    /// One node from all others, or from those that are named.
    #[default]
    Isolate,
    /// Two groups; the target's is the smaller one.
    Halves,
    /// Every node reaches a majority, and no two the same one.
    MajoritiesRing,
    /// Two groups that only the target reaches both of.
    Bridge,
    /// The store that leads most from the rest.
    Primaries,
    /// The target hears nobody.
    OneWayIn,
    /// Nobody hears the target.
    OneWayOut,
    /// The target and one other.
    Pair,
}

/// The rules of one node: the peers that it drops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub node: usize,
    pub from: Vec<usize>,
}

impl Partition {
    pub const NAMES: &'static [&'static str] =
        &["isolate", "halves", "majorities-ring", "bridge", "primaries", "one-way-in", "one-way-out", "pair"];
    const ALL: [Self; 8] = [
        Self::Isolate,
        Self::Halves,
        Self::MajoritiesRing,
        Self::Bridge,
        Self::Primaries,
        Self::OneWayIn,
        Self::OneWayOut,
        Self::Pair,
    ];

    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shape| shape.name() == name)
    }

    /// Whether it is about one node and its peers, which may be named, PD among them.
    pub fn is_of_one(self) -> bool {
        matches!(self, Self::Isolate | Self::Primaries | Self::OneWayIn | Self::OneWayOut)
    }

    pub fn direction(self) -> Direction {
        match self {
            Self::OneWayIn => Direction::In,
            Self::OneWayOut => Direction::Out,
            _ => Direction::Both,
        }
    }

    /// Which of `nodes` stores drops which, the target among them; `peer` is the other one of a pair. Rules on one side
    /// cut both ways, so they stand on as few nodes as that takes. An error says how many nodes it needs.
    pub fn members(self, nodes: usize, target: usize, peer: Option<usize>) -> Result<Vec<Member>, String> {
        let least = match self {
            Self::MajoritiesRing => 4,
            Self::Bridge => 3,
            _ => 2,
        };
        if nodes < least {
            return Err(format!("{} needs at least {least} TiKV nodes, and there are {nodes}", self.name()));
        }
        // The others in a ring from the target on.
        let ring: Vec<usize> = (0..nodes).map(|step| (target + step) % nodes).collect();
        let cross = |one: &[usize], two: &[usize]| -> BTreeSet<(usize, usize)> {
            one.iter().flat_map(|a| two.iter().map(|b| ((*a).min(*b), (*a).max(*b)))).collect()
        };
        let pairs = match self {
            Self::Isolate | Self::Primaries | Self::OneWayIn | Self::OneWayOut => {
                return Ok(vec![Member { node: target, from: ring[1..].to_vec() }]);
            }
            Self::Pair => return Ok(vec![Member { node: target, from: vec![peer.unwrap_or(ring[1])] }]),
            Self::Halves => {
                let (one, two) = ring.split_at(nodes / 2);
                cross(one, two)
            }
            Self::Bridge => {
                let (one, two) = ring[1..].split_at((nodes - 1) / 2);
                cross(one, two)
            }
            Self::MajoritiesRing => {
                // Each node is the middle of its majority, the next ones on the ring to both sides.
                let majority = nodes / 2 + 1;
                let reach = majority / 2;
                let apart = |a: usize, b: usize| (a.abs_diff(b)).min(nodes - a.abs_diff(b));
                let all = (0..nodes).flat_map(|a| (a + 1..nodes).map(move |b| (a, b)));
                all.filter(|(a, b)| apart(*a, *b) > reach).collect()
            }
        };
        Ok(carriers(pairs))
    }
}

/// Each pair by the one of the two that is in most pairs.
fn carriers(mut pairs: BTreeSet<(usize, usize)>) -> Vec<Member> {
    let mut members = Vec::new();
    while !pairs.is_empty() {
        let degree = |node: usize| pairs.iter().filter(|(a, b)| *a == node || *b == node).count();
        let nodes: BTreeSet<usize> = pairs.iter().flat_map(|(a, b)| [*a, *b]).collect();
        let Some(node) = nodes.into_iter().rev().max_by_key(|node| degree(*node)) else { break };
        let other = |(a, b): &(usize, usize)| match (*a == node, *b == node) {
            (true, _) => Some(*b),
            (_, true) => Some(*a),
            _ => None,
        };
        members.push(Member { node, from: pairs.iter().filter_map(other).collect() });
        pairs.retain(|pair| other(pair).is_none());
    }
    members.sort_by_key(|member| member.node);
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who reaches whom when these rules stand.
    fn reaches(nodes: usize, members: &[Member]) -> Vec<BTreeSet<usize>> {
        let cut = |a: usize, b: usize| {
            members.iter().any(|member| {
                (member.node == a && member.from.contains(&b)) || (member.node == b && member.from.contains(&a))
            })
        };
        (0..nodes).map(|a| (0..nodes).filter(|b| !cut(a, *b)).collect()).collect()
    }

    #[test]
    fn in_a_ring_every_node_reaches_a_majority_and_no_two_the_same() {
        for nodes in [5, 7] {
            let members = Partition::MajoritiesRing.members(nodes, 0, None).unwrap();
            let reached = reaches(nodes, &members);
            assert!(reached.iter().all(|group| group.len() > nodes / 2), "{nodes}: {reached:?}");
            let distinct: BTreeSet<_> = reached.iter().collect();
            assert_eq!(distinct.len(), nodes);
        }
        assert!(Partition::MajoritiesRing.members(3, 0, None).unwrap_err().contains("at least 4"));
    }

    #[test]
    fn a_bridge_reaches_everybody_and_the_sides_reach_only_themselves_and_it() {
        let reached = reaches(5, &Partition::Bridge.members(5, 2, None).unwrap());
        assert_eq!(reached[2].len(), 5);
        assert!((0..5).filter(|node| *node != 2).all(|node| reached[node].len() == 3), "{reached:?}");
        let three = Partition::Bridge.members(3, 0, None).unwrap();
        assert_eq!(reaches(3, &three), [[0, 1, 2].into(), [0, 1].into(), [0, 2].into()]);
    }

    #[test]
    fn halves_stand_on_the_smaller_side_and_each_reaches_only_its_own() {
        let members = Partition::Halves.members(5, 1, None).unwrap();
        assert_eq!(members.iter().map(|member| member.node).collect::<Vec<_>>(), [1, 2]);
        let reached = reaches(5, &members);
        assert_eq!(reached[1], [1, 2].into());
        assert_eq!(reached[3], [0, 3, 4].into());
    }

    #[test]
    fn a_pair_is_two_and_the_one_way_shapes_are_one_way() {
        assert_eq!(Partition::Pair.members(3, 0, Some(2)).unwrap(), [Member { node: 0, from: vec![2] }]);
        assert_eq!(Partition::OneWayIn.direction(), Direction::In);
        assert_eq!(Partition::OneWayOut.direction(), Direction::Out);
        assert_eq!(Partition::Isolate.members(3, 1, None).unwrap(), [Member { node: 1, from: vec![2, 0] }]);
    }
}
