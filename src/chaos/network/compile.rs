//! From what should hold and what holds to the commands in between. An empty list means that the kernel is as it
//! should be, which is also how an injection is found to be active and a revert to be complete.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Class, Family, Filter, Flavour, Flow, Kernel, Loss, NetworkFault, NetworkFaults, Ppm, Queues, RootQdisc, Shape,
    Stream, Table, Tree, Via,
    chains::{is_netems, wanted_chains},
    classes,
    fault::streams,
    qdisc::{self, BANDS, FIRST_BAND},
    restore::restore_text,
};
use crate::chaos::{Command, InjectionId};

/// A desired state that must not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("interface {interface} has a root qdisc that is not ours ({qdisc}); remove it first if it may go")]
    ForeignQdisc { interface: String, qdisc: String },
    #[error("there is no interface {interface}; there are {known}")]
    NoInterface { interface: String, known: String },
    #[error(
        "interface {interface} holds what a helper left that died, for faults that are not known any more; \
         `tikv-chaos recover` removes it"
    )]
    LeftBehind { interface: String },
    #[error(
        "{} on {interface} would need more than {most} kinds of packets, which is all that netem can tell apart there; \
         revert one, or choose --via shaper",
        names(.ids)
    )]
    TooManyClasses { interface: String, ids: Vec<InjectionId>, most: u16 },
    #[error(
        "{one} and {two} would both lose packets of {interface} in bursts, and two kinds of bursts cannot be one; revert one"
    )]
    TwoBursts { interface: String, one: InjectionId, two: InjectionId },
}

fn names(ids: &[InjectionId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Whether the fault can hold at all beside the others: its interfaces are there, their root qdiscs are the kernel's or
/// ours, and it contradicts nobody. `left` are the interfaces that nobody answers for.
pub fn check(
    id: &InjectionId,
    faults: &NetworkFaults,
    kernel: &Kernel,
    left: &BTreeSet<String>,
) -> Result<(), Refusal> {
    let Some(NetworkFault::Shape(shape)) = faults.get(id) else { return Ok(()) };
    for interface in &shape.interfaces {
        match kernel.qdiscs.get(interface) {
            Some(RootQdisc::Foreign(qdisc)) if shape.via == Via::Netem => {
                return Err(Refusal::ForeignQdisc { interface: interface.clone(), qdisc: qdisc.clone() });
            }
            Some(_) => {}
            None => {
                let known = kernel.qdiscs.keys().cloned().collect::<Vec<_>>().join(", ");
                return Err(Refusal::NoInterface { interface: interface.clone(), known });
            }
        }
        if shape.via == Via::Netem && left.contains(interface) {
            return Err(Refusal::LeftBehind { interface: interface.clone() });
        }
        bursts(id, faults, interface)?;
    }
    let netem = classes(&streams(faults, Via::Netem));
    match shape.interfaces.iter().find(|interface| Tree::of(&on(&netem, interface)).is_none()) {
        Some(interface) => {
            let here = |fault: &NetworkFault| {
                fault.shape().is_some_and(|shape| shape.via == Via::Netem && shape.interfaces.contains(interface))
            };
            let ids = faults.iter().filter(|(_, fault)| here(fault)).map(|(id, _)| id.clone()).collect();
            Err(Refusal::TooManyClasses { interface: interface.clone(), ids, most: BANDS - 1 })
        }
        None => Ok(()),
    }
}

/// Two models of bursts that meet in one packet.
fn bursts(id: &InjectionId, faults: &NetworkFaults, interface: &str) -> Result<(), Refusal> {
    let mine = |fault: &NetworkFault| -> Vec<(Via, Flow, Filter)> {
        let NetworkFault::Shape(shape) = fault else { return Vec::new() };
        let here = shape.streams().into_iter().filter(|stream| stream.interface == interface);
        let bursts = here.filter(|stream| matches!(stream.impairment.loss, Some(Loss::Bursts(_))));
        bursts.map(|stream| (shape.via, stream.flow, stream.filter)).collect()
    };
    let ours = faults.get(id).map(mine).unwrap_or_default();
    let meets = |theirs: &(Via, Flow, Filter)| {
        ours.iter().any(|(via, flow, filter)| (*via, *flow) == (theirs.0, theirs.1) && filter.and(&theirs.2).is_some())
    };
    match faults.iter().find(|(other, fault)| *other != id && mine(fault).iter().any(meets)) {
        Some((other, _)) => {
            Err(Refusal::TwoBursts { interface: interface.to_owned(), one: other.clone(), two: id.clone() })
        }
        None => Ok(()),
    }
}

/// What somebody should know who makes this fault beside the others.
pub fn warnings(id: &InjectionId, faults: &NetworkFaults) -> Vec<String> {
    let Some(NetworkFault::Shape(shape)) = faults.get(id) else { return Vec::new() };
    let mut warnings = Vec::new();
    if shape.filter.is_nothing() {
        warnings.push("nobody has an address that this is for, so no packet is meant".to_owned());
    }
    let here = classes(&streams(faults, shape.via));
    let hit = |class: &&Class| {
        let mine = shape.streams();
        mine.iter().any(|stream| {
            (&stream.interface, stream.flow) == (&class.interface, class.flow)
                && stream.filter.and(&class.filter).is_some()
        })
    };
    let hopeless = here.iter().filter(hit).any(|class| {
        let all = matches!(class.impairment.loss, Some(Loss::Random(chance)) if chance.share == Ppm::ALL);
        all && class.impairment.delay.is_some()
    });
    if hopeless {
        warnings.push("with a loss of 100 % a delay is not felt: the loss wins".to_owned());
    }
    warnings.extend(rates(id, shape, faults));
    warnings
}

/// Two rates that meet in one packet.
fn rates(id: &InjectionId, shape: &Shape, faults: &NetworkFaults) -> Option<String> {
    let own = shape.impairment.rate?;
    let others = faults.iter().filter(|(other, _)| *other != id);
    let rated = others.filter_map(|(other, fault)| {
        let theirs = fault.shape().filter(|theirs| theirs.via == shape.via)?;
        let meet = |one: &Stream, two: &Stream| {
            (&one.interface, one.flow) == (&two.interface, two.flow) && one.filter.and(&two.filter).is_some()
        };
        let streams = theirs.streams();
        let meets = shape.streams().iter().any(|one| streams.iter().any(|two| meet(one, two)));
        Some((other, theirs.impairment.rate.filter(|_| meets)?.bits_per_second))
    });
    let (other, bits) = rated.min_by_key(|(_, bits)| *bits)?;
    let lower = if bits < own.bits_per_second { other } else { id };
    Some(format!("{other} lets only so much through too: of two rates on one way the lower holds, that of {lower}"))
}

/// What the commands depend on beside what is wanted and what is held.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    pub flavour: Flavour,
    /// The interfaces with something of ours that nobody answers for: it is left as it is.
    pub left: BTreeSet<String>,
    pub queues: Queues,
}

/// The commands that turn `kernel` into what `faults` ask for, at most one for each interface and family. An
/// interface that went away or whose root qdisc somebody replaced since is left alone, so that it keeps nothing else from
/// being undone; [`check`] is for before.
pub fn compile(faults: &NetworkFaults, kernel: &Kernel, beside: &Beside) -> Vec<Command> {
    let Beside { flavour, left, queues } = beside;
    let netem = classes(&streams(faults, Via::Netem));
    let interfaces: BTreeSet<&str> = netem.iter().map(|class| class.interface.as_str()).collect();
    let mut trees = BTreeMap::new();
    let mut classified = Vec::new();
    for interface in interfaces.into_iter().filter(|name| !left.contains(*name)) {
        let ours = matches!(kernel.qdiscs.get(interface), Some(RootQdisc::Ours(_) | RootQdisc::Default));
        let Some((tree, bands)) = Tree::of(&on(&netem, interface)).filter(|_| ours) else { continue };
        trees.insert(interface, tree);
        classified.extend(bands);
    }
    let mut commands: Vec<Command> = trees
        .iter()
        .filter_map(|(interface, tree)| qdisc::command(tree.lines(interface, held(kernel, interface))))
        .collect();
    for family in Family::ALL {
        let text = Table::ALL.map(|table| {
            let mut wanted = wanted_chains(faults, &classified, *queues, table, family);
            let held = kernel.tables(family).of(table);
            if !left.is_empty() {
                // They belong to what is left in place.
                let kept = held.iter().filter(|(name, _)| is_netems(name) || name.contains("-ONLY-"));
                wanted.extend(kept.map(|(name, chain)| (name.clone(), chain.rules.clone())));
            }
            restore_text(table, &wanted, held).unwrap_or_default()
        });
        if text.iter().any(|text| !text.is_empty()) {
            commands.push(Command::new(&flavour.restore(family), ["-w", "5", "--noflush"]).with_stdin(text.concat()));
        }
    }
    let superfluous = kernel.trees().map(|(interface, _)| interface);
    let superfluous = superfluous.filter(|name| !trees.contains_key(name) && !left.contains(*name));
    commands.extend(superfluous.filter_map(|interface| qdisc::command(vec![qdisc::removal(interface)])));
    commands
}

/// netem's classes of these faults, each with its band; what has an interface to itself has the first.
pub(super) fn bands(faults: &NetworkFaults) -> Vec<(u16, Class)> {
    let netem = classes(&streams(faults, Via::Netem));
    let interfaces: BTreeSet<&str> = netem.iter().map(|class| class.interface.as_str()).collect();
    let on_one = |interface: &str| {
        let here = on(&netem, interface);
        let (_, others) = Tree::of(&here)?;
        let first = here.into_iter().find(|class| class.filter.is_everything());
        Some(first.map(|class| (FIRST_BAND, class.clone())).into_iter().chain(others))
    };
    interfaces.into_iter().filter_map(on_one).flatten().collect()
}

fn held<'a>(kernel: &'a Kernel, interface: &str) -> Option<&'a Tree> {
    match kernel.qdiscs.get(interface) {
        Some(RootQdisc::Ours(tree)) => Some(tree),
        _ => None,
    }
}

fn on<'a>(classes: &'a [Class], interface: &str) -> Vec<&'a Class> {
    classes.iter().filter(|class| class.interface == interface && class.flow == Flow::Out).collect()
}
