//! What every pane draws with: lines that never leave their area, a pane's frame, and the places for the mouse.

use std::rc::Rc;

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::{Clear, Widget},
};

use super::layout::{Areas, PaneArea};
use crate::tui::{
    HitMap, Model,
    glyphs::Glyphs,
    hits::Hit,
    model::Pane,
    open::Open,
    text::{fit, is_plain, width},
    theme::Theme,
};

pub struct Pen<'a> {
    pub model: &'a Model,
    pub glyphs: Glyphs,
    pub theme: Theme,
    pub hits: HitMap,
    /// Every open injection, put together once a frame.
    pub open: Rc<[Open<'a>]>,
    buf: &'a mut Buffer,
}

impl<'a> Pen<'a> {
    pub fn new(model: &'a Model, buf: &'a mut Buffer) -> Self {
        let open = model.open().into();
        if model.theme.ground() != Style::reset() {
            buf.set_style(buf.area, model.theme.ground());
        }
        Self { glyphs: model.glyphs, theme: model.theme, model, hits: HitMap::default(), open, buf }
    }

    pub fn into_hits(self) -> HitMap {
        self.hits
    }

    pub fn is_focused(&self, pane: Pane) -> bool {
        self.model.focus == pane && self.model.dialog.is_none()
    }

    /// The area's row of that number, empty below its end.
    pub fn row(area: Rect, row: u16) -> Rect {
        if row < area.height { Rect { y: area.y + row, height: 1, ..area } } else { Rect::ZERO }
    }

    /// A line in the area's first row.
    pub fn line<'l>(&mut self, area: Rect, line: impl Into<Line<'l>>) {
        let area = area.intersection(self.buf.area);
        if area.is_empty() {
            return;
        }
        let line = line.into();
        // What was there before must not shine through.
        let ground = self.theme.ground().patch(line.style);
        let (mut x, y, end) = (area.x, area.y, area.right());
        for span in &line.spans {
            let style = ground.patch(span.style);
            if is_plain(&span.content) {
                for (c, place) in span.content.chars().zip(x..end) {
                    self.buf[(place, y)].set_char(c).set_style(style);
                    x = place + 1;
                }
            } else {
                x = self.buf.set_stringn(x, y, &span.content, usize::from(end - x), style).0;
            }
        }
    }

    /// A line that ends where the area ends.
    pub fn line_right<'l>(&mut self, area: Rect, line: impl Into<Line<'l>>) {
        let line = line.into();
        let columns: usize = line.spans.iter().map(|span| width(&span.content)).sum();
        let taken = u16::try_from(columns).unwrap_or(u16::MAX).min(area.width);
        self.line(Rect { x: area.right() - taken, width: taken, ..area }, line);
    }

    /// A left and a right part on one row; the right one is whole, the left one gives way.
    pub fn sides(&mut self, area: Rect, left: (&str, Style), right: (&str, Style)) {
        let room = usize::from(area.width).saturating_sub(width(right.0) + usize::from(!right.0.is_empty()));
        self.line(area, Span::styled(fit(self.glyphs, left.0, room), left.1));
        self.line_right(area, Span::styled(fit(self.glyphs, right.0, usize::from(area.width)), right.1));
    }

    pub fn style(&mut self, area: Rect, style: Style) {
        self.buf.set_style(area.intersection(self.buf.area), style);
    }

    /// The pane's frame with its number and title, a word on it, and a note on the right; gives what is inside.
    pub fn pane(&mut self, place: PaneArea, word: &str, note: &str) -> Rect {
        let PaneArea { area, pane, boxed } = place;
        let left_line = place.has_left_line();
        self.hits.add(area, Hit::Pane(pane));
        let focused = self.is_focused(pane);
        let frame = self.theme.frame(focused);
        if boxed {
            self.border(area, focused, frame);
        } else {
            let rule = self.glyphs.rule(focused).repeat(usize::from(area.width));
            self.line(area, Span::styled(rule, frame));
            if left_line {
                for row in 1..area.height {
                    self.line(
                        Rect { width: 1, ..Self::row(area, row) },
                        Span::styled(self.glyphs.vertical(), self.theme.dim()),
                    );
                }
            }
        }
        let number = Pane::ALL.iter().position(|one| *one == pane).unwrap_or(0) + 1;
        let title = Rect { x: area.x + 1, width: area.width.saturating_sub(3), height: 1, ..area };
        let note = fit(self.glyphs, note, usize::from(title.width) / 2);
        let name = format!(" {number} {} ", pane.title());
        let beside = if note.is_empty() { 0 } else { width(&note) + 3 };
        let room = usize::from(title.width).saturating_sub(beside + name.len() + 3);
        let mut spans = vec![Span::styled(name, self.theme.title(focused))];
        if !word.is_empty() {
            spans.push(Span::styled(self.glyphs.rule(focused), frame));
            spans.push(Span::raw(format!(" {} ", fit(self.glyphs, word, room))));
        }
        self.line(title, Line::from(spans));
        if !note.is_empty() {
            self.line_right(title, Span::raw(format!(" {note} ")));
        }
        Self::inside(place)
    }

    /// What is inside of the pane's frame.
    pub fn inside(place: PaneArea) -> Rect {
        let PaneArea { area, boxed, .. } = place;
        let left_line = place.has_left_line();
        let edge = u16::from(boxed);
        Rect {
            x: area.x + 1 + u16::from(left_line || boxed),
            y: area.y + 1,
            width: area.width.saturating_sub(2 + u16::from(left_line) + 2 * edge),
            height: area.height.saturating_sub(1 + edge),
        }
    }

    /// A frame with a title around what is no pane; gives what is inside.
    pub fn frame(&mut self, area: Rect, title: Line) -> Rect {
        self.border(area, false, self.theme.frame(false));
        self.line(Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area }, title);
        Rect {
            x: area.x + 2,
            y: area.y + 1,
            width: area.width.saturating_sub(4),
            height: area.height.saturating_sub(2),
        }
    }

    /// The four sides of the area, and nothing of what is inside.
    fn border(&mut self, area: Rect, focused: bool, style: Style) {
        let area = area.intersection(self.buf.area);
        if area.is_empty() {
            return;
        }
        let set = self.glyphs.border(focused);
        let (right, bottom) = (area.right() - 1, area.bottom() - 1);
        let mut put = |x, y, symbol| {
            self.buf[(x, y)].set_symbol(symbol).set_style(style);
        };
        for x in area.x..=right {
            put(x, area.y, set.horizontal_top);
            put(x, bottom, set.horizontal_bottom);
        }
        for y in area.y..=bottom {
            put(area.x, y, set.vertical_left);
            put(right, y, set.vertical_right);
        }
        put(area.x, area.y, set.top_left);
        put(right, area.y, set.top_right);
        put(area.x, bottom, set.bottom_left);
        put(right, bottom, set.bottom_right);
    }

    /// Where the line between picker and active meets the frames above and below.
    pub fn joints(&mut self, areas: &Areas) {
        if areas.boxed {
            return;
        }
        let x = areas.active.x;
        let meets = [
            (Pane::Active, areas.active.y, self.glyphs.joint_down()),
            (Pane::Log, areas.log.y, self.glyphs.joint_up()),
        ];
        for (pane, y, joint) in meets {
            let focused = self.is_focused(pane);
            // A title that is long enough to stand there is worth more.
            if self.buf[(x, y)].symbol() == self.glyphs.rule(focused) || pane == Pane::Active {
                self.line(Rect { x, y, width: 1, height: 1 }, Span::styled(joint, self.theme.frame(focused)));
            }
        }
    }

    /// A box over everything, of at most that size, in the middle; gives what is inside. Clicks do not pass it.
    pub fn popup(&mut self, screen: Rect, title: &str, columns: u16, rows: u16) -> Rect {
        self.hits.add(screen, Hit::Shade);
        let size = (columns.min(screen.width.saturating_sub(4)), rows.min(screen.height.saturating_sub(2)));
        let area = Rect {
            x: screen.x + (screen.width - size.0) / 2,
            y: screen.y + (screen.height - size.1) / 2,
            width: size.0,
            height: size.1,
        };
        // A wide character that the box would cut in half shows as nothing on either side.
        let cleared = Rect { x: area.x.saturating_sub(1), width: area.width + 2, ..area }.intersection(screen);
        Clear.render(cleared, self.buf);
        self.buf.set_style(cleared, self.theme.ground());
        let title = format!(" {} ", fit(self.glyphs, title, usize::from(area.width).saturating_sub(6)));
        self.border(area, false, self.theme.accent());
        let top = Rect { x: area.x + 1, width: area.width.saturating_sub(2), height: area.height.min(1), ..area };
        self.line(top, Span::styled(title, self.theme.accent().patch(self.theme.title(true))));
        Rect {
            x: area.x + 2,
            y: area.y + 1,
            width: area.width.saturating_sub(4),
            height: area.height.saturating_sub(2),
        }
    }
}
