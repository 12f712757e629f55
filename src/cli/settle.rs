//! Before a command goes by what is recorded, the records are compared with the nodes: what a restart has ended is written
//! down as lost, and said once on standard error.

use std::collections::BTreeSet;

use crate::{
    config::Config,
    session::{self, Lost, SettleError},
    subject::{SubjectError, docker::TikvSubject},
};

/// Those that are lost, written down as that unless nothing may be changed.
pub async fn settle(config: &Config, subject: &TikvSubject) -> Result<Vec<Lost>, SettleError> {
    session::settle(subject, &config.store, !config.read_only).await
}

/// The same, said.
pub async fn say(config: &Config, subject: &TikvSubject) {
    Said::default().say(config, subject).await;
}

/// What was said already, for a command that goes on.
#[derive(Default)]
pub struct Said(BTreeSet<String>);

impl Said {
    /// What keeps it from being done keeps no command from going on: without Docker that says so itself.
    pub async fn say(&mut self, config: &Config, subject: &TikvSubject) {
        let lines = match settle(config, subject).await {
            Ok(lost) => lost.iter().map(Lost::words).collect(),
            Err(SettleError::Subject(SubjectError::NoDocker { .. })) => Vec::new(),
            Err(error) => vec![format!("what is recorded is not compared with the nodes: {error}")],
        };
        for line in lines {
            if self.0.insert(line.clone()) {
                eprintln!("tikv-chaos: {line}");
            }
        }
    }
}
