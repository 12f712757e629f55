//! Who reaches whom, and what that means for regions: each has its voters on some of the stores, and needs a quorum of
//! them that reach one another.

use super::placement::Placement;
use crate::cluster::pd::RegionVoters;

/// Clusters beyond this are judged by connected groups instead of by every set: a set is a bit in a word.
const EXACT: usize = 16;

/// Which stores serve, take writes, and reach one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// By store: it serves.
    serves: Vec<bool>,
    /// By store: its disk takes writes.
    writes: Vec<bool>,
    /// By pair, both ways.
    linked: Vec<Vec<bool>>,
}

impl Reach {
    /// Every store serves and reaches every other.
    pub fn full(stores: usize) -> Self {
        Self { serves: vec![true; stores], writes: vec![true; stores], linked: vec![vec![true; stores]; stores] }
    }

    pub fn take_out(&mut self, store: usize) {
        self.serves[store] = false;
    }

    pub fn fill(&mut self, store: usize) {
        self.writes[store] = false;
    }

    pub fn cut(&mut self, a: usize, b: usize) {
        self.linked[a][b] = false;
        self.linked[b][a] = false;
    }

    /// How many stores are in the greatest set that can write together.
    pub fn writing(&self) -> usize {
        self.greatest(&(0..self.serves.len()).collect::<Vec<_>>())
    }

    /// What becomes of the regions' quorums.
    pub fn quorums(&self, placement: &Placement) -> Quorums {
        match placement {
            Placement::Regions(regions) => {
                let lost = regions.iter().filter(|(voters, _)| !self.has_quorum(voters)).map(|(_, count)| count).sum();
                let all = regions.iter().map(|(_, count)| count).sum();
                match lost {
                    0 => Quorums::All,
                    _ if lost == all => Quorums::None,
                    _ => Quorums::Some { lost: Some((lost, all)) },
                }
            }
            Placement::Any { counts, .. } => {
                let counts = || counts.iter().map(|count| (*count).clamp(1, self.serves.len()));
                if counts().all(|voters| self.keeps_every_quorum(voters)) {
                    Quorums::All
                } else if counts().all(|voters| self.writing() <= voters / 2) {
                    Quorums::None
                } else {
                    Quorums::Some { lost: None }
                }
            }
        }
    }

    /// Whether every region of so many voters has a quorum, wherever they lie. The worst region has as many of them as
    /// possible outside the greatest set: of many stores it is enough to look at that one.
    fn keeps_every_quorum(&self, voters: usize) -> bool {
        let stores = self.serves.len();
        if stores > EXACT || voters == stores {
            let outside = (stores - self.writing()).min(voters);
            return voters - outside > voters / 2;
        }
        placements(stores, voters).all(|region| self.has_quorum(&region))
    }

    /// Whether a region has a quorum of voters that serve, take writes and reach one another.
    fn has_quorum(&self, region: &RegionVoters<usize>) -> bool {
        let able: Vec<usize> =
            region.stores().into_iter().filter(|store| self.serves[*store] && self.writes[*store]).collect();
        // More of them is never worse.
        if !region.have_quorum(|store| able.contains(&store)) {
            return false;
        }
        self.connected(&able).into_iter().any(|group| region.have_quorum(|store| group.contains(&store)))
    }

    /// Takes everybody out where some are of no use to others, and no majority has one who is.
    pub fn without_the_useless(&mut self, is_useless: impl Fn(usize) -> bool) {
        let all = self.serves.len();
        if (0..all).any(&is_useless) && !self.has_majority_with(|one| !is_useless(one)) {
            (0..all).for_each(|one| self.take_out(one));
        }
    }

    /// Whether most of all can write together with one of these.
    fn has_majority_with(&self, wanted: impl Fn(usize) -> bool) -> bool {
        let all = self.serves.len();
        let able = |one: &usize| wanted(*one) && self.serves[*one] && self.writes[*one];
        (0..all).filter(able).any(|one| {
            let near: Vec<usize> = (0..all).filter(|other| *other == one || self.linked[one][*other]).collect();
            self.greatest(&near) > all / 2
        })
    }

    /// Whether every quorum outlives the loss of any one more store that still serves.
    pub fn survives_one_more(&self, placement: &Placement) -> bool {
        let mut less = self.clone();
        (0..self.serves.len()).filter(|store| self.serves[*store]).all(|store| {
            less.serves[store] = false;
            let keeps = less.quorums(placement) == Quorums::All;
            less.serves[store] = true;
            keeps
        })
    }

    /// The size of the greatest set among these stores of which all serve, take writes and reach one another.
    fn greatest(&self, among: &[usize]) -> usize {
        let able: Vec<usize> =
            among.iter().copied().filter(|store| self.serves[*store] && self.writes[*store]).collect();
        self.connected(&able).iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Sets of these stores of which each reaches each; every greatest one is among them.
    fn connected(&self, stores: &[usize]) -> Vec<Vec<usize>> {
        let reaches_all = |store: usize| stores.iter().all(|other| *other == store || self.linked[store][*other]);
        let hubs: Vec<usize> = stores.iter().copied().filter(|store| reaches_all(*store)).collect();
        if hubs.len() == stores.len() || stores.len() > EXACT {
            // Only partitions make it matter, and those are few: those that reach all others.
            return vec![hubs];
        }
        let all_linked = |set: u32| {
            let members = || (0..stores.len()).filter(|at| set & (1 << at) != 0);
            members().all(|a| members().all(|b| a == b || self.linked[stores[a]][stores[b]]))
        };
        let sets = (0..(1u32 << stores.len())).filter(|set| all_linked(*set));
        sets.map(|set| (0..stores.len()).filter(|at| set & (1 << at) != 0).map(|at| stores[at]).collect()).collect()
    }
}

/// What is left of the regions' quorums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quorums {
    All,
    /// So many have lost theirs, of how many, where PD has said where they are.
    Some {
        lost: Option<(u64, u64)>,
    },
    None,
}

/// Every way to lay so many voters on so many stores.
fn placements(stores: usize, voters: usize) -> impl Iterator<Item = RegionVoters<usize>> {
    let sets = (0..(1u32 << stores)).filter(move |set| set.count_ones() as usize == voters);
    sets.map(move |set| RegionVoters::settled((0..stores).filter(move |store| set & (1 << store) != 0)))
}
