//! One class at work: its packets' model and its counts.

use std::io;

use nix::net::if_::if_nametoindex;

use super::{
    super::counters::{ClassCounters, Counters},
    model::Model,
};
use crate::chaos::network::Class;

pub struct Lane {
    /// Of this lane alone, as long as the shaper lives: what is held knows its lane by it.
    pub id: u32,
    pub interface: u32,
    pub class: Class,
    pub model: Model,
    pub counters: Counters,
}

impl Lane {
    pub fn is_full(&self) -> bool {
        self.counters.held >= u64::from(self.class.impairment.limit())
    }

    pub fn count(&self) -> ClassCounters {
        let Class { interface, flow, filter, .. } = self.class.clone();
        ClassCounters { interface, flow, filter, counters: self.counters }
    }
}

/// The lanes of a new set of classes. One that was there before goes on with its counts and its random state.
pub struct Lanes {
    pub all: Vec<Lane>,
    made: u32,
}

impl Lanes {
    pub fn new() -> Self {
        Self { all: Vec::new(), made: 0 }
    }

    /// Changes nothing on an error, which is an interface that is not there.
    pub fn set(&mut self, classes: Vec<Class>) -> Result<(), (String, io::Error)> {
        let mut indexes = Vec::new();
        for class in &classes {
            let index = if_nametoindex(class.interface.as_str());
            indexes.push(index.map_err(|errno| (class.interface.clone(), errno.into()))?);
        }
        let mut before = std::mem::take(&mut self.all);
        self.all = classes
            .into_iter()
            .zip(indexes)
            .map(|(class, interface)| {
                let same = |lane: &Lane| {
                    (&lane.class.interface, lane.class.flow, &lane.class.filter)
                        == (&class.interface, class.flow, &class.filter)
                };
                match before.iter().position(same) {
                    Some(index) => {
                        let mut lane = before.swap_remove(index);
                        lane.model.impairment = class.impairment;
                        Lane { interface, class, ..lane }
                    }
                    None => {
                        self.made += 1;
                        let model = Model::new(class.impairment);
                        Lane { id: self.made, interface, class, model, counters: Counters::default() }
                    }
                }
            })
            .collect();
        Ok(())
    }

    /// Of several that mean a packet, the last is its own.
    pub fn find(&mut self, interface: u32, means: impl Fn(&Class) -> bool) -> Option<&mut Lane> {
        self.all.iter_mut().rfind(|lane| lane.interface == interface && means(&lane.class))
    }

    pub fn by_id(&mut self, id: u32) -> Option<&mut Lane> {
        self.all.iter_mut().find(|lane| lane.id == id)
    }
}
