//! Whose peers the guard follows, and when it looks where they are: once for each record that it has not looked at, then
//! whenever Docker has news.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use super::{
    keep::{Guarded, Work},
    wait::Bell,
};
use crate::{
    chaos::{InjectionId, Metadata},
    session::follow::is_guards,
};

/// Where news pours, it is looked at no more often.
const GATHER: Duration = Duration::from_millis(500);
/// How long until the next try after a failure; it doubles with each one, up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// What was looked at last.
#[derive(Default)]
pub struct Peers {
    /// The records as they were then.
    seen: BTreeMap<InjectionId, Metadata>,
    listening: bool,
    looked: Option<Instant>,
    /// How often it failed since it last went well, and when it is tried again.
    failed: Option<(u32, Instant)>,
}

impl Peers {
    /// Follows the peers of these injections where there is news of them. True if it looked, so that the journal may say
    /// something else now.
    pub fn follow(&mut self, guarded: &[Guarded], bell: &mut Bell, work: &mut impl Work) -> bool {
        let ours = guarded.iter().filter(|(seen, one)| is_guards(seen, one));
        let ours: BTreeMap<InjectionId, Metadata> =
            ours.map(|(_, one)| (one.metadata.id.clone(), one.metadata.clone())).collect();
        if ours.is_empty() {
            if self.listening {
                work.hush();
            }
            *self = Self::default();
            return false;
        }
        let rang = bell.docker_rang();
        self.listening &= !rang;
        let due = match self.failed {
            Some((_, again)) => again <= Instant::now(),
            None => !self.listening,
        };
        if !due && !rang && ours == self.seen {
            return false;
        }
        if let Some(wait) = self.looked.and_then(|looked| GATHER.checked_sub(looked.elapsed())) {
            thread::sleep(wait);
        }
        self.looked = Some(Instant::now());
        // First it listens, so that nothing falls between the look and the news.
        let listening = self.listening || work.listen(bell.of_docker()).inspect_err(cannot_listen).is_ok();
        self.listening = listening;
        let followed = work.follow(ours.keys().cloned().collect());
        self.seen = ours;
        if followed && listening {
            self.failed = None;
        } else {
            let count = self.failed.map_or(0, |(count, _)| count);
            let pause = FIRST_PAUSE.saturating_mul(1 << count.min(16)).min(LAST_PAUSE);
            self.failed = Some((count + 1, Instant::now() + pause));
        }
        true
    }

    /// Until the next try, where the last one failed.
    pub fn again(&self) -> Option<Duration> {
        self.failed.map(|(_, again)| again.saturating_duration_since(Instant::now()))
    }
}

fn cannot_listen(error: &std::io::Error) {
    tracing::error!(%error, "Docker's events cannot be followed");
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::{
        chaos::{FaultMetadata, Peer, network},
        session::{
            History, Injection, Life, Loaded, SCHEMA, Seen, SessionFile,
            guard::{DockerBell, keep::Attempt},
        },
    };

    #[derive(Default)]
    struct Docker {
        bell: Option<DockerBell>,
        asked: Vec<Vec<u32>>,
        deaf: bool,
        lost: bool,
    }

    impl Work for Docker {
        fn end(&mut self, _: Vec<Injection>) -> Vec<Attempt> {
            Vec::new()
        }

        fn listen(&mut self, bell: DockerBell) -> io::Result<()> {
            if self.deaf {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            self.bell = Some(bell);
            Ok(())
        }

        fn hush(&mut self) {
            self.bell = None;
        }

        fn follow(&mut self, ids: Vec<InjectionId>) -> bool {
            self.asked.push(ids.iter().map(InjectionId::number).collect());
            !self.lost
        }

        fn rest(&mut self, _: &Loaded, _: Option<Duration>) -> io::Result<()> {
            Ok(())
        }
    }

    fn cut(number: u32) -> Injection {
        let peer = Peer {
            container_id: "b".into(),
            name: "b".into(),
            service: None,
            cluster: String::new(),
            ips: vec![[10, 0, 0, 1].into()],
            link_local: vec![],
        };
        Injection {
            state: Life::Active,
            metadata: Metadata {
                fault: FaultMetadata::NetworkPartition {
                    isolated_container: "a".into(),
                    target_ips: peer.ips.clone(),
                    peers: vec!["b".into()],
                    flavour: network::Flavour::default(),
                    direction: network::Direction::Both,
                    reject: false,
                    link_local: vec![],
                    ends: vec![],
                    far: vec![],
                    peer_nodes: vec![peer],
                },
                id: InjectionId::from_number(number),
                container_id: "a".into(),
                container_started_at: String::new(),
                daemon_id: None,
                group: None,
                holder_image: None,
                before: None,
                task: None,
            },
            undo: vec![],
            created_at: jiff::Timestamp::UNIX_EPOCH,
            deadline: None,
            deadline_since_boot_ms: None,
            left: false,
            former: None,
            measured: None,
            note: None,
        }
    }

    fn seen() -> Seen {
        let file = SessionFile {
            schema: SCHEMA,
            session: "s".into(),
            program: String::new(),
            command: "inject".into(),
            pid: 1,
            boot_id: String::new(),
            docker_host: None,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            injections: vec![],
            history: History::default(),
        };
        Seen { file, alive: false, mine: false }
    }

    #[test]
    fn it_looks_once_at_each_record_and_again_when_docker_rings() {
        let folder = tempfile::tempdir().unwrap();
        let (mut bell, mut peers, mut docker, seen) =
            (Bell::on(folder.path()), Peers::default(), Docker::default(), seen());
        let (one, two) = (cut(1), cut(2));
        assert!(!peers.follow(&[], &mut bell, &mut docker));
        assert!(peers.follow(&[(&seen, &one)], &mut bell, &mut docker));
        assert!(!peers.follow(&[(&seen, &one)], &mut bell, &mut docker));
        assert!(peers.follow(&[(&seen, &one), (&seen, &two)], &mut bell, &mut docker));
        assert!(docker.bell.as_ref().unwrap().ring() && bell.wait(Duration::from_secs(9)));
        assert!(peers.follow(&[(&seen, &one), (&seen, &two)], &mut bell, &mut docker));
        assert!(!peers.follow(&[(&seen, &one), (&seen, &two)], &mut bell, &mut docker));
        assert_eq!(docker.asked, [vec![1], vec![1, 2], vec![1, 2]]);
        // Its record is another: it was changed, by whomever.
        let mut other = cut(1);
        other.metadata.container_id = "c".into();
        assert!(peers.follow(&[(&seen, &other)], &mut bell, &mut docker));
        assert!(!peers.follow(&[], &mut bell, &mut docker) && docker.bell.is_none());
    }

    #[test]
    fn what_fails_is_tried_again_after_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let (mut bell, mut peers, seen) = (Bell::on(folder.path()), Peers::default(), seen());
        let one = cut(1);
        for (deaf, lost) in [(true, false), (false, true)] {
            let mut docker = Docker { deaf, lost, ..Docker::default() };
            assert!(peers.follow(&[(&seen, &one)], &mut bell, &mut docker));
            assert!(!peers.follow(&[(&seen, &one)], &mut bell, &mut docker));
            let again = peers.again().unwrap();
            assert!(again <= FIRST_PAUSE && !again.is_zero(), "{again:?}");
            peers = Peers::default();
        }
    }
}
