//! The members of PD: those that PD lists, where it answered. A container of PD's image may run something else, and a member
//! may have no container here. Pure.

use super::super::node::Node;
use crate::{
    cluster::{ClusterState, PdMember},
    safety::MemberBefore,
};

/// PD's list, where it was heard.
fn listed(cluster: Option<&ClusterState>) -> &[PdMember] {
    cluster.and_then(|cluster| cluster.pd.value.as_ref()).map_or(&[], |pd| &pd.members)
}

/// PD's own name for a node: as PD says, else as its command does.
fn name_of<'a>(node: &'a Node, cluster: Option<&'a ClusterState>) -> Option<&'a String> {
    let seen = cluster.and_then(|cluster| cluster.pd_nodes.iter().find(|one| one.container_id == node.id));
    seen.and_then(|seen| seen.member.as_ref()).or(node.endpoints.member.as_ref())
}

/// Whether PD lists its members and this is none of them.
pub fn is_none(node: &Node, cluster: Option<&ClusterState>) -> bool {
    let members = listed(cluster);
    let name = name_of(node, cluster);
    !members.is_empty() && name.is_none_or(|name| members.iter().all(|member| member.name != *name))
}

/// The members that are none of these nodes.
pub fn without_container(nodes: &[&Node], cluster: Option<&ClusterState>) -> Vec<MemberBefore> {
    let has_container = |member: &&PdMember| nodes.iter().any(|node| name_of(node, cluster) == Some(&member.name));
    let elsewhere = listed(cluster).iter().filter(|member| !has_container(member));
    let before = |member: &PdMember| MemberBefore {
        name: member.name.clone(),
        out: (member.healthy == Some(false)).then(|| "is not healthy in PD".to_owned()),
        disk: None,
        apart: false,
        late_ms: 0,
    };
    elsewhere.map(before).collect()
}
