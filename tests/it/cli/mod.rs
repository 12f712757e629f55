//! The command line as a script sees it: documents, exit statuses, and bad input that changes nothing.

mod commands;
mod config;
mod help;
mod nodes;
mod report;
mod state;
mod wait;
mod watch;

use support::{Program, fake::Fake};

const STORES: &str = "/pd/api/v1/stores";

fn start(pds: usize, tikvs: usize) -> (Fake, Program) {
    let fake = Fake::start(pds, tikvs);
    let program = Program::new(Some(&fake.project));
    (fake, program)
}
