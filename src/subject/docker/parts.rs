//! The parts of an act: what is done to which node, with what a fault of the network needs at its peers' own ends.
//!
//! Where Docker passes connections on, they arrive at a node from an address that all have in common, such as a bridge's
//! gateway. What can't be told apart there is told apart where it leaves: in the peers' own namespaces.

use std::{collections::BTreeSet, net::SocketAddr};

use super::{
    act::is_alive,
    connections::Hearing,
    host::TikvSubject,
    node::{Node, Snapshot},
    plan::Cutting,
    scope,
    ways::{self, Known, Routes},
};
use crate::{
    chaos::{Fault, Partition, Scope},
    safety::Reason,
    subject::SubjectError,
};

/// What is done to one node.
pub(super) enum Part<'a> {
    Whole(&'a Node),
    Cut(Cutting<'a>),
    /// What a partition needs at the end of a peer.
    FarCut(Cutting<'a>),
    /// What a shaped fault of another node needs at the end of a peer: that node's ways, as the peer uses them.
    FarShape {
        node: &'a Node,
        of: &'a Node,
        ends: BTreeSet<SocketAddr>,
    },
}

impl<'a> Part<'a> {
    pub(super) const fn node(&self) -> &'a Node {
        match self {
            Self::Whole(node) | Self::FarShape { node, .. } => node,
            Self::Cut(cut) | Self::FarCut(cut) => cut.node,
        }
    }

    /// Whether it only completes others: it is about no pair of nodes that they are not about.
    pub(super) const fn is_far(&self) -> bool {
        matches!(self, Self::FarCut(_) | Self::FarShape { .. })
    }

    /// The ways that it leaves open.
    pub(super) fn left_open(&self, routes: &Routes, known: &Known) -> Vec<Reason> {
        match self {
            Self::Cut(cut) => routes.left_open(cut.node, &cut.peers, known),
            _ => Vec::new(),
        }
    }
}

/// The refusal of a partition that is seen from one node, for several.
pub(super) fn too_many(shape: Partition, chosen: &[Node]) -> SubjectError {
    let names: Vec<&str> = chosen.iter().map(|node| node.name.as_str()).collect();
    let reason = format!("are {} targets, and {} is seen from one node", names.len(), shape.name());
    SubjectError::Refused { target: names.join(", "), reason }
}

impl TikvSubject {
    /// The parts with what they need at the peers' ends after them, and what is known of the ways between their nodes.
    pub(super) async fn with_far_ends<'a>(
        &self,
        (snapshot, heard): (&'a Snapshot, &mut Hearing),
        fault: &Fault,
        mut parts: Vec<Part<'a>>,
    ) -> Result<(Vec<Part<'a>>, Known), SubjectError> {
        let (mut known, mut shapes) = (Known::default(), Vec::new());
        for part in &parts {
            match (part, fault) {
                (Part::Cut(cut), _) => {
                    known.add(self.known_from_both_ends((snapshot, &mut *heard), cut.node, &cut.peers).await?);
                }
                (Part::Whole(node), Fault::Shape { scope, .. }) if !scope.to.is_empty() => {
                    let (peers, others) = (named(snapshot, node, scope), others(snapshot, node));
                    known.add(self.known_ways((snapshot, &mut *heard), node, &others).await?);
                    known.add(self.known_from_both_ends((snapshot, &mut *heard), node, &peers).await?);
                    shapes.push((*node, peers, scope));
                }
                _ => {}
            }
        }
        let routes = Routes::of(snapshot);
        let cuts: Vec<&Cutting> =
            parts.iter().filter_map(|part| if let Part::Cut(cut) = part { Some(cut) } else { None }).collect();
        let mut far: Vec<Part> = far_cuts(&routes, &cuts, &known).into_iter().map(Part::FarCut).collect();
        for (node, peers, scope) in shapes {
            far.extend(far_shapes(&routes, node, &peers, scope, &known));
        }
        parts.extend(far);
        Ok((parts, known))
    }
}

/// The other nodes of its cluster.
pub(super) fn others<'a>(snapshot: &'a Snapshot, node: &Node) -> Vec<&'a Node> {
    snapshot.nodes.iter().filter(|other| other.cluster == node.cluster && other.id != node.id).collect()
}

/// The nodes that a shaped fault names.
fn named<'a>(snapshot: &'a Snapshot, node: &Node, scope: &Scope) -> Vec<&'a Node> {
    let cluster = snapshot.clone().only(Some(&node.cluster));
    // What no node is called is refused where the fault itself is planned.
    let meant = scope.to.iter().filter_map(|word| scope::meant(&cluster, node, word).ok()).flatten();
    let ids: BTreeSet<&str> = meant.map(|one| one.id.as_str()).collect();
    snapshot.nodes.iter().filter(|one| ids.contains(one.id.as_str()) && one.id != node.id).collect()
}

/// Whether rules can stand in its own namespace.
fn takes_rules(peer: &Node) -> bool {
    is_alive(peer) && ways::no_rules_in(peer).is_none()
}

fn far_cuts<'a>(routes: &Routes, cuts: &[&Cutting<'a>], known: &Known) -> Vec<Cutting<'a>> {
    let mut far: Vec<Cutting<'a>> = Vec::new();
    for cut in cuts {
        let passed_on = |peer: &&&Node| takes_rules(peer) && !routes.ways(peer, cut.node, known).ends.is_empty();
        for peer in cut.peers.iter().filter(passed_on) {
            match far.iter_mut().find(|one| one.node.id == peer.id) {
                Some(one) => one.peers.push(cut.node),
                None => {
                    let (direction, reject) = (cut.direction.turned(), cut.reject);
                    far.push(Cutting { node: peer, peers: vec![cut.node], direction, reject });
                }
            }
        }
    }
    far
}

fn far_shapes<'a>(routes: &Routes, of: &'a Node, peers: &[&'a Node], scope: &Scope, known: &Known) -> Vec<Part<'a>> {
    let part = |node: &'a Node| {
        let ends = scope::ends(routes.ways(node, of, known).ends, scope);
        (takes_rules(node) && !ends.is_empty()).then_some(Part::FarShape { node, of, ends })
    };
    peers.iter().copied().filter_map(part).collect()
}
