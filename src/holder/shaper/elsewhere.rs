//! No other kernel than Linux has a packet queue.

use super::{super::protocol::Failure, ClassCounters};
use crate::chaos::network::{Class, Flow};

pub enum Way {}

impl Way {
    pub fn start(_: Flow) -> Result<Self, Failure> {
        Err(Failure::failed("only Linux has a packet queue (NFQUEUE)"))
    }

    pub fn queue(&self) -> u16 {
        match *self {}
    }

    pub fn set(&self, _: Vec<Class>) -> Result<(), Failure> {
        match *self {}
    }

    pub fn count(&self) -> Vec<ClassCounters> {
        match *self {}
    }
}
