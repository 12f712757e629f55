//! Who reaches whom, and what that means for regions: each has its replicas on some of the stores, and needs a majority
//! of them that reach one another.

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

    /// Whether every region has a majority that can write, wherever its `replicas` lie. The worst region has as many
    /// of them as possible outside the greatest set: then it is enough to look at that one.
    pub fn keeps_every_quorum(&self, replicas: usize) -> bool {
        let stores = self.serves.len();
        if stores > EXACT || replicas == stores {
            let outside = (stores - self.writing()).min(replicas);
            return replicas - outside > replicas / 2;
        }
        placements(stores, replicas).all(|region| self.greatest(&region) > replicas / 2)
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

    /// Whether no region has one, wherever its replicas lie.
    pub fn keeps_no_quorum(&self, replicas: usize) -> bool {
        self.writing() <= replicas / 2
    }

    /// Whether every quorum outlives the loss of any one more store that still serves.
    pub fn survives_one_more(&self, replicas: usize) -> bool {
        (0..self.serves.len()).filter(|store| self.serves[*store]).all(|store| {
            let mut less = self.clone();
            less.take_out(store);
            less.keeps_every_quorum(replicas)
        })
    }

    /// The size of the greatest set among these stores of which all serve, take writes and reach one another.
    fn greatest(&self, among: &[usize]) -> usize {
        let able: Vec<usize> =
            among.iter().copied().filter(|store| self.serves[*store] && self.writes[*store]).collect();
        if able.len() > EXACT {
            // Only partitions make it matter, and those are few: everyone who reaches all others.
            let all = |store: &&usize| able.iter().all(|other| other == *store || self.linked[**store][*other]);
            return able.iter().filter(all).count();
        }
        let all_linked = |set: u32| {
            let members = || (0..able.len()).filter(|at| set & (1 << at) != 0);
            members().all(|a| members().all(|b| a == b || self.linked[able[a]][able[b]]))
        };
        let sets = 0..(1u32 << able.len());
        sets.filter(|set| all_linked(*set)).map(u32::count_ones).max().unwrap_or(0) as usize
    }
}

/// Every way to lay `replicas` on so many stores.
fn placements(stores: usize, replicas: usize) -> impl Iterator<Item = Vec<usize>> {
    let sets = (0..(1u32 << stores)).filter(move |set| set.count_ones() as usize == replicas);
    sets.map(move |set| (0..stores).filter(|store| set & (1 << store) != 0).collect())
}
