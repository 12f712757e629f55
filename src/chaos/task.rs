//! A task of a Docker Swarm service: a container that Swarm itself replaces when it ends, and that nothing else may start again.

use serde::{Deserialize, Serialize};

use super::trust::is_docker_name;

/// The place that a task fills. Each container that fills it has another id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Task {
    /// The service's name.
    pub service: String,
    /// The number of the replica; of a global service the id of the Swarm node.
    pub slot: String,
}

impl Task {
    /// From Swarm's labels: the name of a task is `service.slot.id` (moby/swarmkit api/naming/naming.go).
    pub fn from_labels(service: &str, task_name: &str) -> Option<Self> {
        let rest = task_name.strip_prefix(service)?.strip_prefix('.')?;
        let slot = rest.split('.').next().filter(|slot| !slot.is_empty())?;
        Some(Self { service: service.to_owned(), slot: slot.to_owned() }).filter(Self::is_plausible)
    }

    /// Whether both look like names of Swarm's, which no client takes for an option. Any container may bear any label.
    pub(super) fn is_plausible(&self) -> bool {
        is_docker_name(&self.service) && is_docker_name(&self.slot)
    }
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.service, self.slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_is_known_by_its_service_and_slot() {
        let slot = |service, name| Task::from_labels(service, name).map(|task| task.slot);
        assert_eq!(slot("db_tikv0", "db_tikv0.1.ya3xw0"), Some("1".into()));
        assert_eq!(slot("a.b", "a.b.12.ya3xw0"), Some("12".into()));
        assert_eq!(slot("tikv", "tikv.x8dk2node.ya3xw0"), Some("x8dk2node".into()));
        assert_eq!(slot("tikv", "tikv0.1.ya3xw0"), None);
        assert_eq!(slot("tikv", "tikv."), None);
        assert_eq!((slot("-f", "-f.1.x"), slot("tikv", "tikv.--all.x")), (None, None));
    }
}
