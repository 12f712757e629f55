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
