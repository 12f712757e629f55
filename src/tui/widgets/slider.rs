//! A number between two ends that keys and the mouse can move: where the knob stands, and which value a column means.
//! Knows neither what the number is for nor where it is kept.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use crate::{chaos::Kind, tui::glyphs::Glyphs};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slider {
    pub least: u64,
    pub most: u64,
    pub step: u64,
    pub value: u64,
}

impl Slider {
    /// A slider for that kind of parameter, if it is a number.
    pub fn of(kind: Kind, value: u64) -> Option<Self> {
        match kind {
            Kind::Number { least, most, step, .. } => Some(Self { least, most, step, value }),
            _ => None,
        }
    }

    fn span(self) -> u64 {
        self.most.saturating_sub(self.least).max(1)
    }

    /// The value so many steps on, held to the ends.
    pub fn moved(self, steps: i64) -> u64 {
        let by = steps.unsigned_abs().saturating_mul(self.step);
        let moved = if steps < 0 { self.value.saturating_sub(by) } else { self.value.saturating_add(by) };
        moved.clamp(self.least, self.most)
    }

    /// A range of many steps is drawn by its square root, so that its small values are not all in one column.
    fn is_wide(self) -> bool {
        self.span() / self.step.max(1) > 500
    }

    /// The knob's column on a track of that width.
    pub fn column(self, width: u16) -> u16 {
        let last = u64::from(width.saturating_sub(1));
        let from_least = self.value.clamp(self.least, self.most) - self.least;
        let column = if self.is_wide() {
            // Twice the root of a value is the root of four times the value: one bit for rounding.
            (from_least.saturating_mul(4 * last * last) / self.span()).isqrt().div_ceil(2)
        } else {
            (from_least.saturating_mul(last) + self.span() / 2) / self.span()
        };
        u16::try_from(column).unwrap_or(u16::MAX).min(width.saturating_sub(1))
    }

    /// The value that a column of a track of that width means: the nearest whole step, and the very ends at the ends.
    pub fn value_at(self, column: u16, width: u16) -> u64 {
        let last = u64::from(width.saturating_sub(1)).max(1);
        let column = u64::from(column).min(last);
        if column == last {
            return self.most;
        }
        let exact = if self.is_wide() {
            column.saturating_mul(column).saturating_mul(self.span()) / (last * last)
        } else {
            column.saturating_mul(self.span()) / last
        };
        let step = self.step.max(1);
        let snapped = (exact + step / 2) / step * step;
        self.least.saturating_add(snapped).min(self.most)
    }

    /// The track with its knob.
    pub fn track(self, width: u16, glyphs: Glyphs, knob: Style, rest: Style) -> Line<'static> {
        let before = usize::from(self.column(width));
        let after = usize::from(width).saturating_sub(before + 1);
        Line::from(vec![
            Span::styled(glyphs.track_before().repeat(before), knob),
            Span::styled(if width == 0 { "" } else { glyphs.knob() }, knob),
            Span::styled(glyphs.track_after().repeat(after), rest),
        ])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PERCENT: Slider = Slider { least: 0, most: 100, step: 5, value: 80 };

    #[test]
    fn the_ends_of_the_track_are_the_ends_of_the_range() {
        let minutes = Slider { least: 1, most: 30, step: 1, value: 10 };
        assert_eq!((minutes.value_at(0, 20), minutes.value_at(19, 20)), (1, 30));
        assert_eq!((PERCENT.value_at(0, 11), PERCENT.value_at(200, 11)), (0, 100));
        assert_eq!(Slider { value: 1, ..minutes }.column(20), 0);
        assert_eq!(Slider { value: 30, ..minutes }.column(20), 19);
    }

    #[test]
    fn a_column_means_the_nearest_step() {
        assert_eq!(PERCENT.value_at(3, 14), 25);
        assert_eq!(PERCENT.column(11), 8);
    }

    #[test]
    fn a_wide_range_gives_its_small_values_more_room() {
        let delay = Slider { least: 0, most: 10_000, step: 10, value: 50 };
        assert_eq!(delay.column(29), 2);
        assert_eq!(Slider { value: 150, ..delay }.column(29), 3);
        assert_eq!(Slider { value: 10_000, ..delay }.column(29), 28);
        assert_eq!([0, 1, 2, 14, 28].map(|column| delay.value_at(column, 29)), [0, 10, 50, 2_500, 10_000]);
    }

    #[test]
    fn steps_stop_at_the_ends() {
        assert_eq!(PERCENT.moved(1), 85);
        assert_eq!(PERCENT.moved(-10), 30);
        assert_eq!(PERCENT.moved(10), 100);
        assert_eq!(PERCENT.moved(i64::MIN), 0);
    }

    proptest! {
        #[test]
        fn no_column_and_no_width_leaves_the_range(
            least in 0_u64..50, more in 0_u64..20_000, step in 0_u64..500, value: u64, column: u16, width: u16,
        ) {
            let slider = Slider { least, most: least + more, step, value };
            prop_assert!((least..=least + more).contains(&slider.value_at(column, width)));
            prop_assert!(slider.column(width) <= width.saturating_sub(1));
            prop_assert!((least..=least + more).contains(&slider.moved(i64::from(column))));
        }
    }
}
