//! Any keys and clicks before a world that answers: it keeps a journal, carries out what is asked, fails now and then, and
//! answers late and in any order, as the engine does. Whatever happened, at the end one key takes everything away.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    fixtures::*,
    random::{allowed, keys, mouse},
};
use crate::{
    chaos::{Fault, FaultMetadata, InjectionId},
    safety::Grade,
    session::{Injection, Life, Loaded},
    subject::docker::{Snapshot, State},
    tui::{Effect, Live, Message, message::NotChanged, open::Standing},
};

/// Docker and the journal.
struct World {
    nodes: Snapshot,
    up: bool,
    journal: Vec<Injection>,
    /// What was answered and not heard yet.
    answers: Vec<Message>,
    /// Asked to be injected and done so; asked to be reverted.
    injected: BTreeSet<InjectionId>,
    reverted: BTreeSet<InjectionId>,
    /// The program ended.
    ended: bool,
}

/// What the world does next.
#[derive(Debug, Clone)]
enum Step {
    User(Message),
    /// Hear one of the answers that wait.
    Hear(prop::sample::Index),
    /// A node stops, or runs again.
    Node(prop::sample::Index, bool),
    /// Docker goes away, or comes back.
    Docker(bool),
    Clock(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => keys().prop_map(Step::User),
        6 => mouse().prop_map(Step::User),
        14 => any::<prop::sample::Index>().prop_map(Step::Hear),
        2 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(node, runs)| Step::Node(node, runs)),
        1 => any::<bool>().prop_map(Step::Docker),
        1 => (0_i64..900).prop_map(Step::Clock),
    ]
}

impl World {
    fn new() -> Self {
        Self {
            nodes: cluster(),
            up: true,
            journal: Vec::new(),
            answers: Vec::new(),
            injected: BTreeSet::new(),
            reverted: BTreeSet::new(),
            ended: false,
        }
    }

    fn docker(&self) -> Message {
        if self.up {
            return up(self.nodes.clone());
        }
        Message::Docker(Live::Down { host: "here".into(), reason: "it is gone".into(), retry_s: 2 })
    }

    fn sessions(&self) -> Message {
        Message::Sessions(Loaded {
            sessions: vec![session("mine", true, true, self.journal.clone())],
            unreadable: vec![],
        })
    }

    /// Carries it out, or fails to; the journal is written before the answer.
    fn carry_out(&mut self, effect: Effect, works: bool) {
        let works = works && self.up;
        match effect {
            Effect::Plan { seq, .. } => {
                let mut plan = plan();
                if !works {
                    let why = "this leaves 1 of 3 stores reachable".to_owned();
                    plan.verdict = plan.verdict.with(vec![(Grade::Refused, why)]);
                }
                self.answers.push(Message::Planned { seq, result: Ok(Box::new(plan)) });
            }
            Effect::Inject { fault, targets, .. } => self.inject(&fault, &targets, works),
            Effect::Change { changes, force } => self.change(&changes, works || (force && self.up)),
            Effect::Revert { ids } | Effect::EndEverything { ids } => ids.iter().for_each(|id| self.revert(id, works)),
            Effect::Keep(preset) => {
                let result = if works { Ok(("f".into(), vec![*preset])) } else { Err("no".into()) };
                self.answers.push(Message::Kept { name: "n".into(), result });
            }
            Effect::Roll => self.answers.push(Message::Rolled(7)),
            Effect::Quit | Effect::QuitAndTakeDown => self.ended = true,
            Effect::Clear { .. } | Effect::Copy(_) | Effect::Read(_) | Effect::Leave | Effect::Suspend => {}
        }
    }

    fn inject(&mut self, fault: &Fault, targets: &[String], works: bool) {
        if !works {
            return self.answers.push(Message::Injected { result: Err("it did not work".into()) });
        }
        let first = u32::try_from(self.journal.len()).unwrap() + 1;
        let group = (targets.len() > 1).then(|| InjectionId::from_number(first));
        let make = |(number, target): (u32, &String)| {
            let name = &self.nodes.by_id(target).unwrap().name;
            let mut one = injection(number, Life::Active, metadata(fault, name), 0, Some(600));
            one.metadata.container_id.clone_from(target);
            one.metadata.group.clone_from(&group);
            one
        };
        let made: Vec<Injection> = (first..).zip(targets).map(make).collect();
        self.injected.extend(made.iter().map(|one| one.metadata.id.clone()));
        self.journal.extend(made.iter().cloned());
        self.answers.push(self.sessions());
        self.answers.push(Message::Injected { result: Ok(made) });
    }

    fn change(&mut self, changes: &[(InjectionId, Fault)], works: bool) {
        let ids: Vec<_> = changes.iter().map(|(id, _)| id.clone()).collect();
        let holds = |one: &&Injection| one.state == Life::Active;
        let all = ids.iter().all(|id| self.journal.iter().filter(holds).any(|one| one.metadata.id == *id));
        let result = if works && all {
            let mut changed = Vec::new();
            for (id, fault) in changes {
                let one = self.journal.iter_mut().find(|one| one.metadata.id == *id).unwrap();
                one.metadata.fault = metadata(fault, one.metadata.target());
                changed.push(one.clone());
            }
            self.answers.push(self.sessions());
            Ok(changed)
        } else {
            Err(NotChanged { reason: "it did not work".into(), refused: all })
        };
        self.answers.push(Message::Changed { ids, plan: None, result });
    }

    fn revert(&mut self, id: &InjectionId, works: bool) {
        self.reverted.insert(id.clone());
        let result = if works {
            self.journal.iter_mut().filter(|one| one.metadata.id == *id).for_each(|one| one.state = Life::Clean);
            Ok(format!("{id} is reverted"))
        } else {
            Err(format!("{id} could not be reverted"))
        };
        self.answers.push(Message::Reverted { id: id.clone(), result });
        self.answers.push(self.sessions());
    }
}

fn metadata(fault: &Fault, target: &str) -> FaultMetadata {
    match fault {
        Fault::NodeKill { .. } => kill(target),
        Fault::Shape { impairment, .. } => {
            let bounds =
                impairment.delay.map(|delay| (delay.mean_us - delay.jitter_us, delay.mean_us + delay.jitter_us));
            let (least, most) = bounds.unwrap_or((50_000, 150_000));
            FaultMetadata::latency(target, least / 1_000, most / 1_000, &["eth0"])
        }
        Fault::DiskPressure { .. } => disk(target),
        Fault::NetworkPartition { .. } => partition(target),
        Fault::NodePause | Fault::NodeStop { .. } => FaultMetadata::NodePause { target_container: target.to_owned() },
    }
}

/// Sends it, and has what follows from it carried out.
fn tell(screen: &mut Screen, world: &mut World, message: Message, works: bool) {
    screen.effects.clear();
    screen.send(message);
    for effect in std::mem::take(&mut screen.effects) {
        allowed(screen, &effect);
        world.carry_out(effect, works);
    }
    check(screen, world);
}

/// What must be so at any time.
fn check(screen: &Screen, world: &World) {
    let model = &screen.model;
    assert!(model.node < model.nodes().len().max(1));
    assert!(model.picker.field < model.picker.fields().len());
    assert_eq!(model.selected_open().is_none(), model.open().is_empty());
    // Nothing is shown as injected that is not in the journal, and what the journal knows and the screen was told is shown.
    for open in model.open() {
        let record = world.journal.iter().find(|one| one.metadata.id == *open.id());
        assert!(record.is_some(), "{} has no record", open.id());
    }
    let shown = screen.text();
    let active = model.open().iter().filter(|open| open.standing == Standing::Underway(Life::Active)).count();
    if model.dialog.is_none() && shown.contains("Nothing is injected.") {
        assert_eq!(active, 0, "{shown}");
    }
    // Open sliders are of what is open.
    if let Some(held) = &model.picker.held {
        let open = model.open();
        assert!(held.ids().iter().all(|id| open.iter().any(|one| one.id() == id)));
    }
}

proptest! {
    #![proptest_config(crate::testing::cases(128))]
    #[test]
    fn whatever_was_pressed_one_key_takes_everything_away(steps in prop::collection::vec((step(), prop::bool::weighted(0.8)), 1..120)) {
        let (mut screen, mut world) = (Screen::new(120, 40), World::new());
        for message in [world.docker(), world.sessions()] {
            tell(&mut screen, &mut world, message, true);
        }
        for (step, works) in steps {
            let message = match step {
                Step::User(message) => message,
                Step::Hear(which) => match world.answers.len() {
                    0 => continue,
                    count => world.answers.remove(which.index(count)),
                },
                Step::Node(which, runs) => {
                    let node = &mut world.nodes.nodes[which.index(6)];
                    node.state = if runs { State::Running } else { State::Exited };
                    world.docker()
                }
                Step::Docker(up) => {
                    world.up = up;
                    world.docker()
                }
                Step::Clock(seconds) => Message::Clock(at(seconds)),
            };
            tell(&mut screen, &mut world, message, works);
            if world.ended {
                break;
            }
        }
        // Nothing of a session is left behind by quitting unless that was chosen, and the panic key works in any state.
        world.up = true;
        let back = world.docker();
        tell(&mut screen, &mut world, back, true);
        while !world.answers.is_empty() {
            let answer = world.answers.remove(0);
            tell(&mut screen, &mut world, answer, true);
        }
        let sessions = world.sessions();
        tell(&mut screen, &mut world, sessions, true);
        screen.effects.clear();
        screen.control('x');
        for effect in std::mem::take(&mut screen.effects) {
            world.carry_out(effect, true);
        }
        while !world.answers.is_empty() {
            let answer = world.answers.remove(0);
            tell(&mut screen, &mut world, answer, true);
        }
        prop_assert!(world.injected.is_subset(&world.reverted), "{:?} of {:?}", world.reverted, world.injected);
        prop_assert!(screen.model.open().is_empty());
        prop_assert!(world.journal.iter().all(|one| one.state == Life::Clean));
    }
}
