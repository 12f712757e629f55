use super::*;

const DEFAULT: &str = include_str!("../../../../tests/data/pd/v8.5.5/rules.json");

fn rule(group: &str, id: &str, keys: [&str; 2], role: &str, count: u32, more: &str) -> String {
    let [start, end] = keys;
    format!(
        r#"{{"group_id":"{group}","id":"{id}","start_key":"{start}","end_key":"{end}","role":"{role}","count":{count}{more}}}"#
    )
}

fn counts(rules: &[String]) -> Result<Vec<u32>, String> {
    voter_counts(&format!("[{}]", rules.join(",")))
}

const ALL: [&str; 2] = ["", ""];

#[test]
fn voters_of_a_range_are_summed_over_roles_and_learners_left_out() {
    assert_eq!(voter_counts(DEFAULT), Ok(vec![3]));
    let roles = [
        rule("pd", "1", ALL, "leader", 1, ""),
        rule("pd", "2", ALL, "follower", 2, ""),
        rule("pd", "3", ALL, "voter", 2, r#","is_witness":true"#),
        rule("pd", "4", ALL, "learner", 7, ""),
    ];
    assert_eq!(counts(&roles), Ok(vec![5]));
}

#[test]
fn each_range_has_its_own_number() {
    let group = |keys, count| rule("pd", "x", keys, "voter", count, "");
    assert_eq!(
        counts(&[group(["", "7480"], 3), group(["7480", "7481"], 5), group(["7481", ""], 1)]),
        Ok(vec![1, 3, 5])
    );
    // In the middle both apply. Case does not matter to a key.
    assert_eq!(counts(&[group(["", "AB"], 1), group(["aA", ""], 2)]), Ok(vec![1, 2, 3]));
    // A key is before those that begin with it.
    assert_eq!(counts(&[group(["", "aa"], 1), group(["aa", "aa00"], 2), group(["aa00", ""], 4)]), Ok(vec![1, 2, 4]));
}

#[test]
fn override_in_a_group_counts_and_of_groups_each_way_is_possible() {
    let overriding = r#","index":2,"override":true"#;
    assert_eq!(
        counts(&[rule("pd", "a", ALL, "voter", 3, ""), rule("pd", "b", ALL, "voter", 5, overriding)]),
        Ok(vec![5])
    );
    // A policy of TiDB for one table: in its place, or beside the usual one.
    let table = [
        rule("pd", "default", ALL, "voter", 3, ""),
        rule("TiDB_DDL_80", "0", ["7480", "7481"], "leader", 1, ""),
        rule("TiDB_DDL_80", "1", ["7480", "7481"], "follower", 4, ""),
    ];
    assert_eq!(counts(&table), Ok(vec![3, 5, 8]));
    // TiFlash's group has no voters, and is never alone.
    let tiflash = [rule("pd", "default", ALL, "voter", 3, ""), rule("tiflash", "t", ["74", "75"], "learner", 2, "")];
    assert_eq!(counts(&tiflash), Ok(vec![3]));
}

#[test]
fn rules_that_are_not_understood_are_named() {
    let many = vec![rule("pd", "x", ALL, "voter", 3, ""); MOST_RULES + 1];
    for (text, expected) in [
        ("", "answered nothing"),
        ("null", "another document"),
        ("{}", "another document"),
        (r#""placement rules feature is disabled""#, "another document"),
        (&DEFAULT[..DEFAULT.len() / 2], "answered half a JSON document"),
        ("[]", "no rule for a voter from key \"\" on"),
        ("[null]", "wrong at [0]"),
        (r#"[{"group_id":"pd","role":"voter","count":3}]"#, "missing field `start_key`"),
        (&format!("[{}]", rule("pd", "x", ALL, "emperor", 3, "")), "wrong at [0].role: unknown variant `emperor`"),
        (&format!("[{}]", rule("pd", "x", ALL, "learner", 3, "")), "no rule for a voter from key \"\" on"),
        (&format!("[{}]", rule("pd", "x", ["", "74"], "voter", 3, "")), "no rule for a voter from key \"74\" on"),
        (&format!("[{}]", rule("pd", "x", ["", "xyz"], "voter", 3, "")), "a key that is not hexadecimal in [0]"),
        (&rule("pd", "x", ALL, "voter", 3, ""), "another document"),
        (r#"[{"group_id":"pd","start_key":"","end_key":"","role":"voter","count":-3}]"#, "wrong at [0].count"),
        (r#"[{"group_id":"pd","start_key":"","end_key":"","role":"voter","count":null}]"#, "wrong at [0].count"),
        (&format!("[{}]", many.join(",")), "answered with 1001 rules"),
    ] {
        let error = voter_counts(text).unwrap_err();
        assert!(error.contains(expected), "{text:.80}: {error}");
    }
}
