//! Network namespaces that several containers share: who has joined whose, and what a node has of its owner's network.
//!
//! Docker gives a joined container the namespace of its parent's process at its own start (daemon/oci_linux.go). Once the
//! owner has ended, what joined it keeps a namespace without a network, for good: only a start of its own finds the new one.

use std::collections::{BTreeMap, HashMap};

use bollard::{
    Docker,
    models::{ContainerInspectResponse, ContainerSummary},
};
use jiff::Timestamp;

use super::{
    client, discovery,
    discovery::ROLE_LABEL,
    identity::Identity,
    node::{NetworkOf, Node},
};
use crate::subject::SubjectError;

/// A joined container may be joined itself; a longer chain is a circle.
const LONGEST_CHAIN: usize = 8;

/// Gives a node that has joined another container's network what it has of it: the owner's name, addresses and ports.
pub async fn complete(docker: &Docker, identity: &Identity, mut node: Node) -> Result<Node, SubjectError> {
    let Some(mut parent) = node.joins().map(str::to_owned) else { return Ok(node) };
    let mut began = vec![node.started_at.clone()];
    while began.len() <= LONGEST_CHAIN {
        let Some(found) = client::container(docker, &parent).await? else { break };
        match discovery::joins(&found) {
            Some(next) => {
                began.push(started_at(&found).to_owned());
                parent = next.to_owned();
            }
            None => {
                let is_node = identity.node(docker, &found).await.is_some();
                join(&mut node, (&found, is_node), &began);
                break;
            }
        }
    }
    Ok(node)
}

fn started_at(found: &ContainerInspectResponse) -> &str {
    found.state.as_ref().and_then(|state| state.started_at.as_deref()).unwrap_or_default()
}

/// Whether the owner has ended since what joined it, at these times, did so.
fn has_ended(owner: &ContainerInspectResponse, began: &[String]) -> bool {
    let runs = owner.state.as_ref().and_then(|state| state.running).unwrap_or(false);
    !runs || began.iter().any(|began| began_before(began, started_at(owner)))
}

/// By Docker's own times. What cannot be read is not called earlier.
fn began_before(one: &str, other: &str) -> bool {
    let time = |text: &str| text.parse::<Timestamp>().ok();
    time(one).zip(time(other)).is_some_and(|(one, other)| one < other)
}

/// `began` is when the node was started, and whatever is between it and the owner.
fn join(node: &mut Node, (owner, is_node): (&ContainerInspectResponse, bool), began: &[String]) {
    let Some(id) = owner.id.clone() else { return };
    let name = owner.name.as_deref().unwrap_or_default().trim_start_matches('/').to_owned();
    // One that does not run has no namespace to have lost.
    let lost = node.up_since.is_some() && has_ended(owner, began);
    if !lost && let Some(settings) = &owner.network_settings {
        let ports = settings.ports.as_ref().map(discovery::published).unwrap_or_default();
        node.networks = discovery::networks(settings.networks.as_ref());
        node.endpoints.published = ports;
        if node.up_since.is_none() {
            node.networks.iter_mut().for_each(|network| network.ips.clear());
        }
    }
    node.network_of = Some(NetworkOf { id, name, is_node, lost });
}

/// A container that has joined another's network, as Docker lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sharer {
    pub id: String,
    pub name: String,
}

/// Whatever runs in the network namespace of that container, by way of others too, without our helpers: each after
/// the one that it joined.
pub fn sharers(running: &[ContainerSummary], owner: &str) -> Vec<Sharer> {
    let mut children: BTreeMap<&str, Vec<&ContainerSummary>> = BTreeMap::new();
    for one in running.iter().filter(|one| !is_helper(one)) {
        let mode = one.host_config.as_ref().and_then(|host| host.network_mode.as_deref());
        if let Some(parent) = mode.and_then(|mode| mode.strip_prefix("container:")) {
            let known = running.iter().find(|other| is_called(other, parent)).and_then(|other| other.id.as_deref());
            children.entry(known.unwrap_or(parent)).or_default().push(one);
        }
    }
    let mut found: Vec<Sharer> = Vec::new();
    let mut parents = vec![owner.to_owned()];
    while let Some(parent) = parents.pop() {
        for child in children.remove(parent.as_str()).unwrap_or_default() {
            let Some(id) = child.id.clone() else { continue };
            parents.insert(0, id.clone());
            found.push(Sharer { id, name: name_of(child) });
        }
    }
    found
}

/// By its id, or by its name where an engine keeps that.
fn is_called(one: &ContainerSummary, name: &str) -> bool {
    one.id.as_deref() == Some(name) || one.names.iter().flatten().any(|own| own.trim_start_matches('/') == name)
}

pub fn name_of(one: &ContainerSummary) -> String {
    let name = one.names.iter().flatten().next().or(one.id.as_ref());
    name.map(|name| name.trim_start_matches('/').to_owned()).unwrap_or_default()
}

/// Ours, and gone as soon as it holds nothing.
pub fn is_helper(one: &ContainerSummary) -> bool {
    one.labels.as_ref().and_then(|labels| labels.get(ROLE_LABEL)).is_some_and(|role| role == "holder")
}

/// Every container that has a life: what is mounted and joined in others does not count.
pub async fn running(docker: &Docker) -> Result<Vec<ContainerSummary>, SubjectError> {
    client::containers(docker, &HashMap::from([("status", vec!["running", "paused"])])).await
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerState, ContainerSummaryHostConfig, EndpointSettings, NetworkSettings, PortBinding};

    use super::*;
    use crate::subject::docker::Role;

    fn listed(id: &str, mode: &str, role: Option<&str>) -> ContainerSummary {
        ContainerSummary {
            id: Some(id.into()),
            names: Some(vec![format!("/name-of-{id}")]),
            labels: role.map(|role| HashMap::from([(ROLE_LABEL.to_owned(), role.to_owned())])),
            host_config: Some(ContainerSummaryHostConfig { network_mode: Some(mode.into()), annotations: None }),
            ..ContainerSummary::default()
        }
    }

    #[test]
    fn sharers_are_found_behind_one_another_and_without_helpers() {
        let running = [
            listed("last", "container:middle", None),
            listed("owner", "bridge", Some("tikv")),
            listed("middle", "container:name-of-owner", Some("tikv")),
            listed("helper", "container:owner", Some("holder")),
            listed("other", "container:elsewhere", None),
        ];
        let ids = |owner: &str| sharers(&running, owner).into_iter().map(|one| one.id).collect::<Vec<_>>();
        assert_eq!(ids("owner"), ["middle", "last"]);
        assert_eq!(ids("middle"), ["last"]);
        assert!(ids("last").is_empty());
        assert_eq!(sharers(&running, "elsewhere")[0].name, "name-of-other");
    }

    fn inspected(id: &str, started_at: &str) -> ContainerInspectResponse {
        let endpoint = EndpointSettings { ip_address: Some("10.0.0.2".into()), ..EndpointSettings::default() };
        let binding = PortBinding { host_ip: Some("127.0.0.1".into()), host_port: Some("32768".into()) };
        ContainerInspectResponse {
            id: Some(id.into()),
            name: Some(format!("/{id}")),
            state: Some(ContainerState {
                running: Some(true),
                status: Some(bollard::models::ContainerStateStatusEnum::RUNNING),
                started_at: Some(started_at.into()),
                ..ContainerState::default()
            }),
            config: Some(bollard::models::ContainerConfig {
                labels: Some(HashMap::from([(ROLE_LABEL.to_owned(), "tikv".to_owned())])),
                ..bollard::models::ContainerConfig::default()
            }),
            network_settings: Some(NetworkSettings {
                networks: Some(HashMap::from([("net".to_owned(), endpoint)])),
                ports: Some(HashMap::from([("20180/tcp".to_owned(), Some(vec![binding]))])),
                ..NetworkSettings::default()
            }),
            ..ContainerInspectResponse::default()
        }
    }

    #[test]
    fn joined_node_has_its_owners_address_until_the_owner_has_ended() {
        let (early, late) = ("2026-02-02T00:00:00.5Z", "2026-02-02T00:00:01Z");
        let owner = inspected("tikv0", early);
        let mut of = inspected("tikv1", late);
        of.network_settings = None;
        let node = || discovery::node(Role::Tikv, &of, discovery::Runs::default()).unwrap();
        let mut joined = node();
        join(&mut joined, (&owner, true), &[late.to_owned()]);
        assert_eq!(joined.ips().map(|ip| ip.to_string()).collect::<Vec<_>>(), ["10.0.0.2"]);
        assert_eq!((joined.place(), joined.endpoints.published.len()), ("tikv0", 1));
        // It began before the life that its owner has now.
        let owner = inspected("tikv0", "2026-02-02T00:01:00Z");
        let mut joined = node();
        join(&mut joined, (&owner, true), &[late.to_owned()]);
        assert_eq!((joined.ips().count(), joined.place()), (0, "tikv1"));
        assert!(joined.network_of.is_some_and(|owner| owner.lost && owner.is_node));
    }
}
