//! Whether what a record says can still be so: the one rule by which every reader of records compares the container and
//! the start that they name with the container as Docker shows it. Pure.
//!
//! A restart makes a new network namespace and thaws what was frozen. A fill is on a volume or a folder of the host, which
//! outlive their containers.

use super::{act::is_alive, node::Node, node::State};
use crate::{
    chaos::{FaultMetadata, Metadata},
    subject::Fate,
};

/// What became of the injection; `None` is a container that is no more, and not one that was not looked for.
pub fn fate(metadata: &Metadata, target: Option<&Node>) -> Fate {
    let kept = matches!(metadata.fault, FaultMetadata::DiskPressure { .. });
    let Some(node) = target else { return if kept { Fate::Stands } else { Fate::Gone("was removed") } };
    // A record that names no start names no life.
    let start = &metadata.container_started_at;
    let same_life = start.is_empty() || node.started_at == *start;
    match &metadata.fault {
        FaultMetadata::DiskPressure { .. } => Fate::Stands,
        // The start of the life that was ended stays until the next one begins.
        FaultMetadata::NodeKill { .. } | FaultMetadata::NodeStop { .. } if same_life => Fate::Stands,
        FaultMetadata::NodeKill { .. } | FaultMetadata::NodeStop { .. } => Fate::Ended("was started again"),
        _ if !same_life => Fate::Gone("was restarted"),
        _ if !is_alive(node) => Fate::Gone("stopped"),
        FaultMetadata::NodePause { .. } if node.state != State::Paused => Fate::Ended("was unpaused"),
        _ => Fate::Stands,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::{DataMount, InjectionId, MountKind, Signal};

    const THEN: &str = "2026-02-02T00:00:00Z";

    fn node(state: State, started_at: &str) -> Node {
        Node { id: "c0".into(), state, started_at: started_at.into(), ..Node::bare("tikv0") }
    }

    fn record(fault: FaultMetadata) -> Metadata {
        Metadata {
            fault,
            id: InjectionId::from_number(1),
            container_id: "c0".into(),
            container_started_at: THEN.into(),
            daemon_id: None,
            group: None,
            holder_image: None,
            before: None,
            task: None,
        }
    }

    fn name() -> String {
        "tikv0".into()
    }

    #[test]
    fn what_a_life_takes_with_it_is_gone_with_it_and_a_file_is_not() {
        let mount = DataMount { kind: MountKind::Volume, source: "data0".into(), destination: "/data".into() };
        let fill = FaultMetadata::DiskPressure {
            target_container: name(),
            fill_percent: 80,
            fill_file: "/data/chaos-fill-1.tmp".into(),
            fill_bytes: 1,
            whole: false,
            mount,
        };
        let kill = FaultMetadata::NodeKill { target_container: name(), signal: Signal::Kill };
        let stop = FaultMetadata::NodeStop { target_container: name(), timeout_s: 1 };
        let pause = FaultMetadata::NodePause { target_container: name() };
        let late = FaultMetadata::latency("tikv0", 1, 2, &["eth0"]);
        let [fill, kill, stop, pause, late] = [fill, kill, stop, pause, late].map(record);
        let (now, later) = (THEN, "2026-02-02T00:00:09Z");
        use Fate::{Ended, Gone, Stands};
        use State::{Exited, Paused, Running};
        let cases = [
            // Alive, restarted, ended, restarted and ended, removed.
            (&late, [Stands, Gone("was restarted"), Gone("stopped"), Gone("was restarted"), Gone("was removed")]),
            (&fill, [Stands, Stands, Stands, Stands, Stands]),
            (&kill, [Stands, Ended("was started again"), Stands, Ended("was started again"), Gone("was removed")]),
            (&stop, [Stands, Ended("was started again"), Stands, Ended("was started again"), Gone("was removed")]),
            (
                &pause,
                [
                    Ended("was unpaused"),
                    Gone("was restarted"),
                    Gone("stopped"),
                    Gone("was restarted"),
                    Gone("was removed"),
                ],
            ),
        ];
        for (record, expected) in cases {
            let found = [node(Running, now), node(Running, later), node(Exited, now), node(Exited, later)];
            let fates = found.iter().map(Some).chain([None]).map(|found| fate(record, found));
            assert_eq!(fates.collect::<Vec<_>>(), expected, "{}", record.fault_type());
        }
        assert_eq!(fate(&pause, Some(&node(Paused, now))), Stands);
        assert_eq!(fate(&late, Some(&node(Paused, now))), Stands);
        // Of one that is just being made the same is no news.
        assert_eq!(
            (Ended("x").over(true), Ended("x").over(false), Gone("x").over(false)),
            (Some("x"), None, Some("x"))
        );
    }
}
