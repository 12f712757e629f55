//! Verdicts over all small clusters, against a reckoning that lays out every region by hand.

mod regions;

use std::time::Duration;

use super::*;
use crate::cluster::{assumed::DOWN_AFTER, space::Reserve};

fn cluster(stores: usize, out: &[usize], effect: Effect) -> Situation {
    let store = |at: usize| MemberBefore {
        name: format!("tikv{at}"),
        out: out.contains(&at).then(|| "is exited".to_owned()),
        disk: None,
        apart: false,
        late_ms: 0,
    };
    Situation {
        voters: Voters::Stores,
        members: (0..stores).map(store).collect(),
        cuts: vec![],
        down_after: DOWN_AFTER,
        placement: anywhere(&[3]),
        target: 0,
        beside: vec![],
        effect,
    }
}

fn anywhere(counts: &[usize]) -> Placement {
    Placement::Any { counts: counts.to_vec(), known: Known::Rules }
}

/// The members of PD in the stores' place.
fn of_pd(stores: usize, out: &[usize], effect: Effect) -> Situation {
    Situation { voters: Voters::Pd, placement: Placement::of_all(stores), ..cluster(stores, out, effect) }
}

fn verdict(situation: &Situation) -> Verdict {
    judge(situation)
}

#[test]
fn one_of_three_is_fine_and_says_what_is_left() {
    let one = verdict(&cluster(3, &[], Effect::Out));
    assert_eq!(one.grade, Grade::Fine);
    assert_eq!(
        one.consequence,
        "this leaves 2 of 3 stores reachable: every region keeps its quorum, and one more failure stops writes (for every \
         placement that the rules allow)"
    );
    assert!(one.reasons.is_empty());
}

#[test]
fn the_second_of_three_is_refused_and_names_the_first() {
    let two = verdict(&cluster(3, &[2], Effect::Out));
    assert_eq!(two.grade, Grade::Refused);
    assert_eq!(
        two.consequence,
        "this leaves 1 of 3 stores reachable (tikv2 is exited): writes stop (for every placement that the rules allow)"
    );
    assert_eq!(two.reasons, [two.consequence]);
}

#[test]
fn two_of_five_with_three_replicas_stop_some_regions() {
    let some = verdict(&cluster(5, &[3], Effect::Out));
    assert_eq!(some.grade, Grade::Refused);
    assert!(
        some.consequence
            .starts_with("this leaves 3 of 5 stores reachable (tikv3 is exited): writes to some regions stop")
    );
    let mut five_replicas = cluster(5, &[3], Effect::Out);
    five_replicas.placement = anywhere(&[5]);
    assert_eq!(verdict(&five_replicas).grade, Grade::Fine);
    // Some ranges have three all the same.
    five_replicas.placement = anywhere(&[3, 5]);
    assert_eq!(verdict(&five_replicas).grade, Grade::Refused);
}

#[test]
fn round_trip_counts_from_keepalive_and_from_connection_timeout() {
    let slow = |out: &[usize], most_ms| verdict(&cluster(3, out, Effect::Slow { most_ms }));
    let graded: Vec<Grade> = [2_999, 3_000, 4_999, 5_000].map(|ms| slow(&[], ms).grade).into();
    assert_eq!(graded, [Grade::Fine, Grade::Careful, Grade::Careful, Grade::Careful]);
    assert_eq!(
        slow(&[], 3_000).reasons,
        ["round trips of tikv0 take up to 3000 ms longer: from 3 s on stores close their connections again and again"]
    );
    assert!(slow(&[], 5_000).reasons[0].ends_with("from 5 s on connections between stores may never be made"));
    assert!(slow(&[], 4_999).consequence.starts_with("all 3 stores stay reachable"));
    assert!(slow(&[], 5_000).consequence.starts_with("this leaves 2 of 3 stores reachable"));
    assert_eq!([500, 4_999, 5_000].map(|ms| slow(&[1], ms).grade), [Grade::Fine, Grade::Careful, Grade::Refused]);
}

#[test]
fn delays_of_two_stores_add_up_between_them() {
    let beside = |late_ms, most_ms| {
        let mut situation = cluster(3, &[], Effect::Slow { most_ms });
        situation.members[1].late_ms = late_ms;
        verdict(&situation)
    };
    assert_eq!(beside(1_000, 1_000).grade, Grade::Fine);
    let close = beside(2_000, 1_500);
    assert_eq!((close.grade, close.consequence.starts_with("all 3 stores")), (Grade::Careful, true));
    assert!(close.reasons[0].contains("up to 3500 ms longer"), "{close:?}");
    // Either end still has a majority with the third.
    assert!(beside(2_500, 2_500).consequence.starts_with("this leaves 2 of 3 stores reachable"));
    let mut all = cluster(3, &[], Effect::Slow { most_ms: 2_500 });
    all.members[1].late_ms = 2_500;
    all.members[2].late_ms = 2_500;
    assert_eq!(verdict(&all).grade, Grade::Refused);
    // What makes no round trip longer is not blamed for another delay.
    assert_eq!(beside(4_000, 0).grade, Grade::Fine);
}

#[test]
fn placement_that_is_not_known_is_said_and_judged_with_care() {
    let one = |known: Known, effect| {
        let mut situation = cluster(3, &[], effect);
        situation.placement = Placement::Any { counts: vec![3], known };
        verdict(&situation)
    };
    let said = |known| one(known, Effect::Out).consequence;
    assert!(said(Known::MaxReplicas).ends_with("(for every placement of 3 replicas)"));
    assert!(said(Known::Not).ends_with("(for every placement of 3 replicas; PD does not say how many)"));
    let instead = || Known::Instead("PD at pd0:2379 answered half a JSON document".to_owned());
    let careful = one(instead(), Effect::Out);
    assert_eq!(careful.grade, Grade::Careful);
    assert_eq!(
        careful.reasons,
        ["placement rules are not known (PD at pd0:2379 answered half a JSON document): judged for 3 replicas"]
    );
    // All stay reachable, wherever regions are.
    assert_eq!(one(instead(), Effect::Slow { most_ms: 100 }).grade, Grade::Fine);
}

#[test]
fn a_partition_is_judged_by_the_groups_it_makes() {
    let alone = Effect::Cut { from: vec![1, 2], others: 0, apart: false };
    let isolated = verdict(&cluster(3, &[], alone.clone()));
    assert_eq!(isolated.grade, Grade::Fine);
    assert!(isolated.consequence.starts_with("this leaves 2 of 3 stores reachable"), "{}", isolated.consequence);
    assert_eq!(verdict(&cluster(3, &[1], alone)).grade, Grade::Refused);
    // One link less: either end still makes a majority with the third.
    let pair = verdict(&cluster(3, &[], Effect::Cut { from: vec![1], others: 0, apart: false }));
    assert_eq!(pair.grade, Grade::Fine);
    // Each cut is a majority's, all three together are nobody's.
    let mut ring = cluster(3, &[], Effect::Cut { from: vec![1], others: 0, apart: false });
    ring.cuts = vec![(1, 2), (0, 2)];
    assert_eq!(verdict(&ring).grade, Grade::Refused);
}

#[test]
fn a_disk_is_judged_by_tikvs_reserve_and_by_who_shares_it() {
    let full = |available, shared: Option<&str>| Effect::Full {
        space: Space { capacity: 1000, available, reserve: Reserve::Bytes(100) },
        shared: shared.map(str::to_owned),
    };
    assert_eq!(verdict(&cluster(3, &[], full(200, None))).grade, Grade::Fine);
    let almost = verdict(&cluster(3, &[], full(80, None)));
    assert_eq!(almost.grade, Grade::Careful);
    assert!(almost.reasons[0].contains("AlmostFull"), "{almost:?}");
    assert!(verdict(&cluster(3, &[], full(40, None))).reasons[0].contains("AlreadyFull"));
    assert_eq!(verdict(&cluster(3, &[], full(200, Some("with tikv1")))).grade, Grade::Careful);
    assert_eq!(verdict(&cluster(3, &[1], full(80, None))).grade, Grade::Refused);
}

#[test]
fn too_many_and_too_long_are_refused_with_the_reason() {
    let situation = cluster(3, &[], Effect::Slow { most_ms: 10 });
    let limits = Limits { most_active: 2, ..Limits::default() };
    let grade = |active, ttl| judge(&situation).with(limits.reasons(&Asked { active, ttl }));
    let hour = Some(Duration::from_secs(3600));
    assert_eq!(grade(1, Some(Duration::from_secs(1800))).grade, Grade::Fine);
    assert!(grade(2, Some(Duration::from_secs(1))).reasons[0].contains("--max-active is 2"));
    let long = grade(0, hour);
    assert_eq!(long.grade, Grade::Refused);
    assert_eq!(
        long.reasons[0],
        "it would last 1h, and --max-ttl is 30m: PD moves the replicas of a store that is down for 30 min"
    );
    assert_eq!(grade(0, None).grade, Grade::Refused);
}

/// Whether a region on these stores has a majority of which each reaches each, by trying every majority.
fn has_quorum(region: &[usize], able: &dyn Fn(usize) -> bool, linked: &dyn Fn(usize, usize) -> bool) -> bool {
    let need = region.len() / 2 + 1;
    (0u32..1 << region.len()).filter(|set| set.count_ones() as usize == need).any(|set| {
        let chosen: Vec<usize> = (0..region.len()).filter(|at| set >> at & 1 == 1).map(|at| region[at]).collect();
        chosen.iter().all(|&a| able(a) && chosen.iter().all(|&b| a == b || linked(a, b)))
    })
}

/// Every cluster of up to five stores, every set of them out, every partition of the target, several numbers of voters:
/// what is refused is exactly what leaves a region without a quorum.
#[test]
fn every_small_cluster_is_refused_exactly_where_a_region_loses_its_quorum() {
    let mut cases = 0;
    for stores in 1usize..=5 {
        for counts in [&[1][..], &[3], &[5], &[2, 4], &[3, 5]] {
            for out in 0u32..1 << stores {
                for cut in 0u32..1 << stores {
                    let set = |bits: u32| (0..stores).filter(|at| bits >> at & 1 == 1).collect::<Vec<_>>();
                    let from: Vec<usize> = set(cut).into_iter().filter(|other| *other != 0).collect();
                    let mut situation =
                        cluster(stores, &set(out), Effect::Cut { from: from.clone(), others: 0, apart: false });
                    situation.placement = anywhere(counts);
                    let able = |store: usize| out >> store & 1 == 0;
                    let linked = |a: usize, b: usize| !(a == 0 && from.contains(&b) || b == 0 && from.contains(&a));
                    let has_size =
                        |bits: &u32| counts.iter().any(|count| bits.count_ones() as usize == (*count).min(stores));
                    let mut regions = (0u32..1 << stores).filter(has_size).map(set);
                    let lost = regions.any(|region| !has_quorum(&region, &able, &linked));
                    assert_eq!(verdict(&situation).grade == Grade::Refused, lost, "{situation:?}");
                    cases += 1;
                }
            }
        }
    }
    assert!(cases > 3_000);
}

#[test]
fn a_member_of_pd_is_judged_by_pds_quorum() {
    let pd = |out: &[usize], effect| verdict(&of_pd(3, out, effect));
    let one = pd(&[], Effect::Out);
    assert_eq!(
        (one.grade, one.consequence.as_str()),
        (Grade::Fine, "this leaves 2 of 3 PD members reachable: PD keeps its quorum, and one more failure stops PD")
    );
    let two = pd(&[1], Effect::Out);
    assert_eq!(two.grade, Grade::Refused);
    assert!(
        two.consequence.ends_with(
            "1 of 3 PD members reachable (tikv1 is exited): PD stops, and with it timestamps and scheduling"
        ),
        "{two:?}"
    );
    let slow = |most_ms| pd(&[1], Effect::Slow { most_ms }).grade;
    assert_eq!((slow(500), slow(3_000)), (Grade::Fine, Grade::Refused));
    let cut = |out: &[usize]| pd(out, Effect::Cut { from: vec![], others: 3, apart: true });
    assert_eq!(
        (cut(&[]).grade, cut(&[]).consequence.as_str(), cut(&[]).reasons.as_slice()),
        (
            Grade::Careful,
            "the 3 PD members stay with one another: PD keeps its quorum",
            &["3 stores cannot reach tikv0: while it leads PD, they get no timestamps".to_owned()][..]
        )
    );
    assert_eq!(cut(&[1, 2]).grade, Grade::Refused);
    let apart = |others: &[usize], effect| {
        let mut situation = of_pd(3, &[], effect);
        others.iter().for_each(|at| situation.members[*at].apart = true);
        verdict(&situation)
    };
    let cut = || Effect::Cut { from: vec![], others: 3, apart: true };
    assert_eq!(apart(&[1], cut()).grade, Grade::Careful);
    // From one store of several, the others still reach it.
    assert_eq!(apart(&[1, 2], Effect::Cut { from: vec![], others: 1, apart: false }).grade, Grade::Careful);
    // The one that the stores reach has no majority.
    assert_eq!(apart(&[1, 2], Effect::Cut { from: vec![1, 2], others: 0, apart: false }).grade, Grade::Refused);
    let gone = apart(&[0, 1, 2], Effect::Out);
    assert!(gone.reasons[0].starts_with("quorums are lost already"), "{gone:?}");
    for last in [cut(), Effect::Out] {
        let none = apart(&[1, 2], last);
        assert_eq!(
            (none.grade, none.consequence.as_str()),
            (
                Grade::Refused,
                "this leaves 0 of 3 PD members reachable (tikv1 is cut off from the stores; tikv2 is cut off from the \
                 stores): PD stops, and with it timestamps and scheduling"
            )
        );
    }
    let nothing = Space { capacity: 100, available: 0, reserve: Reserve::Bytes(0) };
    let full = pd(&[], Effect::Full { space: nothing, shared: None });
    assert_eq!(
        (full.grade, full.reasons.as_slice()),
        (Grade::Careful, &["nothing is left: tikv0 cannot write its log any more".to_owned()][..])
    );
}

#[test]
fn an_act_on_stores_and_on_pd_is_judged_by_the_quorums_of_both() {
    let one = |voters, out: &[usize]| {
        let of = if voters == Voters::Pd { of_pd } else { cluster };
        verdict(&of(3, out, Effect::Out))
    };
    let (store, second) = (one(Voters::Stores, &[]), one(Voters::Stores, &[1]));
    let (pd, second_pd) = (one(Voters::Pd, &[]), one(Voters::Pd, &[1]));
    let fine = Verdict::together(&[&store, &pd]).unwrap();
    assert_eq!((fine.grade, fine.consequence), (Grade::Fine, format!("{}; {}", store.consequence, pd.consequence)));
    let all = Verdict::together(&[&store, &second, &pd]).unwrap();
    assert_eq!((all.grade, &all.reasons), (Grade::Refused, &second.reasons));
    let all = Verdict::together(&[&store, &second_pd]).unwrap();
    assert_eq!((all.grade, &all.reasons), (Grade::Refused, &second_pd.reasons));
    let all = Verdict::together(&[&store, &second, &pd, &second_pd]).unwrap();
    assert_eq!(all.reasons, [&second.reasons[..], &second_pd.reasons].concat());
    assert_eq!(Verdict::together(&[&store, &second]), Some(second));
}

#[test]
fn store_without_pd_is_told_when_pd_gives_it_up_by_pds_own_configuration() {
    let cut = Effect::Cut { from: vec![], others: 3, apart: false };
    let after = |seconds| {
        let situation = Situation { down_after: Duration::from_secs(seconds), ..cluster(3, &[], cut.clone()) };
        verdict(&situation).reasons.remove(0)
    };
    assert_eq!(after(1800), "tikv0 cannot reach PD: after 30 min PD moves its replicas elsewhere");
    assert!(after(3600).contains("after 60 min PD"), "{}", after(3600));
    assert!(after(90).contains("after 90 s PD"), "{}", after(90));
}
