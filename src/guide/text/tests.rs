//! Every guide held against the facts, for each version that it is told for.

use std::collections::BTreeSet;

use super::*;
use crate::cluster::assumed::{
    check::{self, READ, holds},
    facts::STATES,
    metric,
};

/// Each whose source was read, and an unknown one.
fn versions() -> impl Iterator<Item = Option<Version>> {
    READ.into_iter().map(Some).chain([None])
}

fn all() -> impl Iterator<Item = (FaultType, Guide)> {
    FaultType::ALL.into_iter().map(|kind| match toml::from_str(source(kind)) {
        Ok(guide) => (kind, guide),
        Err(error) => panic!("{kind}: {error}"),
    })
}

/// The metrics that a text names, each with the labels that stand right behind it.
fn selectors(text: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(is_name) {
        rest = &rest[at..];
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let labels = rest[end..].strip_prefix('{').and_then(|rest| rest.find('}')).map_or(0, |close| close + 2);
        if ["tikv_", "process_", "pd_"].iter().any(|start| rest.starts_with(start)) {
            found.push(rest[..end + labels].to_owned());
        }
        rest = &rest[end..];
    }
    found
}

fn wrong_sign(sign: &Sign, version: Option<Version>) -> Option<String> {
    match sign {
        Sign::StoreState(state) => {
            (!STATES.iter().any(|fact| fact.text == state && holds(fact.versions, version))).then(|| state.clone())
        }
        Sign::Refuses(status) | Sign::RefusesNoMore(status) => {
            check::series(&format!("{}{{status=\"{status}\"}}", metric::ASYNC_REQUESTS), version).err()
        }
        _ => None,
    }
}

/// Everything that the guide says of that version and that no fact bears out.
fn wrong(guide: &Guide, version: Option<Version>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut texts = vec![guide.summary(version)];
    texts.extend(guide.confusions(version).map(|one| one.tell.clone()));
    for one in guide.expectations(version) {
        texts.push(one.text(version));
        wrong.extend(one.metrics.iter().filter_map(|name| check::series(name, version).err()));
        wrong.extend(one.logs.iter().filter_map(|line| check::line(line, version).err()));
        let known = |state: &str| STATES.iter().any(|fact| fact.text == state && holds(fact.versions, version));
        wrong.extend(one.states.iter().filter(|state| !known(state)).cloned());
        let signs = [one.sign.as_ref(), one.heal.as_ref().map(|heal| &heal.sign)];
        wrong.extend(signs.into_iter().flatten().filter_map(|sign| wrong_sign(sign, version)));
    }
    wrong.extend(texts.iter().flat_map(|text| selectors(text)).filter_map(|name| check::series(&name, version).err()));
    wrong
}

#[test]
fn guides_name_only_what_the_facts_have_for_their_version() {
    for (kind, guide) in all() {
        for version in versions() {
            assert_eq!(wrong(&guide, version), [""; 0], "{kind} for {version:?}");
        }
    }
}

#[test]
fn what_no_fact_bears_out_is_found() {
    let guide = |about: &str| {
        let text =
            format!("summary = \"\"\nconfused = []\n[[expect]]\nname = \"\"\ntext = ''\nwhen = [0, 1]\n{about}\n");
        toml::from_str::<Guide>(&text).unwrap()
    };
    let old = Some(Version::new(7, 5, 6));
    for (about, missing) in [
        ("metrics = [\"tikv_nothing\"]", "no metric tikv_nothing"),
        ("[[expect.note]]\ntext = \"see tikv_nothing_total.\"", "no metric tikv_nothing_total"),
        ("metrics = ['tikv_raftstore_slow_score{type=\"network\"}']", "no type network"),
        ("metrics = ['tikv_grpc_msg_duration_seconds{priority=\"high\"}']", "no label priority"),
        ("logs = [\"propose failed: tikv disk full\"]", "no line"),
        ("logs = [\"disk usage Normal->Full\"]", "no line"),
        ("logs = [\"Waiting for leader eviction\"]", "no line"),
        ("states = [\"Lost\"]", "Lost"),
        ("sign = { refuses = \"err_full\" }", "no status err_full"),
    ] {
        let found = wrong(&guide(about), old);
        assert!(matches!(&found[..], [one] if one.contains(missing)), "{about}: {found:?}");
    }
    assert_eq!(wrong(&guide("metrics = ['tikv_raftstore_slow_score{type=\"network\"}']"), None).len(), 1);
}

#[test]
fn what_can_be_noticed_is_said_and_only_that() {
    for (kind, guide) in all() {
        for one in &guide.expectations {
            assert!(one.when.from <= one.when.until, "{kind}: {}", one.name);
            assert_eq!(one.sign.is_some(), !one.seen.is_empty(), "{kind}: {}", one.name);
            assert!(one.sign.is_some() || one.heal.is_none(), "{kind}: {}", one.name);
            assert!(one.name.len() <= 30, "{kind}: {} is too long for a list", one.name);
        }
    }
}

#[test]
fn every_version_is_told_each_thing_once_and_none_is_told_nothing() {
    for (kind, guide) in all() {
        for version in versions() {
            let names: Vec<&str> = guide.expectations(version).map(|one| one.name.as_str()).collect();
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{kind} for {version:?}: {names:?}");
            let with: Vec<&str> = guide.confusions(version).map(|one| one.with.as_str()).collect();
            assert_eq!(with.iter().collect::<BTreeSet<_>>().len(), with.len(), "{kind} for {version:?}: {with:?}");
            assert!(!names.is_empty() && !with.is_empty(), "{kind} for {version:?}");
        }
        for one in &guide.expectations {
            let told = versions().any(|version| one.is_for(version));
            let notes = one.notes.iter().all(|note| versions().any(|version| note.versions.has(version)));
            assert!(told && notes, "{kind}: {} is for no version", one.name);
        }
    }
}

#[test]
fn the_vocabulary_of_signs_has_no_dead_word() {
    let mut used = BTreeSet::new();
    for (_, guide) in all() {
        for one in guide.expectations {
            used.extend(one.sign.as_ref().map(Sign::word));
            used.extend(one.heal.as_ref().map(|heal| heal.sign.word()));
        }
    }
    assert_eq!(used, Sign::WORDS.into());
}
