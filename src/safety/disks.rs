//! What full disks mean for a verdict: TiKV's rule applied to the stores, and what is said where a store's reserve is not
//! known, which is neither full nor fine.

use super::{Effect, Grade, Reason, Situation, Voters};
use crate::{
    chaos::human_bytes,
    cluster::{
        assumed::RESERVE_SPACE,
        space::{Reserve, Space},
    },
};
use tikv_chaos_core::disk::DiskUsage;

/// What is the matter with a store's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// It refuses writes.
    Full(DiskUsage),
    /// What the store keeps free of it is not known; by TiKV's default it would be this.
    Unknown { at_default: DiskUsage },
}

impl Disk {
    pub fn full(self) -> Option<DiskUsage> {
        match self {
            Self::Full(level) => Some(level),
            Self::Unknown { .. } => None,
        }
    }
}

/// What a fill does to its own store, where that is worth a word.
pub(super) fn after_fill(name: &str, voters: Voters, space: Space) -> Option<String> {
    let (left, of) = (human_bytes(space.available), human_bytes(space.capacity));
    let level = match space.level() {
        Some(DiskUsage::Normal) => return None,
        Some(level) => level,
        None => {
            let level = space.reserve.level_at_default(space.available);
            let follows =
                if level.is_full() { format!("it becomes {}", level.name()) } else { "it stays Normal".to_owned() };
            return Some(format!(
                "{left} of {of} are left, and storage.reserve-space of {name} is not known: at TiKV's default of {} {follows}",
                human_bytes(RESERVE_SPACE)
            ));
        }
    };
    match space.reserve {
        Reserve::Bytes(reserve) if voters == Voters::Stores => Some(format!(
            "{left} of {of} are left, under TiKV's reserve of {}: {name} becomes {} and its leaders refuse writes",
            human_bytes(reserve),
            level.name()
        )),
        _ => Some(format!("nothing is left: {name} cannot write its log any more")),
    }
}

impl Situation {
    /// The stores that serve and of which it is not known whether they take writes, each with what it would be by TiKV's
    /// default.
    fn unknown(&self) -> Vec<(&str, DiskUsage)> {
        // A fill says of its own target what becomes of it.
        let filled = matches!(self.effect, Effect::Full { .. }).then_some(self.target);
        let members = self.members.iter().enumerate().filter(|(at, one)| one.out.is_none() && Some(*at) != filled);
        let unknown = members.filter_map(|(_, one)| match one.disk? {
            Disk::Unknown { at_default } => Some((one.name.as_str(), at_default)),
            Disk::Full(_) => None,
        });
        unknown.collect()
    }

    /// Ends a sentence that takes all of them to write.
    pub(super) fn whether_they_write(&self) -> String {
        let mut names: Vec<&str> = self.unknown().into_iter().map(|(name, _)| name).collect();
        if let Effect::Full { space: Space { reserve: Reserve::Unknown { .. }, .. }, .. } = self.effect {
            names.push(&self.members[self.target].name);
        }
        match names[..] {
            [] => String::new(),
            [one] => format!("; whether {one} takes writes is not known"),
            _ => format!("; whether {} take writes is not known", in_words(&names)),
        }
    }

    pub(super) fn unknown_reserves(&self) -> Option<Reason> {
        let unknown = self.unknown();
        let names: Vec<&str> = unknown.iter().map(|(name, _)| *name).collect();
        let full: Vec<&str> = unknown.iter().filter(|(_, level)| level.is_full()).map(|(name, _)| *name).collect();
        let follows = match full.len() {
            0 => "it would not matter".to_owned(),
            1 if names.len() == 1 => "its disk would be full".to_owned(),
            count if count == names.len() => "their disks would be full".to_owned(),
            _ => format!("the disk of {} would be full", in_words(&full)),
        };
        let default = human_bytes(RESERVE_SPACE);
        let text = format!(
            "storage.reserve-space of {} is not known: at TiKV's default of {default} {follows}",
            in_words(&names)
        );
        (!names.is_empty()).then_some((Grade::Careful, text))
    }
}

/// `tikv0, tikv1 and tikv2`.
fn in_words(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Known, MemberBefore, Placement, judge},
        *,
    };
    use crate::cluster::assumed::DOWN_AFTER;

    const MIB: u64 = 1 << 20;

    fn cluster(disks: [Option<Disk>; 3], effect: Effect) -> Situation {
        let members = disks.into_iter().enumerate();
        let member = |(at, disk)| MemberBefore { name: format!("tikv{at}"), out: None, disk, apart: false, late_ms: 0 };
        let members = members.map(member).collect();
        let down_after = DOWN_AFTER;
        let placement = Placement::Any { counts: vec![3], known: Known::Rules };
        Situation {
            voters: Voters::Stores,
            members,
            cuts: vec![],
            placement,
            down_after,
            target: 0,
            beside: vec![],
            effect,
        }
    }

    fn unknown(at_default: DiskUsage) -> Option<Disk> {
        Some(Disk::Unknown { at_default })
    }

    #[test]
    fn store_that_refuses_writes_is_lost_to_every_quorum() {
        let full = judge(&cluster([None, Some(Disk::Full(DiskUsage::AlreadyFull)), None], Effect::Out));
        assert_eq!(full.grade, Grade::Refused);
        assert!(
            full.consequence.starts_with("this leaves 1 of 3 stores reachable (tikv1 has a full disk): writes stop")
        );
        let almost = judge(&cluster([None, None, Some(Disk::Full(DiskUsage::AlmostFull))], Effect::Out));
        assert!(almost.consequence.contains("(tikv2 has an almost full disk)"), "{almost:?}");
        assert_eq!(judge(&cluster([None; 3], Effect::Out)).grade, Grade::Fine);
    }

    #[test]
    fn store_whose_reserve_is_not_known_needs_care_and_is_not_called_full() {
        let one = judge(&cluster([None, unknown(DiskUsage::AlreadyFull), None], Effect::Out));
        assert_eq!(one.grade, Grade::Careful);
        let (says, whether) = one.consequence.split_once("; ").unwrap();
        assert!(says.starts_with("this leaves 2 of 3 stores reachable: every region keeps its quorum"), "{one:?}");
        assert_eq!(whether, "whether tikv1 takes writes is not known");
        let expected =
            "storage.reserve-space of tikv1 is not known: at TiKV's default of 5.0 GiB its disk would be full";
        assert_eq!(one.reasons, [expected]);
        let (full, fine) = (unknown(DiskUsage::AlmostFull), unknown(DiskUsage::Normal));
        let all = |disks| judge(&cluster(disks, Effect::Slow { most_ms: 1 })).reasons.remove(0);
        assert!(all([full, full, full]).ends_with("their disks would be full"));
        assert!(all([fine, full, full]).ends_with("the disk of tikv1 and tikv2 would be full"));
        let roomy = judge(&cluster([fine, fine, fine], Effect::Slow { most_ms: 1 }));
        assert_eq!(roomy.grade, Grade::Careful);
        assert!(roomy.reasons[0].starts_with("storage.reserve-space of tikv0, tikv1 and tikv2 is not known"));
        // One that is out writes nothing, whatever it keeps free.
        let mut gone = cluster([None, full, None], Effect::Slow { most_ms: 1 });
        gone.members[1].out = Some("is exited".into());
        assert_eq!(judge(&gone).grade, Grade::Fine);
    }

    #[test]
    fn fill_is_judged_by_the_reserve_and_with_care_where_that_is_not_known() {
        let fill = |left: u64, reserve| {
            let space = Space { capacity: 1024 * MIB, available: left * MIB, reserve };
            judge(&cluster([None; 3], Effect::Full { space, shared: None }))
        };
        let known = Reserve::Bytes(256 * MIB);
        assert_eq!(fill(300, known).grade, Grade::Fine);
        assert_eq!(
            fill(200, known).reasons,
            [
                "200.0 MiB of 1.0 GiB are left, under TiKV's reserve of 256.0 MiB: tikv0 becomes AlmostFull and its leaders \
              refuse writes"
            ]
        );
        assert_eq!(fill(1, Reserve::Off).grade, Grade::Fine);
        assert_eq!(fill(0, Reserve::Off).reasons, ["nothing is left: tikv0 cannot write its log any more"]);
        let unknown = fill(300, Reserve::Unknown { at_default: 5 << 30 });
        assert_eq!(unknown.grade, Grade::Careful);
        assert!(unknown.consequence.ends_with("; whether tikv0 takes writes is not known"), "{unknown:?}");
        let expected = "300.0 MiB of 1.0 GiB are left, and storage.reserve-space of tikv0 is not known: at TiKV's default of \
                        5.0 GiB it becomes AlreadyFull";
        assert_eq!(unknown.reasons, [expected]);
    }
}
