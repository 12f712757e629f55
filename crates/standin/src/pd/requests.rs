//! Requests to PD's HTTP port: who answers them, and the answers that are not the leader's alone.
//!
//! A member that does not lead hands requests on. Before 8.5.5 it does so with every path, so that it is as silent as its
//! leader; from then on it answers for itself where it can, and has others wait for a leader. The header
//! `PD-Allow-follower-handle` asks any version for an answer of its own (tikv/pd
//! pkg/utils/apiutil/serverapi/middleware.go).

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};

use super::{
    AGREEMENT, Pd,
    api::{self, View},
    state::{Command, Member},
};
use crate::{
    STARTED,
    behaviour::LOCAL_PATHS,
    http::{self, Answer, Asked},
    pace::Pace,
    settings::Play,
    wire::{ALLOC_ID, HEARTBEAT},
};
use tikv_chaos_core::assumed;

const PING: &str = "/pd/api/v1/ping";
/// How long a member has to say that it lives.
const HEALTHY: Duration = Duration::from_secs(1);
/// How long a request waits for a leader, where it does, and how often it looks.
const LEADER: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(100);

/// What the loop tells the task that holds a request.
pub enum Reply {
    Answer(Answer),
    /// Ask the leader, `host:port`.
    Forward(String),
    /// The members are asked; an id comes.
    Id(oneshot::Receiver<u64>),
    /// Ask each of them whether it lives.
    Health(Vec<(u64, Member)>),
    NoLeader,
}

/// Serves one request, with what the loop says of it.
pub async fn answer(asked: Asked, api: mpsc::Sender<(Asked, oneshot::Sender<Reply>)>, play: Play) -> Answer {
    let unavailable = |why: &str| Answer::text(503, why);
    let limit = play.pace.patience(AGREEMENT);
    let waits = play.behaviour.pd_answers_locally && asked.path().starts_with("/pd/");
    let start = Instant::now();
    loop {
        let (reply, told) = oneshot::channel();
        if api.send((asked.clone(), reply)).await.is_err() {
            return unavailable("the server ends\n");
        }
        return match told.await {
            Ok(Reply::NoLeader) if waits && start.elapsed() < play.pace.patience(LEADER) => {
                sleep(LOOK).await;
                continue;
            }
            Ok(Reply::NoLeader) => unavailable("no leader\n"),
            Ok(Reply::Answer(answer)) => answer,
            Ok(Reply::Id(id)) => match timeout(limit, id).await {
                Ok(Ok(id)) => Answer::json(&id),
                _ => unavailable("no quorum to allot an id\n"),
            },
            Ok(Reply::Health(members)) => Answer::json(&health(members, play.pace).await),
            Ok(Reply::Forward(leader)) => match http::ask(&leader, asked, limit).await {
                Ok((status, body)) => Answer { status, content_type: "application/json; charset=UTF-8", body },
                Err(error) => unavailable(&format!("cannot ask the leader: {error}\n")),
            },
            Err(_) => unavailable("the server ends\n"),
        };
    }
}

/// Asks all members at the same time.
async fn health(members: Vec<(u64, Member)>, pace: Pace) -> Value {
    let asked: Vec<_> = members
        .into_iter()
        .map(|(id, member)| {
            tokio::spawn(async move {
                let ping = Asked { follower_handle: true, ..Asked::get(PING) };
                let healthy = http::ask(&member.client, ping, pace.patience(HEALTHY)).await;
                let healthy = healthy.is_ok_and(|(status, _)| status == 200);
                json!({
                    "name": member.name, "member_id": id, "client_urls": [api::url(&member.client)], "health": healthy,
                })
            })
        })
        .collect();
    let mut all = vec![];
    for one in asked {
        all.extend(one.await.ok());
    }
    all.into()
}

impl Pd {
    pub(super) fn api(&mut self, asked: &Asked) -> Reply {
        if asked.path() == assumed::METRICS {
            self.refresh_status();
            return Reply::Answer(Answer::metrics());
        }
        if self.leading.is_some() {
            return self.lead(asked);
        }
        let is_local = self.settings.play.behaviour.pd_answers_locally && LOCAL_PATHS.contains(&asked.path());
        if asked.method == Method::GET && (is_local || asked.follower_handle) {
            return self.local(asked.path()).unwrap_or_else(|| {
                let why = "[PD:cluster:ErrNotBootstrapped]TiKV cluster not bootstrapped, please start TiKV first";
                Reply::Answer(Answer { status: 500, ..Answer::json(&why) })
            });
        }
        self.leader_address().map_or(Reply::NoLeader, Reply::Forward)
    }

    /// What any member can say.
    fn local(&mut self, path: &str) -> Option<Reply> {
        let version = self.settings.play.behaviour.to_string();
        Some(match path {
            assumed::PD_VERSION => Reply::Answer(Answer::json(&json!({ "version": version }))),
            "/pd/api/v1/status" => Reply::Answer(Answer::json(&json!({
                "build_ts": "", "version": version, "git_hash": "", "start_timestamp": *STARTED,
            }))),
            PING => Reply::Answer(Answer::text(200, "")),
            assumed::PD_HEALTH | assumed::PD_MEMBERS => {
                let leader = self.group().map(|group| group.leader()).filter(|leader| *leader != 0);
                match (leader, self.state()) {
                    (Some(_), Some(state)) if path == assumed::PD_HEALTH => {
                        Reply::Health(state.members.iter().map(|(id, member)| (*id, member.clone())).collect())
                    }
                    (Some(leader), Some(state)) => Reply::Answer(Answer::json(&api::members(state, leader, &version))),
                    _ => {
                        let why = "[PD:etcd:ErrEtcdMemberList]etcd member list failed: context deadline exceeded";
                        Reply::Answer(Answer { status: 500, ..Answer::json(&why) })
                    }
                }
            }
            _ => return None,
        })
    }

    fn lead(&mut self, asked: &Asked) -> Reply {
        match (&asked.method, asked.path()) {
            (&Method::POST, ALLOC_ID) => {
                let (answer, id) = oneshot::channel();
                let command = serde_json::to_vec(&Command::AllocId).unwrap_or_default();
                if let Some(group) = self.group() {
                    let tell = move |allotted| {
                        if let Ok(Some(id)) = allotted {
                            let _ = answer.send(id);
                        }
                    };
                    group.propose(command, Box::new(tell));
                }
                Reply::Id(id)
            }
            (&Method::POST, HEARTBEAT) => Reply::Answer(match serde_json::from_slice(&asked.body) {
                Ok(heartbeat) => self.heartbeat(heartbeat),
                Err(error) => Answer::text(400, &error.to_string()),
            }),
            (&Method::GET, path) => match self.local(path) {
                Some(reply) => reply,
                None => self.view().map_or(Reply::NoLeader, |view| Reply::Answer(view.answer(path))),
            },
            _ => Reply::Answer(Answer::text(405, "405 method not allowed\n")),
        }
    }

    /// Another member that leads, as far as this one knows.
    fn leader_address(&mut self) -> Option<String> {
        let leader = self.group()?.leader();
        let known = self.state()?.members.get(&leader).or_else(|| self.hellos.get(&leader));
        known.filter(|_| leader != self.me).map(|member| member.client.clone())
    }

    pub(super) fn view(&self) -> Option<View<'_>> {
        Some(View {
            state: self.state()?,
            beats: &self.beats,
            leading_since: self.leading.as_ref()?.1.clone(),
            leader: self.me,
            stopping: self.stopping.evicted(),
            settings: &self.settings,
        })
    }

    /// Puts the cluster's numbers into the metrics; a member that does not lead has none.
    fn refresh_status(&mut self) {
        self.status.reset();
        let by_store = self.settings.play.behaviour.pd_status_labels().len() > 1;
        let Some(view) = self.view() else { return };
        for (name, store, value) in view.counts() {
            let store = store.to_string();
            let labels = if by_store { vec![name, "tikv", &store] } else { vec![name] };
            self.status.with_label_values(&labels).add(value);
        }
    }
}
