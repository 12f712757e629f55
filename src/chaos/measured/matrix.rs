//! Who reaches whom in a cluster: by measurement where somebody is there to measure, else by the rules that are known to
//! stand.

use std::collections::BTreeMap;

use serde::Serialize;

/// Where a cell's word comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Tried from the one node to the other.
    Measured,
    /// From the injections that are recorded.
    Rules,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    Reached,
    Cut,
    /// One of them does not run.
    Down,
    /// Not tried, and no active rule cuts it.
    NotTried,
}

/// Whether one node reaches another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cell {
    pub reach: Reach,
    pub source: Source,
    /// The middle of its round trips, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub median_us: Option<u64>,
}

/// A row for each node that asks, a column for each that is asked, both in one order. A node itself has no cell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Matrix {
    pub nodes: Vec<String>,
    pub rows: Vec<Vec<Option<Cell>>>,
}

impl Matrix {
    /// What the rules say: which pairs of those that run are cut, and nothing of the others. A cut between two nodes ends the
    /// round trip from either side.
    pub fn by_rules(nodes: &[(String, bool)], cuts: &[(String, String)]) -> Self {
        let is_cut = |one: &str, two: &str| cuts.iter().any(|(a, b)| (a == one && b == two) || (b == one && a == two));
        let cell = |(one, up): &(String, bool), (two, other_up): &(String, bool)| {
            let reach = if !up || !other_up {
                Reach::Down
            } else if is_cut(one, two) {
                Reach::Cut
            } else {
                Reach::NotTried
            };
            (one != two).then_some(Cell { reach, source: Source::Rules, median_us: None })
        };
        Self {
            nodes: nodes.iter().map(|(name, _)| name.clone()).collect(),
            rows: nodes.iter().map(|one| nodes.iter().map(|two| cell(one, two)).collect()).collect(),
        }
    }

    /// Puts what a node measured of others over what the rules say of its row: whether it reached them, and the middle
    /// of its round trips.
    pub fn measured(&mut self, from: &str, seen: &BTreeMap<String, (bool, Option<u64>)>) {
        let Some(row) = self.nodes.iter().position(|name| name == from) else { return };
        for (cell, name) in self.rows[row].iter_mut().zip(&self.nodes) {
            if let (Some(cell), Some((reached, median_us))) = (cell, seen.get(name))
                && cell.reach != Reach::Down
            {
                let reach = if *reached { Reach::Reached } else { Reach::Cut };
                *cell = Cell { reach, source: Source::Measured, median_us: *median_us };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_is_put_over_what_the_rules_say() {
        let nodes = [("a", true), ("b", true), ("c", true), ("d", false)].map(|(name, up)| (name.to_owned(), up));
        let mut matrix = Matrix::by_rules(&nodes, &[("a".to_owned(), "b".to_owned())]);
        let reach = |matrix: &Matrix, row: usize| {
            matrix.rows[row].iter().map(|cell| cell.map(|cell| cell.reach)).collect::<Vec<_>>()
        };
        use Reach::{Cut, Down, NotTried, Reached};
        assert_eq!(reach(&matrix, 0), [None, Some(Cut), Some(NotTried), Some(Down)]);
        assert_eq!(reach(&matrix, 1), [Some(Cut), None, Some(NotTried), Some(Down)]);
        matrix.measured("a", &BTreeMap::from([("b".to_owned(), (true, Some(90))), ("d".to_owned(), (false, None))]));
        assert_eq!(reach(&matrix, 0), [None, Some(Reached), Some(NotTried), Some(Down)]);
        assert_eq!(matrix.rows[0][1].unwrap().source, Source::Measured);
        assert_eq!(matrix.rows[1][0].unwrap().source, Source::Rules);
    }
}
