//! PD's answers, as its versions have spelt them: a field may be missing, `null` or zero, a size may be text or a
//! number. What is not an answer at all is an error that says where it stopped making sense. Pure.
//!
//! Shapes: tikv/pd pkg/response/{store,region}.go, server/api/{health,member}.go; older ones from reports of users.

mod regions;
mod rules;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};

use super::{
    assumed::{TOMBSTONE, UP},
    state::StoreView,
};

pub use regions::{RegionVoters, Regions, regions, serves};
pub use rules::voter_counts;

/// A store, and where its status port is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Store {
    pub view: StoreView,
    /// It is TiFlash, whose replicas are learners.
    pub is_tiflash: bool,
    /// `--advertise-status-addr`; empty where PD does not say.
    pub status_address: String,
}

/// A member of PD.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Member {
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    #[serde(deserialize_with = "nullable")]
    pub client_urls: Vec<String>,
    /// Only `/members` says so.
    #[serde(deserialize_with = "nullable")]
    pub peer_urls: Vec<String>,
    /// Only `/health` says so.
    pub health: Option<bool>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    pub members: Vec<Member>,
    /// The leader's name; none while there is none.
    pub leader: Option<String>,
    /// The number that a cluster gives itself when it begins.
    pub cluster_id: Option<u64>,
}

/// `/stores`, without those that are buried.
pub fn stores(text: &str) -> Result<Vec<Store>, String> {
    let answer: StoresAnswer = parse(text)?;
    let living = answer.stores.into_iter().filter(|one| one.store.state_name != TOMBSTONE);
    Ok(living.map(Store::from).collect())
}

/// `/health`.
pub fn health(text: &str) -> Result<Vec<Member>, String> {
    // PD before 2.0 wrapped nothing; a proxy in between may say `null`.
    parse::<Option<Vec<Member>>>(text).map(Option::unwrap_or_default)
}

/// `/members`.
pub fn members(text: &str) -> Result<Members, String> {
    let answer: MembersAnswer = parse(text)?;
    let leader = answer.leader.map(|leader| leader.name).filter(|name| !name.is_empty());
    Ok(Members {
        members: answer.members,
        leader,
        cluster_id: answer.header.and_then(|header| header.get("cluster_id")?.as_u64()),
    })
}

/// `/stats/region`: how many regions there are.
pub fn region_count(text: &str) -> Result<u64, String> {
    let answer: Counted = parse(text)?;
    answer.count.ok_or_else(|| "has no `count`".to_owned())
}

/// `/config/replicate`: `max-replicas`.
pub fn max_replicas(text: &str) -> Result<Option<u32>, String> {
    parse::<Replication>(text).map(|answer| answer.max_replicas)
}

/// `/version`.
pub fn version(text: &str) -> Result<String, String> {
    let answer: Version = parse(text)?;
    answer.version.filter(|version| !version.is_empty()).ok_or_else(|| "has no `version`".to_owned())
}

#[derive(Deserialize)]
struct StoresAnswer {
    // An answer without it is none: an error document is JSON too.
    #[serde(deserialize_with = "nullable")]
    stores: Vec<StoreAnswer>,
}

#[derive(Deserialize)]
struct StoreAnswer {
    store: StoreMeta,
    #[serde(default, deserialize_with = "nullable")]
    status: StoreStatus,
}

#[derive(Deserialize)]
struct StoreMeta {
    id: u64,
    #[serde(default)]
    address: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    status_address: String,
    #[serde(default)]
    state_name: String,
    #[serde(default, deserialize_with = "nullable")]
    labels: Vec<Label>,
    /// In nanoseconds since 1970.
    #[serde(default)]
    last_heartbeat: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Label {
    key: String,
    value: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StoreStatus {
    capacity: Option<Size>,
    available: Option<Size>,
    leader_count: u64,
    region_count: u64,
    slow_score: Option<f64>,
    last_heartbeat_ts: Option<Timestamp>,
}

impl From<StoreAnswer> for Store {
    fn from(StoreAnswer { store, status }: StoreAnswer) -> Self {
        let by_number = store.last_heartbeat.filter(|ns| *ns > 0);
        let by_number = by_number.and_then(|ns| Timestamp::from_nanosecond(ns.into()).ok());
        // Go's zero time is a store that never beat.
        let beat = status.last_heartbeat_ts.filter(|at| *at > Timestamp::UNIX_EPOCH).or(by_number);
        let view = StoreView {
            id: store.id,
            address: store.address,
            state_name: store.state_name,
            version: store.version,
            last_heartbeat: beat,
            leaders: status.leader_count,
            regions: status.region_count,
            slow_score: status.slow_score,
            capacity: status.capacity.map(|size| size.0),
            available: status.available.map(|size| size.0),
        };
        // tikv/pd pkg/core/store.go, IsTiFlash.
        let is_tiflash = store.labels.iter().any(|label| label.key == "engine" && label.value.starts_with("tiflash"));
        Self { view, is_tiflash, status_address: store.status_address }
    }
}

#[derive(Deserialize)]
struct MembersAnswer {
    #[serde(deserialize_with = "nullable")]
    members: Vec<Member>,
    #[serde(default)]
    leader: Option<Member>,
    #[serde(default)]
    header: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Counted {
    count: Option<u64>,
}

#[derive(Deserialize)]
struct Replication {
    #[serde(rename = "max-replicas")]
    max_replicas: Option<u32>,
}

#[derive(Deserialize)]
struct Version {
    version: Option<String>,
}

/// Bytes: a number, or go-units' text such as `854GiB`, in older versions `854 GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size(u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a size such as 854GiB, or bytes")]
        enum Spelling {
            Bytes(u64),
            Text(String),
        }
        match Spelling::deserialize(deserializer)? {
            Spelling::Bytes(bytes) => Ok(Self(bytes)),
            Spelling::Text(text) => bytes_of(&text)
                .map(Self)
                .ok_or_else(|| serde::de::Error::custom(format_args!("{text:?} is no size such as 854GiB"))),
        }
    }
}

/// docker/go-units `BytesSize`: binary units, four digits.
fn bytes_of(text: &str) -> Option<u64> {
    const UNITS: [&str; 6] = ["", "k", "m", "g", "t", "p"];
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit = text[end..].trim().to_ascii_lowercase();
    let unit = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit);
    let power = UNITS.iter().position(|one| *one == unit)?;
    let number: f64 = text[..end].parse().ok()?;
    Some((number * 1024_f64.powi(i32::try_from(power).ok()?)).round() as u64)
}

/// Go writes an empty list as `null`.
fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// The answer, or what of it is wrong.
pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    // Only what is wrong is worth finding out where.
    if let Ok(parsed) = serde_json::from_str(text) {
        return Ok(parsed);
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parsed = serde_path_to_error::deserialize(&mut deserializer);
    parsed.map_err(|error| {
        let at = error.path().to_string();
        let inner = error.inner();
        match inner.classify() {
            serde_json::error::Category::Eof if text.trim().is_empty() => "answered nothing".to_owned(),
            serde_json::error::Category::Eof => format!("answered half a JSON document: {inner}"),
            serde_json::error::Category::Data if at == "." => format!("answered another document: {inner}"),
            serde_json::error::Category::Data => format!("answered a document that is wrong at {at}: {inner}"),
            _ => format!("answered something that is not JSON: {inner}"),
        }
    })
}

/// The host part of `host:port` or of a URL, and the port.
pub fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    let address = address.split('/').next().unwrap_or(address);
    let (host, port) = address.rsplit_once(':')?;
    Some((host.trim_matches(['[', ']']), port.parse().ok()?))
}

/// How many stores PD calls what, for a sentence: `2 Up, 1 Disconnected`.
pub fn count_states<'a>(stores: impl IntoIterator<Item = &'a StoreView>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for store in stores {
        *counts.entry(&store.state_name).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(state, _)| *state != UP);
    if counts.is_empty() {
        return "no stores".to_owned();
    }
    counts.iter().map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
