//! How an injection would be asked for again, told from its record alone. Pure.

use super::{FaultMetadata, Metadata, Params, Value};

impl Metadata {
    /// The parameters by which the same fault would be made again on the same target; `None` where the record does not say
    /// them: it knows a partition of several nodes by what each of them drops, and not by its shape.
    pub fn asked(&self) -> Option<Params> {
        if let Some(params) = self.params() {
            return Some(params);
        }
        let mut params = Params::defaults(self.fault_type());
        match &self.fault {
            FaultMetadata::NodeKill { signal, .. } => params.put("signal", Value::Text(signal.name().to_owned())),
            FaultMetadata::NodeStop { timeout_s, .. } => params.put("timeout_s", Value::Number(*timeout_s)),
            FaultMetadata::NetworkPartition { .. } => return None,
            _ => {}
        }
        Some(params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::{Fault, FaultType, InjectionId, Partition, Signal, network::Direction};

    #[test]
    fn a_record_says_how_it_would_be_asked_for_again() {
        let of = |fault| Metadata {
            fault,
            id: InjectionId::from_number(7),
            container_id: "c0".into(),
            container_started_at: String::new(),
            daemon_id: None,
            group: None,
            holder_image: None,
            before: None,
            task: None,
        };
        let again = |metadata: &Metadata| Fault::from_params(metadata.fault_type(), &metadata.asked()?).ok();
        let kill = of(FaultMetadata::NodeKill { target_container: "a".into(), signal: Signal::Term });
        assert_eq!(again(&kill), Some(Fault::NodeKill { signal: Signal::Term }));
        let cut = FaultMetadata::NetworkPartition {
            isolated_container: "a".into(),
            target_ips: vec![],
            peers: vec!["b".into(), "pd".into()],
            flavour: crate::chaos::network::Flavour::default(),
            direction: Direction::In,
            reject: true,
            link_local: vec![],
            ends: vec![],
            far: vec![],
            peer_nodes: vec![],
        };
        let mut cut = of(cut);
        let peers = vec!["b".to_owned(), "pd".to_owned()];
        let asked = Fault::NetworkPartition { shape: Partition::OneWayIn, peers, include_pd: false, reject: true };
        assert_eq!(again(&cut), Some(asked));
        cut.group = Some(InjectionId::from_number(6));
        assert_eq!(again(&cut), None);
        let slow = of(FaultMetadata::latency("a", 30, 70, &["eth0"]));
        assert!(matches!(again(&slow), Some(Fault::Shape { kind: FaultType::Latency, .. })));
    }
}
