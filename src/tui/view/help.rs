//! All keys, made from the table: those that mean something now come first.

use ratatui::{
    layout::Rect,
    text::{Line, Span},
};

use super::{pen::Pen, popup};
use crate::tui::{
    keys::Context,
    text::{pad, wrap},
    update::pane_contexts,
};

const KEYS: usize = 20;

pub fn draw(pen: &mut Pen, screen: Rect) {
    let here = pane_contexts(pen.model);
    let is_here = |context: Context| here.contains(&context) || context == Context::Always;
    let headings = Context::HELP.into_iter();
    let (first, rest): (Vec<_>, Vec<_>) = headings.partition(|(context, _)| is_here(*context));
    let room = popup::room(screen).saturating_sub(KEYS + 3);
    let mut lines: Vec<Line> = Vec::new();
    for (context, heading) in first.into_iter().chain(rest) {
        if !heading.is_empty() {
            if !lines.is_empty() {
                lines.push(Line::default());
            }
            lines.push(Line::from(Span::styled(heading, pen.theme.strong())));
        }
        for group in pen.model.keys.groups(context, |binding| binding.help) {
            let names: Vec<String> =
                group.iter().flat_map(|binding| binding.keys.iter()).map(|key| key.name(pen.glyphs)).collect();
            let mut names = names.join(" ");
            let help = group.first().map_or("", |binding| binding.help);
            for line in wrap(pen.glyphs, help, room) {
                let keys = pad(pen.glyphs, &std::mem::take(&mut names), KEYS);
                let keys = Span::styled(format!("  {keys}"), pen.theme.accent());
                lines.push(Line::from(vec![keys, Span::raw(format!(" {line}"))]));
            }
        }
    }
    popup::read(pen, screen, "Keys", lines);
}
