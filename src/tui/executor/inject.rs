//! Injecting, changing what holds, and measuring what either did.

use std::sync::PoisonError;

use tokio::time::{Instant, sleep};

use super::{SETTLED, Shared, name};
use crate::{
    chaos::{Fault, InjectionId, measured::Asked},
    safety::{Grade, Verdict},
    session::{self, ChangeRequest, Injection, LifeError, Request},
    subject::Plan,
    tui::{Level, Message, message::NotChanged},
};

impl Shared {
    pub(super) async fn inject(&self, request: Request) {
        let (planned, warnings) = tokio::sync::oneshot::channel();
        let before = move |plan: &Plan| drop(planned.send(plan.warnings.clone()));
        let result = session::inject_all(&*self.subject, &self.store, &request, before).await;
        for warning in warnings.await.unwrap_or_default() {
            self.say(Level::Warn, warning).await;
        }
        self.tell_sessions().await;
        let result = result.map_err(|error| error.to_string());
        let result = result.map(|made| made.into_iter().map(|one| one.injection).collect::<Vec<_>>());
        let injected = result.as_ref().cloned().unwrap_or_default();
        self.send(Message::Injected { result }).await;
        for injection in injected {
            // The end of the program does not wait for it.
            let shared = self.clone();
            tokio::spawn(async move { shared.measure(&injection).await });
        }
    }

    /// What they do then is measured once they are not changed any more.
    pub(super) async fn change(&self, changes: Vec<(InjectionId, Fault)>, force: bool) {
        let ids: Vec<InjectionId> = changes.iter().map(|(id, _)| id.clone()).collect();
        let mut plan = None;
        let result = self.change_all(changes, force, &mut plan).await;
        self.tell_sessions().await;
        let changed = result.as_ref().cloned().unwrap_or_default();
        self.send(Message::Changed { ids, plan, result }).await;
        let now = Instant::now();
        for injection in changed {
            let id = injection.metadata.id.clone();
            self.changed.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), now);
            let shared = self.clone();
            tokio::spawn(async move {
                sleep(SETTLED).await;
                let last = shared.changed.lock().unwrap_or_else(PoisonError::into_inner).get(&id).copied();
                if last == Some(now) {
                    shared.measure(&injection).await;
                }
            });
        }
    }

    /// All are judged as the act that they are before one is changed; then each is, whatever became of the others.
    pub(super) async fn change_all(
        &self,
        changes: Vec<(InjectionId, Fault)>,
        force: bool,
        plan: &mut Option<Box<Plan>>,
    ) -> Result<Vec<Injection>, NotChanged> {
        let limits = &self.limits;
        let request = |fault| ChangeRequest { fault: Some(fault), ttl: None, limits: limits.clone(), force };
        if changes.len() > 1 {
            let open = self.open();
            let held = |id: &InjectionId| open.iter().find(|one| one.metadata.id == *id);
            let asked = changes.iter().filter_map(|(id, fault)| Some((held(id)?, request(fault.clone()))));
            // What cannot even be planned says so itself when it is its turn.
            let plans = session::plan_changes(&*self.subject, &asked.collect::<Vec<_>>()).await;
            *plan = Plan::together(plans.into_iter().flatten().collect()).map(Box::new);
            let refused = plan.as_ref().filter(|plan| plan.verdict.grade == Grade::Refused && !force);
            if let Some(refused) = refused {
                return Err(refusal(&refused.verdict));
            }
        }
        let (mut changed, mut reasons) = (Vec::new(), Vec::new());
        let alone = changes.len() == 1;
        for (id, fault) in changes {
            let before = |planned: &Plan| {
                plan.get_or_insert_with(|| Box::new(planned.clone()));
            };
            match session::change(&*self.subject, &self.store, &id, &request(fault), before).await {
                Ok(one) => changed.push(one.injection),
                Err(LifeError::Unsafe(verdict)) if alone => return Err(refusal(&verdict)),
                Err(LifeError::Unsafe(verdict)) => {
                    reasons.push(format!("{id} was not changed: {}", verdict.reasons.join("; ")));
                }
                Err(error) => reasons.push(error.to_string()),
            }
        }
        if reasons.is_empty() { Ok(changed) } else { Err(NotChanged { reason: reasons.join("; "), refused: false }) }
    }

    /// What it does goes to its record, and to the log where that is not what was asked.
    pub(super) async fn measure(&self, injection: &Injection) {
        let measured = session::measure(&*self.subject, &self.store, injection).await;
        self.tell_sessions().await;
        let Some(asked) = injection.metadata.network().map(|fault| Asked::of(&fault)) else { return };
        if let Some(judgement) = measured.and_then(|measured| measured.judgement(&asked)) {
            let level = if judgement.is_bad() { Level::Warn } else { Level::Info };
            self.say(level, format!("{}: {judgement}", name(injection))).await;
        }
    }

    /// What is left of it goes to the log.
    pub(super) async fn measure_over(&self, injection: &Injection) {
        if let Some(over) = session::measure_over(&*self.subject, &self.store, injection).await {
            let level = if over.is_bad() { Level::Warn } else { Level::Info };
            self.say(level, format!("{} is undone; {over}", name(injection))).await;
        }
    }
}

fn refusal(verdict: &Verdict) -> NotChanged {
    NotChanged { reason: verdict.reasons.join("; "), refused: true }
}
