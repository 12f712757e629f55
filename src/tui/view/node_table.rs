//! What stands in each column of the nodes, and how wide each column can be. Where there is little room, columns give
//! way, the least telling first; the node's name, its state and what is injected into it always stay. Only what is seen is
//! made: of a thousand nodes, a dozen rows.

use std::net::IpAddr;

use ratatui::style::Style;

use super::store_cells;
use crate::{
    subject::docker::{Health, Node, Role, State},
    tui::{
        Model,
        open::{Open, Standing},
        text::{coarse_span, minutes, width},
        theme::Theme,
    },
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    Name,
    Role,
    State,
    Health,
    Restarts,
    Up,
    /// From here to `P99`: what PD and the node's own metrics say.
    Store,
    Heartbeat,
    Leaders,
    Regions,
    Slow,
    Available,
    Operations,
    P99,
    Addresses,
    Injected,
}

use Column as C;

const ALL: [Column; 16] = [
    C::Name,
    C::Role,
    C::State,
    C::Health,
    C::Restarts,
    C::Up,
    C::Store,
    C::Heartbeat,
    C::Leaders,
    C::Regions,
    C::Slow,
    C::Available,
    C::Operations,
    C::P99,
    C::Addresses,
    C::Injected,
];

/// The order in which columns go when there is no room.
const FOLDS: [Column; 12] = [
    C::Restarts,
    C::Role,
    C::Regions,
    C::Health,
    C::Up,
    C::Addresses,
    C::Available,
    C::Operations,
    C::Slow,
    C::P99,
    C::Heartbeat,
    C::Leaders,
];

const LEAST_ADDRESS: usize = 11;
/// With less room than on a screen of 120 columns the addresses go first.
const ROOM_FOR_ADDRESSES: usize = 116;
/// With less room than on a screen of 160 columns the cluster's columns stand closer.
const ROOM_FOR_GAPS: usize = 156;
const LEAST_INJECTED: usize = 9;
/// The longest type of fault: where the cluster's columns could give way to it, they do.
const GOOD_INJECTED: usize = 17;
/// Enough for most types, where a longer one would cost the addresses.
const SHORT_INJECTED: usize = 13;

#[derive(Debug, Clone, Default)]
pub struct Cell {
    pub text: String,
    pub style: Style,
}

impl Cell {
    pub fn new(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

pub struct Placed {
    pub column: Column,
    pub width: usize,
}

pub struct Table {
    pub columns: Vec<Placed>,
    /// Between two columns.
    pub gap: u16,
    wide: bool,
    /// Room is kept for what a fault may show.
    keeps: bool,
    /// Of the nodes that are seen.
    rows: Vec<Row>,
    /// The longest name of all nodes: the columns stay where they are while somebody scrolls.
    longest_name: usize,
}

pub struct Row {
    /// The node's place in the list.
    node: usize,
    /// By [`ALL`].
    cells: [Cell; ALL.len()],
    /// Stands in the place of everything that the cluster would say of the node.
    pub note: Option<Cell>,
}

impl Row {
    pub fn cell(&self, column: Column) -> &Cell {
        &self.cells[column as usize]
    }
}

/// How much of a node's addresses is shown.
#[derive(Clone, Copy)]
enum Addresses {
    All,
    V4,
    First,
}

impl Table {
    /// With the rows of the nodes at those places.
    pub fn new(model: &Model, open: &[Open], seen: impl IntoIterator<Item = usize>, room: usize) -> Self {
        let wide = room >= 100;
        let seen = seen.into_iter().filter_map(|at| Some((at, model.nodes().get(at)?)));
        let rows: Vec<Row> = seen.map(|(at, node)| row(model, open, at, node, wide)).collect();
        let known = model.clusters.keys().any(|name| model.state_of(name).is_some());
        let gap = if wide && (!known || room >= ROOM_FOR_GAPS) { 2 } else { 1 };
        let longest_name = model.nodes().iter().map(|node| width(&node.name)).max().unwrap_or(0);
        let mut table = Self { columns: Vec::new(), gap, wide, keeps: known, rows, longest_name };
        let slow = table.rows.iter().any(|row| !row.cell(C::Slow).text.is_empty());
        for column in ALL {
            let of_cluster = (C::Store..=C::P99).contains(&column);
            if (known || !of_cluster) && (slow || column != C::Slow) {
                table.columns.push(Placed { column, width: 0 });
            }
        }
        for at in 0..table.columns.len() {
            table.columns[at].width = table.needed(table.columns[at].column);
        }
        table.set(C::Name, table.width_of(C::Name).min(room / if room < 60 { 3 } else { 4 }));
        table.fold(model, room, if known { GOOD_INJECTED } else { LEAST_INJECTED });
        table.set(C::Injected, table.left(room));
        table
    }

    /// Lets columns go until what is injected has its room.
    fn fold(&mut self, model: &Model, room: usize, wanted: usize) {
        for addresses in [Addresses::All, Addresses::V4, Addresses::First] {
            for row in &mut self.rows {
                row.cells[C::Addresses as usize].text =
                    model.nodes().get(row.node).map_or_else(String::new, |node| addresses.text(node));
            }
            self.set(C::Addresses, self.needed(C::Addresses));
            if self.left(room) >= wanted {
                return;
            }
        }
        let missing = wanted.saturating_sub(self.left(room));
        let cut = self.width_of(C::Addresses).saturating_sub(missing);
        let first = if room < ROOM_FOR_ADDRESSES { Some(C::Addresses) } else { None };
        if first.is_some() && cut >= LEAST_ADDRESS {
            return self.set(C::Addresses, cut);
        }
        // Space that runs out is what one looks for: it outlasts the other figures.
        let short = self.rows.iter().any(|row| row.cell(C::Available).text.ends_with('!'));
        let figures = FOLDS.into_iter().filter(|column| !(short && *column == C::Available));
        let last = [C::Available, C::Store];
        for fold in first.into_iter().chain(figures).chain(last) {
            if fold == C::Addresses && first.is_none() && self.left(room) >= SHORT_INJECTED {
                return;
            }
            self.columns.retain(|placed| placed.column != fold);
            if self.left(room) >= wanted {
                return;
            }
        }
        // On the narrowest screens the name gives way to the end.
        let missing = LEAST_INJECTED.saturating_sub(self.left(room));
        self.set(C::Name, self.width_of(C::Name).saturating_sub(missing));
    }

    fn set(&mut self, column: Column, width: usize) {
        if let Some(placed) = self.columns.iter_mut().find(|placed| placed.column == column) {
            placed.width = width;
        }
    }

    fn width_of(&self, column: Column) -> usize {
        self.columns.iter().find(|placed| placed.column == column).map_or(0, |placed| placed.width)
    }

    /// What the heading and the longest cell of the column take.
    fn needed(&self, column: Column) -> usize {
        let longest = match column {
            C::Name => self.longest_name,
            _ => self.rows.iter().map(|row| width(&row.cell(column).text)).max().unwrap_or(0),
        };
        longest.max(column.heading(self.wide).len()).max(if self.keeps { column.least(self.wide) } else { 0 })
    }

    /// What is left of the room behind all columns but the last, with two places for the mark before them.
    fn left(&self, room: usize) -> usize {
        let others = self.columns.iter().filter(|placed| placed.column != C::Injected);
        let taken: usize = others.map(|placed| placed.width + usize::from(self.gap)).sum();
        room.saturating_sub(taken + 2)
    }

    /// The row of the node at that place, if it is seen.
    pub fn row(&self, node: usize) -> Option<&Row> {
        self.rows.iter().find(|row| row.node == node)
    }

    pub fn headings(&self) -> String {
        let gap = " ".repeat(usize::from(self.gap));
        let padded = self.columns.iter().map(|Placed { column, width }| {
            let (heading, width) = (column.heading(self.wide), *width);
            if column.is_figure() { format!("{heading:>width$.width$}") } else { format!("{heading:<width$.width$}") }
        });
        format!("  {}", padded.collect::<Vec<_>>().join(&gap))
    }
}

impl Column {
    const fn heading(self, wide: bool) -> &'static str {
        match self {
            Self::Name => "NODE",
            Self::Role => "ROLE",
            Self::State => "STATE",
            Self::Health => "HEALTH",
            Self::Restarts if wide => "RESTARTS",
            Self::Restarts => "RST",
            Self::Up => "UP",
            Self::Store => "STORE",
            Self::Heartbeat if wide => "HEARTBEAT",
            Self::Heartbeat => "BEAT",
            Self::Leaders if wide => "LEADERS",
            Self::Leaders => "LEAD",
            Self::Regions => "REGIONS",
            Self::Slow => "SLOW",
            Self::Available => "AVAILABLE",
            Self::Operations => "R+W/S",
            Self::P99 => "P99",
            Self::Addresses => "ADDRESSES",
            Self::Injected => "INJECTED",
        }
    }

    /// The room that is kept, so that the columns stay where they are when a fault begins to show.
    const fn least(self, wide: bool) -> usize {
        match self {
            Self::State if wide => "exited 137".len(),
            Self::Up if wide => "23h 59m".len(),
            Self::Store => "! Disconnected".len(),
            Self::Leaders => "2 (-2)".len(),
            Self::Operations => "201+198".len(),
            Self::P99 => "160 ms".len(),
            _ => 0,
        }
    }

    /// Figures end where their column ends.
    pub const fn is_figure(self) -> bool {
        matches!(self, Self::Heartbeat | Self::Slow | Self::Available | Self::Operations | Self::P99)
    }
}

impl Addresses {
    fn text(self, node: &Node) -> String {
        let first = || node.ips().find(IpAddr::is_ipv4).or_else(|| node.ips().next());
        let shown: Vec<IpAddr> = match self {
            Self::All => node.ips().collect(),
            Self::V4 if node.ips().any(|ip| ip.is_ipv4()) => node.ips().filter(IpAddr::is_ipv4).collect(),
            Self::V4 | Self::First => first().into_iter().collect(),
        };
        if shown.is_empty() {
            return "-".to_owned();
        }
        shown.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// The addresses come later, when it is known what there is room for.
fn row(model: &Model, open: &[Open], at: usize, node: &Node, wide: bool) -> Row {
    let theme = model.theme;
    let mut row = Row { node: at, cells: Default::default(), note: None };
    let mut put = |column: Column, text: String, style: Style| row.cells[column as usize] = Cell::new(text, style);
    let state = match (node.state, node.exit_code) {
        (State::Exited, Some(code)) if wide => format!("exited {code}"),
        (state, _) => state.to_string(),
    };
    let up = node.up_since.filter(|_| node.is_running());
    let told = if model.options.motion { coarse_span } else { minutes };
    let up = up.map_or_else(|| "-".to_owned(), |since| told(model.now.as_second() - since.as_second()));
    let injected = open.iter().filter(|one| one.is_in(node)).map(|one| {
        let kind = one.injection.metadata.fault_type();
        if one.standing == Standing::Overdue { format!("{kind} overdue") } else { kind.to_string() }
    });
    let role = match node.role {
        Role::Tikv => "TiKV",
        Role::Pd => "PD",
    };
    let restarts = if node.restart_count > 0 { theme.warn() } else { theme.plain() };
    put(C::Name, node.name.clone(), theme.plain());
    put(C::Role, role.to_owned(), theme.plain());
    put(C::State, state, state_style(theme, node.state));
    put(C::Health, node.health.to_string(), health_style(theme, node.health));
    put(C::Restarts, node.restart_count.to_string(), restarts);
    put(C::Up, up, theme.plain());
    put(C::Injected, injected.collect::<Vec<_>>().join(", "), theme.warn());
    row.note = store_cells::fill(model, node, put);
    row
}

fn state_style(theme: Theme, state: State) -> Style {
    match state {
        State::Running => theme.good(),
        State::Exited | State::Dead => theme.bad(),
        _ => theme.warn(),
    }
}

fn health_style(theme: Theme, health: Health) -> Style {
    match health {
        Health::Healthy => theme.good(),
        Health::Unhealthy => theme.bad(),
        Health::Starting => theme.warn(),
        Health::None => theme.dim(),
    }
}
