//! Whether a history of reads and writes could have happened on one copy, each operation at one moment between its
//! call and its return (Herlihy and Wing). Keys are independent, so each is searched alone, in the way of Wing and
//! Gong with the memory of Lowe.

use std::collections::{BTreeMap, HashSet};

/// One operation on one key. Values are unique among a key's writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    pub key: String,
    pub client: usize,
    pub action: Action,
    /// In nanoseconds of one clock.
    pub called: u64,
    /// `None`: it isn't known whether it had an effect, and it may have one at any later time.
    pub returned: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Write(u64),
    /// What was there; nothing before the first write.
    Read(Option<u64>),
}

/// # Errors
/// A key's history is impossible: the operations around the point behind which no order goes on.
pub fn check(history: &[Operation]) -> Result<(), String> {
    let mut keys: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        keys.entry(&operation.key).or_default().push(operation);
    }
    keys.into_iter().try_for_each(|(key, operations)| check_key(operations).map_err(|why| format!("{key}: {why}")))
}

fn check_key(mut operations: Vec<&Operation>) -> Result<(), String> {
    let read: HashSet<u64> = operations
        .iter()
        .filter_map(|one| match one.action {
            Action::Read(value) => value,
            Action::Write(_) => None,
        })
        .collect();
    // Without a return, a read says nothing, and a write that nobody saw can as well not have been.
    operations.retain(|one| match one.action {
        Action::Write(value) => one.returned.is_some() || read.contains(&value),
        Action::Read(_) => one.returned.is_some(),
    });
    operations.sort_by_key(|one| one.called);
    let mut seen = HashSet::new();
    let mut stack = vec![(vec![0_u64; operations.len().div_ceil(64)], None)];
    let mut furthest = 0;
    while let Some((done, value)) = stack.pop() {
        let is_done = |index: usize| done[index / 64] >> (index % 64) & 1 == 1;
        let open = || (0..operations.len()).filter(|index| !is_done(*index));
        if open().all(|index| operations[index].returned.is_none()) {
            return Ok(());
        }
        furthest = furthest.max(open().next().unwrap_or_default());
        // Whoever returns first must come before all that are called later.
        let mut limit = u64::MAX;
        for index in open() {
            let operation = operations[index];
            if operation.called > limit {
                break;
            }
            limit = limit.min(operation.returned.unwrap_or(u64::MAX));
        }
        let mut next: Vec<usize> = open().take_while(|index| operations[*index].called <= limit).collect();
        // A read that fits changes nothing for anybody: there's no need to try without it.
        if let Some(fits) = next.iter().find(|index| operations[**index].action == Action::Read(value)).copied() {
            next = vec![fits];
        }
        // The stack's top is tried first: who returned first, and last the writes of unknown outcome.
        next.sort_by_key(|index| std::cmp::Reverse(operations[*index].returned.unwrap_or(u64::MAX)));
        for index in next {
            let value = match operations[index].action {
                Action::Write(written) => Some(written),
                Action::Read(found) if found == value => value,
                Action::Read(_) => continue,
            };
            let mut with = done.clone();
            with[index / 64] |= 1 << (index % 64);
            if seen.insert((with.clone(), value)) {
                stack.push((with, value));
            }
        }
    }
    let around = operations.iter().skip(furthest.saturating_sub(8)).take(24);
    let lines: Vec<String> = around.map(|one| format!("{one:?}")).collect();
    Err(format!("no order explains operation {furthest} of {}; around it:\n{}", operations.len(), lines.join("\n")))
}

mod tests {
    use super::{Action::*, *};

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
    fn operations_at_the_same_time_may_have_any_order() {
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
    fn a_stale_read_is_found() {
        let stale = [(Write(1), 0, Some(1)), (Write(2), 2, Some(3)), (Read(Some(1)), 4, Some(5))];
        assert!(check(&history(&stale)).unwrap_err().contains("no order explains"));
        let back =
            [(Write(1), 0, Some(1)), (Write(2), 2, Some(9)), (Read(Some(2)), 3, Some(4)), (Read(Some(1)), 5, Some(6))];
        assert!(check(&history(&back)).is_err(), "what was read once cannot be unread");
    }

    #[test]
    fn a_lost_write_is_found() {
        assert!(check(&history(&[(Write(1), 0, Some(1)), (Read(None), 2, Some(3))])).is_err());
    }

    #[test]
    fn a_value_from_nowhere_is_found() {
        assert!(check(&history(&[(Write(1), 0, Some(1)), (Read(Some(7)), 2, Some(3))])).is_err());
    }

    #[test]
    fn a_write_of_unknown_outcome_may_come_late_or_never_but_not_twice() {
        let late =
            [(Write(1), 0, None), (Write(2), 2, Some(3)), (Read(Some(2)), 4, Some(5)), (Read(Some(1)), 6, Some(7))];
        check(&history(&late)).unwrap();
        check(&history(&[(Write(1), 0, None), (Read(None), 4, Some(5))])).unwrap();
        let twice = [&late[..], &[(Write(3), 8, Some(9)), (Read(Some(1)), 10, Some(11))]].concat();
        assert!(check(&history(&twice)).is_err());
        let early = [(Read(Some(1)), 0, Some(1)), (Write(1), 2, None)];
        assert!(check(&history(&early)).is_err(), "not before it was called");
    }

    #[test]
    fn keys_are_independent() {
        let mut operations = history(&[(Write(1), 0, Some(1)), (Read(None), 2, Some(3))]);
        operations[1].key = "another".to_owned();
        check(&operations).unwrap();
    }

    #[test]
    fn many_clients_are_checked_quickly() {
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
}
