//! What waits, in the order in which it is due. Of equal times the earlier comer is first.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, VecDeque},
};

use super::Nanos;

/// Most packets are due after all that wait already, so they stand in a line; a heap keeps the others.
#[derive(Debug)]
pub struct Schedule<T> {
    line: VecDeque<Entry<T>>,
    heap: BinaryHeap<Reverse<Entry<T>>>,
    count: u64,
}

#[derive(Debug)]
struct Entry<T> {
    key: (Nanos, u64),
    item: T,
}

impl<T> Schedule<T> {
    pub fn new() -> Self {
        Self { line: VecDeque::new(), heap: BinaryHeap::new(), count: 0 }
    }

    pub fn push(&mut self, due: Nanos, item: T) {
        self.count += 1;
        let entry = Entry { key: (due, self.count), item };
        if self.line.back().is_none_or(|last| last.key < entry.key) {
            self.line.push_back(entry);
        } else {
            self.heap.push(Reverse(entry));
        }
    }

    pub fn next(&self) -> Option<Nanos> {
        let keys = [self.line.front().map(|entry| entry.key), self.heap.peek().map(|entry| entry.0.key)];
        keys.into_iter().flatten().min().map(|(due, _)| due)
    }

    /// The first that is due at that time.
    pub fn pop(&mut self, now: Nanos) -> Option<T> {
        let line = self.line.front().map(|entry| entry.key);
        let heap = self.heap.peek().map(|entry| entry.0.key);
        let from_heap = match (line, heap) {
            (Some(line), Some(heap)) => heap < line,
            (line, _) => line.is_none(),
        };
        let (due, _) = if from_heap { heap? } else { line? };
        if due > now {
            return None;
        }
        if from_heap {
            self.heap.pop().map(|entry| entry.0.item)
        } else {
            self.line.pop_front().map(|entry| entry.item)
        }
    }

    pub fn len(&self) -> usize {
        self.line.len() + self.heap.len()
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<T> Eq for Entry<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_comes_when_due_and_equals_in_their_order() {
        let mut schedule = Schedule::new();
        for (name, due) in [("a", 5), ("b", 9), ("c", 5), ("d", 1), ("e", 9), ("f", 7), ("g", 5)] {
            schedule.push(due, name);
        }
        assert_eq!((schedule.next(), schedule.len(), schedule.pop(0)), (Some(1), 7, None));
        let upto = |schedule: &mut Schedule<&'static str>, now| -> String {
            std::iter::from_fn(|| schedule.pop(now)).collect()
        };
        assert_eq!(upto(&mut schedule, 6), "dacg");
        assert_eq!(upto(&mut schedule, 9), "fbe");
        assert_eq!((schedule.next(), schedule.len()), (None, 0));
    }
}
