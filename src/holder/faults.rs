//! The set of network faults that hold on this target, and the rounds that bring the kernel to it.
//!
//! The set lives here and not in a client, so that programs that know nothing of one another compose their faults.

use super::{
    netns::{self, Part},
    protocol::{Cause, Failure},
};
use crate::chaos::{
    Command, InjectionId,
    network::{Family, Flavour, Kernel, NetworkFault, NetworkFaults, check, compile},
};

/// Faults, what the kernel was last seen to hold, and what a former holder left.
pub struct Faults {
    pub flavour: Flavour,
    pub kernel: Kernel,
    wanted: NetworkFaults,
    /// Delays of ours, found at the start, that no injection has claimed yet: one interface each.
    orphans: NetworkFaults,
}

impl Faults {
    /// Reads the namespace. Chains carry their injection's id and are taken over as they are; a delay has none and
    /// waits for its injection to claim it.
    pub fn find() -> Result<Self, Failure> {
        let flavour = netns::probe_flavour();
        let mut faults =
            Self { flavour, kernel: Kernel::default(), wanted: NetworkFaults::new(), orphans: NetworkFaults::new() };
        faults.observe()?;
        let found = faults.kernel.as_faults();
        let (orphans, partitions) =
            found.into_iter().partition(|(_, fault)| matches!(fault, NetworkFault::Delay { .. }));
        (faults.orphans, faults.wanted) = (orphans, partitions);
        Ok(faults)
    }

    /// Reads everything again, as far as there are tools for it: without one, there is nothing of ours that it could
    /// have made, and what needs it is refused when it is asked for.
    pub fn observe(&mut self) -> Result<(), Failure> {
        Part::ALL.iter().try_for_each(|part| match self.read(&[*part]) {
            Err(failure) if failure.cause == Cause::NoTool => {
                tracing::warn!(%failure, "a part of the kernel stays unseen");
                Ok(())
            }
            read => read,
        })
    }

    pub fn read_qdiscs(&mut self) -> Result<(), Failure> {
        self.read(&[Part::Qdiscs])
    }

    /// Makes the fault hold beside the others, or leaves everything as it was.
    pub fn add(&mut self, id: &InjectionId, fault: NetworkFault) -> Result<(), Failure> {
        let parts = touched(&fault);
        // Somebody else may have put a qdisc there since we last looked. Nobody else uses our chains' names.
        if parts.contains(&Part::Qdiscs) {
            self.read(&parts)?;
        }
        self.check(&fault)?;
        let before = self.wanted.insert(id.clone(), fault.clone());
        self.settle(&parts).and_then(|()| self.check(&fault)).inspect_err(|_| {
            match before {
                Some(fault) => self.wanted.insert(id.clone(), fault),
                None => self.wanted.remove(id),
            };
            if let Err(error) = self.settle(&Part::ALL) {
                tracing::error!(%error, "rolling back failed");
            }
        })
    }

    /// Takes over what a former holder made for this fault; false if nothing of it is there, and then nothing is made.
    pub fn adopt(&mut self, id: &InjectionId, fault: NetworkFault) -> Result<bool, Failure> {
        if self.wanted.contains_key(id) {
            return Ok(true);
        }
        let orphans = self.orphans.len();
        self.claim(&fault);
        if self.orphans.len() == orphans {
            return Ok(false);
        }
        self.wanted.insert(id.clone(), fault);
        self.settle(&[Part::Qdiscs]).map(|()| true)
    }

    /// Ends the fault; one that does not hold is not an error.
    pub fn remove(&mut self, id: &InjectionId, fault: &NetworkFault) -> Result<(), Failure> {
        if self.wanted.remove(id).is_none() {
            self.claim(fault);
        }
        self.settle(&touched(fault))
    }

    /// Ends everything of ours in this namespace.
    pub fn clear(&mut self) -> Result<(), Failure> {
        self.wanted.clear();
        self.orphans.clear();
        self.settle(&Part::ALL)
    }

    /// The orphans on the fault's interfaces are this fault's.
    fn claim(&mut self, fault: &NetworkFault) {
        let NetworkFault::Delay { interfaces: claimed, .. } = fault else { return };
        self.orphans.retain(|_, orphan| match orphan {
            NetworkFault::Delay { interfaces, .. } => !interfaces.iter().any(|interface| claimed.contains(interface)),
            NetworkFault::Drop { .. } => true,
        });
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
        let turn = self.flavour == Flavour::Nft && self.kernel.v4.is_empty() && self.kernel.v6.is_empty();
        if turn {
            tracing::info!("iptables-nft takes no rules here: turning to iptables-legacy");
            self.flavour = Flavour::Legacy;
        }
        turn
    }

    /// One round: the commands, then a look at the parts; true if the kernel is as desired.
    fn round(&mut self, parts: &[Part]) -> Result<bool, Failure> {
        let desired = self.desired();
        for command in self.compile(&desired) {
            tracing::info!(%command, "running");
            netns::run(&command)?;
        }
        self.read(parts)?;
        Ok(self.compile(&desired).is_empty())
    }

    fn compile(&self, desired: &NetworkFaults) -> Vec<Command> {
        compile(desired, &self.kernel, self.flavour)
    }

    fn check(&self, fault: &NetworkFault) -> Result<(), Failure> {
        check(fault, &self.kernel).map_err(|refusal| Failure { cause: Cause::Refused, message: refusal.to_string() })
    }

    fn read(&mut self, parts: &[Part]) -> Result<(), Failure> {
        parts.iter().try_for_each(|part| netns::read(*part, self.flavour, &mut self.kernel))
    }
}

fn touched(fault: &NetworkFault) -> Vec<Part> {
    match fault {
        NetworkFault::Delay { .. } => vec![Part::Qdiscs],
        NetworkFault::Drop { ips } => [Family::V4, Family::V6]
            .into_iter()
            .filter(|family| ips.iter().any(|ip| Family::of(ip) == *family))
            .map(Part::Filter)
            .collect(),
    }
}
