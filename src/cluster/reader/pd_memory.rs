//! The questions to PD: which PD is asked, what is asked each time and what only now and then, and what is kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::Instant;

use super::{Reach, Reached};
use crate::cluster::{
    PdMember, PdNode, PdView, Read, StoreView,
    assumed::{PD_HEALTH, PD_MEMBERS, PD_REGION_STATS, PD_REGIONS, PD_REPLICATION, PD_RULES, PD_STORES, PD_VERSION},
    http::Answer,
    member::{Kind, Member, Roster},
    pd::{self, Regions, Store},
};

/// How often what moves slowly is asked for, and every PD whether it answers.
const SLOW: Duration = Duration::from_secs(5);
/// So many regions are asked for one by one; more are too long an answer.
const MOST_REGIONS: u64 = 2000;
/// Placement rules are off, or not known to a PD so old (tikv/pd server/api/rule.go).
const NO_RULES: [u16; 2] = [412, 404];

#[derive(Default)]
pub struct PdMemory {
    pub view: Read<PdView>,
    /// Of the last answer.
    pub stores: Vec<Store>,
    /// That answer, as it was: the same again is not worth understanding.
    stores_text: Option<String>,
    /// The PD that answered last.
    last: Option<String>,
    /// How the last question to each PD went, by its id.
    asked: BTreeMap<String, Asked>,
    slow_at: Option<Instant>,
    slow: Slow,
}

#[derive(Default)]
struct Asked {
    error: Option<String>,
    version: Option<String>,
    via: Option<String>,
}

/// What moves slowly.
#[derive(Default)]
struct Slow {
    members: Vec<pd::Member>,
    health: Vec<pd::Member>,
    leader: Option<String>,
    max_replicas: Option<u32>,
    /// The numbers of voters that they give, none where they are off; or why they are not known.
    rules: Option<Result<Vec<u32>, String>>,
    region_count: Option<u64>,
    /// Only of the last time.
    regions: Option<Arc<Regions>>,
}

impl Slow {
    fn seen(&self, member: &pd::Member) -> PdMember {
        let health = self.health.iter().find(|one| one.name == member.name);
        PdMember { name: member.name.clone(), healthy: health.and_then(|one| one.health) }
    }
}

impl PdMemory {
    pub async fn read(&mut self, roster: &Roster, reach: &impl Reach) {
        self.asked.retain(|id, _| roster.of(Kind::Pd).any(|pd| pd.id == *id));
        for pd in roster.of(Kind::Pd) {
            if let Some(silent) = &pd.silent {
                self.note(pd, Err(format!("{} {silent}", pd.label(pd.http_port()))));
            }
        }
        let slow = self.slow_at.is_none_or(|at| at.elapsed() >= SLOW);
        if slow {
            self.greet(roster, reach).await;
        }
        let mut errors: Vec<String> = Vec::new();
        for pd in self.order(roster) {
            let parse = |text: &str| match self.stores_text.as_deref() == Some(text) {
                true => Ok(None),
                false => pd::stores(text).map(|stores| Some((text.to_owned(), stores))),
            };
            match ask(reach, pd, PD_STORES, parse).await {
                Ok((fresh, via)) => {
                    self.note(pd, Ok(via));
                    self.last = Some(pd.id.clone());
                    if let Some((text, stores)) = fresh {
                        (self.stores_text, self.stores) = (Some(text), stores);
                    }
                    if slow {
                        self.read_slow(reach, pd).await;
                        self.slow_at = Some(Instant::now());
                    }
                    let view = self.compose(pd);
                    self.view = Read { value: Some(view), at: Some(Timestamp::now()), error: None };
                    return;
                }
                Err(error) => {
                    errors.push(error.clone());
                    self.note(pd, Err(error));
                }
            }
        }
        if errors.is_empty() {
            errors.extend(self.asked.values().filter_map(|asked| asked.error.clone()));
        }
        let none = || "there is no PD container in this cluster".to_owned();
        self.view.error = Some(errors.into_iter().reduce(|all, one| format!("{all}; {one}")).unwrap_or_else(none));
    }

    fn note(&mut self, pd: &Member, went: Result<String, String>) {
        let asked = self.asked.entry(pd.id.clone()).or_default();
        match went {
            Ok(via) => {
                asked.error = None;
                asked.via = Some(via);
            }
            Err(error) => asked.error = Some(error),
        }
    }

    /// Asks every PD something that it answers by itself, so that one that came back, or went, is seen.
    async fn greet(&mut self, roster: &Roster, reach: &impl Reach) {
        let living: Vec<&Member> = roster.of(Kind::Pd).filter(|pd| pd.silent.is_none()).collect();
        let asked = join_all(living.iter().map(|pd| ask(reach, pd, PD_VERSION, pd::version))).await;
        for (pd, answer) in living.into_iter().zip(asked) {
            let (version, went) = match answer {
                Ok((version, via)) => (Some(version), Ok(via)),
                Err(error) => (None, Err(error)),
            };
            self.note(pd, went);
            if let Some(asked) = self.asked.get_mut(&pd.id).filter(|_| version.is_some()) {
                asked.version = version;
            }
        }
    }

    /// The one that answered last, then those without an error, then the others.
    fn order<'a>(&self, roster: &'a Roster) -> Vec<&'a Member> {
        let mut order: Vec<&Member> = roster.of(Kind::Pd).filter(|pd| pd.silent.is_none()).collect();
        order.sort_by_key(|pd| {
            let failed = self.asked.get(&pd.id).is_some_and(|asked| asked.error.is_some());
            (failed, self.last.as_ref() != Some(&pd.id))
        });
        order
    }

    async fn read_slow(&mut self, reach: &impl Reach, pd: &Member) {
        let rules = |answer: &Answer| match answer.status {
            status if NO_RULES.contains(&status) => Ok(Vec::new()),
            _ => answer.text("JSON").and_then(pd::voter_counts),
        };
        let (members, health, replicas, rules, regions) = tokio::join!(
            ask(reach, pd, PD_MEMBERS, pd::members),
            ask(reach, pd, PD_HEALTH, pd::health),
            ask(reach, pd, PD_REPLICATION, pd::max_replicas),
            question(reach, pd, PD_RULES, rules),
            ask(reach, pd, PD_REGION_STATS, pd::region_count),
        );
        let slow = &mut self.slow;
        // A leader that is not confirmed is none; the rest is as good as it was.
        slow.leader = None;
        if let Some(members) = known(members) {
            slow.leader = members.leader;
            slow.members = members.members;
        }
        slow.health = known(health).unwrap_or_default();
        slow.max_replicas = known(replicas).unwrap_or(slow.max_replicas);
        slow.region_count = known(regions).or(slow.region_count);
        match rules {
            Ok((counts, _)) => slow.rules = Some(Ok(counts)),
            Err(error) if !matches!(slow.rules, Some(Ok(_))) => slow.rules = Some(Err(error)),
            Err(error) => tracing::debug!(error, "placement rules stay as they were"),
        }
        slow.regions = match slow.region_count {
            Some(count) if count <= MOST_REGIONS => known(ask(reach, pd, PD_REGIONS, pd::regions).await),
            _ => None,
        }
        // A PD that has just become the leader may not have heard of any yet.
        .filter(|regions| !regions.is_empty())
        .map(Arc::new);
    }

    fn compose(&self, pd: &Member) -> PdView {
        let slow = &self.slow;
        let stores: Vec<StoreView> = self.stores.iter().map(|store| store.view.clone()).collect();
        let now = Timestamp::now();
        let serving: BTreeSet<u64> =
            stores.iter().filter(|store| pd::serves(store, &stores, now)).map(|store| store.id).collect();
        let all_serve = serving.len() == stores.len();
        let without_quorum = slow.regions.as_ref().map(|regions| regions.without_quorum(|id| serving.contains(&id)));
        let rules = slow.rules.as_ref();
        PdView {
            answered_by: pd.name.clone(),
            version: self.asked.get(&pd.id).and_then(|asked| asked.version.clone()),
            leader: slow.leader.clone(),
            members: slow.members.iter().map(|member| slow.seen(member)).collect(),
            max_replicas: slow.max_replicas,
            voter_counts: rules.and_then(|rules| rules.clone().ok()).unwrap_or_default(),
            rules_error: rules.and_then(|rules| rules.clone().err()),
            region_count: slow.region_count,
            regions: slow.regions.clone(),
            regions_without_quorum: without_quorum.or(all_serve.then_some(0)),
            tiflash: self.stores.iter().filter(|store| store.is_tiflash).map(|store| store.view.id).collect(),
            stores,
        }
    }

    pub fn nodes(&self, roster: &Roster) -> Vec<PdNode> {
        let nodes = roster.of(Kind::Pd).map(|pd| {
            let asked = self.asked.get(&pd.id);
            let means = |member: &&pd::Member| {
                pd.member.as_ref() == Some(&member.name)
                    || member.client_urls.iter().any(|url| roster.pd_at(url).is_some_and(|found| found.id == pd.id))
            };
            let member = self.slow.members.iter().find(means).map(|member| member.name.clone());
            let health = self.slow.health.iter().find(|one| member.as_ref() == Some(&one.name) || means(one));
            PdNode {
                container_id: pd.id.clone(),
                name: pd.name.clone(),
                answered: asked.is_some_and(|asked| asked.error.is_none()),
                error: asked.and_then(|asked| asked.error.clone()),
                is_leader: member.is_some() && member == self.slow.leader,
                healthy: health.and_then(|member| member.health),
                via: asked.and_then(|asked| asked.via.clone()),
                member: member.or_else(|| pd.member.clone()),
            }
        });
        nodes.collect()
    }
}

/// What a lesser question gave; why it gave nothing is for the log.
fn known<T>(answer: Result<(T, String), String>) -> Option<T> {
    answer.map(|(value, _)| value).inspect_err(|error| tracing::debug!(error, "a lesser question to PD")).ok()
}

/// Asks a PD, and gives the way to it with the answer. One that does not lead asks the leader itself and never sends us there.
async fn ask<T>(
    reach: &impl Reach,
    pd: &Member,
    path: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<(T, String), String> {
    question(reach, pd, path, |answer| answer.text("JSON").and_then(&parse)).await
}

async fn question<T>(
    reach: &impl Reach,
    pd: &Member,
    path: &str,
    read: impl Fn(&Answer) -> Result<T, String>,
) -> Result<(T, String), String> {
    let port = pd.http_port();
    let label = pd.label(port);
    let Reached { via, answer } = reach.get(&pd.id, port.into(), path).await.map_err(|why| format!("{label} {why}"))?;
    let value = read(&answer).map_err(|why| format!("{label} {why} ({path})"))?;
    Ok((value, via))
}
