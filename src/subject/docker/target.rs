//! From what a user calls a node to the node. Pure.

use super::node::{Node, Role, Snapshot, names_by_cluster};
use crate::subject::SubjectError;

/// The node of that name: a container's id, its name, its Compose service, or an unambiguous part of one of these.
/// TiKV nodes are preferred where a part fits both kinds.
pub fn find<'a>(snapshot: &'a Snapshot, name: &str) -> Result<&'a Node, SubjectError> {
    let tests: [&dyn Fn(&Node) -> bool; 5] = [
        &|node| node.id == name,
        &|node| node.name == name,
        &|node| node.service.as_deref() == Some(name),
        &|node| node.role == Role::Tikv && is_part(node, name),
        &|node| is_part(node, name),
    ];
    for test in tests {
        let found: Vec<&Node> = snapshot.nodes.iter().filter(|node| test(node)).collect();
        match found[..] {
            [] => {}
            [node] => return Ok(node),
            _ => {
                let candidates = names_by_cluster(found);
                return Err(SubjectError::AmbiguousTarget { name: name.to_owned(), candidates });
            }
        }
    }
    Err(SubjectError::NoTarget { name: name.to_owned(), known: names_by_cluster(&snapshot.nodes) })
}

fn is_part(node: &Node, part: &str) -> bool {
    !part.is_empty()
        && (node.name.contains(part)
            || node.service.as_deref().is_some_and(|service| service.contains(part))
            || (part.len() >= 6 && node.id.starts_with(part)))
}

/// The one cluster that is meant where no node is named.
pub fn only_cluster(snapshot: &Snapshot, project: Option<&str>) -> Result<(), SubjectError> {
    match snapshot.clusters()[..] {
        [] => Err(SubjectError::NoNodes { scope: snapshot.looked_at(project) }),
        [_] => Ok(()),
        ref several => Err(SubjectError::SeveralClusters { clusters: several.join(", ") }),
    }
}
