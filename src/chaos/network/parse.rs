//! What `tc -j qdisc show` and `iptables-save -t filter` print, read for the parts that bear our marks.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Deserialize;

use super::{CHAIN_PREFIX, Chains, Hook, Netem, QDISC_HANDLE, RootQdisc};

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
    options: serde_json::Value,
}

/// The root qdisc of each interface. Seconds in the output, microseconds in the answer.
pub fn parse_qdiscs(json: &str) -> Result<BTreeMap<String, RootQdisc>, ReadError> {
    let text = if json.trim().is_empty() { "[]" } else { json };
    let qdiscs: Vec<Qdisc> =
        serde_json::from_str(text).map_err(|error| ReadError(error.to_string(), json.chars().take(60).collect()))?;
    Ok(qdiscs.into_iter().filter(|qdisc| qdisc.root).map(|qdisc| (qdisc.dev.clone(), classify(&qdisc))).collect())
}

fn classify(qdisc: &Qdisc) -> RootQdisc {
    match qdisc.handle.as_str() {
        "0:" => RootQdisc::Default,
        QDISC_HANDLE if qdisc.kind == "netem" => {
            let delay = &qdisc.options["delay"];
            RootQdisc::Ours(Netem { delay_us: micros(&delay["delay"]), jitter_us: micros(&delay["jitter"]) })
        }
        handle => RootQdisc::Foreign(format!("{} {handle}", qdisc.kind)),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "netem's delays are far below 2^53 µs")]
fn micros(seconds: &serde_json::Value) -> u64 {
    (seconds.as_f64().unwrap_or(0.0).max(0.0) * 1e6).round() as u64
}

/// Our chains in what `iptables-save -t filter` or `ip6tables-save -t filter` prints.
pub fn parse_filter(text: &str) -> Chains {
    let mut chains = Chains::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix(':').and_then(|rest| rest.split(' ').next()) {
            if Hook::of(name).is_some() {
                chains.entry(name.to_owned()).or_default();
            }
        } else if let Some(rule) = line.strip_prefix("-A ") {
            read_rule(rule, &mut chains);
        }
    }
    chains
}

fn read_rule(rule: &str, chains: &mut Chains) {
    let words: Vec<&str> = rule.split_whitespace().collect();
    match words[..] {
        [hook, "-j", name] if name.starts_with(CHAIN_PREFIX) => {
            let belongs = Hook::of(name).is_some_and(|of| of.chain() == hook);
            if let (true, Some(chain)) = (belongs, chains.get_mut(name)) {
                chain.jumps += 1;
            }
        }
        [name, option, address, "-j", "DROP"] => {
            let Some(chain) = chains.get_mut(name) else { return };
            let expected = Hook::of(name).is_some_and(|hook| hook.peer_option() == option);
            chain.drops.push(host(address).filter(|_| expected));
        }
        [name, ..] => {
            if let Some(chain) = chains.get_mut(name) {
                chain.drops.push(None::<IpAddr>);
            }
        }
        [] => {}
    }
}

/// The address of a single host: `10.0.0.2/32`, `fd00::2/128`.
fn host(address: &str) -> Option<IpAddr> {
    let bare = address.strip_suffix("/32").or_else(|| address.strip_suffix("/128")).unwrap_or(address);
    bare.parse().ok()
}
