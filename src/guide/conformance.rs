//! TiKV as the facts have it, at four versions and one that was not read: `/metrics` with the labels and types of each, what
//! the reader makes of it, and what of the guides is told and seen.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use jiff::Timestamp;
use tikv_chaos_core::Version;

use super::*;
use crate::{
    chaos::FaultType,
    cluster::{
        ClusterState, NodeView, PdView, Read, StoreMetrics, StoreView,
        assumed::{
            READS, WRITES,
            facts::{self, Kind, LINES, METRICS, Metric},
            log, metric,
        },
        metrics::Reading,
    },
    subject::docker::Role,
};

const GIB: f64 = (1_u64 << 30) as f64;

/// What a node calls itself, and the version whose facts it prints.
const NODES: [(&str, Version); 5] = [
    ("6.5.12", Version::new(6, 5, 12)),
    ("7.5.6", Version::new(7, 5, 6)),
    ("8.5.0", Version::new(8, 5, 0)),
    ("8.5.5", Version::new(8, 5, 5)),
    ("9.1.0", Version::new(8, 5, 5)),
];

/// What a node has done since its start.
#[derive(Clone, Copy)]
struct Node {
    /// Each type of request was answered so often.
    answered: u64,
    written: u64,
    refused: u64,
    cut_off: u64,
    available: f64,
}

const CALM: Node = Node { answered: 100, written: 900, refused: 0, cut_off: 0, available: 10.0 * GIB };

impl Node {
    fn and(self, answered: u64, written: u64, refused: u64) -> Self {
        let (answered, written) = (self.answered + answered, self.written + written);
        Self { answered, written, refused: self.refused + refused, ..self }
    }

    fn value(self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let label = |name: &str| labels.iter().find(|(label, _)| *label == name).map_or("", |(_, value)| value);
        let count = match (name, label("type"), label("status")) {
            (metric::ASYNC_REQUESTS, "write", "success") => self.written,
            (metric::ASYNC_REQUESTS, "write", "err_disk_full") => self.refused,
            (metric::ASYNC_REQUESTS, "write", "all") => self.written + self.refused,
            (metric::ASYNC_REQUESTS, "snapshot", "success" | "all") => 7 * self.answered,
            (metric::GRPC_FAILURES, "raw_put", _) => self.cut_off,
            (metric::SLOW_SCORE, "network", _) => 50,
            (metric::SLOW_SCORE, ..) => 1,
            (metric::REGION_COUNT, "leader", _) => 2,
            (metric::REGION_COUNT, ..) => 6,
            (metric::STORE_SIZE, "available", _) => return self.available,
            (metric::STORE_SIZE, ..) => return 20.0 * GIB,
            (metric::PROCESS_START | metric::SERVER_INFO | metric::RESIDENT, ..) => 1_770_000_000,
            _ => 0,
        };
        f64::from(u32::try_from(count).unwrap())
    }

    /// What its status port prints.
    fn prints(self, (says, version): (&str, Version)) -> String {
        let mut text = String::new();
        for metric in METRICS.iter().filter(|metric| metric.name != metric::PD_CLUSTER_STATUS) {
            for labels in series(metric, says, version) {
                let inner: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
                let inner = inner.join(",");
                let name = metric.name;
                if metric.kind == Kind::Histogram {
                    let comma = if inner.is_empty() { "" } else { "," };
                    for le in ["0.005", "0.05", "+Inf"] {
                        let _ = writeln!(text, "{name}_bucket{{{inner}{comma}le=\"{le}\"}} {}", self.answered);
                    }
                    let _ = writeln!(text, "{name}_count{{{inner}}} {}", self.answered);
                } else {
                    let _ = writeln!(text, "{name}{{{inner}}} {}", self.value(name, &labels));
                }
            }
        }
        text
    }
}

/// Every combination of labels that the metric has in that version.
fn series<'a>(metric: &Metric, says: &'a str, version: Version) -> Vec<Vec<(&'static str, &'a str)>> {
    let mut all = vec![vec![]];
    for label in metric.labels.iter().filter(|label| label.versions.has(Some(version)) == Some(true)) {
        let mut values: Vec<&str> = label
            .values
            .iter()
            .filter_map(|(value, versions)| (versions.has(Some(version)) == Some(true)).then_some(*value))
            .collect();
        if label.values.is_empty() {
            values.push(if label.name == "version" { says } else { "4" });
        }
        let longer = |one: &Vec<_>| {
            let one = one.clone();
            values.iter().map(move |value| [one.clone(), vec![(label.name, *value)]].concat()).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

fn reading(node: Node, of: (&str, Version)) -> Reading {
    Reading::parse(&node.prints(of)).unwrap()
}

/// The figures of one second.
fn second(before: Node, now: Node, of: (&str, Version)) -> StoreMetrics {
    reading(now, of).since(Some((&reading(before, of), Duration::from_secs(1))))
}

fn at(tenths: i64) -> Timestamp {
    Timestamp::from_millisecond(1_770_000_000_000 + tenths * 100).unwrap()
}

/// One node, as it shows after so many tenths.
fn cluster(tenths: i64, of: (&str, Version), metrics: StoreMetrics, leaders: u64) -> ClusterState {
    let now = Some(at(tenths));
    let store = StoreView {
        id: 1,
        state_name: "Up".into(),
        version: of.0.into(),
        last_heartbeat: now,
        leaders,
        regions: 6,
        ..StoreView::default()
    };
    let metrics = Read { value: Some(metrics), at: now, error: None };
    let node = NodeView { store: Some(store), metrics, via: None, config: Read::default() };
    let pd = Read { value: Some(PdView::default()), at: now, error: None };
    let nodes = BTreeMap::from([("id1".to_owned(), node)]);
    ClusterState { cluster: "demo".into(), at: at(tenths), pd, pd_nodes: vec![], pd_config: Read::default(), nodes }
}

/// A calm second, and an injection after it.
fn track(kind: FaultType, of: (&str, Version)) -> Track {
    let calm = cluster(-5, of, second(CALM, CALM.and(10, 100, 0), of), 2);
    let before = Before::of([calm].iter(), "id1", at(0));
    Track::new(kind, Role::Tikv, ("id1".into(), "tikv1".into()), at(0), before)
}

fn names(track: &Track) -> Vec<&str> {
    track.expectations().map(|(one, ..)| one.name.as_str()).collect()
}

fn marked(track: &Track, name: &str) -> Option<Mark> {
    track.expectations().find(|(one, ..)| one.name == name).and_then(|(_, mark, _)| mark)
}

#[test]
fn reader_takes_the_labels_and_types_of_each_version() {
    for of in NODES {
        let (says, version) = of;
        let figures = second(CALM, CALM.and(10, 60, 40), of);
        let held = |calls: &[&str]| {
            let types = facts::metric(metric::GRPC_DURATION).unwrap().labels[0].values;
            let has = |call: &&&str| {
                types.iter().any(|(one, versions)| *one == **call && versions.has(Some(version)) == Some(true))
            };
            10.0 * f64::from(u32::try_from(calls.iter().filter(has).count()).unwrap())
        };
        assert_eq!(figures.reads_per_s, Some(held(&READS)), "{says}");
        assert_eq!(figures.writes_per_s, Some(held(&WRITES)), "{says}");
        assert_eq!((figures.successful_writes_per_s, figures.refused_per_s), (Some(60.0), Some(40.0)), "{says}");
        assert_eq!(figures.refused_by_reason, BTreeMap::from([("err_disk_full".to_owned(), 40.0)]), "{says}");
        assert_eq!(figures.successful_per_s(), Some(held(&READS) + held(&WRITES) - 40.0), "{says}");
        // How it sees the others makes no node slow.
        let network = (version >= Version::new(8, 5, 5)).then_some(50.0);
        assert_eq!((figures.slow_score, figures.network_slow_score), (Some(1.0), network), "{says}");
        assert_eq!((figures.leaders, figures.regions), (Some(2), Some(6)), "{says}");
        assert_eq!(figures.version.as_deref(), Some(says));
    }
    assert!(!CALM.prints(NODES[0]).contains("tikv_raftstore_slow_score{type"), "6.5 has no type");
}

#[test]
fn full_disk_is_seen_by_refused_writes_and_not_by_clients_that_went_away() {
    for of in NODES {
        let mut track = track(FaultType::DiskPressure, of);
        let gone = Node { cut_off: 50, ..CALM.and(10, 100, 0) };
        track.look(at(10), None, Some(&cluster(10, of, second(CALM, gone, of), 2)));
        assert_eq!(marked(&track, "writes are refused"), None, "{}", of.0);

        let full = Node { available: GIB, ..gone.and(10, 0, 100) };
        track.look(at(20), None, Some(&cluster(20, of, second(gone, full, of), 2)));
        assert_eq!(marked(&track, "writes are refused"), Some(Mark::After(2.0)), "{}", of.0);
        assert_eq!(marked(&track, "less space is available"), Some(Mark::After(2.0)), "{}", of.0);

        track.ended = Some(at(30));
        let seen = track.look(at(40), None, Some(&cluster(40, of, second(full, full.and(10, 100, 0), of), 2)));
        let healed = seen.iter().any(|one| one.healed && one.text.starts_with("tikv1 refuses nothing"));
        assert!(healed, "{}: {seen:?}", of.0);
    }
}

#[test]
fn windows_of_full_disk_are_as_long_as_its_versions_look() {
    let until = |version| {
        let guide = Guide::of(FaultType::DiskPressure, Role::Tikv).unwrap();
        let until = |name: &str| guide.expectations(version).find(|one| one.name == name).map(|one| one.when.until);
        [until("TiKV: AlmostFull"), until("writes are refused"), until("less space is available")].map(Option::unwrap)
    };
    for (says, _) in NODES {
        let version = Version::parse(says);
        let windows = until(version);
        // A version that was not read gets the longest.
        let look = facts::time_of("disk check", version).map_or(60, |time| time.as_secs());
        let told = facts::time_of("store size", version).map_or(60, |time| time.as_secs());
        for (window, at_least) in windows.into_iter().zip([look, look, told]) {
            let window = u64::from(window);
            assert!(window >= at_least && window <= at_least + 15, "{says}: {windows:?}");
        }
    }
    assert_eq!(until(None), until(Version::parse("9.1.0")));
}

#[test]
fn stopping_node_hands_its_leaders_over_since_8_5_5_only() {
    for of in NODES {
        let mut track = track(FaultType::NodeStop, of);
        for step in 1..=12 {
            let calm = second(CALM, CALM.and(10, 100, 0), of);
            track.look(at(10 * step), None, Some(&cluster(10 * step, of, calm, if step < 4 { 1 } else { 0 })));
        }
        let told = names(&track);
        match of.0 {
            "8.5.5" => {
                assert_eq!(marked(&track, "its leaders move away first"), Some(Mark::After(4.0)));
                assert_eq!(marked(&track, "throughput stays"), Some(Mark::After(5.0)));
                assert!(!told.contains(&"throughput falls") && !told.contains(&"its leaders go elsewhere"), "{told:?}");
            }
            // What is not known is not claimed: neither that it falls nor that it stays.
            "9.1.0" => assert!(!told.iter().any(|name| name.starts_with("throughput")), "{told:?}"),
            _ => assert!(told.contains(&"throughput falls") && !told.contains(&"throughput stays"), "{told:?}"),
        }
    }
}

#[test]
fn guide_is_careful_until_the_version_is_known() {
    let of = NODES[3];
    let mut track = track(FaultType::NodeStop, of);
    assert!(!names(&track).contains(&"its leaders move away first"));
    track.look(at(10), None, None);
    assert_eq!(track.version(), None);
    track.look(at(20), None, Some(&cluster(20, of, second(CALM, CALM, of), 2)));
    assert_eq!(track.version(), Some(of.1));
    assert!(names(&track).contains(&"its leaders move away first"));
}

#[test]
fn texts_say_what_the_version_does() {
    let all = |kind, version| {
        let guide = Guide::of(kind, Role::Tikv).unwrap();
        let texts = guide.expectations(version).map(|one| one.text(version));
        let tells = guide.confusions(version).map(|one| one.tell.clone());
        std::iter::once(guide.summary(version)).chain(texts).chain(tells).collect::<Vec<_>>().join("\n")
    };
    for (kind, words, versions) in [
        (FaultType::Latency, "type=\"network\"", "8.5.5"),
        (FaultType::NetworkPartition, "shows about 50", "8.5.5"),
        (FaultType::NodePause, "shows about 50", "8.5.5"),
        (FaultType::NodeStop, "It ends at once.", "6.5.12 7.5.6 8.5.0"),
        (FaultType::NodeStop, "It waits up to 20 s", "8.5.5"),
        (FaultType::Latency, "within about 21 s", "7.5.6 8.5.0 8.5.5"),
        (FaultType::Latency, "within about 105 s", "6.5.12"),
        (FaultType::DiskPressure, "every second, and tells", "6.5.12 7.5.6 8.5.0"),
        (FaultType::DiskPressure, "after 8.5 refuse reads", "9.1.0"),
        (FaultType::Latency, "a round trip of about 3 s", "6.5.12 7.5.6 8.5.0 8.5.5 9.1.0"),
    ] {
        let said = NODES.iter().map(|(says, _)| *says);
        let said: Vec<&str> = said.filter(|says| all(kind, Version::parse(says)).contains(words)).collect();
        assert_eq!(said.join(" "), versions, "{kind}: {words}");
    }
}

#[test]
fn lines_that_a_guide_names_are_in_the_log_of_its_version() {
    for (says, version) in NODES {
        let written = LINES.iter().filter(|line| line.versions.has(Some(version)) == Some(true));
        let mut lines: Vec<String> = written.map(|line| format!("[INFO] [\"{} 7\"]", line.text)).collect();
        for pair in log::DISK_USAGES.windows(2).chain([&["Normal", "AlreadyFull"][..]]) {
            lines.push(format!("[INFO] [\"{}{}->{}, available=1\"]", log::DISK_USAGE, pair[0], pair[1]));
        }
        for kind in FaultType::ALL {
            let guide = Guide::of(kind, Role::Tikv).unwrap();
            for line in guide.expectations(Version::parse(says)).flat_map(|one| &one.logs) {
                assert!(lines.iter().any(|written| written.contains(line)), "{kind} at {says}: {line}");
            }
        }
    }
}

#[test]
fn fast_refusals_do_not_look_like_good_service() {
    for of in NODES {
        let calm = cluster(0, of, second(CALM, CALM.and(10, 100, 0), of), 2);
        // Twice as many answers, nearly all of them refusals.
        let worse = cluster(10, of, second(CALM, CALM.and(20, 5, 570), of), 2);
        assert!(worse.throughput() < calm.throughput(), "{}", of.0);
        assert!(calm.p99().is_some() && worse.p99().is_none(), "{}: it is that of refusals", of.0);
        assert_eq!(worse.refused(), BTreeMap::from([("err_disk_full", 570.0)]), "{}", of.0);
        assert!(calm.refused().is_empty(), "{}", of.0);
    }
}
