//! Following as the journal tells it.

use std::{net::IpAddr, sync::Mutex, time::Duration};

use super::*;
use crate::{
    chaos::{
        Fault, FaultMetadata, Peer, addresses,
        network::{Direction, Flavour},
    },
    session::{Loaded, SCHEMA, SessionFile},
    subject::{Cleaned, Marked, Plan, Scan},
};

fn peer(last: Option<u8>) -> Peer {
    let ips = last.map(|last| IpAddr::from([172, 18, 0, last])).into_iter().collect();
    Peer {
        container_id: "b".into(),
        name: "tikv1".into(),
        service: None,
        cluster: String::new(),
        ips,
        link_local: vec![],
    }
}

fn cut(last: Option<u8>) -> Metadata {
    let peer_nodes = vec![peer(last)];
    Metadata {
        fault: FaultMetadata::NetworkPartition {
            isolated_container: "tikv0".into(),
            target_ips: addresses(&peer_nodes).into_iter().collect(),
            peers: vec!["tikv1".into()],
            flavour: Flavour::default(),
            direction: Direction::Both,
            reject: false,
            link_local: vec![],
            ends: vec![],
            far: vec![],
            peer_nodes,
        },
        id: InjectionId::from_number(1),
        container_id: "a".into(),
        container_started_at: String::new(),
        daemon_id: None,
        group: None,
        holder_image: None,
        before: None,
        task: None,
    }
}

fn injection(state: Life, note: Option<&str>) -> Injection {
    Injection {
        state,
        metadata: cut(Some(3)),
        undo: vec![],
        created_at: jiff::Timestamp::UNIX_EPOCH,
        deadline: None,
        deadline_since_boot_ms: None,
        left: false,
        former: None,
        measured: None,
        note: note.map(str::to_owned),
    }
}

/// Where its peer is now, whether it can be followed, and what was on the disk when it was.
struct Docker {
    now: Result<Option<u8>, ()>,
    changes: bool,
    store: Store,
    seen: Mutex<Vec<(Life, bool)>>,
}

impl Subject for Docker {
    async fn plan(&self, _: &Fault, _: &[String]) -> Result<Vec<Plan>, SubjectError> {
        Ok(Vec::new())
    }

    async fn replan(&self, _: &Metadata, _: &Fault, _: &[Metadata]) -> Result<Plan, SubjectError> {
        Err(SubjectError::Image("no".into()))
    }

    async fn follow(&self, held: &Metadata) -> Result<Option<Metadata>, SubjectError> {
        let now = self.now.map_err(|()| SubjectError::Image("silent".into()))?;
        Ok(Some(cut(now)).filter(|now| now != held))
    }

    async fn change(&self, to: &Metadata, _: Option<Duration>) -> Result<Metadata, SubjectError> {
        let loaded = self.store.load().unwrap();
        let one = only(&loaded);
        self.seen.lock().unwrap().push((one.state, one.former.is_some()));
        let may = self.changes || *to == cut(Some(3));
        may.then(|| to.clone()).ok_or_else(|| SubjectError::Image("no".into()))
    }

    async fn inject(&self, metadata: &Metadata, _: Option<Duration>) -> Result<Metadata, SubjectError> {
        Ok(metadata.clone())
    }

    async fn cleanup(&self, _: &Metadata) -> Result<Cleaned, SubjectError> {
        Ok(Cleaned::Clean)
    }

    async fn scan(&self) -> Result<Scan, SubjectError> {
        Ok(Scan::default())
    }

    async fn clear(&self, _: &Marked) -> Result<Cleaned, SubjectError> {
        Ok(Cleaned::Clean)
    }
}

fn only(loaded: &Loaded) -> &Injection {
    &loaded.sessions[0].file.injections[0]
}

fn docker(held: Injection, now: Result<Option<u8>, ()>, changes: bool) -> (tempfile::TempDir, Docker) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path());
    store.record("inject", vec![held]).unwrap();
    (folder, Docker { now, changes, store, seen: Mutex::default() })
}

async fn followed(docker: &Docker) -> Result<Option<Injection>, LifeError> {
    follow(docker, &docker.store, &InjectionId::from_number(1)).await
}

#[tokio::test]
async fn both_are_on_disk_while_it_follows_and_the_new_one_afterwards() {
    let (_folder, docker) = docker(injection(Life::Active, None), Ok(Some(9)), true);
    let now = followed(&docker).await.unwrap().unwrap();
    assert_eq!((now.state, &now.metadata, &now.former), (Life::Active, &cut(Some(9)), &None));
    assert_eq!(*docker.seen.lock().unwrap(), [(Life::Applying, true)]);
    assert_eq!(only(&docker.store.load().unwrap()), &now);
    assert_eq!(moved(&cut(Some(3)), &now.metadata), "tikv1 has 172.18.0.9");
    assert_eq!(moved(&now.metadata, &cut(None)), "tikv1 has no address");
    assert!(followed(&docker).await.unwrap().is_none(), "it is where it should be");
}

#[tokio::test]
async fn one_that_cannot_follow_says_so_until_it_can() {
    let (_folder, mut docker) = docker(injection(Life::Active, None), Ok(Some(9)), false);
    let error = followed(&docker).await.unwrap_err();
    assert!(error.to_string().contains("it is as it was"), "{error}");
    let loaded = docker.store.load().unwrap();
    let now = only(&loaded);
    assert_eq!((now.state, &now.metadata), (Life::Active, &cut(Some(3))));
    let note = now.note.clone().unwrap();
    assert!(now.is_astray() && note.contains("tikv1 has 172.18.0.9, and could not be followed"), "{note}");
    docker.changes = true;
    assert_eq!(followed(&docker).await.unwrap().unwrap().note, None);

    docker.now = Err(());
    followed(&docker).await.unwrap_err();
    assert!(only(&docker.store.load().unwrap()).is_astray());
    docker.now = Ok(Some(9));
    assert!(followed(&docker).await.unwrap().is_none());
    assert_eq!(only(&docker.store.load().unwrap()).note, None);
}

#[tokio::test]
async fn only_what_is_active_is_followed_and_other_notes_stay() {
    let (_folder, reverting) = docker(injection(Life::Reverting, None), Ok(Some(9)), true);
    assert!(followed(&reverting).await.unwrap().is_none());
    let (_folder, noted) = docker(injection(Life::Active, Some("no guard")), Ok(Some(9)), true);
    assert_eq!(followed(&noted).await.unwrap().unwrap().note.as_deref(), Some("no guard"));
}

#[test]
fn the_guard_follows_for_every_session_but_a_living_screen() {
    let seen = |command: &str, alive| Seen {
        file: SessionFile {
            schema: SCHEMA,
            session: "s".into(),
            program: String::new(),
            command: command.into(),
            pid: 1,
            boot_id: String::new(),
            docker_host: None,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            injections: vec![],
            history: crate::session::History::default(),
        },
        alive,
        mine: false,
    };
    let active = injection(Life::Active, None);
    assert!(is_guards(&seen("inject", true), &active) && is_guards(&seen("tui", false), &active));
    assert!(!is_guards(&seen("tui", true), &active));
    assert!(!is_guards(&seen("inject", false), &injection(Life::Applying, None)));
}

#[tokio::test]
async fn what_a_dead_follower_began_is_brought_to_its_end() {
    let mut half = injection(Life::Applying, None);
    half.former = Some(std::mem::replace(&mut half.metadata, cut(Some(7))));
    let (_folder, docker) = docker(half.clone(), Ok(Some(9)), true);
    let now = followed(&docker).await.unwrap().unwrap();
    assert_eq!((now.state, &now.metadata, &now.former), (Life::Active, &cut(Some(9)), &None));
    assert!(half.is_cut_short());
    // Another change than of the peers' places is not ours to go on with.
    if let FaultMetadata::NetworkPartition { reject, .. } = &mut half.metadata.fault {
        *reject = true;
    }
    assert!(!half.is_cut_short());
}
