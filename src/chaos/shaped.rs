//! The faults that let packets through and do something to them: what is asked for in the words of the parameter table,
//! as an impairment and a scope, and back again, so that a fault that holds can be changed from where it stands.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::{
    FaultType, Metadata, ParamError, Params, Peer, Scope, Value,
    network::{
        Chance, DEFAULT_LIMIT, Delay, Direction, Distribution, Flavour, GilbertElliott, Impairment, Loss, Ppm, Rate,
        Reorder, Shape,
    },
    peer::silent,
};

pub(super) const DISTRIBUTIONS: &[&str] = &["uniform", "normal", "pareto"];

/// A shaped fault in its metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shaped {
    pub target_container: String,
    /// The first of the interfaces; the contract knows only one.
    pub interface: String,
    #[serde(flatten)]
    pub shape: Shape,
    /// Whom it is for, in the words in which that was asked: the filter has the addresses. Empty is everybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// Whose iptables holds the rules that choose the packets.
    #[serde(default)]
    pub flavour: Flavour,
    /// What was made together with it at the peers' own ends, so that this object is enough for a clean-up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub far: Vec<Metadata>,
    /// The nodes behind the words of `to`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peer_nodes: Vec<Peer>,
    /// Where it is for clients, the nodes, which are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spared_nodes: Vec<Peer>,
    /// The target's own addresses when the interfaces were chosen; none where an interface was asked for by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_ips: Vec<IpAddr>,
}

fn chance(params: &Params) -> Chance {
    Chance { share: Ppm::percent(params.number("percent")), correlation: Ppm::percent(params.number("correlation")) }
}

/// What the parameters ask to be done to packets; `None` for a type that does nothing to them.
pub(super) fn impairment(kind: FaultType, params: &Params) -> Result<Option<Impairment>, ParamError> {
    let none = Impairment { limit: limit(params), ..Impairment::default() };
    Ok(Some(match kind {
        FaultType::Latency => Impairment { delay: Some(delay(params)?), ..none },
        FaultType::PacketLoss => Impairment { loss: Some(loss(params)?), ..none },
        FaultType::PacketDuplicate => Impairment { duplicate: Some(chance(params)), ..none },
        FaultType::PacketCorrupt => Impairment { corrupt: Some(chance(params)), ..none },
        FaultType::PacketReorder => {
            let mean_us = params.number("delay_ms") * 1000;
            let delay = Delay { mean_us, jitter_us: 0, correlation: Ppm::NONE, distribution: Distribution::Uniform };
            let gap = u32::try_from(params.number("gap")).unwrap_or(1).max(1);
            Impairment { delay: Some(delay), reorder: Some(Reorder { chance: chance(params), gap }), ..none }
        }
        FaultType::Bandwidth => {
            let bits_per_second = params.number("rate_kbit") * 1000;
            let rate = Rate { bits_per_second, burst_bytes: params.number("burst_kb") * 1000 };
            Impairment { rate: Some(rate), ..none }
        }
        FaultType::NodeKill
        | FaultType::DiskPressure
        | FaultType::NetworkPartition
        | FaultType::NodePause
        | FaultType::NodeStop => return Ok(None),
    }))
}

fn limit(params: &Params) -> u32 {
    match u32::try_from(params.number("limit")).unwrap_or(DEFAULT_LIMIT) {
        DEFAULT_LIMIT => 0,
        limit => limit,
    }
}

/// A mean, where one is given, counts before the bounds.
fn delay(params: &Params) -> Result<Delay, ParamError> {
    let (min_ms, max_ms) = (params.number("min_ms"), params.number("max_ms"));
    let (mean_ms, jitter_ms) = (params.number("mean_ms"), params.number("jitter_ms"));
    let (mean_us, jitter_us) = if mean_ms > 0 || jitter_ms > 0 {
        if jitter_ms > mean_ms {
            return Err(ParamError::JitterOverMean { mean_ms, jitter_ms });
        }
        (mean_ms * 1000, jitter_ms * 1000)
    } else {
        if min_ms > max_ms {
            return Err(ParamError::MinOverMax { min_ms, max_ms });
        }
        ((min_ms + max_ms) * 500, (max_ms - min_ms) * 500)
    };
    let distribution = match params.text("distribution").as_str() {
        "normal" => Distribution::Normal,
        "pareto" => Distribution::Pareto,
        _ => Distribution::Uniform,
    };
    Ok(Delay { mean_us, jitter_us, correlation: Ppm::percent(params.number("correlation")), distribution })
}

/// Bursts are the Gilbert-Elliott model in a person's words: so much is lost in all, in bursts of so many packets on
/// average, in which so much is lost. In the bad state for a share π of the time, π = p / (p + r), with a burst's mean length
/// of 1 / r; what is lost in all is π times what is lost in a burst.
fn loss(params: &Params) -> Result<Loss, ParamError> {
    let (percent, length) = (params.number("percent"), params.number("burst_length"));
    if length < 2 {
        return Ok(Loss::Random(chance(params)));
    }
    let in_burst = params.number("burst_percent");
    if params.number("correlation") > 0 {
        return Err(ParamError::BurstsCorrelate { length });
    }
    if percent >= in_burst {
        return Err(ParamError::BurstsTooThin { percent, in_burst });
    }
    let r = 1_000_000 / length;
    // π / (1 - π) = percent / (in_burst - percent).
    let p = r * percent / (in_burst - percent);
    if p > 1_000_000 {
        return Err(ParamError::BurstsTooShort { percent, length });
    }
    let ppm = |parts: u64| Ppm::new(u32::try_from(parts).unwrap_or(u32::MAX));
    Ok(Loss::Bursts(GilbertElliott { p: ppm(p), r: ppm(r), bad: Ppm::percent(in_burst), good: Ppm::NONE }))
}

impl Shaped {
    /// The parameters by which this fault would be asked for as it is now.
    pub(super) fn params(&self, kind: FaultType) -> Params {
        let mut params = Params::defaults(kind);
        let shape = &self.shape;
        let percent = |share: Ppm| u64::from(share.parts()).div_ceil(10_000);
        let mut chance = |one: Chance| {
            params.put("percent", Value::Number(percent(one.share)));
            params.put("correlation", Value::Number(percent(one.correlation)));
        };
        match shape.impairment {
            Impairment { reorder: Some(reorder), .. } => {
                chance(reorder.chance);
                params.put("gap", Value::Number(reorder.gap.into()));
                let delay = shape.impairment.delay.map_or(0, |delay| delay.mean_us / 1000);
                params.put("delay_ms", Value::Number(delay));
            }
            Impairment { loss: Some(Loss::Random(one)), .. }
            | Impairment { duplicate: Some(one), .. }
            | Impairment { corrupt: Some(one), .. } => chance(one),
            Impairment { loss: Some(Loss::Bursts(model)), .. } => {
                let (p, r, bad) = (model.p.fraction(), model.r.fraction(), model.bad.fraction());
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small figures")]
                let whole = |value: f64| Value::Number(value.round() as u64);
                params.put("percent", whole(100.0 * bad * p / (p + r)));
                params.put("burst_length", whole(1.0 / r));
                params.put("burst_percent", Value::Number(percent(model.bad)));
            }
            Impairment { rate: Some(rate), .. } => {
                params.put("rate_kbit", Value::Number(rate.bits_per_second / 1000));
                params.put("burst_kb", Value::Number(rate.burst_bytes / 1000));
            }
            Impairment { delay: Some(delay), .. } => {
                let (least, most) = bounds(delay);
                params.put("min_ms", Value::Number(least));
                params.put("max_ms", Value::Number(most));
                params.put("correlation", Value::Number(percent(delay.correlation)));
                let name = DISTRIBUTIONS[delay.distribution as usize];
                params.put("distribution", Value::Text(name.to_owned()));
            }
            _ => {}
        }
        params.put("limit", Value::Number(shape.impairment.limit().into()));
        params.put("direction", Value::Text(shape.direction.name().to_owned()));
        params.put("via", Value::Text(shape.via.name().to_owned()));
        params.put("to", Value::List(self.to.clone()));
        let ports = shape.filter.ports.iter().flatten().map(u16::to_string).collect();
        params.put("ports", Value::List(ports));
        params.put("spare_status", Value::Switch(!shape.filter.except_ports.is_empty()));
        params
    }
}

/// The least and the greatest delay in milliseconds, of a uniform distribution; of another one deviation from the mean.
pub(super) fn bounds(delay: Delay) -> (u64, u64) {
    (delay.mean_us.saturating_sub(delay.jitter_us) / 1000, (delay.mean_us + delay.jitter_us) / 1000)
}

/// The parameters in a few words: `50-150 ms on eth0, out, by netem`.
impl fmt::Display for Shaped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shape { impairment, interfaces, via, direction, filter } = &self.shape;
        what(impairment, f)?;
        write!(f, " on {}", interfaces.join(", "))?;
        if *direction != Direction::Out {
            write!(f, ", {}", if *direction == Direction::In { "on the way in" } else { "both ways" })?;
        }
        if !self.to.is_empty() {
            write!(f, ", to {}", self.to.join(", "))?;
            if self.peer_nodes.iter().any(|peer| peer.ips.is_empty()) {
                let addresses = self.shape.filter.peers.as_ref().map_or(0, BTreeSet::len);
                write!(f, " ({addresses} addresses{})", silent(&self.peer_nodes))?;
            }
        }
        if let Some(ports) = &filter.ports {
            write!(f, ", ports {}", list(ports))?;
        }
        if !filter.except_ports.is_empty() {
            write!(f, ", not ports {}", list(&filter.except_ports))?;
        }
        write!(f, ", by {}", if *via == super::network::Via::Netem { "netem" } else { "the shaper" })
    }
}

fn list(ports: &BTreeSet<u16>) -> String {
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

fn what(impairment: &Impairment, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let percent = |share: Ppm| u64::from(share.parts()).div_ceil(10_000);
    match *impairment {
        Impairment { reorder: Some(reorder), delay, .. } => {
            let delay = delay.map_or(0, |delay| delay.mean_us / 1000);
            write!(f, "{} % before the others, which come {delay} ms late", percent(reorder.chance.share))
        }
        Impairment { loss: Some(Loss::Random(one)), .. } => write!(f, "{} % lost", percent(one.share)),
        Impairment { loss: Some(Loss::Bursts(model)), .. } => {
            let (p, r) = (model.p.fraction(), model.r.fraction());
            let all = 100.0 * model.bad.fraction() * p / (p + r);
            write!(f, "{all:.0} % lost in bursts of {:.0}", 1.0 / r)
        }
        Impairment { duplicate: Some(one), .. } => write!(f, "{} % twice", percent(one.share)),
        Impairment { corrupt: Some(one), .. } => write!(f, "{} % corrupt", percent(one.share)),
        Impairment { rate: Some(rate), .. } => write!(f, "{} kbit/s", rate.bits_per_second / 1000),
        Impairment { delay: Some(delay), .. } if delay.distribution == Distribution::Uniform => {
            let (least, most) = bounds(delay);
            write!(f, "{least}-{most} ms")
        }
        Impairment { delay: Some(delay), .. } => {
            let name = DISTRIBUTIONS[delay.distribution as usize];
            write!(f, "{} \u{b1} {} ms ({name})", delay.mean_us / 1000, delay.jitter_us / 1000)
        }
        _ => f.write_str("nothing"),
    }
}

impl Scope {
    pub(super) fn from_params(params: &Params) -> Result<Self, ParamError> {
        let direction = Direction::from_name(&params.text("direction")).unwrap_or_default();
        let via = match params.text("via").as_str() {
            "netem" => Some(super::network::Via::Netem),
            "shaper" => Some(super::network::Via::Shaper),
            _ => None,
        };
        let port = |text: String| match text.parse() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(ParamError::NotAllowed {
                name: "ports",
                given: text,
                allowed: "ports from 1 to 65535, with commas between".to_owned(),
            }),
        };
        let everything = |to: &String| to == "everything" || to == "everybody";
        let to = params.list("to");
        Ok(Self {
            direction,
            to: if to.iter().any(everything) { Vec::new() } else { to },
            ports: params.list("ports").into_iter().map(port).collect::<Result<_, _>>()?,
            spare_status: params.switch("spare_status"),
            via,
            interface: params.optional_text("interface"),
        })
    }
}
