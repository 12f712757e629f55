//! Where regions have their voters, as far as that is known, and how a verdict says what it is for.

use crate::cluster::pd::RegionVoters;

/// Where the voters of regions are, by the places of the members that are judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// There, and how many regions there are of each.
    Regions(Vec<(RegionVoters<usize>, u64)>),
    /// Anywhere: regions of so many voters, each number that there may be. More than there are members counts as all.
    Any { counts: Vec<usize>, known: Known },
}

/// How the number of voters of a region is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// By PD's placement rules.
    Rules,
    /// `max-replicas`, as rules are off.
    MaxReplicas,
    /// `max-replicas`, as the rules could not be understood, for this reason.
    Instead(String),
    /// Not at all: PD has not been heard.
    Not,
}

impl Placement {
    /// Of one group of all members, as PD is one.
    pub fn of_all(members: usize) -> Self {
        Self::Regions(vec![(RegionVoters::settled(0..members), 1)])
    }

    /// What a verdict over it is for, in brackets behind a sentence.
    pub(super) fn basis(&self) -> String {
        match self {
            Self::Regions(_) => "by PD's regions".to_owned(),
            Self::Any { known: Known::Rules, .. } => "for every placement that the rules allow".to_owned(),
            Self::Any { counts, known } => {
                let counts: Vec<String> = counts.iter().map(usize::to_string).collect();
                let any = format!("for every placement of {} replicas", counts.join(" or "));
                if *known == Known::Not { format!("{any}; PD does not say how many") } else { any }
            }
        }
    }

    /// Why it is not known well enough to be sure.
    pub(super) fn doubt(&self) -> Option<String> {
        match self {
            Self::Any { counts, known: Known::Instead(reason) } => {
                let counts: Vec<String> = counts.iter().map(usize::to_string).collect();
                Some(format!("placement rules are not known ({reason}): judged for {} replicas", counts.join(" or ")))
            }
            _ => None,
        }
    }
}
