//! Regions as PD lists them: verdicts by where their voters are, over all small clusters.

use super::{
    super::{Effect, Grade, Placement, Quorums, Reach, Situation},
    cluster, verdict,
};
use crate::cluster::pd::{Regions, regions};

/// PD's answer about a region: by store from 1 on, the role of its peer there, if there is one.
fn listed(peers: &[&str]) -> String {
    let peers: Vec<String> = (1..)
        .zip(peers)
        .filter(|(_, role)| !role.is_empty())
        .map(|(store, role)| format!(r#"{{"id":{store}0,"store_id":{store},"role_name":"{role}"}}"#))
        .collect();
    format!(r#"{{"id":2,"peers":[{}]}}"#, peers.join(","))
}

fn read(listed: &[String]) -> Result<Regions, String> {
    regions(&format!(r#"{{"count":{},"regions":[{}]}}"#, listed.len(), listed.join(",")))
}

/// Store 1 is the first member.
fn placed(regions: &Regions) -> Placement {
    let place = |store: u64| usize::try_from(store).ok()?.checked_sub(1);
    Placement::Regions(regions.iter().map(|(voters, count)| (voters.named(place).unwrap(), count)).collect())
}

fn with(listed: &[String], situation: Situation) -> Situation {
    Situation { placement: placed(&read(listed).unwrap()), ..situation }
}

const VOTERS: [&str; 3] = ["Voter"; 3];

#[test]
fn store_without_voters_of_a_region_is_no_loss_to_it() {
    // Of four stores the first has nothing.
    let region = listed(&["", "Voter", "Voter", "Voter"]);
    let fine = verdict(&with(std::slice::from_ref(&region), cluster(4, &[3], Effect::Out)));
    assert_eq!(fine.grade, Grade::Fine);
    assert_eq!(
        fine.consequence,
        "this leaves 2 of 4 stores reachable (tikv3 is exited): every region keeps its quorum, and one more failure stops \
         writes (by PD's regions)"
    );
    let some = [region, listed(&VOTERS), listed(&VOTERS)];
    let two = verdict(&with(&some, cluster(4, &[1], Effect::Out)));
    assert_eq!(two.grade, Grade::Refused);
    assert_eq!(
        two.consequence,
        "this leaves 2 of 4 stores reachable (tikv1 is exited): writes to 2 of 3 regions stop (by PD's regions)"
    );
    let all = verdict(&with(&some[1..], cluster(4, &[1], Effect::Out)));
    assert!(all.consequence.ends_with(": writes stop (by PD's regions)"), "{all:?}");
    // Two of three are out already: the first has nothing to lose, and nothing gets better either.
    let lost = verdict(&with(&some[..1], cluster(4, &[1, 2], Effect::Out)));
    assert!(lost.reasons[0].starts_with("quorums are lost already"), "{lost:?}");
}

#[test]
fn regions_of_one_replica_and_in_joint_consensus_are_judged_as_they_are() {
    let kill = |peers: &[&str], out: &[usize]| verdict(&with(&[listed(peers)], cluster(4, out, Effect::Out))).grade;
    assert_eq!(kill(&["Voter"], &[]), Grade::Refused);
    assert_eq!(kill(&["Learner", "Voter", "Voter"], &[]), Grade::Fine);
    // A voter moves from the first to the fourth store: two of {1, 2, 3} and two of {2, 3, 4}.
    let moving = ["DemotingVoter", "Voter", "Voter", "IncomingVoter"];
    assert_eq!(kill(&moving, &[]), Grade::Fine);
    assert_eq!(kill(&moving, &[3]), Grade::Fine);
    assert_eq!(kill(&moving, &[1]), Grade::Refused);
}

/// Every cluster of up to five stores, every region on them with every role, every set of stores out, some partitions:
/// the verdict and the screen count exactly the regions that no connected set of living stores can write for.
#[test]
fn every_region_of_small_clusters_has_quorum_exactly_where_connected_voters_commit() {
    const ROLES: [&str; 5] = ["", "Voter", "Learner", "IncomingVoter", "DemotingVoter"];
    struct Case {
        peers: Vec<&'static str>,
        /// By bits: the voters before the change, and those after it.
        voters: [u32; 2],
        regions: Regions,
        placement: Placement,
    }
    let case = |peers: Vec<&'static str>| {
        let with = |changing: &str| {
            let votes = |at: &usize| peers[*at] == "Voter" || peers[*at] == changing;
            (0..peers.len()).filter(votes).map(|at| 1 << at).sum::<u32>()
        };
        let voters = [with("DemotingVoter"), with("IncomingVoter")];
        let regions = read(&[listed(&peers)]);
        assert_eq!(regions.is_ok(), !voters.contains(&0), "{peers:?}: {regions:?}");
        let regions = regions.ok()?;
        Some(Case { voters, placement: placed(&regions), regions, peers })
    };
    let mut judged = 0;
    for stores in 1usize..=5 {
        let role = |number: usize, at: usize| ROLES[number / 5usize.pow(at as u32) % 5];
        let all = (0..5usize.pow(stores as u32)).map(|number| (0..stores).map(|at| role(number, at)).collect());
        let cases: Vec<Case> = all.filter_map(case).collect();
        let pairs = || (0..stores).flat_map(|b| (0..b).map(move |a| (a, b)));
        let partitions: [&dyn Fn(usize, usize) -> bool; 4] = [
            &|_, _| false,
            &|a, _| a == 0,
            &|a, b| (a < 2) != (b < 2),
            // Each reaches its neighbours alone.
            &|a, b| b - a > 1,
        ];
        for is_cut in partitions {
            for out in 0u32..1 << stores {
                let mut reach = Reach::full(stores);
                (0..stores).filter(|at| out >> at & 1 == 1).for_each(|at| reach.take_out(at));
                pairs().filter(|(a, b)| is_cut(*a, *b)).for_each(|(a, b)| reach.cut(a, b));
                let is_connected = |set: &u32| {
                    let has = |at: usize| set >> at & 1 == 1;
                    set & out == 0 && pairs().all(|(a, b)| !(has(a) && has(b) && is_cut(a, b)))
                };
                let connected: Vec<u32> = (0u32..1 << stores).filter(is_connected).collect();
                let living = !out & ((1 << stores) - 1);
                for Case { peers, voters, regions, placement } in &cases {
                    let most = |voters: &u32, set: u32| (voters & set).count_ones() > voters.count_ones() / 2;
                    let keeps = connected.iter().any(|set| voters.iter().all(|voters| most(voters, *set)));
                    let expected = if keeps { Quorums::All } else { Quorums::None };
                    assert_eq!(reach.quorums(placement), expected, "{peers:?}, out {out:b}, connected {connected:?}");
                    if connected.contains(&living) {
                        let lost = regions.without_quorum(|store| living >> (store - 1) & 1 == 1);
                        assert_eq!(lost, u64::from(!keeps), "{peers:?}, out {out:b}");
                    }
                    judged += 1;
                }
            }
        }
    }
    assert!(judged > 200_000, "{judged}");
}

/// Over two different regions the worse one decides, and how many are lost is told.
#[test]
fn worst_of_two_regions_decides() {
    let sets = |stores: u64| {
        (1u32..1 << stores).map(move |set| (0..stores).map(|at| set >> at & 1 == 1).collect::<Vec<bool>>())
    };
    let listed = |here: &Vec<bool>| {
        let roles: Vec<&str> = here.iter().map(|here| if *here { "Voter" } else { "" }).collect();
        listed(&roles)
    };
    let lost = |here: &Vec<bool>, out: u32| {
        let alive = (0..).zip(here).filter(|(at, here)| **here && out >> at & 1 == 0).count();
        alive * 2 <= here.iter().filter(|here| **here).count()
    };
    for one in sets(4) {
        for other in sets(4) {
            let regions = [listed(&one), listed(&other)];
            for out in 0u32..8 {
                let before: Vec<usize> = (0..3).filter(|at| out >> at & 1 == 1).map(|at| at + 1).collect();
                let situation = with(&regions, cluster(4, &before, Effect::Out));
                let [first, second] = [&one, &other].map(|region: &Vec<bool>| lost(region, out << 1 | 1));
                let grade = verdict(&situation).grade;
                assert_eq!(grade == Grade::Refused, first || second, "{one:?} {other:?} {before:?}");
                let told = verdict(&situation).consequence.contains("writes to 1 of 2 regions stop");
                assert_eq!(told, first != second, "{one:?} {other:?} {before:?}");
            }
        }
    }
}
