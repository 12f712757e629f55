//! Values over time as a line of bars. Knows neither what they are nor which time it is.

use crate::tui::glyphs::Glyphs;

/// The rows of bars, the upper one first; a value that is missing is a gap. The greatest value is `most`.
pub fn bars(values: &[Option<f64>], most: f64, rows: u16, glyphs: Glyphs) -> Vec<String> {
    let levels = glyphs.levels();
    let per_row = levels.len() - 1;
    let all = per_row * usize::from(rows);
    let heights: Vec<Option<usize>> = values.iter().map(|value| value.map(|value| height(value, most, all))).collect();
    let row = |row: u16| {
        let below = usize::from(rows - 1 - row) * per_row;
        heights
            .iter()
            .map(|height| match height {
                None if below == 0 => glyphs.gap(),
                None => " ",
                Some(height) => levels[height.saturating_sub(below).min(per_row)],
            })
            .collect()
    };
    (0..rows).map(row).collect()
}

/// How many of all steps; whatever is more than nothing takes one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "held to the steps"
)]
fn height(value: f64, most: f64, all: usize) -> usize {
    if !value.is_finite() || value <= 0.0 || most <= 0.0 {
        return 0;
    }
    ((value / most * all as f64).round() as usize).clamp(1, all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_is_full_the_least_still_shows_and_nothing_is_empty() {
        let values = [Some(0.0), Some(0.01), Some(4.0), Some(8.0), None, Some(f64::NAN)];
        assert_eq!(bars(&values, 8.0, 1, Glyphs::new(true)), [" ▁▄█· "]);
        assert_eq!(bars(&values, 8.0, 2, Glyphs::new(true)), ["   █  ", " ▁██· "]);
        assert!(bars(&values, 8.0, 2, Glyphs::new(false)).concat().is_ascii());
    }
}
