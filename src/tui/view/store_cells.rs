//! What PD and a node's own metrics say, as the cells of its row. A value that was not read just now is dim; a figure
//! that only makes sense now is left out when it is older.

use std::time::Duration;
use tikv_chaos_core::disk::DiskUsage;

use jiff::Timestamp;
use ratatui::style::Style;

use super::node_table::{Cell, Column};
use crate::{
    cluster::{ClusterState, NodeView, PdNode, Read, StoreMetrics, StoreView, assumed},
    subject::docker::{Node, Role},
    tui::{
        Model,
        figures::{delay, rate, share_of},
        text::coarse_span,
        theme::Theme,
        watched,
    },
};

/// A heartbeat older than this is suspicious before PD says so: they come every ten seconds.
const LATE: Duration = Duration::from_secs(assumed::STORE_HEARTBEAT.as_secs() + 2);
/// Rates and delays of longer ago say nothing about now.
const FIGURES_LAST: Duration = Duration::from_secs(5);

/// Puts what is known of the node into its cells; gives what is to stand there instead, if it is a PD in trouble.
pub fn fill(model: &Model, node: &Node, mut put: impl FnMut(Column, String, Style)) -> Option<Cell> {
    let state = model.state_of(&node.cluster)?;
    match node.role {
        Role::Tikv => {
            let view = state.nodes.get(&node.id)?;
            if let Some(store) = &view.store {
                of_pd(model, node, state, (view, store), &mut put);
            }
            of_metrics(model, view, &mut put);
            None
        }
        // Of one that does not run, its state says enough.
        Role::Pd if !node.is_running() => None,
        Role::Pd => {
            let pd = watched::pd_node(state, &node.id)?;
            let (text, style) = pd_word(model, pd);
            // One word stands under STORE, a reason may run on.
            if pd.answered {
                put(Column::Store, text, style);
                return None;
            }
            Some(Cell::new(text, style))
        }
    }
}

fn pd_word(model: &Model, pd: &PdNode) -> (String, Style) {
    let (glyphs, theme) = (model.glyphs, model.theme);
    match pd {
        PdNode { answered: false, error: Some(error), .. } => (format!("! {}", in_short(error)), theme.bad()),
        PdNode { answered: false, .. } => (String::new(), theme.dim()),
        PdNode { healthy: Some(false), .. } => ("! unhealthy".to_owned(), theme.bad()),
        PdNode { is_leader: true, .. } => (format!("{} leader", glyphs.on()), theme.good()),
        _ => (format!("{} member", glyphs.off()), theme.plain()),
    }
}

/// The reason alone: of `PD at pd0:2379 cannot be reached at 172.28.0.20:2379: Connection refused` the end, of
/// `PD at pd0:2379 did not answer within 1 s` what stands behind the name.
fn in_short(error: &str) -> &str {
    let said = error.strip_prefix("PD at ").and_then(|rest| rest.split_once(' ')).map_or(error, |(_, said)| said);
    said.split_once(": ").map_or(said, |(_, reason)| reason)
}

fn of_pd(
    model: &Model,
    node: &Node,
    state: &ClusterState,
    (view, store): (&NodeView, &StoreView),
    put: &mut impl FnMut(Column, String, Style),
) {
    let theme = model.theme;
    let stale = state.pd.error.is_some();
    let fresh = |style: Style| if stale { theme.dim() } else { style };
    let (sign, style) = state_sign(model, &store.state_name);
    put(Column::Store, format!("{sign} {}", store.state_name), fresh(style));
    if let Some(age) = heartbeat_age(model.now, &state.pd, store) {
        let text = coarse_span(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
        let (mark, style) = match age {
            age if age > assumed::DISCONNECTED_AFTER => ("!", theme.bad()),
            age if age > LATE => ("!", theme.warn()),
            _ => ("", theme.plain()),
        };
        put(Column::Heartbeat, format!("{text}{mark}"), fresh(style));
    }
    let before = model.before(&node.cluster).and_then(|before| before.counts.get(&node.id));
    let mut count = |column, now: u64, then: Option<u64>| {
        let then = then.filter(|then| *then != now);
        let (text, style) = match then {
            Some(then) if then > now => (format!("{now} (-{})", then - now), theme.warn()),
            Some(then) => (format!("{now} (+{})", now - then), theme.accent()),
            None => (now.to_string(), theme.plain()),
        };
        put(column, text, fresh(style));
    };
    count(Column::Leaders, store.leaders, before.map(|before| before.leaders));
    count(Column::Regions, store.regions, before.map(|before| before.regions));
    if let Some(score) = store.slow_score.filter(|score| *score > 1.0) {
        put(Column::Slow, format!("{score:.0}"), fresh(if score >= 80.0 { theme.bad() } else { theme.warn() }));
    }
    if let Some(space) = view.space() {
        let (mark, style) = space_sign(theme, space.level());
        put(Column::Available, share_of(space.available, space.capacity) + mark, fresh(style));
    }
}

/// What TiKV calls the disk, where that is known.
fn space_sign(theme: Theme, level: Option<DiskUsage>) -> (&'static str, Style) {
    match level {
        Some(DiskUsage::Normal) => ("", theme.plain()),
        Some(DiskUsage::AlmostFull) => ("!", theme.warn()),
        Some(DiskUsage::AlreadyFull) => ("!!", theme.bad()),
        None => ("?", theme.plain()),
    }
}

/// PD's word for a store, with a sign that needs no colour.
fn state_sign(model: &Model, word: &str) -> (&'static str, Style) {
    let (glyphs, theme) = (model.glyphs, model.theme);
    match word {
        assumed::UP => (glyphs.on(), theme.good()),
        assumed::DISCONNECTED => ("!", theme.warn()),
        assumed::DOWN => ("!", theme.bad()),
        _ => (glyphs.off(), theme.dim()),
    }
}

/// As old as it is now; what a silent PD said last grew no older since.
fn heartbeat_age(now: Timestamp, pd: &Read<crate::cluster::PdView>, store: &StoreView) -> Option<Duration> {
    let read_at = pd.at?;
    let until = if pd.error.is_some() { read_at } else { now.max(read_at) };
    Duration::try_from(until.duration_since(store.last_heartbeat?)).ok().or(Some(Duration::ZERO))
}

fn of_metrics(model: &Model, node: &NodeView, put: &mut impl FnMut(Column, String, Style)) {
    let theme = model.theme;
    let stale = node.metrics.error.is_some();
    let old = stale && node.metrics.age(model.now).is_none_or(|age| age > FIGURES_LAST);
    let metrics: Option<&StoreMetrics> = node.metrics.value.as_ref().filter(|_| !old);
    let style = if stale { theme.dim() } else { theme.plain() };
    let mut figure = |column, text: Option<String>| {
        let style = if text.is_some() { style } else { theme.dim() };
        put(column, text.unwrap_or_else(|| "-".to_owned()), style);
    };
    let refuses = |one: &StoreMetrics| one.refused_per_s.is_some_and(|rate| rate > 0.0);
    let rates = metrics.and_then(|one| {
        let mark = if refuses(one) { "!" } else { "" };
        Some(format!("{}+{}{mark}", rate(one.reads_per_s?), rate(one.writes_per_s?)))
    });
    figure(Column::Operations, rates);
    // A refusal is fast, and no time that a request takes.
    let honest = metrics.filter(|one| !one.mostly_refuses());
    let p99 = honest.into_iter().flat_map(|one| [one.read, one.write]).flatten().map(|one| one.p99);
    figure(Column::P99, p99.reduce(f64::max).map(delay));
}
