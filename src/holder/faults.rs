//! The set of network faults that hold on this target, and the rounds that bring the kernel and the shaper to it.
//!
//! The set lives here and not in a client, so that programs that know nothing of one another compose their faults.

use std::collections::BTreeSet;

use nix::net::if_::if_nametoindex;

use super::{
    netns::{self, Counts, Part},
    protocol::{Adoption, Cause, Failure},
    shaper::{ClassCounters, Shaper},
    sockets, tables,
};
use crate::chaos::{
    Command, InjectionId,
    network::{
        Beside, Class, Family, Flavour, Flow, Kernel, NetworkFault, NetworkFaults, Packets, Place, Queues, RootQdisc,
        Shape, Table, Tally, Tree, Via, check, compile, hooks, netem_packets, shaper_classes, warnings,
    },
};

/// Faults, what the kernel was last seen to hold, and what a former holder left.
pub struct Faults {
    pub kernel: Kernel,
    beside: Beside,
    wanted: NetworkFaults,
    /// Single qdiscs of ours, found at the start, that no injection has claimed yet: one interface each.
    orphans: NetworkFaults,
    /// Runs as long as something is wanted of it.
    shaper: Option<Shaper>,
    ways: Option<[Result<(), Failure>; 2]>,
    tally: Tally,
}

impl Faults {
    /// Reads the namespace. A partition's chains carry its injection's id and are taken over as they are; a qdisc carries
    /// none and waits for its injections to claim it. Rules for a shaper do nothing without it and are only marks.
    pub fn find() -> Result<Self, Failure> {
        let beside = Beside { flavour: netns::probe_flavour(), ..Beside::default() };
        let mut faults = Self {
            kernel: Kernel::default(),
            beside,
            wanted: NetworkFaults::new(),
            orphans: NetworkFaults::new(),
            shaper: None,
            ways: None,
            tally: Tally::default(),
        };
        faults.observe()?;
        faults.tidy();
        for (id, fault) in faults.kernel.as_faults() {
            match &fault {
                NetworkFault::Drop(_) => drop(faults.wanted.insert(id, fault)),
                NetworkFault::Shape(Shape { via: Via::Shaper, .. }) => {}
                NetworkFault::Shape(shape) => {
                    let whole =
                        |name: &String| matches!(faults.kernel.qdiscs.get(name), Some(RootQdisc::Ours(Tree::One(_))));
                    if shape.interfaces.iter().all(whole) {
                        faults.orphans.insert(id, fault);
                    } else {
                        faults.beside.left.extend(shape.interfaces.iter().cloned());
                    }
                }
            }
        }
        Ok(faults)
    }

    pub fn flavour(&self) -> Flavour {
        self.beside.flavour
    }

    /// Reads everything again, as far as there are tools for it: without one, there is nothing of ours that it could
    /// have made, and what needs it is refused when it is asked for.
    pub fn observe(&mut self) -> Result<(), Failure> {
        netns::read(&Part::ALL, self.beside.flavour, &mut self.kernel).into_iter().try_for_each(|read| match read {
            Err(failure) if failure.cause == Cause::NoTool => {
                tracing::warn!(%failure, "a part of the kernel stays unseen");
                Ok(())
            }
            read => read,
        })
    }

    /// Whether this kernel has netem, and the qdisc that puts some of the packets to one; asked once.
    pub fn ways(&mut self) -> [Result<(), Failure>; 2] {
        self.ways.get_or_insert_with(|| ["netem", "prio"].map(netns::probe_qdisc)).clone()
    }

    /// What adding the fault would run, and what somebody should know of it first. Nothing is changed.
    pub fn preview(&mut self, id: &InjectionId, fault: NetworkFault) -> Result<(Vec<Command>, Vec<String>), Failure> {
        // Somebody else may have changed a qdisc since we last looked.
        if !self.knows_the_place(&fault) {
            self.read(&[Part::Qdiscs])?;
        }
        let mut desired = self.desired();
        let unmatched = match &fault {
            NetworkFault::Shape(shape) => sockets::warning(&shape.filter),
            NetworkFault::Drop(cut) => sockets::cut_warning(&cut.filter()),
        };
        desired.insert(id.clone(), fault);
        self.check(id, &desired)?;
        let warnings = warnings(id, &desired).into_iter().chain(unmatched).collect();
        Ok((compile(&desired, &self.kernel, &self.beside), warnings))
    }

    /// Makes the fault hold beside the others, or leaves everything as it was. One of that name is replaced in one step.
    pub fn add(&mut self, id: &InjectionId, fault: NetworkFault) -> Result<(), Failure> {
        // Somebody else may have put a qdisc there since we last looked. Nobody else uses our chains' names.
        if self.knows_the_place(&fault) {
            self.credit();
        } else {
            let counts = self.count()?;
            self.credit_with(&counts);
        }
        let mut parts = touched(&fault);
        let before = self.wanted.insert(id.clone(), fault);
        parts.extend(before.iter().flat_map(touched));
        let restore = |faults: &mut Self| {
            match &before {
                Some(fault) => faults.wanted.insert(id.clone(), fault.clone()),
                None => faults.wanted.remove(id),
            };
        };
        if let Err(refusal) = self.check(id, &self.desired()) {
            restore(self);
            return Err(refusal);
        }
        self.settle(&parts).and_then(|()| self.check(id, &self.desired())).inspect_err(|_| {
            restore(self);
            if let Err(error) = self.settle(&Part::ALL) {
                tracing::error!(%error, "rolling back failed");
            }
        })?;
        self.tally.begin(id);
        Ok(())
    }

    /// What a fault that holds has met since it was made or last changed here; `None` of a partition, and of what is not
    /// held.
    pub fn packets(&mut self, id: &InjectionId) -> Option<Packets> {
        self.wanted.get(id).and_then(NetworkFault::shape)?;
        self.credit();
        self.tally.of(id)
    }

    /// Whether what was seen last is enough for this fault. netem must not take another qdisc's place; the shaper stands
    /// beside every one of them and only needs its interfaces.
    fn knows_the_place(&self, fault: &NetworkFault) -> bool {
        let there = |name: &String| self.kernel.qdiscs.contains_key(name) && if_nametoindex(name.as_str()).is_ok();
        fault.shape().is_none_or(|shape| shape.via == Via::Shaper && shape.interfaces.iter().all(there))
    }

    /// Reads the qdiscs with what they have counted.
    fn count(&mut self) -> Result<Counts, Failure> {
        let (qdiscs, counts) = netns::counted()?;
        self.kernel.qdiscs = qdiscs;
        Ok(counts)
    }

    /// What the kernel and the shaper have counted is that of the faults which hold until now.
    fn credit(&mut self) {
        let is_netems = |shape: &Shape| shape.via == Via::Netem;
        let mut counts = Counts::new();
        if self.wanted.values().filter_map(NetworkFault::shape).any(is_netems) {
            match self.count() {
                Ok(counted) => counts = counted,
                Err(failure) => tracing::warn!(%failure, "netem's packets are not counted"),
            }
        }
        self.credit_with(&counts);
    }

    fn credit_with(&mut self, netems: &Counts) {
        let shaped = self.shaper.iter().flat_map(Shaper::counters).map(|one| {
            let ClassCounters { interface, flow, filter, counters } = one;
            let packets = Packets { met: counters.seen, over_limit: Some(counters.overflowed) };
            (Place { via: Via::Shaper, interface, flow, filter }, packets)
        });
        let counts: Vec<_> = shaped.chain(netem_packets(&self.wanted, netems)).collect();
        self.tally.credit(&self.wanted, counts);
    }

    /// Takes over what a former holder made for these faults; gives those of which something is there. For the others
    /// nothing is made.
    pub fn adopt(&mut self, faults: Vec<Adoption>) -> Result<Vec<Adoption>, Failure> {
        let there =
            |one: &Adoption| self.wanted.contains_key(&one.injection) || self.kernel.shows(&one.injection, &one.fault);
        let adopted: Vec<Adoption> = faults.into_iter().filter(there).collect();
        let shaped: Vec<&Adoption> = adopted.iter().filter(|one| one.fault.shape().is_some()).collect();
        for one in &shaped {
            self.claim(&one.fault);
            self.wanted.insert(one.injection.clone(), one.fault.clone());
        }
        for one in &shaped {
            self.tally.begin(&one.injection);
        }
        if !shaped.is_empty() {
            self.settle(&Part::ALL)?;
        }
        Ok(adopted)
    }

    /// Ends the fault; one that does not hold is not an error.
    pub fn remove(&mut self, id: &InjectionId, fault: &NetworkFault) -> Result<(), Failure> {
        self.credit();
        self.tally.end(id);
        if self.wanted.remove(id).is_none() {
            self.claim(fault);
        }
        self.settle(&touched(fault))
    }

    /// Ends everything of ours in this namespace.
    pub fn clear(&mut self) -> Result<(), Failure> {
        self.wanted.clear();
        self.orphans.clear();
        self.beside.left.clear();
        self.settle(&Part::ALL)
    }

    /// What was left on the fault's interfaces is this fault's.
    fn claim(&mut self, fault: &NetworkFault) {
        let Some(claimed) = fault.shape().filter(|shape| shape.via == Via::Netem) else { return };
        let is_claimed = |name: &String| claimed.interfaces.contains(name);
        self.orphans.retain(|_, orphan| !orphan.shape().is_some_and(|shape| shape.interfaces.iter().any(is_claimed)));
        self.beside.left.retain(|name| !is_claimed(name));
    }

    fn desired(&self) -> NetworkFaults {
        self.orphans.iter().chain(&self.wanted).map(|(id, fault)| (id.clone(), fault.clone())).collect()
    }

    /// Brings the kernel to the desired state and reads back that it is there. The first round trusts what was seen
    /// last; if that was wrong, the second looks at everything first.
    fn settle(&mut self, parts: &[Part]) -> Result<(), Failure> {
        let mut round = self.round(parts);
        if matches!(&round, Ok(false) | Err(Failure { cause: Cause::Failed, .. })) {
            self.observe()?;
            round = self.round(&Part::ALL);
        }
        let took_no_rule = |failure: &Failure| failure.cause == Cause::Failed && failure.message.contains("tables-nft");
        if round.as_ref().is_err_and(took_no_rule) && self.turn_to_legacy() {
            self.observe()?;
            round = self.round(&Part::ALL);
        }
        match round? {
            true => Ok(()),
            false => Err(Failure::failed("the kernel took the change but does not show it")),
        }
    }

    /// A kernel may answer iptables-nft and yet take no rule from it (nf_tables without its IPv4 family). As long as
    /// nothing of ours stands in the one flavour, the other may be tried.
    fn turn_to_legacy(&mut self) -> bool {
        let clean = self.kernel.v4.is_clean() && self.kernel.v6.is_clean();
        let turn = self.beside.flavour == Flavour::Nft && clean;
        if turn {
            tracing::info!("iptables-nft takes no rules here: turning to iptables-legacy");
            self.beside.flavour = Flavour::Legacy;
        }
        turn
    }

    /// One round: the shaper learns its classes before packets come to it and goes after they have stopped coming; the
    /// commands; a look at what they changed and at the given parts. True if the kernel is as desired.
    fn round(&mut self, parts: &[Part]) -> Result<bool, Failure> {
        let desired = self.desired();
        let classes = present(shaper_classes(&desired));
        let idle = classes.is_empty();
        if !idle {
            self.shape(classes)?;
        }
        let mut seen: Vec<Part> = parts.to_vec();
        for command in compile(&desired, &self.kernel, &self.beside) {
            tracing::info!(%command, "running");
            let part = Part::of(&command);
            seen.push(part);
            self.prepare(part, &command);
            netns::run(&command)?;
        }
        if idle {
            self.shaper = None;
            self.beside.queues = Queues::default();
        }
        seen.sort_unstable();
        seen.dedup();
        self.read(&seen)?;
        self.tidy();
        Ok(compile(&desired, &self.kernel, &self.beside).is_empty())
    }

    /// Makes with our mark what iptables-nft would make without one. Where that fails, iptables says what is wrong.
    fn prepare(&self, part: Part, command: &Command) {
        let Part::Rules(family) = part else { return };
        if self.flavour() != Flavour::Nft {
            return;
        }
        for (table, hooks) in hooks(command.stdin.as_deref().unwrap_or_default()) {
            if let Err(error) = tables::prepare(family, table, &hooks) {
                tracing::warn!(%error, table = table.name(), "its parts are iptables' own and will stay");
            }
        }
    }

    /// Removes what was made for chains of ours and has none any more. Like everything here it can be done again, at the
    /// next change and by the next helper.
    fn tidy(&self) {
        if self.flavour() != Flavour::Nft {
            return;
        }
        for family in Family::ALL {
            for table in Table::ALL.into_iter().filter(|table| self.kernel.tables(family).of(*table).is_empty()) {
                if let Err(error) = tables::tidy(family, table) {
                    tracing::debug!(%error, table = table.name(), "not tidied");
                }
            }
        }
    }

    fn shape(&mut self, classes: Vec<Class>) -> Result<(), Failure> {
        if self.shaper.is_none() {
            let shaper = Shaper::start()?;
            self.beside.queues = Queues { inward: shaper.queue(Flow::In), outward: shaper.queue(Flow::Out) };
            self.shaper = Some(shaper);
        }
        self.shaper.as_ref().map_or(Ok(()), |shaper| shaper.set(classes))
    }

    fn check(&self, id: &InjectionId, faults: &NetworkFaults) -> Result<(), Failure> {
        let refused = check(id, faults, &self.kernel, &self.beside.left);
        refused.map_err(|refusal| Failure { cause: Cause::Refused, message: refusal.to_string() })
    }

    fn read(&mut self, parts: &[Part]) -> Result<(), Failure> {
        netns::read(parts, self.beside.flavour, &mut self.kernel).into_iter().collect()
    }
}

/// Those whose interface is still there: one that went keeps nothing else from being undone.
fn present(classes: Vec<Class>) -> Vec<Class> {
    let there: BTreeSet<String> = classes.iter().map(|class| class.interface.clone()).collect();
    let there: BTreeSet<String> = there.into_iter().filter(|name| if_nametoindex(name.as_str()).is_ok()).collect();
    classes.into_iter().filter(|class| there.contains(&class.interface)).collect()
}

/// Where the fault itself is to be seen.
fn touched(fault: &NetworkFault) -> Vec<Part> {
    let families =
        |has: &dyn Fn(Family) -> bool| Family::ALL.into_iter().filter(|family| has(*family)).map(Part::Rules).collect();
    match fault {
        NetworkFault::Shape(Shape { via: Via::Netem, .. }) => vec![Part::Qdiscs],
        NetworkFault::Shape(Shape { filter, .. }) => families(&|family| filter.has(family)),
        NetworkFault::Drop(cut) => families(&|family| cut.filter().has(family)),
    }
}
