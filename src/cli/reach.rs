//! `reach`: which nodes reach which, tried from inside each of them.

use std::process::ExitCode;

use serde_json::json;

use super::{
    output::{self, Failure},
    progress, settle,
};
use crate::{
    chaos::measured::{Cell, Matrix, Reach, Source},
    config::Config,
    subject::docker::{cuts, only_cluster},
};

pub async fn run(config: &Config) -> Result<ExitCode, Failure> {
    let subject = config.subject(progress());
    settle::say(config, &subject).await;
    let snapshot = subject.snapshot().await?;
    only_cluster(&snapshot, config.project.as_deref())?;
    let loaded = config.store.load()?;
    let open = loaded.open();
    let cuts = cuts(open.iter().map(|(_, injection)| &injection.metadata), &snapshot.nodes);
    let matrix = subject.reach(&snapshot, &cuts).await;
    subject.release().await;
    if config.json {
        output::document(&json!(matrix));
    } else {
        output::lines(lines(&matrix));
    }
    Ok(ExitCode::SUCCESS)
}

/// A row for each node, numbered as the columns are.
fn lines(matrix: &Matrix) -> Vec<String> {
    use unicode_width::UnicodeWidthStr as _;
    let name = matrix.nodes.iter().map(|name| name.width()).max().unwrap_or(0).max(9);
    let number = |at: usize| format!("({})", at + 1);
    let heading = (0..matrix.nodes.len()).map(|at| format!("{:>11}", number(at)));
    let mut lines = vec![format!("{:4}{:name$}{}", "", "FROM / TO", heading.collect::<String>()).trim_end().to_owned()];
    for (at, (node, row)) in matrix.nodes.iter().zip(&matrix.rows).enumerate() {
        let cells = row.iter().map(|cell| format!("{:>11}", cell.map_or_else(|| "-".to_owned(), word)));
        let pad = " ".repeat(name - node.width());
        lines.push(format!("{:4}{node}{pad}{}", number(at), cells.collect::<String>()));
    }
    if matrix.rows.iter().flatten().flatten().any(|cell| cell.source == Source::Rules && cell.reach == Reach::Cut) {
        lines.push("* not tried: cut by the injections that are recorded".to_owned());
    }
    lines
}

/// `0.1 ms`, `CUT`, `not tried`.
#[expect(clippy::cast_precision_loss, reason = "microseconds of hours are exact")]
fn word(cell: Cell) -> String {
    let word = match (cell.reach, cell.median_us) {
        (Reach::Reached, Some(us)) => format!("{:.1} ms", us as f64 / 1000.0),
        (Reach::Reached, None) => "ok".to_owned(),
        (Reach::Cut, _) => "CUT".to_owned(),
        (Reach::Down, _) => return "down".to_owned(),
        (Reach::NotTried, _) => return "not tried".to_owned(),
    };
    if cell.source == Source::Rules { word + "*" } else { word }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_matrix_says_what_was_tried_and_what_was_not() {
        let nodes = [("tikv0", true), ("tikv1", true), ("tikv2", true), ("pd0", false)];
        let nodes = nodes.map(|(name, up)| (name.to_owned(), up));
        let mut matrix = Matrix::by_rules(&nodes, &[("tikv0".to_owned(), "tikv1".to_owned())]);
        matrix.measured("tikv0", &BTreeMap::from([("tikv1".to_owned(), (true, Some(83)))]));
        let expected = [
            "    FROM / TO        (1)        (2)        (3)        (4)",
            "(1) tikv0              -     0.1 ms  not tried       down",
            "(2) tikv1           CUT*          -  not tried       down",
            "(3) tikv2      not tried  not tried          -       down",
            "(4) pd0             down       down       down          -",
            "* not tried: cut by the injections that are recorded",
        ];
        assert_eq!(lines(&matrix), expected);
    }
}
