//! What was measured, on the screen: beside what was asked where there is room, and all of it in a popup.

use std::net::IpAddr;

use ratatui::crossterm::event::KeyCode;

use super::fixtures::*;
use crate::{
    chaos::{
        FaultMetadata, InjectionId,
        measured::{Look, Measured, PeerReading, Reading, Tally, Times},
    },
    session::{Injection, Life},
    tui::{Message, Options},
};

fn tally(sent: u32, answered: u32, mean_us: u64, deviation_us: u64) -> Tally {
    let times =
        Times { mean_us, deviation_us, least_us: mean_us, median_us: mean_us, p99_us: mean_us, most_us: mean_us };
    Tally { sent, answered, refused: 0, duplicates: 0, times: Some(times).filter(|_| answered > 0) }
}

/// The two other TiKV nodes and a PD, each seen alike but for those that are silent.
fn look(mean_us: u64, deviation_us: u64, silent: &[u8]) -> Look {
    let peer = |name: &str, last: u8, port: u16| {
        let tally = |sent| tally(sent, if silent.contains(&last) { 0 } else { sent }, mean_us, deviation_us);
        let address: IpAddr = [172, 28, 0, last].into();
        let name = name.to_owned();
        PeerReading { name, address, port, connect: tally(8), echo: Some(tally(40)), burst: None, beside: vec![] }
    };
    let peers = vec![peer("demo-tikv1-1", 11, 20160), peer("demo-tikv2-1", 12, 20160), peer("demo-pd0-1", 20, 2379)];
    Look::Seen(Reading { peers, ..Reading::default() })
}

fn measured(number: u32, fault: FaultMetadata, during: Look) -> Injection {
    let mut injection = injection(number, Life::Active, fault, 60, Some(540));
    if let FaultMetadata::NetworkPartition { target_ips, .. } = &mut injection.metadata.fault {
        // Those that are looked at.
        *target_ips = [11, 12].map(|last| [172, 28, 0, last].into()).to_vec();
    }
    // The screen's nodes have these ids and starts.
    injection.metadata.container_id = format!("demo-{}-id", injection.metadata.target());
    injection.metadata.container_started_at = "2026-02-02T00:00:00Z".into();
    let before = Some(look(90, 20, &[]));
    injection.measured = Some(Measured { before, during: Some(during), after: None });
    injection
}

fn screen(width: u16, height: u16, options: Options, injection: Injection) -> Screen {
    let mut screen = Screen::with(options, width, height);
    screen.send(up(cluster()));
    screen.send(mine(vec![injection]));
    screen
}

fn list(width: u16, height: u16, during: Look) -> String {
    screen(width, height, options(), measured(1, latency("demo-tikv0-1"), during)).text()
}

#[test]
fn asked_and_measured_stand_side_by_side_where_there_is_room() {
    let works = look(98_100, 28_800, &[]);
    let text = list(200, 60, works.clone());
    assert!(text.contains("asked 100 ± 50 ms, measured 98 ± 50 ms over 120: as asked"), "{text}");
    let text = list(80, 24, works);
    assert!(text.contains("as asked: 98"), "{text}");
}

#[test]
fn an_injection_without_effect_says_so() {
    for (width, height) in [(80, 24), (200, 60)] {
        let text = list(width, height, look(100, 20, &[]));
        assert!(text.contains("no effect"), "{text}");
    }
}

#[test]
fn a_newer_look_overrules_the_first() {
    let injection = measured(1, partition("demo-tikv0-1"), look(90, 20, &[11, 12]));
    let mut screen = screen(200, 60, options(), injection);
    assert!(screen.text().contains("2 of 2 out of reach: as asked"), "{}", screen.text());
    let message = |look| Message::Measured { id: InjectionId::from_number(1), look };
    screen.send(message(look(90, 20, &[])));
    assert!(screen.text().contains("0 of 2 out of reach: no effect"), "{}", screen.text());
    screen.send(message(Look::failed("its helper is not at hand")));
    assert!(screen.text().contains("2 of 2 out of reach: as asked"), "{}", screen.text());
}

#[test]
fn the_popup_says_who_reaches_whom_before_and_now() {
    let injection = measured(1, partition("demo-tikv0-1"), look(90, 20, &[11, 12]));
    let mut wide = screen(120, 40, options(), injection.clone());
    wide.keys("m");
    insta::assert_snapshot!("measured_partition_120x40", wide.text());
    wide.press(KeyCode::Esc);
    assert!(!wide.text().contains("Who reaches whom"));

    let plain = Options { utf8: false, colours: false, ..options() };
    let mut narrow = screen(80, 40, plain, injection);
    narrow.keys("m");
    insta::assert_snapshot!("measured_partition_in_ascii", narrow.text());
}

#[test]
fn the_popup_of_what_was_not_measured_says_why() {
    let injection = measured(1, latency("demo-tikv0-1"), Look::failed("its helper is not at hand"));
    let mut screen = screen(120, 40, options(), injection);
    screen.keys("m");
    assert!(screen.text().contains("not measured: its helper is not at hand"), "{}", screen.text());
}
