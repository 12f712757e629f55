use std::{collections::BTreeSet, net::IpAddr};

use super::*;
use crate::chaos::{
    FaultType, InjectionId,
    measured::{Burst, Pass, Times},
    network::{Chance, Delay, Distribution, Filter, Flow, GilbertElliott, Impairment, Loss, Packets, Ppm, Rate, Via},
};

const PEER: &str = "10.0.0.2";
const OTHER: &str = "10.0.0.3";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn times(mean_us: u64, deviation_us: u64) -> Option<Times> {
    Some(Times { mean_us, deviation_us, least_us: 0, median_us: mean_us, p99_us: mean_us, most_us: mean_us })
}

fn tally(sent: u32, answered: u32, mean_us: u64, deviation_us: u64) -> Tally {
    let times = times(mean_us, deviation_us).filter(|_| answered > 0);
    Tally { sent, answered, refused: 0, duplicates: 0, times }
}

fn peer(address: &str, connect: Tally, echo: Option<Tally>) -> PeerReading {
    PeerReading { name: "tikv1".into(), address: ip(address), port: 20160, connect, echo, burst: None, beside: vec![] }
}

fn both(tally: Tally) -> PeerReading {
    peer(PEER, tally, Some(tally))
}

fn reading(peers: &[PeerReading]) -> Reading {
    Reading { peers: peers.to_vec(), ..Reading::default() }
}

fn well() -> Reading {
    reading(&[both(tally(10, 10, 100, 20))])
}

fn impaired(impairment: Impairment, ways: usize) -> Asked {
    let pass = |flow| Pass { via: Via::Netem, flow, impairment };
    let passes = [Flow::Out, Flow::In][..ways].iter().copied().map(pass).collect();
    Asked { filter: Filter::default(), effect: Effect::Impaired(passes) }
}

/// The same, held by another injection at the peer's end.
fn with(mut peer: PeerReading, others: &[Asked]) -> PeerReading {
    for (number, other) in (1..).zip(others) {
        peer.beside.push(Beside {
            id: InjectionId::from_number(number),
            kind: if other.is_cut() { FaultType::NetworkPartition } else { FaultType::Latency },
            target: format!("tikv{number}"),
            end: End::There,
            effect: other.effect.clone(),
            echo: true,
            connect: true,
        });
    }
    peer
}

fn delay_of(mean_ms: u64, jitter_ms: u64) -> Asked {
    let delay = Delay {
        mean_us: mean_ms * 1000,
        jitter_us: jitter_ms * 1000,
        correlation: Ppm::default(),
        distribution: Distribution::Uniform,
    };
    impaired(Impairment { delay: Some(delay), ..Impairment::default() }, 1)
}

fn loss_of(percent: u64) -> Asked {
    let chance = Chance { share: Ppm::percent(percent), correlation: Ppm::default() };
    impaired(Impairment { loss: Some(Loss::Random(chance)), ..Impairment::default() }, 1)
}

fn cut_off(ips: &[&str]) -> Asked {
    let peers = ips.iter().map(|one| ip(one)).collect();
    Asked { filter: Filter { peers: Some(peers), ..Filter::default() }, effect: Effect::Cut { rejected: false } }
}

fn said(asked: &Asked, before: Option<&Reading>, during: &[PeerReading]) -> String {
    judge(asked, before, &Look::Seen(reading(during))).to_string()
}

#[test]
fn cut_is_not_as_asked_while_a_connection_that_it_should_meet_stands() {
    let asked = cut_off(&[PEER]);
    let mut during = reading(&[both(tally(10, 0, 0, 0))]);
    assert_eq!(judge(&asked, Some(&well()), &Look::Seen(during.clone())).outcome, Outcome::AsAsked);
    during.unmet = vec!["tikv1 at 192.0.2.1:20161".into(), "tikv1 at 192.0.2.1:20181".into()];
    let judgement = judge(&asked, Some(&well()), &Look::Seen(during));
    assert!(judgement.outcome == Outcome::Differs && judgement.is_bad());
    let expected = "asked 1 address out of reach, measured 1 of 1 out of reach: differs; it does not meet 2 connections, \
                    the first with tikv1 at 192.0.2.1:20161";
    assert_eq!(judgement.to_string(), expected);
}

#[test]
fn a_delay_is_what_came_on_top_of_the_round_trip_before() {
    let asked = delay_of(100, 50);
    let text = said(&asked, Some(&well()), &[both(tally(40, 40, 98_100, 29_000))]);
    assert_eq!(text, "asked 100 ± 50 ms, measured 98 ± 50 ms over 40: as asked");
    let slow = reading(&[both(tally(10, 10, 40_000, 20))]);
    let text = said(&delay_of(20, 0), Some(&slow), &[both(tally(40, 40, 60_100, 300))]);
    assert_eq!(text, "asked 20 ms, measured 20 ms over 40: as asked");
}

#[test]
fn a_delay_that_is_not_there_is_no_success() {
    let text = said(&delay_of(100, 50), Some(&well()), &[both(tally(40, 40, 110, 30))]);
    assert_eq!(text, "asked 100 ± 50 ms, measured 0.01 ± 0.05 ms over 40: no effect");
    let text = said(&delay_of(100, 0), Some(&well()), &[both(tally(40, 40, 60_000, 30))]);
    assert!(text.ends_with("measured 60 ms over 40: differs"), "{text}");
    let text = said(&delay_of(1, 0), None, &[both(tally(40, 40, 90, 30))]);
    assert!(text.ends_with("no effect"), "{text}");
}

#[test]
fn two_ways_are_twice_the_delay() {
    let impairment = delay_of(50, 10).effect.passes()[0].impairment;
    let text = said(&impaired(impairment, 2), Some(&well()), &[both(tally(40, 40, 100_100, 8160))]);
    assert_eq!(text, "asked 100 ± 20 ms, measured 100 ± 20 ms over 40: as asked");
}

#[test]
fn a_share_is_judged_by_what_so_many_samples_can_say() {
    let lost = |answered, sent, asked| said(&loss_of(asked), Some(&well()), &[both(tally(sent, answered, 100, 20))]);
    assert_eq!(lost(36, 40, 10), "asked 10 % lost, measured 10 % over 40: as asked");
    assert!(lost(32, 40, 10).ends_with("20 % over 40: as asked"));
    assert!(lost(20, 40, 10).ends_with("50 % over 40: differs"));
    assert!(lost(40, 40, 30).ends_with("0 % over 40: no effect"));
    assert!(lost(40, 40, 1).ends_with("0 % over 40: too few samples to tell"));
    assert!(lost(0, 40, 100).ends_with("100 % over 40: as asked"));
}

#[test]
fn bursts_leave_more_room_than_independent_losses() {
    let model =
        GilbertElliott { p: Ppm::percent(1), r: Ppm::percent(10), bad: Ppm::percent(100), good: Ppm::default() };
    let asked = impaired(Impairment { loss: Some(Loss::Bursts(model)), ..Impairment::default() }, 1);
    let text = said(&asked, Some(&well()), &[both(tally(40, 24, 100, 20))]);
    assert_eq!(text, "asked 9.1 % lost, measured 40 % over 40: as asked");
    assert!(said(&loss_of(9), Some(&well()), &[both(tally(40, 24, 100, 20))]).ends_with("differs"));
}

#[test]
fn corruption_shows_as_loss_and_duplicates_as_second_answers() {
    let chance = Some(Chance { share: Ppm::percent(50), correlation: Ppm::default() });
    let asked = impaired(Impairment { corrupt: chance, duplicate: chance, ..Impairment::default() }, 1);
    let echo = Tally { duplicates: 9, ..tally(40, 20, 100, 20) };
    let text = said(&asked, Some(&well()), &[peer(PEER, tally(8, 8, 100, 20), Some(echo))]);
    let expected = "asked 50 % lost, measured 50 % over 40; asked 50 % twice, measured 45 % over 20: as asked";
    assert_eq!(text, expected);
}

#[test]
fn a_partition_is_judged_by_those_who_answered_before() {
    let (here, away) = (tally(8, 8, 100, 20), tally(8, 0, 0, 0));
    let before = reading(&[both(here), peer(OTHER, here, Some(here)), peer("10.0.0.4", away, Some(away))]);
    let asked = cut_off(&[PEER, OTHER, "10.0.0.4"]);
    let now = |one, two| [both(one), peer(OTHER, two, Some(two)), peer("10.0.0.4", away, Some(away))];
    let text = said(&asked, Some(&before), &now(away, away));
    let expected = "asked 3 addresses out of reach, measured 2 of 2 out of reach, 1 did not answer before: as asked";
    assert_eq!(text, expected);
    assert!(said(&asked, Some(&before), &now(away, here)).ends_with("differs"));
    assert!(said(&asked, Some(&before), &now(here, here)).ends_with("no effect"));
    let only_away = reading(&[peer("10.0.0.4", away, Some(away))]);
    let text = said(&cut_off(&["10.0.0.4"]), Some(&only_away), &only_away.peers);
    assert!(text.ends_with("not measured"), "{text}");
}

#[test]
fn a_peer_that_vanished_is_not_measured_and_never_as_asked() {
    let away = tally(8, 0, 0, 0);
    let asked = cut_off(&[PEER, OTHER]);
    let one_left = said(&asked, Some(&well()), &[both(away)]);
    assert_eq!(
        one_left,
        "asked 2 addresses out of reach, measured 1 of 1 out of reach: as asked; 1 address not measured"
    );
    let with_its_own = said(&cut_off(&[PEER, "fe80::2"]), Some(&well()), &[both(away)]);
    assert!(!with_its_own.contains("not measured"), "{with_its_own}");
    let others = [peer("10.0.0.4", away, Some(away))];
    assert!(said(&asked, Some(&well()), &others).starts_with("not measured: none of its peers"));
    assert!(said(&cut_off(&[]), Some(&well()), &others).starts_with("not measured: none of its peers"));
}

#[test]
fn a_refusal_where_there_was_a_connection_is_a_cut() {
    let refused = Tally { refused: 8, ..tally(8, 8, 100, 20) };
    let now = peer(PEER, refused, Some(tally(40, 0, 0, 0)));
    assert!(said(&cut_off(&[PEER]), Some(&well()), std::slice::from_ref(&now)).ends_with("as asked"));
    let never_listened = reading(&[peer(PEER, refused, Some(tally(8, 8, 100, 20)))]);
    assert!(said(&cut_off(&[PEER]), Some(&never_listened), &[now]).ends_with("no effect"));
}

#[test]
fn only_what_a_filter_means_is_judged() {
    let mut asked = delay_of(100, 0);
    asked.filter.peers = Some(BTreeSet::from([ip(PEER)]));
    let during = [both(tally(40, 40, 100_100, 200)), peer(OTHER, tally(8, 8, 100, 20), Some(tally(40, 40, 100, 20)))];
    let text = said(&asked, None, &during);
    assert_eq!(text, "asked 100 ms, measured 100 ms over 40: as asked");

    asked.filter = Filter { ports: Some(BTreeSet::from([20160])), ..Filter::default() };
    let by_port = [peer(PEER, tally(8, 8, 100_100, 200), Some(tally(40, 40, 100, 20)))];
    assert_eq!(said(&asked, None, &by_port), "asked 100 ms, measured 100 ms over 8: as asked");

    asked.filter.ports = Some(BTreeSet::from([9]));
    let text = said(&asked, None, &by_port);
    assert_eq!(text, "no effect: its filter means none of the 1 addresses that were tried");
    asked.filter = Filter { except_peers: BTreeSet::from([ip(PEER)]), ..Filter::default() };
    assert!(said(&asked, None, &by_port).starts_with("not measured: it means none of the cluster's nodes"));
}

#[test]
fn the_packets_that_it_met_are_said_where_somebody_should_look() {
    let counted = |asked: &Asked, met, over_limit| {
        let packets = Some(Packets { met, over_limit });
        let look = Look::Seen(Reading { packets, ..reading(&[both(tally(40, 40, 100_100, 200))]) });
        judge(asked, Some(&well()), &look)
    };
    let asked = delay_of(100, 0);
    let fine = counted(&asked, 700, Some(0));
    assert!(!fine.is_bad() && fine.to_string().ends_with(": as asked"), "{fine}");
    assert_eq!(counted(&asked, 700, None).to_string(), fine.to_string());
    let dropped = counted(&asked, 700, Some(30));
    let words = "as asked; 30 of 700 packets dropped over its limit, which `change --limit` raises";
    assert!(dropped.is_bad() && dropped.to_string().ends_with(words), "{dropped}");

    let mut nobody = delay_of(100, 0);
    nobody.filter.peers = Some(BTreeSet::from([ip("192.0.2.1")]));
    let text = counted(&nobody, 0, Some(0)).to_string();
    assert!(text.starts_with("no effect: ") && text.ends_with("; no packet has met it so far"), "{text}");
    let others = counted(&nobody, 9, Some(0));
    assert!(!others.is_bad() && others.to_string().ends_with("; it has met 9 packets of others"), "{others}");
}

#[test]
fn a_peer_that_answers_no_echo_is_judged_by_its_connections() {
    let silent = Some(tally(10, 0, 0, 0));
    let before = reading(&[peer(PEER, tally(5, 5, 100, 20), silent)]);
    let during = [peer(PEER, tally(8, 8, 50_100, 20), Some(tally(40, 0, 0, 0)))];
    assert_eq!(said(&delay_of(50, 0), Some(&before), &during), "asked 50 ms, measured 50 ms over 8: as asked");
}

#[test]
fn a_rate_is_judged_by_a_burst() {
    let rate = Rate { bits_per_second: 1_000_000, burst_bytes: 16_000 };
    let asked = impaired(Impairment { rate: Some(rate), ..Impairment::default() }, 1);
    let during = |answered_bytes, took_us| {
        let burst = Some(Burst { sent_bytes: answered_bytes, answered_bytes, took_us });
        [PeerReading { burst, ..both(tally(4, 4, 100, 20)) }]
    };
    let text = said(&asked, None, &during(100_000, 800_000));
    assert_eq!(text, "asked 1 Mbit/s, measured 1 Mbit/s over 100 kB: as asked");
    assert!(said(&asked, None, &during(100_000, 2000)).ends_with("400 Mbit/s over 100 kB: no effect"));
    assert!(said(&asked, None, &during(100_000, 400_000)).ends_with("differs"));
}

#[test]
fn what_was_undone_is_over_when_nothing_of_it_is_seen() {
    let over = |asked: &Asked, now: &PeerReading| {
        judge_over(asked, Some(&well()), &Look::Seen(reading(std::slice::from_ref(now)))).to_string()
    };
    let fine = both(tally(10, 10, 110, 20));
    assert_eq!(over(&delay_of(100, 0), &fine), "measured 0.01 ms over 10: it is over");
    assert_eq!(over(&cut_off(&[PEER]), &fine), "measured 0 of 1 out of reach: it is over");
    assert!(
        over(&delay_of(100, 0), &both(tally(10, 10, 100_000, 20)))
            .ends_with("still seen, though nothing of it is left")
    );
    assert!(over(&cut_off(&[PEER]), &both(tally(10, 0, 0, 0))).ends_with("still seen, though nothing of it is left"));
    assert!(over(&loss_of(1), &fine).ends_with("too few samples to tell"));
}

#[test]
fn delays_at_both_ends_are_judged_by_what_all_of_them_should_do() {
    let (own, far) = (delay_of(25, 5), delay_of(70, 30));
    let seen = |mean_us, deviation_us| [with(both(tally(40, 40, mean_us, deviation_us)), std::slice::from_ref(&far))];
    let text = said(&own, Some(&well()), &seen(95_100, 17_600));
    let expected = "asked 25 ± 5 ms, adds 25 ms over 40; with latency on tikv1 asked 95 ± 35 ms, measured 95 ± 35 ms in all: \
                    as asked";
    assert_eq!(text, expected);
    assert!(said(&own, Some(&well()), &seen(70_100, 17_300)).ends_with(": no effect"));
    assert!(said(&own, Some(&well()), &seen(140_100, 17_300)).ends_with(": differs"));
    // So few of what is scattered so widely say nothing of so little.
    let little = said(&delay_of(3, 0), Some(&well()), &seen(73_100, 17_300));
    assert!(little.ends_with(": too few samples to tell"), "{little}");
    // What was there before was the other's.
    let before = reading(&[with(both(tally(10, 10, 40_100, 20)), &[delay_of(40, 0)])]);
    let during = [with(both(tally(40, 40, 65_100, 2900)), &[delay_of(40, 0)])];
    assert!(said(&own, Some(&before), &during).contains("adds 25 ms over 40; with latency on tikv1 asked 65 ± 5 ms"));
}

#[test]
fn what_another_hides_is_not_as_asked() {
    let away = tally(8, 0, 0, 0);
    let other = cut_off(&[PEER]);
    let hidden = with(both(away), std::slice::from_ref(&other));
    let expected = "hidden by another: network_partition on tikv1 lets nothing through";
    assert_eq!(said(&delay_of(100, 0), Some(&well()), std::slice::from_ref(&hidden)), expected);
    assert_eq!(said(&cut_off(&[PEER]), Some(&well()), std::slice::from_ref(&hidden)), expected);
    let before = reading(&[both(tally(8, 8, 100, 20)), peer(OTHER, tally(8, 8, 100, 20), None)]);
    let text = said(&cut_off(&[PEER, OTHER]), Some(&before), &[hidden, peer(OTHER, away, None)]);
    let expected = "asked 2 addresses out of reach, measured 1 of 1 out of reach, 1 cut off by network_partition on tikv1 \
                    too: as asked";
    assert_eq!(text, expected);
    let lossy = with(both(tally(40, 0, 0, 0)), &[loss_of(100)]);
    assert!(said(&loss_of(30), Some(&well()), &[lossy]).starts_with("hidden by another"));
}

#[test]
fn losses_join_and_each_is_told_what_it_adds() {
    let now = [with(both(tally(80, 40, 100, 20)), &[loss_of(30)])];
    let text = said(&loss_of(30), Some(&well()), &now);
    let expected =
        "asked 30 % lost, adds 29 % over 80; with latency on tikv1 asked 51 %, measured 50 % in all: as asked";
    assert_eq!(text, expected);
    let now = [with(both(tally(40, 28, 100, 20)), &[loss_of(30)])];
    assert!(said(&loss_of(60), Some(&well()), &now).ends_with(": no effect"));
}

#[test]
fn of_two_rates_the_lower_hides_the_other() {
    let rate = |bits_per_second| {
        let rate = Rate { bits_per_second, burst_bytes: 16_000 };
        impaired(Impairment { rate: Some(rate), ..Impairment::default() }, 1)
    };
    let burst = Some(Burst { sent_bytes: 100_000, answered_bytes: 100_000, took_us: 1_600_000 });
    let now = [with(PeerReading { burst, ..both(tally(4, 4, 100, 20)) }, &[rate(500_000)])];
    assert!(said(&rate(1_000_000), None, &now).ends_with(", of the 500 kbit/s of latency on tikv1: hidden by another"));
    assert!(said(&rate(400_000), None, &now).ends_with(": differs"));
}

#[test]
fn after_a_revert_one_sentence_is_true_of_whatever_was_seen() {
    let over =
        |asked: &Asked, now: &[PeerReading]| judge_over(asked, Some(&well()), &Look::Seen(reading(now))).to_string();
    let silent = both(tally(10, 0, 0, 0));
    let expected = "not measured: no answer from 1 address, which is not its doing";
    assert_eq!(over(&delay_of(100, 0), std::slice::from_ref(&silent)), expected);
    assert_eq!(over(&loss_of(30), std::slice::from_ref(&silent)), expected);
    // Those that were silent before say nothing of a partition that ended.
    let never = reading(std::slice::from_ref(&silent));
    let text = judge_over(&cut_off(&[PEER]), Some(&never), &Look::Seen(never.clone())).to_string();
    assert!(text.ends_with(": not measured"), "{text}");
    // One that was lost of twenty is not thirty percent.
    assert!(over(&loss_of(30), &[both(tally(20, 19, 100, 20))]).ends_with(": it is over"));
    // The other one's delay is not what was undone.
    let others = |mean_us| [with(both(tally(10, 10, mean_us, 20)), &[delay_of(40, 0)])];
    assert_eq!(
        over(&delay_of(100, 0), &others(40_100)),
        "measured 0 ms over 10 beyond the 40 ms of latency on tikv1: it is over"
    );
    assert!(over(&delay_of(100, 0), &others(140_100)).ends_with("still seen, though nothing of it is left"));
    assert!(over(&cut_off(&[PEER]), &[with(silent, &[cut_off(&[PEER])])]).starts_with("hidden by another"));
}

#[test]
fn what_could_not_be_measured_says_why() {
    let text = judge(&loss_of(1), None, &Look::failed("its helper did not answer")).to_string();
    assert_eq!(text, "not measured: its helper did not answer");
}
