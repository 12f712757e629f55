//! How many packets each fault has met. The kernel and the shaper count by class, which several faults may share and which
//! come and go with them, so what a class has counted is credited to its faults before they change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Class, Filter, Flow, NetworkFault, NetworkFaults, Via, compile::bands};
use crate::chaos::InjectionId;

/// Packets that one fault or class means, everybody's. One packet of the kernel's may be up to 64 KiB of TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packets {
    /// All of them, those that were dropped too.
    pub met: u64,
    /// Dropped because as many as the limit waited already; `None` where netem counts them with those that it loses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_limit: Option<u64>,
}

impl Packets {
    pub const NONE: Self = Self { met: 0, over_limit: Some(0) };

    fn and(self, other: Self) -> Self {
        let over_limit = self.over_limit.zip(other.over_limit).map(|(one, two)| one + two);
        Self { met: self.met + other.met, over_limit }
    }

    /// What came on top of an earlier count; all of it where the counter began anew.
    fn since(self, earlier: Self) -> Self {
        let more = |now: u64, then: u64| now.checked_sub(then).unwrap_or(now);
        let over_limit = self.over_limit.map(|now| more(now, earlier.over_limit.unwrap_or(0)));
        Self { met: more(self.met, earlier.met), over_limit }
    }
}

/// A class, by what tells it from others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub via: Via,
    pub interface: String,
    pub flow: Flow,
    pub filter: Filter,
}

/// What each fault has met since it was made or last changed.
#[derive(Debug, Default)]
pub struct Tally {
    last: BTreeMap<Place, Packets>,
    sums: BTreeMap<InjectionId, Packets>,
}

impl Tally {
    /// Credits what came since the last time to the faults that held meanwhile. `now` are all the classes that there are.
    pub fn credit(&mut self, faults: &NetworkFaults, now: Vec<(Place, Packets)>) {
        for (place, count) in &now {
            let count = self.last.get(place).map_or(*count, |last| count.since(*last));
            for (id, _) in faults.iter().filter(|(_, fault)| means(fault, place)) {
                let sum = self.sums.entry(id.clone()).or_insert(Packets::NONE);
                *sum = sum.and(count);
            }
        }
        self.last = now.into_iter().collect();
    }

    /// From now on it is counted anew.
    pub fn begin(&mut self, id: &InjectionId) {
        self.sums.insert(id.clone(), Packets::NONE);
    }

    pub fn end(&mut self, id: &InjectionId) {
        self.sums.remove(id);
    }

    pub fn of(&self, id: &InjectionId) -> Option<Packets> {
        self.sums.get(id).copied()
    }
}

/// Whether all of the class's packets are the fault's too.
fn means(fault: &NetworkFault, place: &Place) -> bool {
    let NetworkFault::Shape(shape) = fault else { return false };
    shape.via == place.via
        && shape.streams().iter().any(|stream| {
            (&stream.interface, stream.flow) == (&place.interface, place.flow)
                && place.filter.and(&stream.filter).as_ref() == Some(&place.filter)
        })
}

/// netem's counts of these faults' classes: `counted` are the packets that left, those that wait and those that were
/// dropped, by interface and band.
pub fn netem_packets(faults: &NetworkFaults, counted: &BTreeMap<(String, u16), [u64; 3]>) -> Vec<(Place, Packets)> {
    let of_band = |(band, class): (u16, Class)| {
        let [left, waiting, dropped] = counted.get(&(class.interface.clone(), band))?;
        let packets =
            Packets { met: left + waiting + dropped, over_limit: class.impairment.loss.is_none().then_some(*dropped) };
        let (interface, flow, filter) = (class.interface, class.flow, class.filter);
        Some((Place { via: Via::Netem, interface, flow, filter }, packets))
    };
    bands(faults).into_iter().filter_map(of_band).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::network::{Chance, Loss, Ppm, Shape, shaper_classes};

    fn fault(port: Option<u16>) -> NetworkFault {
        let filter = Filter { ports: port.map(|port| [port].into()), ..Filter::default() };
        NetworkFault::Shape(Shape { via: Via::Shaper, filter, ..Shape::on("eth0") })
    }

    /// Each class with so many packets more than the one before it.
    fn counts(faults: &NetworkFaults, met: u64) -> Vec<(Place, Packets)> {
        let places = shaper_classes(faults).into_iter().map(|class| Place {
            via: Via::Shaper,
            interface: class.interface,
            flow: class.flow,
            filter: class.filter,
        });
        (1..).zip(places).map(|(at, place)| (place, Packets { met: met * at, over_limit: Some(at) })).collect()
    }

    #[test]
    fn what_a_shared_class_has_met_is_credited_to_each_of_its_faults_and_kept_when_it_goes() {
        let [all, some] = [1, 2].map(InjectionId::from_number);
        let mut faults = NetworkFaults::from([(all.clone(), fault(None))]);
        let mut tally = Tally::default();
        tally.begin(&all);
        tally.credit(&faults, counts(&faults, 10));
        tally.begin(&some);
        faults.insert(some.clone(), fault(Some(7)));
        // The wider class goes on with its count; the other one, of the port alone, is both faults'.
        tally.credit(&faults, counts(&faults, 100));
        let packets = |met, over| Some(Packets { met, over_limit: Some(over) });
        assert_eq!([tally.of(&all), tally.of(&some)], [packets(300, 3), packets(200, 2)]);
        tally.credit(&faults, counts(&faults, 101));
        tally.end(&some);
        faults.remove(&some);
        tally.credit(&faults, counts(&faults, 101));
        assert_eq!([tally.of(&all), tally.of(&some)], [packets(303, 3), None]);
    }

    #[test]
    fn a_counter_that_began_anew_is_counted_whole() {
        let id = InjectionId::from_number(1);
        let faults = NetworkFaults::from([(id.clone(), fault(None))]);
        let mut tally = Tally::default();
        for met in [50, 20, 25] {
            tally.credit(&faults, counts(&faults, met));
        }
        assert_eq!(tally.of(&id).map(|packets| packets.met), Some(75));
    }

    #[test]
    fn what_netem_drops_is_over_the_limit_where_it_loses_nothing() {
        let id = InjectionId::from_number(1);
        let faults = |loss| {
            let mut shape = Shape::on("eth0");
            shape.impairment.loss = loss;
            NetworkFaults::from([(id.clone(), NetworkFault::Shape(shape))])
        };
        let counted = BTreeMap::from([(("eth0".to_owned(), 1), [100, 10, 7])]);
        let packets = |faults: &NetworkFaults| netem_packets(faults, &counted)[0].1;
        assert_eq!(packets(&faults(None)), Packets { met: 117, over_limit: Some(7) });
        let chance = Chance { share: Ppm::ALL, correlation: Ppm::NONE };
        assert_eq!(packets(&faults(Some(Loss::Random(chance)))).over_limit, None);
    }
}
