//! What `tc -s -j qdisc show` and `iptables-save` print, read for the parts that bear our marks.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{
    CHAIN_PREFIX, Chains, Chance, DEFAULT_LIMIT, Delay, Distribution, GilbertElliott, Impairment, Loss, Ppm, Rate,
    Reorder, RootQdisc, Table, Tables, Tree,
    chains::place,
    qdisc::{FIRST_BAND, QDISC_HANDLE, read_leaf},
};

/// Output of a tool that we cannot read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read what tc prints ({0}); it began with {1:?}")]
pub struct ReadError(String, String);

#[derive(Deserialize)]
struct Qdisc {
    kind: String,
    handle: String,
    dev: String,
    #[serde(default)]
    root: bool,
    #[serde(default)]
    parent: String,
    #[serde(default)]
    options: Value,
    #[serde(default)]
    packets: u64,
    #[serde(default)]
    qlen: u64,
    #[serde(default)]
    drops: u64,
}

/// The root qdisc of each interface, with the leaves of those that are ours.
pub fn parse_qdiscs(json: &str) -> Result<BTreeMap<String, RootQdisc>, ReadError> {
    let qdiscs = read(json)?;
    let roots = qdiscs.iter().filter(|qdisc| qdisc.root);
    Ok(roots.map(|root| (root.dev.clone(), classify(root, &qdiscs))).collect())
}

/// With `-s`: the packets that left, those that wait and those that were dropped, of every netem of ours by interface and
/// band.
pub fn parse_counts(json: &str) -> Result<BTreeMap<(String, u16), [u64; 3]>, ReadError> {
    let netems = read(json)?.into_iter().filter(|qdisc| qdisc.kind == "netem");
    let band = |one: &Qdisc| match one.handle.as_str() {
        QDISC_HANDLE => Some(FIRST_BAND),
        leaf => read_leaf(leaf).map(|(band, _)| band),
    };
    Ok(netems.filter_map(|one| Some(((one.dev.clone(), band(&one)?), [one.packets, one.qlen, one.drops]))).collect())
}

fn read(json: &str) -> Result<Vec<Qdisc>, ReadError> {
    let text = if json.trim().is_empty() { "[]" } else { json };
    serde_json::from_str(text).map_err(|error| ReadError(error.to_string(), json.chars().take(60).collect()))
}

fn classify(root: &Qdisc, all: &[Qdisc]) -> RootQdisc {
    match (root.handle.as_str(), root.kind.as_str()) {
        ("0:", _) => RootQdisc::Default,
        (QDISC_HANDLE, "netem") => RootQdisc::Ours(Tree::One(impairment(&root.options, Distribution::Uniform))),
        (QDISC_HANDLE, "prio") => {
            let leaves = all.iter().filter(|leaf| leaf.dev == root.dev && leaf.kind == "netem");
            let bands = leaves.filter_map(|leaf| {
                let (band, distribution) = read_leaf(&leaf.handle)?;
                let above = leaf.parent.strip_prefix(QDISC_HANDLE)?;
                let in_place = u16::from_str_radix(above, 16) == Ok(band);
                in_place.then(|| (band, impairment(&leaf.options, distribution)))
            });
            RootQdisc::Ours(Tree::Bands(bands.collect()))
        }
        (handle, kind) => RootQdisc::Foreign(format!("{kind} {handle}")),
    }
}

/// netem's options. Seconds, shares of one and bytes a second in the output.
fn impairment(options: &Value, distribution: Distribution) -> Impairment {
    let at = |object: &str| options.get(object).filter(|value| value.is_object());
    let chance = |object: &str, share: &str| {
        let value = at(object)?;
        Some(Chance { share: ppm(&value[share]), correlation: ppm(&value["correlation"]) })
    };
    let delay = at("delay").map(|value| {
        let (mean_us, jitter_us) = (scaled(&value["delay"], 1e6), scaled(&value["jitter"], 1e6));
        // Without jitter there is nothing to be distributed; the handle says what there would be.
        Delay { mean_us, jitter_us, correlation: ppm(&value["correlation"]), distribution }
    });
    let bursts = at("loss-gemodel").map(|value| {
        let [p, r, bad, good] = ["p", "r", "1-h", "1-k"].map(|name| ppm(&value[name]));
        Loss::Bursts(GilbertElliott { p, r, bad, good })
    });
    let reorder = chance("reorder", "reorder").map(|chance| {
        let gap = u32::try_from(options["gap"].as_u64().unwrap_or(1)).unwrap_or(1);
        Reorder { chance, gap }
    });
    let rate = at("rate").map(|value| Rate { bits_per_second: scaled(&value["rate"], 8.0), burst_bytes: 0 });
    let limit = options["limit"].as_u64().and_then(|limit| u32::try_from(limit).ok()).unwrap_or(DEFAULT_LIMIT);
    let loss = bursts.or(chance("loss-random", "loss").map(Loss::Random));
    super::qdisc::shown(Impairment {
        delay,
        loss,
        duplicate: chance("duplicate", "duplicate"),
        corrupt: chance("corrupt", "corrupt"),
        reorder,
        rate,
        limit,
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "tc's figures are far below 2^53")]
fn scaled(value: &Value, by: f64) -> u64 {
    (value.as_f64().unwrap_or(0.0).max(0.0) * by).round() as u64
}

fn ppm(share: &Value) -> Ppm {
    Ppm::new(u32::try_from(scaled(share, 1e6)).unwrap_or(u32::MAX))
}

/// Our chains in what `iptables-save` or `ip6tables-save` prints of all tables.
pub fn parse_chains(text: &str) -> Tables {
    let mut tables = Tables::default();
    let mut table = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = Table::ALL.into_iter().find(|table| table.name() == name);
        }
        let Some(table) = table else { continue };
        let chains = match table {
            Table::Filter => &mut tables.filter,
            Table::Mangle => &mut tables.mangle,
        };
        read_line(line, table, chains);
    }
    tables
}

fn read_line(line: &str, table: Table, chains: &mut Chains) {
    let ours = |name: &str| place(name).filter(|(of, _)| *of == table);
    if let Some(name) = line.strip_prefix(':').and_then(|rest| rest.split(' ').next()) {
        if ours(name).is_some() {
            chains.entry(name.to_owned()).or_default();
        }
        return;
    }
    let Some((name, rule)) = line.strip_prefix("-A ").and_then(|rest| rest.split_once(' ')) else { return };
    if let Some(chain) = chains.get_mut(name) {
        chain.rules.push(rule.to_owned());
    } else if let Some(target) = rule.strip_prefix("-j ").filter(|target| target.starts_with(CHAIN_PREFIX))
        && ours(target).is_some_and(|(_, hook)| hook == Some(name))
    {
        let of_hook = |chain: &&String| place(chain).is_some_and(|(_, hook)| hook == Some(name));
        let before = chains.iter().filter(|(chain, _)| of_hook(chain)).map(|(_, chain)| chain.jumps.len()).sum();
        if let Some(chain) = chains.get_mut(target) {
            chain.jumps.push(before);
        }
    }
}
