//! What is remembered of a node's own configuration: as it was kept by an earlier program, then as the node says itself,
//! asked for seldom.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;

use super::{Port, Reach, Reached};
use crate::cluster::{
    ConfigCache, NodeConfig, PdConfig, Read,
    assumed::{CONFIG, PD_CONFIG},
    member::{Kind, Member, Roster},
    node_config, pd_config,
};

/// How often it is asked for, and how soon again where that failed. It changes with a restart, which is another life, or
/// by hand.
const EVERY: Duration = Duration::from_secs(180);
const AGAIN: Duration = Duration::from_secs(10);

pub struct ConfigMemory<T> {
    pub view: Read<T>,
    /// The lives that it may be of.
    lives: Vec<(String, String)>,
    asked: Option<Instant>,
}

impl<T> Default for ConfigMemory<T> {
    fn default() -> Self {
        Self { view: Read::default(), lives: Vec::new(), asked: None }
    }
}

impl ConfigMemory<NodeConfig> {
    /// Begins anew with each life of the node: with what is kept of it.
    pub fn meet(&mut self, member: &Member, cache: &ConfigCache) {
        self.begin(&[member], cache);
    }

    /// Asks the node; whether there is something new to keep.
    pub async fn read(&mut self, member: &Member, port: Port, reach: &impl Reach, cache: &ConfigCache) -> bool {
        self.ask((member, port, CONFIG), reach, node_config::parse).await;
        let Some(config) = self.fresh() else { return false };
        if !config.unclear.is_empty() {
            tracing::debug!(node = member.name, unclear = ?config.unclear, "not all of its configuration is known");
        }
        self.keep(member, cache);
        true
    }
}

impl ConfigMemory<PdConfig> {
    /// Asks one PD for all, where one answers; whether there is something new to keep.
    pub async fn read_any(
        &mut self,
        roster: &Roster,
        pd: Result<&Member, &str>,
        reach: &impl Reach,
        cache: &ConfigCache,
    ) -> bool {
        self.begin(&roster.of(Kind::Pd).collect::<Vec<_>>(), cache);
        let member = match pd {
            Ok(member) if self.is_due() => member,
            Ok(_) => return false,
            Err(reason) => {
                self.miss(reason);
                return false;
            }
        };
        self.ask((member, member.http_port().into(), PD_CONFIG), reach, pd_config::parse).await;
        let fresh = self.fresh().is_some();
        if fresh {
            self.keep(member, cache);
        }
        fresh
    }
}

impl<T: DeserializeOwned + Serialize> ConfigMemory<T> {
    fn begin(&mut self, members: &[&Member], cache: &ConfigCache) {
        let is_of = |member: &Member, (id, life): &(String, String)| member.id == *id && member.life == *life;
        let same = self.lives.len() == members.len();
        if same && members.iter().zip(&self.lives).all(|(member, life)| is_of(member, life)) {
            return;
        }
        let kept = members.iter().filter_map(|member| cache.load::<T>(&member.id, &member.life));
        let (value, at) = kept.max_by_key(|(_, at)| *at).map_or((None, None), |(config, at)| (Some(config), Some(at)));
        let lives = members.iter().map(|member| (member.id.clone(), member.life.clone())).collect();
        *self = Self { view: Read { value, at, error: None }, lives, asked: None };
    }

    /// Whether the node is to be asked.
    pub fn is_due(&self) -> bool {
        match self.asked {
            Some(at) if self.view.error.is_some() => at.elapsed() >= AGAIN,
            Some(at) => at.elapsed() >= EVERY,
            // A clock that was set back tells nothing.
            None => self.view.at.is_none_or(|at| {
                let now = Timestamp::now();
                at > now || self.view.age(now).is_none_or(|age| age >= EVERY)
            }),
        }
    }

    /// It could not be asked although it was due.
    pub fn miss(&mut self, reason: &str) {
        if self.is_due() {
            self.view.error = Some(reason.to_owned());
        }
    }

    async fn ask(
        &mut self,
        (member, port, path): (&Member, Port, &str),
        reach: &impl Reach,
        parse: fn(&str) -> Result<T, String>,
    ) {
        let went = match reach.get(&member.id, port, path).await {
            Ok(Reached { answer, .. }) => answer.text("a configuration").and_then(parse),
            Err(reason) => Err(reason),
        };
        self.asked = Some(Instant::now());
        match went {
            Ok(config) => self.view = Read { value: Some(config), at: Some(Timestamp::now()), error: None },
            Err(reason) => {
                let error = format!("{} {reason}", member.label(port.number));
                tracing::debug!(node = member.name, %error, "its configuration is not read");
                self.view.error = Some(error);
            }
        }
    }

    /// What the last question gave.
    fn fresh(&self) -> Option<&T> {
        self.view.value.as_ref().filter(|_| self.view.error.is_none())
    }

    fn keep(&self, member: &Member, cache: &ConfigCache) {
        if let (Some(config), Some(at)) = (&self.view.value, self.view.at) {
            cache.store(&member.id, &member.life, config, at);
        }
    }
}
