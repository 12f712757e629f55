//! What stands in each column of the nodes, and how wide each column can be: where there is little room, the addresses
//! give way first.

use std::net::IpAddr;

use crate::{
    subject::docker::{Node, Role, State},
    tui::{
        Model,
        open::{Open, Standing},
        text::{coarse_span, width},
    },
};

pub const NAME: usize = 0;
pub const STATE: usize = 2;
pub const HEALTH: usize = 3;
pub const RESTARTS: usize = 4;
const ADDRESSES: usize = 6;
pub const INJECTED: usize = 7;

const WIDE: [&str; 8] = ["NODE", "ROLE", "STATE", "HEALTH", "RESTARTS", "UP", "ADDRESSES", "INJECTED"];
const NARROW: [&str; 8] = ["NODE", "ROLE", "STATE", "HEALTH", "RST", "UP", "ADDRESSES", "INJECTED"];
const LEAST_INJECTED: usize = 9;

pub struct Table {
    pub widths: [usize; 8],
    /// Between two columns.
    pub gap: u16,
    headings: [&'static str; 8],
    /// The cells of every node.
    pub rows: Vec<[String; 8]>,
}

/// How much of a node's addresses is shown.
#[derive(Clone, Copy)]
enum Addresses {
    All,
    V4,
    First,
}

impl Table {
    pub fn new(model: &Model, room: usize) -> Self {
        let wide = room >= 100;
        let open = model.open();
        let mut table = Self {
            widths: [0; 8],
            gap: if wide { 2 } else { 1 },
            headings: if wide { WIDE } else { NARROW },
            rows: model.nodes().iter().map(|node| cells(model, &open, node, wide)).collect(),
        };
        for column in 0..INJECTED {
            table.widths[column] = table.needed(column);
        }
        table.widths[NAME] = table.widths[NAME].min(room / 4);
        for addresses in [Addresses::All, Addresses::V4, Addresses::First] {
            for (row, node) in table.rows.iter_mut().zip(model.nodes()) {
                row[ADDRESSES] = addresses.text(node);
            }
            table.widths[ADDRESSES] = table.needed(ADDRESSES);
            if table.left(room) >= LEAST_INJECTED {
                break;
            }
        }
        let missing = LEAST_INJECTED.saturating_sub(table.left(room));
        table.widths[ADDRESSES] = table.widths[ADDRESSES].saturating_sub(missing);
        table.widths[INJECTED] = table.left(room);
        table
    }

    /// What the heading and the longest cell of the column take.
    fn needed(&self, column: usize) -> usize {
        let longest = self.rows.iter().map(|cells| width(&cells[column])).max().unwrap_or(0);
        longest.max(self.headings[column].len())
    }

    /// What is left of the room behind all columns but the last, with two places for the mark before them.
    fn left(&self, room: usize) -> usize {
        let taken: usize = self.widths[..INJECTED].iter().map(|width| width + usize::from(self.gap)).sum();
        room.saturating_sub(taken + 2)
    }

    pub fn headings(&self) -> String {
        let gap = usize::from(self.gap);
        let padded = self.headings.iter().zip(self.widths).map(|(heading, width)| format!("{heading:<width$.width$}"));
        format!("  {}", padded.collect::<Vec<_>>().join(&" ".repeat(gap)))
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
fn cells(model: &Model, open: &[Open], node: &Node, wide: bool) -> [String; 8] {
    let state = match (node.state, node.exit_code) {
        (State::Exited, Some(code)) if wide => format!("exited {code}"),
        (state, _) => state.to_string(),
    };
    let up = node.up_since.filter(|_| node.is_running());
    let up = up.map_or_else(|| "-".to_owned(), |since| coarse_span(model.now.as_second() - since.as_second()));
    let injected = open.iter().filter(|one| one.is_in(node)).map(|one| {
        let kind = one.injection.metadata.fault_type();
        if one.standing == Standing::Overdue { format!("{kind} overdue") } else { kind.to_string() }
    });
    let role = match node.role {
        Role::Tikv => "TiKV",
        Role::Pd => "PD",
    };
    [
        node.name.clone(),
        role.to_owned(),
        state,
        node.health.to_string(),
        node.restart_count.to_string(),
        up,
        String::new(),
        injected.collect::<Vec<_>>().join(", "),
    ]
}
