//! One row of the picker: a parameter with its label, its control and its value.

use ratatui::{
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use super::pen::Pen;
use crate::{
    chaos::{Kind, ParamSpec, Value},
    tui::{
        hits::Hit,
        text::{fit, pad},
        widgets::slider::Slider,
    },
};

const LABEL: u16 = 12;
/// `10000 ms`
const VALUE: u16 = 8;
/// ` 0..10000`, where there is room for it.
const RANGE: u16 = 9;

pub fn draw(pen: &mut Pen, area: Rect, at: usize, spec: &'static ParamSpec, focused: bool) {
    let (glyphs, theme) = (pen.glyphs, pen.theme);
    pen.hits.add(area, Hit::Field(at));
    let label = if focused { theme.title(true) } else { theme.plain() };
    let mark = if focused { glyphs.selected() } else { " " };
    pen.line(area, Span::styled(format!("{mark} {}", pad(glyphs, spec.name, usize::from(LABEL))), label));
    let control = Rect { x: area.x + LABEL + 3, width: area.width.saturating_sub(LABEL + 3), ..area };
    let value_style = if focused { theme.accent() } else { theme.plain() };
    let typed = pen.model.picker.typing.as_deref().filter(|_| focused);
    let value = pen.model.picker.value(spec);
    match (spec.kind, &value) {
        (kind @ Kind::Number { unit, least, most, .. }, Value::Number(number)) => {
            let Some(slider) = Slider::of(kind, *number) else { return };
            let range = format!(" {least}..{most}");
            let range_width = if control.width >= 40 { RANGE } else { 0 };
            let track = Rect { width: control.width.saturating_sub(VALUE + 1 + range_width), ..control };
            pen.line(track, slider.track(track.width, glyphs, value_style, theme.dim()));
            pen.hits.add(track, Hit::Track(at, track));
            let text = match typed {
                Some(typed) => format!("{typed}{} {unit}", glyphs.cursor()),
                None => format!("{number} {unit}"),
            };
            let room = Rect { x: track.right() + 1, width: VALUE, ..control };
            pen.line(room, Span::styled(text, value_style.patch(theme.strong())));
            if range_width > 0 {
                pen.line_right(control, Span::styled(range, theme.dim()));
            }
        }
        (Kind::Choice { options, .. }, _) => {
            let chosen = value.to_string();
            let place = options.iter().position(|option| *option == chosen).unwrap_or(0) + 1;
            let text = format!("{} {chosen} {}", glyphs.previous(), glyphs.next());
            let spans = vec![
                Span::styled(text, value_style.patch(theme.strong())),
                Span::styled(format!("  {place} of {}", options.len()), theme.dim()),
            ];
            pen.line(control, Line::from(spans));
        }
        (Kind::Switch { .. }, _) => {
            let text = if value == Value::Switch(true) { "[x] on" } else { "[ ] off" };
            pen.line(control, Span::styled(text, value_style.patch(theme.strong())));
        }
        (Kind::Text { empty } | Kind::List { empty }, _) => {
            text(pen, control, &value.to_string(), empty, typed, value_style)
        }
        (Kind::Number { .. }, _) => {}
    }
}

fn text(pen: &mut Pen, area: Rect, value: &str, empty: &str, typed: Option<&str>, style: Style) {
    let room = usize::from(area.width);
    let span = match typed {
        Some(typed) => {
            // The end of what is typed is what one looks at.
            let typed = pen.glyphs.clean(typed);
            let skipped = typed.chars().count().saturating_sub(room.saturating_sub(2));
            let tail: String = typed.chars().skip(skipped).collect();
            Span::styled(format!("{tail}{}", pen.glyphs.cursor()), style.patch(pen.theme.strong()))
        }
        None if value.is_empty() => Span::styled(fit(pen.glyphs, &format!("({empty})"), room), pen.theme.dim()),
        None => Span::styled(fit(pen.glyphs, value, room), style.patch(pen.theme.strong())),
    };
    pen.line(area, span);
}
