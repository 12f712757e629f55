//! Two clocks: the wall's, which people read and anybody may set, and the time since the machine started, which counts
//! on through sleep and which nobody sets. A deadline is kept by the second for as long as the machine runs.

use std::{fs, time::Duration};

use jiff::{SignedDuration, Timestamp};
use nix::time::{ClockId, clock_gettime};

use super::record::SessionFile;

/// How far the two clocks may drift apart before the wall's is taken to have been set: slewing by NTP stays far below.
const DRIFT: SignedDuration = SignedDuration::from_secs(2);

/// Both clocks at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    pub wall: Timestamp,
    /// Linux's name for this start of the machine; empty elsewhere.
    pub boot_id: String,
    /// Milliseconds since that start.
    pub since_boot_ms: Option<u64>,
}

impl Clock {
    pub fn now() -> Self {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self { wall: Timestamp::now(), boot_id: boot_id.trim().to_owned(), since_boot_ms: since_boot_ms() }
    }

    /// Brings the times of a session's file to this clock, so that `deadline` can be compared with the wall's. On the
    /// same start of the machine they move with a wall clock that was set. After another start only the wall's is
    /// left, and where that stands before the injection itself its time is over: early is better than never.
    pub fn settle(&self, file: &mut SessionFile) {
        let same_boot = !self.boot_id.is_empty() && file.boot_id == self.boot_id;
        for injection in &mut file.injections {
            let Some(deadline) = injection.deadline else { continue };
            match (injection.deadline_since_boot_ms, self.since_boot_ms) {
                (Some(due), Some(now)) if same_boot => {
                    let left = SignedDuration::from_millis(due.cast_signed().saturating_sub(now.cast_signed()));
                    let moved = self.wall.saturating_add(left).unwrap_or(deadline).duration_since(deadline);
                    if moved.abs() > DRIFT {
                        injection.deadline = deadline.checked_add(moved).ok();
                        injection.created_at = injection.created_at.checked_add(moved).unwrap_or(self.wall);
                    }
                }
                _ if injection.created_at > self.wall.saturating_add(DRIFT).unwrap_or(self.wall) => {
                    injection.deadline = Some(self.wall);
                    injection.created_at = self.wall;
                }
                _ => {}
            }
        }
    }
}

/// Milliseconds since the start of the machine, sleep included.
fn since_boot_ms() -> Option<u64> {
    #[cfg(target_os = "linux")]
    const ID: ClockId = ClockId::CLOCK_BOOTTIME;
    #[cfg(not(target_os = "linux"))]
    const ID: ClockId = ClockId::CLOCK_MONOTONIC;
    let time = Duration::from(clock_gettime(ID).ok()?);
    u64::try_from(time.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chaos::{FaultMetadata, InjectionId, Metadata, Signal},
        session::{Injection, Life, SCHEMA},
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    /// A session that injected at 0 s, which was 100 s after the start of the machine, for 60 s.
    fn session() -> SessionFile {
        let fault = FaultMetadata::NodeKill { target_container: "tikv0".into(), signal: Signal::Kill };
        let injection = Injection {
            state: Life::Active,
            metadata: Metadata {
                fault,
                id: InjectionId::from_number(1),
                container_id: "c0".into(),
                container_started_at: String::new(),
                daemon_id: None,
                group: None,
                holder_image: None,
                before: None,
                task: None,
            },
            undo: vec![],
            created_at: at(0),
            deadline: Some(at(60)),
            deadline_since_boot_ms: Some(160_000),
            left: false,
            former: None,
            measured: None,
            note: None,
        };
        SessionFile {
            schema: SCHEMA,
            session: "s".into(),
            program: String::new(),
            command: "inject".into(),
            pid: 1,
            boot_id: "this".into(),
            docker_host: None,
            started_at: at(0),
            injections: vec![injection],
            history: crate::session::History::default(),
        }
    }

    /// Whether it is overdue where the wall says `wall`, and how many seconds are left then.
    fn look(boot_id: &str, wall: i64, since_boot_s: u64) -> (bool, i64) {
        let clock = Clock { wall: at(wall), boot_id: boot_id.into(), since_boot_ms: Some(since_boot_s * 1000) };
        let mut file = session();
        clock.settle(&mut file);
        let one = &file.injections[0];
        (one.is_overdue(clock.wall), one.deadline.unwrap().duration_since(clock.wall).as_secs())
    }

    #[test]
    fn a_clock_that_nobody_set_is_believed() {
        assert_eq!(look("this", 10, 110), (false, 50));
        assert_eq!(look("this", 60, 160), (true, 0));
        let mut settled = session();
        Clock { wall: at(11), boot_id: "this".into(), since_boot_ms: Some(110_400) }.settle(&mut settled);
        assert_eq!(settled, session(), "a drift of half a second is nothing");
    }

    #[test]
    fn a_clock_that_was_set_moves_no_deadline() {
        // Back by an hour, and forward by a day, ten seconds after the injection.
        assert_eq!(look("this", 10 - 3600, 110), (false, 50));
        assert_eq!(look("this", 10 + 86_400, 110), (false, 50));
        assert_eq!(look("this", 61 - 3600, 161), (true, -1));
    }

    #[test]
    fn after_a_reboot_the_wall_decides_and_one_before_the_injection_ends_it() {
        assert_eq!(look("next", 30, 5), (false, 30));
        assert_eq!(look("next", 61, 5), (true, -1));
        assert_eq!(look("next", -3600, 5), (true, 0));
    }
}
