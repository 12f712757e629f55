//! Which cluster each node is of, and what that is called. The Compose project or stack, else the network that is shared, is
//! the first guess; PD decides. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    belonging::Address,
    islands::{Evidence, Islands, Places},
    node::{Node, Role, Snapshot},
    swarm,
};

/// Networks that join nothing: no network at all, and Swarm's for published ports, on which every service is.
const JOINS_NOTHING: [&str; 2] = ["none", "ingress"];
/// Modes that are no network's name.
const MODES: [&str; 5] = ["", "default", "bridge", "host", "none"];

/// What the nodes of a project with several clusters are called together of which it is not known whose they are.
const OTHER: &str = "other";

/// Puts every node in its cluster and in the order of the screen.
///
/// A cluster that has its project or network for itself bears that name. Where there are several, each is called after it
/// and its first PD: `project/upstream-pd`.
pub fn group(nodes: Vec<Node>, evidence: &Evidence) -> Snapshot {
    let (mut nodes, replaced) = swarm::without_history(nodes);
    let names = Grouping::of(&Places::of(&nodes, evidence), evidence).names();
    for (node, name) in nodes.iter_mut().zip(names) {
        node.cluster = name;
    }
    nodes.sort_by(|a, b| (&a.cluster, a.role, natural(&a.name)).cmp(&(&b.cluster, b.role, natural(&b.name))));
    Snapshot { nodes, replaced, ..Snapshot::default() }
}

/// The ids of the nodes of first guesses about which commands and labels leave a doubt, so that PD has to be asked.
pub fn in_doubt(nodes: &[Node], evidence: &Evidence) -> BTreeSet<String> {
    let unsaid = Evidence { seats: evidence.seats.clone(), ..Evidence::default() };
    let places = Places::of(nodes, &unsaid);
    let grouping = Grouping::of(&places, &unsaid);
    let mut doubtful: BTreeSet<&str> = BTreeSet::new();
    for (base, guess) in &grouping.guesses {
        let pds: Vec<usize> = guess.pds.clone();
        let unclear_pds = pds.len() > 1 && pds.iter().any(|at| !grouping.islands.is_anchored(*at));
        let unclear_stores = !guess.strays.is_empty() || (guess.parts.len() > 1 && !guess.free.is_empty());
        if !pds.is_empty() && (unclear_pds || unclear_stores) {
            doubtful.insert(base);
        }
    }
    (0..nodes.len()).filter(|at| doubtful.contains(places.bases[*at].as_str())).map(|at| nodes[at].id.clone()).collect()
}

/// The networks on which a node meets others now, by the ids of those that meet any: where they are if they leave.
pub fn seats(nodes: &[Node]) -> BTreeMap<String, BTreeSet<String>> {
    let counts = members_of_networks(nodes);
    let met = |node: &Node| -> BTreeSet<String> {
        networks_now(node).filter(|name| counts.get(name).is_some_and(|count| *count > 1)).map(str::to_owned).collect()
    };
    nodes.iter().map(|node| (node.id.clone(), met(node))).filter(|(_, met)| !met.is_empty()).collect()
}

fn networks_now(node: &Node) -> impl Iterator<Item = &str> {
    node.networks.iter().map(|network| network.name.as_str()).filter(|name| !JOINS_NOTHING.contains(name))
}

fn members_of_networks(nodes: &[Node]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for name in nodes.iter().flat_map(networks_now) {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

impl<'a> Places<'a> {
    pub fn of(nodes: &'a [Node], evidence: &'a Evidence) -> Self {
        let counts = members_of_networks(nodes);
        let on = |node: &'a Node| -> BTreeSet<&'a str> {
            let mut networks: BTreeSet<&str> = networks_now(node).collect();
            if networks.iter().all(|name| counts.get(name).is_none_or(|count| *count < 2)) {
                // It was disconnected, or it is alone there: it is also where it was made and where it was seen.
                let made = Some(node.network_mode.as_str());
                networks.extend(made.filter(|mode| !MODES.contains(mode) && !mode.starts_with("container:")));
                networks.extend(evidence.seats.get(&node.id).into_iter().flatten().map(String::as_str));
            }
            networks
        };
        let networks: Vec<BTreeSet<&str>> = nodes.iter().map(on).collect();
        let bases = bases(nodes, &networks);
        // Names of the host's own network are its own affair.
        let networks = networks.into_iter().map(|mut names| {
            names.remove("host");
            names
        });
        let of = |role: Role| (0..nodes.len()).filter(|at| nodes[*at].role == role).collect();
        Self { nodes, bases, networks: networks.collect(), pds: of(Role::Pd), stores: of(Role::Tikv) }
    }
}

/// The first guess: the project or stack, else the nodes without one that are connected by the networks they share, under the
/// name of the one with most of them.
fn bases(nodes: &[Node], networks: &[BTreeSet<&str>]) -> Vec<String> {
    let mut components: Vec<(Vec<usize>, BTreeSet<&str>)> = Vec::new();
    for at in (0..nodes.len()).filter(|at| nodes[*at].project.is_none()) {
        let (joined, rest): (Vec<_>, Vec<_>) =
            components.into_iter().partition(|(_, theirs)| !theirs.is_disjoint(&networks[at]));
        let mut merged = (vec![at], networks[at].clone());
        for (members, theirs) in joined {
            merged.0.extend(members);
            merged.1.extend(theirs);
        }
        components = rest;
        components.push(merged);
    }
    let mut bases: Vec<String> = nodes.iter().map(|node| node.project.clone().unwrap_or_default()).collect();
    for (members, _) in components {
        let mut count: BTreeMap<&str, usize> = BTreeMap::new();
        for name in members.iter().flat_map(|at| &networks[*at]) {
            *count.entry(name).or_default() += 1;
        }
        let widest = count.iter().max_by_key(|(name, count)| (**count, std::cmp::Reverse(**name)));
        let name = widest.map_or("no network", |(name, _)| *name);
        members.into_iter().for_each(|at| name.clone_into(&mut bases[at]));
    }
    bases
}

/// Everything of one first guess, sorted out.
#[derive(Default)]
struct Guess {
    pds: Vec<usize>,
    /// The clusters that are told apart in it.
    parts: Vec<Part>,
    /// Nodes of which nothing says whose they are.
    free: Vec<usize>,
    /// Stores that were told of a PD that is not found.
    strays: Vec<usize>,
}

struct Part {
    members: Vec<usize>,
    /// Where its stores look for PD, of a cluster whose PD is not found.
    endpoint: Option<Address>,
}

struct Grouping<'a> {
    places: &'a Places<'a>,
    evidence: &'a Evidence,
    islands: Islands,
    guesses: BTreeMap<&'a str, Guess>,
}

impl<'a> Grouping<'a> {
    fn of(places: &'a Places<'a>, evidence: &'a Evidence) -> Self {
        let islands = Islands::of(places, evidence);
        let mut guesses: BTreeMap<&str, Guess> = BTreeMap::new();
        let mut held: BTreeSet<usize> = BTreeSet::new();
        for set in islands.held(places).into_values() {
            held.extend(&set);
            guesses.entry(base_of(places, &set)).or_default().parts.push(Part { members: set, endpoint: None });
        }
        for (at, node) in places.nodes.iter().enumerate() {
            let guess = guesses.entry(&places.bases[at]).or_default();
            if node.role == Role::Pd {
                guess.pds.push(at);
            }
            if held.contains(&at) {
                continue;
            }
            let is_stray = node.role == Role::Tikv && places.endpoints(at, evidence).next().is_some();
            if is_stray { guess.strays.push(at) } else { guess.free.push(at) }
        }
        let mut grouping = Self { places, evidence, islands, guesses };
        grouping.place_strays();
        grouping.place_free();
        grouping
    }

    /// A store that was told of another PD than those here is of no cluster here, if others find theirs by what they were
    /// told; else its PD may be one of these, under a name that only its own network knows.
    fn place_strays(&mut self) {
        let (places, evidence) = (self.places, self.evidence);
        let told = |at: usize| places.endpoints(at, evidence).cloned().collect::<BTreeSet<Address>>();
        for guess in self.guesses.values_mut() {
            let finds = |part: &Part| {
                part.members.iter().any(|at| !told(*at).is_empty() && places.nodes[*at].role == Role::Tikv)
            };
            if !guess.parts.iter().any(finds) {
                guess.free.extend(&guess.strays);
                continue;
            }
            let mut parts: Vec<Part> = Vec::new();
            for at in guess.strays.iter().copied() {
                let wanted = told(at);
                let same = |part: &&mut Part| {
                    part.members
                        .iter()
                        .any(|other| places.share_network(at, *other) && !told(*other).is_disjoint(&wanted))
                };
                match guess.parts.iter_mut().chain(&mut parts).find(same) {
                    Some(part) => part.members.push(at),
                    None => parts.push(Part { members: vec![at], endpoint: wanted.into_iter().next() }),
                }
            }
            guess.parts.extend(parts);
        }
    }

    /// What nothing is said of belongs to the only cluster there, else to the only one whose network it shares. A PD that the
    /// others do not list is of another, and so are the stores that they do not list beside it.
    fn place_free(&mut self) {
        let (places, evidence) = (self.places, self.evidence);
        let is_pd = |at: usize| places.nodes[at].role == Role::Pd;
        for guess in self.guesses.values_mut() {
            let several = guess.parts.len() > 1;
            let is_complete = |part: &Part, pds: bool| {
                let found = part.members.iter().filter(|at| is_pd(**at) == pds).count();
                let said = part.members.iter().filter_map(|at| evidence.said.get(&places.nodes[*at].id));
                said.map(|said| if pds { said.size } else { said.stores.len() })
                    .max()
                    .is_some_and(|count| count <= found)
            };
            // One alone may be something else of PD's image.
            let others = [true, false].iter().all(|pds| {
                let free = guess.free.iter().any(|at| is_pd(*at) == *pds);
                free && guess.parts.iter().any(|part| is_complete(part, *pds))
            });
            if others {
                continue;
            }
            let mut placed = Vec::new();
            for at in guess.free.iter().copied() {
                let near = |part: &Part| !several || part.members.iter().any(|other| places.share_network(at, *other));
                let mut fitting = guess.parts.iter().enumerate().filter(|(_, part)| near(part));
                if let (Some((only, _)), None) = (fitting.next(), fitting.next()) {
                    placed.push((at, only));
                }
            }
            // All at once: one that was placed says nothing about the next.
            for (at, only) in placed {
                guess.parts[only].members.push(at);
                guess.free.retain(|free| *free != at);
            }
        }
    }

    fn names(&self) -> Vec<String> {
        let mut names = self.places.bases.clone();
        for (base, guess) in &self.guesses {
            let alone = guess.parts.len() == 1 && guess.free.is_empty();
            for (part, label) in guess.parts.iter().zip(self.labels(guess)) {
                let name = if alone { (*base).to_owned() } else { format!("{base}/{label}") };
                part.members.iter().for_each(|at| names[*at].clone_from(&name));
            }
            if !guess.parts.is_empty() {
                guess.free.iter().for_each(|at| names[*at] = format!("{base}/{OTHER}"));
            }
        }
        names
    }

    /// A name for each of the clusters: by its first PD's service, else by that PD's own name, else by its container's;
    /// whatever tells it from the others first.
    fn labels(&self, guess: &Guess) -> Vec<String> {
        let nodes = self.places.nodes;
        let first = |part: &Part| {
            let pds = part.members.iter().map(|at| &nodes[*at]).filter(|node| node.role == Role::Pd);
            pds.min_by_key(|node| natural(&node.name))
        };
        let candidates = |part: &Part| match (first(part), &part.endpoint) {
            (Some(pd), _) => {
                let own = [pd.service.clone(), pd.endpoints.member.clone()].into_iter().flatten();
                own.chain([pd.name.clone()]).collect::<Vec<_>>()
            }
            (None, Some((host, port))) => vec![host.clone(), format!("{host}:{port}")],
            (None, None) => part.members.first().map(|at| nodes[*at].name.clone()).into_iter().collect(),
        };
        let all: Vec<Vec<String>> = guess.parts.iter().map(candidates).collect();
        let others_have = |number: usize, label: &String| {
            all.iter().enumerate().any(|(other, labels)| other != number && labels.contains(label))
        };
        let labels = all.iter().enumerate().map(|(number, labels)| {
            let own = labels.iter().find(|label| !others_have(number, label)).or(labels.last());
            own.cloned().unwrap_or_default()
        });
        labels.collect()
    }
}

/// The first guess that most of its PDs are of.
fn base_of<'a>(places: &'a Places, set: &[usize]) -> &'a str {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for at in set.iter().filter(|at| places.nodes[**at].role == Role::Pd) {
        *count.entry(places.bases[*at].as_str()).or_default() += 1;
    }
    let most = count.into_iter().max_by_key(|(name, count)| (*count, std::cmp::Reverse(*name)));
    most.map_or("", |(name, _)| name)
}

/// Names in the order in which people count: `tikv2` before `tikv10`.
fn natural(name: &str) -> (String, u64, String) {
    let digits = name.len() - name.bytes().rev().take_while(u8::is_ascii_digit).count();
    (name[..digits].to_owned(), name[digits..].parse().unwrap_or(0), name.to_owned())
}

#[cfg(test)]
pub(super) mod tests;
