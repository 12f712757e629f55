//! The nodes that can be asked, as whoever finds them describes them, and whose store is whose. Pure.

use super::{
    assumed::{PD_CLIENT_PORT, TIKV_PORT, TIKV_STATUS_PORT},
    pd::{Store, host_and_port},
};

/// The nodes of one cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    pub cluster: String,
    pub members: Vec<Member>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Tikv,
    Pd,
}

/// A node that may be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// By which it is asked for, and found in the answer.
    pub id: String,
    pub name: String,
    pub kind: Kind,
    /// Names its present life: what was read of a former one may not hold.
    pub life: String,
    /// Why there is no sense in asking it: `is paused`.
    pub silent: Option<String>,
    /// `host:port` by which its cluster knows it.
    pub advertised: Option<String>,
    /// Hosts that mean it too: names and addresses.
    pub hosts: Vec<String>,
    /// Of TiKV's service, where it is known.
    pub port: Option<u16>,
    /// Of its HTTP, where it is known.
    pub http_port: Option<u16>,
    /// PD's own name for itself, where it is known.
    pub member: Option<String>,
}

impl Roster {
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| member.kind == kind)
    }

    /// The PD that a URL or an address means.
    pub fn pd_at(&self, address: &str) -> Option<&Member> {
        let (host, port) = host_and_port(address)?;
        let exact = |member: &&Member| member.advertised.as_deref().and_then(host_and_port) == Some((host, port));
        let by_host = |member: &&Member| member.is_called(host) && member.http_port() == port;
        self.of(Kind::Pd).find(exact).or_else(|| self.of(Kind::Pd).find(by_host))
    }

    /// The store of a TiKV node: the one with its advertised address; else the one whose host means this node, and
    /// its port where several do.
    pub fn store_of<'a>(&self, member: &Member, stores: &'a [Store]) -> Option<&'a Store> {
        if let Some(exact) = stores.iter().find(|store| member.advertised.as_ref() == Some(&store.view.address)) {
            return Some(exact);
        }
        let others = || self.of(Kind::Tikv).filter(|other| other.id != member.id);
        let claimed = |store: &Store| others().any(|other| other.advertised.as_ref() == Some(&store.view.address));
        let here: Vec<(&Store, u16)> = stores
            .iter()
            .filter_map(|store| {
                let (host, port) = host_and_port(&store.view.address)?;
                (member.is_called(host) && !claimed(store)).then_some((store, port))
            })
            .collect();
        let port = member.port.unwrap_or(TIKV_PORT);
        match here[..] {
            [] => None,
            [(only, _)] => Some(only),
            _ => here.iter().find(|(_, other)| *other == port).map(|(store, _)| *store),
        }
    }
}

impl Member {
    fn is_called(&self, host: &str) -> bool {
        self.name == host || self.hosts.iter().any(|other| other == host)
    }

    /// The port of its HTTP, or the usual one.
    pub fn http_port(&self) -> u16 {
        self.http_port.unwrap_or(match self.kind {
            Kind::Tikv => TIKV_STATUS_PORT,
            Kind::Pd => PD_CLIENT_PORT,
        })
    }

    /// What a sentence calls it: `PD at pd0:2379`, `TiKV at tikv0:20180`.
    pub fn label(&self, port: u16) -> String {
        let host = self.advertised.as_deref().and_then(host_and_port).map(|(host, _)| host);
        let what = match self.kind {
            Kind::Tikv => "TiKV",
            Kind::Pd => "PD",
        };
        format!("{what} at {}:{port}", host.unwrap_or(&self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::StoreView;

    fn member(name: &str, advertised: Option<&str>, port: Option<u16>) -> Member {
        let hosts = vec![format!("{name}-alias"), "10.0.0.1".to_owned()];
        Member {
            id: name.into(),
            name: name.into(),
            advertised: advertised.map(str::to_owned),
            hosts,
            port,
            ..Member::default()
        }
    }

    fn store(id: u64, address: &str) -> Store {
        Store { view: StoreView { id, address: address.into(), ..StoreView::default() }, ..Store::default() }
    }

    fn joined(member: &Member, others: &[Member], stores: &[Store]) -> Option<u64> {
        let members = others.iter().chain([member]).cloned().collect();
        Roster { cluster: String::new(), members }.store_of(member, stores).map(|store| store.view.id)
    }

    #[test]
    fn a_store_is_joined_by_its_address_else_by_its_host() {
        let stores = [store(1, "tikv0:20160"), store(2, "tikv1-alias:20160"), store(3, "10.0.0.1:20161")];
        assert_eq!(joined(&member("x", Some("tikv0:20160"), None), &[], &stores), Some(1));
        // By its container's name, by an alias, by its address.
        assert_eq!(joined(&Member { hosts: vec![], ..member("tikv0", None, None) }, &[], &stores), Some(1));
        assert_eq!(
            joined(&Member { hosts: vec!["tikv1-alias".into()], ..member("x", None, None) }, &[], &stores),
            Some(2)
        );
        assert_eq!(joined(&member("x", None, None), &[], &stores), Some(3));
        assert_eq!(joined(&Member { hosts: vec![], ..member("x", None, None) }, &[], &stores), None);
    }

    #[test]
    fn stores_on_one_host_are_told_apart_by_port_and_never_shared() {
        let stores = [store(1, "10.0.0.1:20160"), store(2, "10.0.0.1:20161")];
        assert_eq!(joined(&member("a", None, Some(20161)), &[], &stores), Some(2));
        assert_eq!(joined(&member("a", None, None), &[], &stores), Some(1));
        let other = member("b", Some("10.0.0.1:20160"), None);
        assert_eq!(joined(&member("a", None, None), &[other], &stores), Some(2));
    }

    #[test]
    fn url_leads_only_to_known_pd() {
        let pd =
            |name: &str| Member { kind: Kind::Pd, hosts: vec![], ..member(name, Some(&format!("{name}:2379")), None) };
        let roster =
            Roster { cluster: String::new(), members: vec![pd("pd0"), pd("pd1"), member("tikv0", None, None)] };
        let found = |address| roster.pd_at(address).map(|member| member.name.as_str());
        assert_eq!(found("http://pd1:2379/pd/api/v1/stores"), Some("pd1"));
        assert_eq!(found("http://tikv0:2379/"), None);
        assert_eq!(found("http://pd1:80/"), None);
        assert_eq!(found("/relative"), None);
    }
}
