//! No other kernel than Linux has tables of rules.

use std::io;

use crate::chaos::network::{Family, Table};

pub fn prepare(_: Family, _: Table, _: &[&str]) -> io::Result<()> {
    Ok(())
}

pub fn tidy(_: Family, _: Table) -> io::Result<()> {
    Ok(())
}
