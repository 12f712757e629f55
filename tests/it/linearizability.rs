//! The checker that judges histories of the stand-in cluster, on histories whose judgement is known.

use support::linear::{
    Action::{self, *},
    Operation, check,
};

fn history(operations: &[(Action, u64, Option<u64>)]) -> Vec<Operation> {
    let one = |(client, (action, called, returned)): (usize, &(Action, u64, Option<u64>))| Operation {
        key: "k".to_owned(),
        client,
        action: *action,
        called: *called,
        returned: *returned,
    };
    operations.iter().enumerate().map(one).collect()
}

#[test]
fn checker_accepts_any_order_of_concurrent_operations() {
    check(&history(&[
        (Write(1), 0, Some(10)),
        (Write(2), 0, Some(10)),
        (Read(None), 1, Some(9)),
        (Read(Some(2)), 2, Some(12)),
        (Read(Some(1)), 13, Some(14)),
    ]))
    .unwrap();
}

#[test]
fn checker_detects_stale_read() {
    let stale = [(Write(1), 0, Some(1)), (Write(2), 2, Some(3)), (Read(Some(1)), 4, Some(5))];
    assert!(check(&history(&stale)).unwrap_err().contains("no order explains"));
    let back =
        [(Write(1), 0, Some(1)), (Write(2), 2, Some(9)), (Read(Some(2)), 3, Some(4)), (Read(Some(1)), 5, Some(6))];
    assert!(check(&history(&back)).is_err(), "what was read once cannot be unread");
}

#[test]
fn checker_detects_lost_write() {
    assert!(check(&history(&[(Write(1), 0, Some(1)), (Read(None), 2, Some(3))])).is_err());
}

#[test]
fn checker_detects_read_of_unwritten_value() {
    assert!(check(&history(&[(Write(1), 0, Some(1)), (Read(Some(7)), 2, Some(3))])).is_err());
}

#[test]
fn checker_allows_unknown_write_late_or_never_but_not_twice() {
    let late = [(Write(1), 0, None), (Write(2), 2, Some(3)), (Read(Some(2)), 4, Some(5)), (Read(Some(1)), 6, Some(7))];
    check(&history(&late)).unwrap();
    check(&history(&[(Write(1), 0, None), (Read(None), 4, Some(5))])).unwrap();
    let twice = [&late[..], &[(Write(3), 8, Some(9)), (Read(Some(1)), 10, Some(11))]].concat();
    assert!(check(&history(&twice)).is_err());
    let early = [(Read(Some(1)), 0, Some(1)), (Write(1), 2, None)];
    assert!(check(&history(&early)).is_err(), "not before it was called");
}

#[test]
fn checker_treats_keys_independently() {
    let mut operations = history(&[(Write(1), 0, Some(1)), (Read(None), 2, Some(3))]);
    operations[1].key = "another".to_owned();
    check(&operations).unwrap();
}

#[test]
fn checker_handles_long_concurrent_history() {
    let operations: Vec<_> = (0..3000)
        .flat_map(|step: u64| {
            let at = 10 * step;
            [
                (Write(step), at, Some(at + 8)),
                (Read(Some(step)), at + 1, Some(at + 12)),
                (Write(100_000 + step), at + 1, None),
            ]
        })
        .collect();
    check(&history(&operations)).unwrap();
}
