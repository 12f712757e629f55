//! Any messages in any order, on a screen of any size: nothing panics, nothing is injected that must not be.

use proptest::prelude::*;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::{fixtures::*, states::state};
use crate::{
    chaos::{Fault, InjectionId},
    cluster::{ClusterState, Quantiles},
    session::{Life, Loaded, Unreadable, recovery::Recovery},
    subject::{
        Left, Marked,
        docker::{Role, Snapshot, State},
    },
    tui::{Effect, Level, Live, Message, message::NotChanged},
};

pub fn keys() -> impl Strategy<Value = Message> {
    let codes = prop_oneof![
        8 => prop::sample::select("iirRquUucledpP1234jjjkkhhll?gGysnke0955  d/世".chars().collect::<Vec<_>>()).prop_map(KeyCode::Char),
        4 => prop::sample::select(vec![
            KeyCode::Up, KeyCode::Down, KeyCode::Left, KeyCode::Right, KeyCode::Enter, KeyCode::Esc, KeyCode::Tab,
            KeyCode::BackTab, KeyCode::PageUp, KeyCode::PageDown, KeyCode::Home, KeyCode::End, KeyCode::Backspace,
        ]),
    ];
    let modifiers = prop::sample::select(vec![KeyModifiers::NONE, KeyModifiers::NONE, KeyModifiers::SHIFT]);
    (codes, modifiers).prop_map(|(code, modifiers)| Message::Input(Event::Key(KeyEvent::new(code, modifiers))))
}

pub fn mouse() -> impl Strategy<Value = Message> {
    let kinds = prop::sample::select(vec![
        MouseEventKind::Down(MouseButton::Left),
        MouseEventKind::Down(MouseButton::Left),
        MouseEventKind::Drag(MouseButton::Left),
        MouseEventKind::Up(MouseButton::Left),
        MouseEventKind::ScrollUp,
        MouseEventKind::ScrollDown,
    ]);
    (kinds, 0_u16..130, 0_u16..45).prop_map(|(kind, column, row)| {
        Message::Input(Event::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }))
    })
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    let states = prop::sample::select(vec![State::Running, State::Running, State::Exited, State::Paused]);
    let nodes = prop::collection::vec((0_u8..3, 0_u8..6, any::<bool>(), states, "[a-z世\u{1b}é]{0,30}"), 0..14);
    nodes.prop_map(|nodes| {
        let nodes = nodes.into_iter().enumerate().map(|(at, (cluster, number, tikv, state, name))| {
            let role = if tikv { Role::Tikv } else { Role::Pd };
            let mut node = node(&format!("c{cluster}"), &format!("demo-tikv{number}-1{name}"), role, number);
            node.id = format!("{at}");
            node.state = state;
            node
        });
        Snapshot { nodes: nodes.collect(), ..Snapshot::default() }
    })
}

fn loaded() -> impl Strategy<Value = Loaded> {
    let lives = prop::sample::select(vec![
        Life::Planned,
        Life::Applying,
        Life::Active,
        Life::Active,
        Life::Reverting,
        Life::Clean,
        Life::Failed,
        Life::Lost,
    ]);
    let one = (0_u32..9, lives, 0_u8..4, 0_u8..6, -100_i64..5_000, prop::option::of(-500_i64..100_000));
    let injections = prop::collection::vec(one, 0..6).prop_map(|all| {
        let made = all.into_iter().map(|(number, life, kind, target, age, left)| {
            let target = format!("demo-tikv{target}-1");
            let fault = match kind {
                0 => kill(&target),
                1 => latency(&target),
                2 => disk(&target),
                _ => partition(&target),
            };
            injection(number, life, fault, age, left)
        });
        made.collect::<Vec<_>>()
    });
    prop::collection::vec((any::<bool>(), any::<bool>(), injections), 0..4).prop_map(|sessions| Loaded {
        sessions: sessions
            .into_iter()
            .map(|(mine, alive, injections)| session("s", mine, alive || mine, injections))
            .collect(),
        unreadable: vec![Unreadable { path: "x".into(), reason: "y".into() }],
    })
}

/// Also of clusters and nodes that nobody knows, of any time, with any figure.
fn clusters() -> impl Strategy<Value = Vec<ClusterState>> {
    let words = prop::sample::select(vec!["Up", "Disconnected", "Down", "Offline", "Tombstone", "世\u{1b}"]);
    let figures = (any::<f64>(), any::<f64>(), any::<u64>(), any::<u64>());
    let one = (-1_000_i64..1_000, 0_u8..4, any::<bool>(), any::<bool>(), words, figures, ".{0,60}");
    prop::collection::vec(one, 0..4).prop_map(|all| {
        let made = all.into_iter().map(|(second, cluster, silent, gone, word, (rate, delay, few, many), error)| {
            let mut state = state(second);
            if cluster < 3 {
                state.cluster = format!("c{cluster}");
            }
            if silent {
                (state.pd.at, state.pd.error) = (Some(at(-second)), Some(error.clone()));
            }
            if gone {
                state.pd.value = None;
            }
            for (name, node) in std::mem::take(&mut state.nodes) {
                let mut node = node;
                if let (Some(store), Some(metrics)) = (&mut node.store, &mut node.metrics.value) {
                    (store.leaders, store.regions) = (few, many);
                    (store.available, store.capacity) = (Some(many), Some(few));
                    (store.state_name, store.slow_score) = (word.to_owned(), Some(rate));
                    (metrics.reads_per_s, metrics.writes_per_s) = (Some(rate), Some(delay));
                    metrics.write = Some(Quantiles { p50: rate, p99: delay });
                    metrics.available = Some(few);
                }
                if silent {
                    node.metrics.error = Some(error.clone());
                }
                let id = if cluster == 0 { "0".to_owned() } else { name };
                state.nodes.insert(id, node);
            }
            state.pd_nodes[0].container_id = "1".into();
            state.pd_nodes[0].error = Some(error);
            state
        });
        made.collect()
    })
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        24 => keys(),
        10 => mouse(),
        4 => snapshot().prop_map(up),
        1 => Just(Message::Docker(Live::Connecting)),
        1 => ".{0,90}".prop_map(|reason| Message::Docker(Live::Down { host: reason.clone(), reason, retry_s: 2 })),
        6 => clusters().prop_map(Message::Cluster),
        4 => loaded().prop_map(Message::Sessions),
        3 => (0_u64..20, prop::option::of(".{0,300}")).prop_map(|(seq, error)| Message::Planned {
            seq,
            result: error.map_or_else(|| Ok(Box::new(plan())), Err),
        }),
        3 => any::<bool>().prop_map(|good| Message::Injected {
            result: if good {
                Ok(vec![injection(3, Life::Active, latency("demo-tikv0-1"), 0, None)])
            } else {
                Err("it did not work".into())
            },
        }),
        3 => (0_u32..9, any::<bool>(), any::<bool>()).prop_map(|(number, good, refused)| Message::Changed {
            ids: vec![InjectionId::from_number(number)],
            plan: good.then(|| Box::new(plan())),
            result: if good {
                Ok(vec![injection(number, Life::Active, latency("demo-tikv0-1"), 0, None)])
            } else {
                Err(NotChanged { reason: "not changed".into(), refused })
            },
        }),
        1 => any::<u32>().prop_map(Message::Rolled),
        1 => any::<bool>().prop_map(|good| Message::Kept {
            name: "slow".into(),
            result: if good { Ok(("f".into(), Vec::new())) } else { Err("not kept".into()) },
        }),
        2 => (0_u32..9, any::<bool>()).prop_map(|(number, good)| Message::Reverted {
            id: InjectionId::from_number(number),
            result: if good { Ok("reverted".into()) } else { Err("not reverted".into()) },
        }),
        2 => (0_u32..9, any::<bool>()).prop_map(|(number, held)| {
            let fault = injection(number, Life::Active, partition(&format!("demo-tikv{number}-1")), 0, None).metadata;
            let mark = Marked::Fault(fault);
            let recovery = match held {
                true => Recovery { held: vec![(mark, Left::ForEver)], ..Recovery::default() },
                false => Recovery { unrecorded: vec![mark], ..Recovery::default() },
            };
            Message::Scanned(Box::new(recovery))
        }),
        1 => (-100_000_i64..100_000).prop_map(|seconds| Message::Clock(at(seconds))),
        1 => ".{0,200}".prop_map(|text| Message::Log { at: at(0), level: Level::Warn, text }),
        1 => prop::option::of(".{0,60}").prop_map(Message::Progress),
        1 => Just(Message::Input(Event::Paste("eth0\n,9".into()))),
    ]
}

fn size() -> impl Strategy<Value = (u16, u16)> {
    prop_oneof![1 => (1_u16..80, 1_u16..30), 3 => (80_u16..200, 24_u16..60)]
}

/// What an injection must be when it is asked for.
pub fn allowed(screen: &Screen, effect: &Effect) {
    if let Effect::Inject { fault, targets, ttl, .. } = effect {
        assert!(!targets.is_empty());
        for target in targets {
            let node =
                screen.model.snapshot.as_ref().and_then(|snapshot| snapshot.by_id(target)).expect("a known node");
            assert!(node.is_running(), "{node:?}");
        }
        assert!(screen.model.is_up());
        assert!(ttl.is_some_and(|ttl| (60..=1_800).contains(&ttl.as_secs())));
        match fault {
            Fault::Shape { impairment, .. } => {
                let delay = impairment.delay.map_or((0, 0), |delay| (delay.jitter_us, delay.mean_us));
                assert!(delay.0 <= delay.1 && delay.0 + delay.1 <= 20_000_000);
            }
            Fault::DiskPressure { fill_percent, .. } => assert!(*fill_percent <= 100),
            Fault::NodeKill { .. } | Fault::NetworkPartition { .. } | Fault::NodePause | Fault::NodeStop { .. } => {}
        }
    }
}

proptest! {
    #![proptest_config(crate::testing::cases(96))]
    #[test]
    fn any_messages_in_any_order(steps in prop::collection::vec((message(), prop::option::weighted(0.1, size())), 1..60)) {
        let mut screen = Screen::new(80, 24);
        screen.send(up(cluster()));
        for (message, size) in steps {
            screen.effects.clear();
            screen.send(message);
            screen.effects.iter().for_each(|effect| allowed(&screen, effect));
            if let Some((width, height)) = size {
                screen.resize(width, height);
            }
            let model = &screen.model;
            prop_assert!(model.node < model.nodes().len().max(1));
            prop_assert!(model.picker.field < model.picker.fields().len());
            prop_assert!(model.clusters.values().all(|watched| watched.readings().count() <= 10));
            prop_assert_eq!(model.selected_open().is_none(), model.open().is_empty());
        }
    }

    #[test]
    fn every_size_can_be_drawn(width in 1_u16..220, height in 1_u16..80, keys in "[?ucqe2-4]{0,2}") {
        let mut screen = Screen::ready(width, height);
        screen.send(Message::Cluster(vec![state(0)]));
        screen.send(mine(vec![injection(1, Life::Active, latency("demo-tikv0-1"), 48, Some(552))]));
        screen.keys(&keys);
    }
}
