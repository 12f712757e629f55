//! Recovery's two truths: what the journals say and what a scan of the system saw, merged and sorted. Pure.
//!
//! The scan is older than the journals that it is compared with, so that what was injected in between has a record.

use std::collections::BTreeMap;

use super::record::{Injection, Life, Loaded};
use crate::{
    chaos::{Evidence, InjectionId},
    subject::{Foreign, Left, Looked, Marked, Scan, Unseen},
};

/// How far an undoing reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// What ended programs left, and what bears our marks and nobody keeps.
    LeftBehind,
    /// The same, and what a living helper keeps for a program that this journal does not know.
    AlsoHeld,
    /// Everything of ours, whoever is in charge of it.
    Everything,
}

/// What the scan saw of a recorded injection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sight {
    /// It is there.
    Found,
    /// Its target was looked at, and nothing of it is left.
    Gone,
    /// Its target was not looked at, or is no more.
    Unseen,
}

/// What is found, by what is to become of it.
#[derive(Debug, Clone, Default)]
pub struct Recovery {
    /// Ours and recorded: to be undone by the record.
    pub recorded: BTreeMap<InjectionId, Sight>,
    /// Ours and without a record: to be undone by the mark.
    pub unrecorded: Vec<Marked>,
    /// Ours, without a record, and kept by a living helper: left to it.
    pub held: Vec<(Marked, Left)>,
    /// Not ours: shown and left alone.
    pub foreign: Vec<Foreign>,
    /// What could not be looked at.
    pub unseen: Vec<Unseen>,
}

/// Sorts what was seen.
pub fn sort(loaded: &Loaded, scan: Scan, reach: Reach) -> Recovery {
    let open = loaded.open();
    let mut recovery = Recovery::default();
    let to_undo = open.iter().filter(|(seen, _)| reach == Reach::Everything || !seen.alive);
    for (_, injection) in to_undo {
        let sight = sight(injection, &scan);
        recovery.recorded.insert(injection.metadata.id.clone(), sight);
    }
    recovery.unseen = scan.unseen;
    let is_recorded = |what: &Marked| open.iter().any(|(_, injection)| is_of(injection, what));
    for mark in scan.marks {
        match mark.held {
            _ if is_recorded(&mark.what) => {}
            Some(left) if reach == Reach::LeftBehind => recovery.held.push((mark.what, left)),
            _ => recovery.unrecorded.push(mark.what),
        }
    }
    // What happened to another life of the container is foreign.
    let seen = &scan.seen;
    let did_it = |stopped: &String| {
        // What shares a taken-out node's network may end with it.
        let joined = |one: &Injection| {
            let mut joined = one.metadata.before.iter().flat_map(|before| &before.joined);
            joined.any(|one| one.container_id == *stopped)
        };
        let ours = |one: &Injection| {
            let metadata = &one.metadata;
            let is_its = metadata.container_id == *stopped && may_be_its_doing(one, seen);
            metadata.evidence() == Evidence::State && (is_its || joined(one))
        };
        open.iter().any(|(_, injection)| ours(injection))
    };
    recovery.foreign = scan.foreign.into_iter().filter(|one| !one.stopped.as_ref().is_some_and(did_it)).collect();
    recovery
}

/// Whether the state of the container is the injection's doing: it is in the life that the record names, or an undoing that did
/// not come to its end has begun another.
fn may_be_its_doing(injection: &Injection, seen: &BTreeMap<String, Looked>) -> bool {
    let metadata = &injection.metadata;
    let same_life = |looked: &Looked| looked.started_at == metadata.container_started_at;
    injection.state != Life::Active || seen.get(&metadata.container_id).is_none_or(same_life)
}

/// Whether what was seen is the injection's. A helper beside a life that is over goes with the records of that
/// container.
fn is_of(injection: &Injection, what: &Marked) -> bool {
    injection.either().any(|metadata| match what {
        Marked::Fault(mark) => metadata.claims(mark),
        Marked::Helper(helper) => {
            metadata.evidence() == Evidence::Mark && helper.target.as_ref() == Some(&metadata.container_id)
        }
    })
}

fn sight(injection: &Injection, scan: &Scan) -> Sight {
    let (metadata, seen) = (&injection.metadata, &scan.seen);
    let found = match metadata.evidence() {
        Evidence::Mark => scan.marks.iter().any(|mark| is_of(injection, &mark.what)),
        Evidence::State => {
            let down = scan.foreign.iter().any(|one| one.stopped.as_ref() == Some(&metadata.container_id));
            let ended = seen.get(&metadata.container_id).is_some_and(|looked| !looked.alive);
            (down || ended) && may_be_its_doing(injection, seen)
        }
    };
    match (found, seen.contains_key(&metadata.container_id)) {
        (true, _) => Sight::Found,
        (false, true) => Sight::Gone,
        (false, false) => Sight::Unseen,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::{
        chaos::{DataMount, FaultMetadata, Metadata, MountKind, Signal, network::Flavour},
        session::{SCHEMA, Seen, SessionFile},
        subject::{Helper, Mark},
    };

    fn metadata(number: u32, container: &str, fault: FaultMetadata) -> Metadata {
        Metadata {
            fault,
            id: InjectionId::from_number(number),
            container_id: container.into(),
            container_started_at: "then".into(),
            daemon_id: None,
            group: None,
            holder_image: None,
            before: None,
            task: None,
        }
    }

    fn partition(number: u32, container: &str) -> Metadata {
        let fault = FaultMetadata::NetworkPartition {
            isolated_container: "tikv0".into(),
            target_ips: vec![],
            link_local: vec![],
            ends: vec![],
            far: vec![],
            peers: vec![],
            flavour: Flavour::Nft,
            direction: crate::chaos::network::Direction::Both,
            reject: false,
            peer_nodes: vec![],
        };
        metadata(number, container, fault)
    }

    fn delay(number: u32, interfaces: &[&str]) -> Metadata {
        metadata(number, "c0", FaultMetadata::latency("tikv0", 1, 2, interfaces))
    }

    fn fill(number: u32, container: &str, destination: &str, file: &str) -> Metadata {
        let mount = DataMount { kind: MountKind::Volume, source: "data0".into(), destination: destination.into() };
        let fault = FaultMetadata::DiskPressure {
            target_container: "tikv0".into(),
            fill_percent: 80,
            fill_file: file.into(),
            fill_bytes: 1,
            whole: false,
            mount,
        };
        metadata(number, container, fault)
    }

    fn killed(number: u32, container: &str) -> Metadata {
        metadata(number, container, FaultMetadata::NodeKill { target_container: "tikv0".into(), signal: Signal::Kill })
    }

    fn session(alive: bool, all: Vec<Metadata>) -> Seen {
        let now = Timestamp::UNIX_EPOCH;
        let injections = all.into_iter().map(|metadata| Injection {
            state: Life::Active,
            metadata,
            undo: vec![],
            created_at: now,
            deadline: None,
            deadline_since_boot_ms: None,
            left: false,
            former: None,
            measured: None,
            note: None,
        });
        let file = SessionFile {
            schema: SCHEMA,
            session: "s".into(),
            program: String::new(),
            command: String::new(),
            pid: 1,
            boot_id: String::new(),
            docker_host: None,
            started_at: now,
            injections: injections.collect(),
            history: crate::session::History::default(),
        };
        Seen { file, alive, mine: false }
    }

    fn mark(metadata: Metadata, held: Option<Left>) -> Mark {
        Mark { what: Marked::Fault(metadata), held }
    }

    fn ids(recovery: &Recovery) -> Vec<u32> {
        let faults = recovery.unrecorded.iter().filter_map(|what| match what {
            Marked::Fault(metadata) => Some(metadata.id.number()),
            Marked::Helper(_) => None,
        });
        faults.collect()
    }

    fn looked(id: &str, alive: bool) -> (String, Looked) {
        (id.to_owned(), Looked { alive, started_at: "then".to_owned() })
    }

    const HELD: Option<Left> = Some(Left::Until(Duration::from_secs(9)));

    #[test]
    fn each_mark_is_sorted_by_its_record_and_its_keeper() {
        let loaded = Loaded {
            sessions: vec![session(false, vec![partition(1, "c0")]), session(true, vec![partition(2, "c0")])],
            unreadable: vec![],
        };
        let scan = || Scan {
            marks: vec![
                mark(partition(1, "c0"), HELD),
                mark(partition(2, "c0"), HELD),
                mark(partition(3, "c0"), HELD),
                mark(partition(4, "c0"), None),
            ],
            seen: [looked("c0", true)].into(),
            ..Scan::default()
        };
        let recovery = sort(&loaded, scan(), Reach::LeftBehind);
        assert_eq!(recovery.recorded, [(InjectionId::from_number(1), Sight::Found)].into());
        assert_eq!((ids(&recovery), recovery.held.len()), (vec![4], 1));
        let recovery = sort(&loaded, scan(), Reach::AlsoHeld);
        assert_eq!((recovery.recorded.len(), ids(&recovery)), (1, vec![3, 4]));
        let recovery = sort(&loaded, scan(), Reach::Everything);
        assert_eq!((recovery.recorded.len(), ids(&recovery)), (2, vec![3, 4]));
    }

    #[test]
    fn a_delay_is_known_by_its_interface_and_a_file_by_its_place_on_the_volume() {
        let recorded = vec![delay(1, &["eth0", "eth1"]), fill(2, "old", "/data", "/data/db/chaos-fill-1.tmp")];
        let loaded = Loaded { sessions: vec![session(false, recorded)], unreadable: vec![] };
        let marks = vec![
            mark(delay(7, &["eth1"]), None),
            mark(delay(8, &["eth2"]), None),
            // The same volume in a container that was made anew and has it elsewhere.
            mark(fill(9, "new", "/var/lib", "/var/lib/db/chaos-fill-1.tmp"), None),
            mark(fill(10, "new", "/var/lib", "/var/lib/db/chaos-fill-2.tmp"), None),
        ];
        let recovery = sort(&loaded, Scan { marks, ..Scan::default() }, Reach::LeftBehind);
        assert_eq!(ids(&recovery), [8, 10]);
        assert!(recovery.recorded.values().all(|sight| *sight == Sight::Found));
    }

    #[test]
    fn what_is_recorded_and_gone_is_told_from_what_was_not_looked_at() {
        let recorded = vec![partition(1, "c0"), partition(2, "elsewhere"), killed(3, "c0"), killed(4, "c1")];
        let loaded = Loaded { sessions: vec![session(false, recorded)], unreadable: vec![] };
        let seen = [looked("c0", true), looked("c1", false)].into();
        let stopped = |id: &str| Foreign { target: id.into(), what: "is exited".into(), stopped: Some(id.into()) };
        let scan = Scan { seen, foreign: vec![stopped("c1"), stopped("c2")], ..Scan::default() };
        let recovery = sort(&loaded, scan, Reach::LeftBehind);
        let sights: Vec<Sight> = recovery.recorded.into_values().collect();
        assert_eq!(sights, [Sight::Gone, Sight::Unseen, Sight::Gone, Sight::Found]);
        // The one that we killed is ours, the other is not.
        assert_eq!(recovery.foreign, [stopped("c2")]);
    }

    #[test]
    fn stop_of_another_life_of_the_node_is_foreign() {
        let loaded = Loaded { sessions: vec![session(false, vec![killed(1, "c0")])], unreadable: vec![] };
        let stopped = Foreign { target: "c0".into(), what: "is exited".into(), stopped: Some("c0".into()) };
        let later = Looked { alive: false, started_at: "later".to_owned() };
        let scan = Scan { seen: [("c0".to_owned(), later)].into(), foreign: vec![stopped.clone()], ..Scan::default() };
        let recovery = sort(&loaded, scan, Reach::LeftBehind);
        assert_eq!(recovery.recorded.into_values().collect::<Vec<_>>(), [Sight::Gone]);
        assert_eq!(recovery.foreign, [stopped]);
    }

    #[test]
    fn what_ended_with_its_network_is_not_called_foreign() {
        let joined = crate::chaos::Joined {
            name: "tikv1".into(),
            container_id: "c1".into(),
            container_started_at: "then".into(),
            well: crate::chaos::Well::default(),
        };
        let before = crate::chaos::Before { joined: vec![joined], ..crate::chaos::Before::default() };
        let owner = Metadata { before: Some(before), ..killed(1, "c0") };
        let loaded = Loaded { sessions: vec![session(false, vec![owner])], unreadable: vec![] };
        let stopped = |id: &str| Foreign { target: id.into(), what: "is exited".into(), stopped: Some(id.into()) };
        let foreign = ["c0", "c1", "c2"].map(stopped).to_vec();
        let recovery = sort(&loaded, Scan { foreign, ..Scan::default() }, Reach::LeftBehind);
        assert_eq!(recovery.foreign, [stopped("c2")]);
    }

    #[test]
    fn a_helper_goes_with_the_records_of_its_target() {
        let helper = |target: &str| {
            let helper =
                Helper { container: "h".into(), name: "h".into(), target: Some(target.into()), client: "docker" };
            Mark { what: Marked::Helper(helper), held: None }
        };
        let loaded = Loaded { sessions: vec![session(false, vec![partition(1, "c0")])], unreadable: vec![] };
        let scan = Scan { marks: vec![helper("c0"), helper("c9")], ..Scan::default() };
        let recovery = sort(&loaded, scan, Reach::LeftBehind);
        assert_eq!(recovery.unrecorded, [helper("c9").what]);
    }
}
