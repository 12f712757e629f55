//! What is read from PD and TiKV, and what is said when they answer nonsense: against real HTTP in this process.

use std::{collections::HashMap, path::Path};

use support::http::{self, Reply, STORE_IDS, Server, config, dead_port, healthy_pd, metrics, stores};
use tikv_chaos::cluster::{
    ClusterState, ConfigCache, NodeConfig, Port, Reach, Reached, Read, Reader,
    http::{Client, Place},
    member::{Kind, Member, Roster},
};

const STORES: &str = "/pd/api/v1/stores";
const REGIONS: &str = "/pd/api/v1/regions";
const RULES: &str = "/pd/api/v1/config/rules";
const VERSION: &str = "/pd/api/v1/version";
const METRICS: &str = "/metrics";
const CONFIG: &str = "/config";

/// Nodes whose ports are those of servers in this process.
struct Nodes {
    client: Client,
    ports: HashMap<String, u16>,
    roster: Roster,
    reader: Reader,
}

impl Reach for Nodes {
    async fn get(&self, id: &str, _port: Port, path: &str) -> Result<Reached, String> {
        let place = Place { address: format!("127.0.0.1:{}", self.ports[id]), name: id.to_owned() };
        let answer = self.client.get(&place, path).await.map_err(|error| error.to_string())?;
        Ok(Reached { via: place.address, answer })
    }
}

impl Nodes {
    fn new(nodes: &[(&str, u16)]) -> Self {
        let member = |(name, _): &(&str, u16)| {
            let (kind, port) = if name.starts_with("pd") { (Kind::Pd, 2379) } else { (Kind::Tikv, 20160) };
            let advertised = Some(format!("{name}:{port}"));
            Member { id: name.to_string(), name: name.to_string(), kind, advertised, ..Member::default() }
        };
        Self {
            client: Client::new(None),
            ports: nodes.iter().map(|(name, port)| (name.to_string(), *port)).collect(),
            roster: Roster { cluster: "demo".into(), members: nodes.iter().map(member).collect() },
            reader: Reader::default(),
        }
    }

    /// As another program would read them, with the same state folder.
    fn again(&mut self, state_dir: &Path) {
        self.reader = Reader::keeping(ConfigCache::under(state_dir));
    }

    async fn config(&self, name: &str) -> Read<NodeConfig> {
        self.read().await.nodes[name].config.clone()
    }

    async fn read(&self) -> ClusterState {
        self.reader.read(std::slice::from_ref(&self.roster), self).await.remove(0)
    }
}

fn tikv(reads: u64) -> Server {
    Server::start(http::Answers::from([(METRICS.to_owned(), metrics(reads))]))
}

#[tokio::test]
async fn cluster_reader_collects_state_from_pd_and_every_node() {
    let (pd0, pd1, tikv0) = (Server::start(healthy_pd()), Server::start(healthy_pd()), tikv(0));
    let nodes = Nodes::new(&[("pd0", pd0.port), ("pd1", pd1.port), ("tikv0", tikv0.port), ("tikv1", dead_port())]);
    let state = nodes.read().await;
    let pd = state.pd.value.as_ref().unwrap();
    assert_eq!(
        (pd.answered_by.as_str(), pd.version.as_deref(), pd.leader.as_deref()),
        ("pd0", Some("v8.5.5"), Some("pd0"))
    );
    assert_eq!((pd.max_replicas, pd.region_count, pd.regions_without_quorum), (Some(3), Some(20), Some(0)));
    assert_eq!((&pd.voter_counts[..], &pd.rules_error), (&[3][..], &None));
    assert_eq!(pd.stores.iter().map(|store| store.id).collect::<Vec<_>>(), STORE_IDS);
    assert_eq!(pd.regions.as_ref().map(|regions| regions.without_quorum(|store| store == 1)), Some(1));
    assert_eq!((pd0.times_asked(REGIONS), pd1.times_asked(REGIONS)), (1, 0));
    // Of itself each is asked, of the cluster the one that answered.
    assert_eq!((pd0.asked_of_itself(), pd1.asked_of_itself()), (vec![VERSION.to_owned()], vec![VERSION.to_owned()]));
    let leaders: Vec<_> = state.pd_nodes.iter().map(|one| (one.answered, one.is_leader, one.healthy)).collect();
    assert_eq!(leaders, [(true, true, Some(true)), (true, false, Some(true))]);
    assert_eq!(state.nodes["tikv0"].store.as_ref().map(|store| store.id), Some(1));
    let metrics = &state.nodes["tikv0"].metrics;
    assert_eq!(metrics.value.as_ref().map(|value| (value.leaders, value.reads_per_s)), Some((Some(7), None)));
    let dead = &state.nodes["tikv1"].metrics;
    assert!(dead.error.as_ref().unwrap().contains("TiKV at tikv1:20180 cannot be reached at 127.0.0.1:"), "{dead:?}");
    assert!(dead.error.as_ref().unwrap().ends_with("Connection refused"), "{dead:?}");
}

#[tokio::test]
async fn cluster_reader_reuses_connections_and_polls_members_rarely() {
    let (pd0, tikv0) = (Server::start(healthy_pd()), tikv(100));
    let nodes = Nodes::new(&[("pd0", pd0.port), ("tikv0", tikv0.port)]);
    nodes.read().await;
    let (first, before) = (pd0.connections(), tikv0.times_asked(METRICS));
    tikv0.set(METRICS, metrics(500));
    let state = loop {
        let state = nodes.read().await;
        if tikv0.times_asked(METRICS) > before {
            break state;
        }
    };
    assert!(state.nodes["tikv0"].metrics.value.as_ref().unwrap().reads_per_s.unwrap() > 0.0);
    assert!(state.throughput().unwrap() > 0.0);
    assert_eq!(tikv0.connections(), 1);
    assert_eq!(pd0.connections(), first);
    assert!(pd0.times_asked("/pd/api/v1/members") < pd0.times_asked(STORES));
}

#[tokio::test]
async fn cluster_reader_counts_regions_without_quorum() {
    let pd0 = Server::start(healthy_pd());
    pd0.set(STORES, stores(&["Up", "Disconnected", "Down"]));
    let nodes = Nodes::new(&[("pd0", pd0.port)]);
    assert_eq!(nodes.read().await.pd.value.unwrap().regions_without_quorum, Some(1));
    // As soon as PD says so, and not when regions are read next.
    pd0.set(STORES, stores(&["Up", "Offline", "Down"]));
    assert_eq!(nodes.read().await.pd.value.unwrap().regions_without_quorum, Some(0));
    let many = Server::start(healthy_pd());
    many.set(STORES, stores(&["Up", "Disconnected", "Down"]));
    many.set("/pd/api/v1/stats/region", Reply::Json(r#"{"count":2001}"#.into()));
    let nodes = Nodes::new(&[("pd0", many.port)]);
    assert_eq!(nodes.read().await.pd.value.unwrap().regions_without_quorum, None);
    assert_eq!(many.times_asked(REGIONS), 0);
}

#[tokio::test]
async fn cluster_reader_says_what_it_does_not_know_of_regions() {
    for (regions, without) in [
        (r#"{"count":1,"regions":[{"id":2,"peers":[{"store_id":1,"role_name":"Emperor"}]}]}"#, None),
        (r#"{"count":0,"regions":[]}"#, None),
        (r#"{"count":2,"regions":[{"id":2,"peers":[{"store_id":1}]}]}"#, None),
        (r#"{"count":1,"regions":[{"id":2,"peers":[{"store_id":1}]}]}"#, Some(0)),
    ] {
        let pd0 = Server::start(healthy_pd());
        pd0.set(STORES, stores(&["Up", "Disconnected"]));
        pd0.set(REGIONS, Reply::Json(regions.into()));
        let pd = Nodes::new(&[("pd0", pd0.port)]).read().await.pd.value.unwrap();
        assert_eq!((pd.regions_without_quorum, pd.regions.is_some()), (without, without.is_some()), "{regions}");
    }
    let off =
        Reply::Status("412 Precondition Failed", "application/json", r#""placement rules feature is disabled""#.into());
    let old = Reply::Status("404 Not Found", "text/plain", "404 page not found\n".into());
    let odd = Reply::Json(r#"[{"group_id":"pd","start_key":"","end_key":"","role":"emperor","count":3}]"#.into());
    for (reply, expected) in
        [(off, None), (old, None), (odd, Some("PD at pd0:2379 answered a document that is wrong at"))]
    {
        let pd0 = Server::start(healthy_pd());
        pd0.set(RULES, reply);
        let nodes = Nodes::new(&[("pd0", pd0.port)]);
        let pd = nodes.read().await.pd.value.unwrap();
        assert_eq!((&pd.voter_counts[..], pd.max_replicas), (&[][..], Some(3)));
        let said = pd.rules_error.as_deref();
        assert!(
            said.is_some() == expected.is_some() && said.unwrap_or("").starts_with(expected.unwrap_or("")),
            "{said:?}"
        );
    }
}

#[tokio::test]
async fn cluster_reader_fails_over_to_next_pd_and_reports_errors() {
    let (pd0, pd1) = (Server::start(healthy_pd()), Server::start(healthy_pd()));
    let nodes = Nodes::new(&[("pd0", pd0.port), ("pd1", pd1.port)]);
    assert_eq!(nodes.read().await.pd.value.unwrap().answered_by, "pd0");
    let no_leader = Reply::Status("503 Service Unavailable", "text/plain", "no leader".into());
    pd0.set_all(&no_leader);
    let state = nodes.read().await;
    assert_eq!((state.pd.value.unwrap().answered_by.as_str(), state.pd.error), ("pd1", None));
    assert!(!state.pd_nodes[0].answered && state.pd_nodes[1].answered);
    let said = state.pd_nodes[0].error.as_deref().unwrap();
    assert!(said.starts_with("PD at pd0:2379 answered 503 Service Unavailable"), "{said}");
    // It stays with the one that answers.
    let asked = pd0.times_asked(STORES);
    nodes.read().await;
    assert_eq!(pd0.times_asked(STORES), asked);
    pd1.set_all(&no_leader);
    let state = nodes.read().await;
    assert!(state.pd.is_stale());
    assert!(state.pd.age(jiff::Timestamp::now()).is_some());
    assert!(state.pd.error.unwrap().contains("PD at pd1:2379 answered 503"));
}

#[tokio::test]
async fn cluster_reader_reports_bad_pd_answer_and_keeps_node_metrics() {
    let html = "<!DOCTYPE html><html><body>nginx</body></html>";
    let whole = match stores(&["Up"; 3]) {
        Reply::Json(text) => text,
        _ => unreachable!(),
    };
    let half = whole[..whole.len() / 2].to_owned();
    let broken_off = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{half}", whole.len());
    let cases = [
        (Reply::Status("200 OK", "text/html", html.into()), "answered HTML, not JSON"),
        (Reply::Status("502 Bad Gateway", "text/html", html.into()), "answered 502 Bad Gateway"),
        (Reply::Json(half), "answered half a JSON document"),
        (Reply::Json("nonsense".into()), "answered something that is not JSON"),
        (Reply::Json(String::new()), "answered nothing"),
        (Reply::Json(r#"{"stores":[{"store":{"id":-1}}]}"#.into()), "wrong at stores[0].store.id"),
        (Reply::Raw(broken_off.into_bytes()), "broke off in the middle of its answer"),
        (Reply::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), "answered something that is not HTTP"),
        (Reply::Raw(vec![]), "closed the connection without an answer"),
        (Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec()), "answered more than 16 MiB"),
        (Reply::Raw(vec![0x15, 3, 1, 0, 2, 2, 22]), "speaks TLS: give --pd-ca, --pd-cert and --pd-key"),
        (
            Reply::Raw(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n".to_vec()),
            "speaks TLS: give --pd-ca, --pd-cert and --pd-key",
        ),
        (Reply::Status("307 Temporary Redirect", "text/html", String::new()), "answered 307 Temporary Redirect"),
        (Reply::Hang, "did not answer within 1 s"),
    ];
    let tikv0 = tikv(1);
    for (reply, expected) in cases {
        let pd0 = Server::start(healthy_pd());
        pd0.set_all(&reply);
        let nodes = Nodes::new(&[("pd0", pd0.port), ("tikv0", tikv0.port)]);
        let state = nodes.read().await;
        let error = state.pd.error.unwrap_or_default();
        assert!(error.starts_with("PD at pd0:2379 ") && error.contains(expected), "{expected}: {error}");
        assert_eq!((state.pd.value, state.pd_nodes[0].error.as_ref()), (None, Some(&error)));
        assert!(state.nodes["tikv0"].metrics.value.is_some(), "{expected}: the rest does not live on");
        // And it is read as soon as it is well again.
        for (path, reply) in healthy_pd() {
            pd0.set(&path, reply);
        }
        assert_eq!(nodes.read().await.pd.error, None, "{expected}");
    }
}

#[tokio::test]
async fn cluster_reader_keeps_last_metrics_when_answer_is_invalid() {
    let tikv0 = tikv(1);
    let nodes = Nodes::new(&[("tikv0", tikv0.port)]);
    let state = nodes.read().await;
    assert_eq!(state.pd.error.as_deref(), Some("there is no PD container in this cluster"));
    assert!(state.nodes["tikv0"].metrics.value.is_some());
    tikv0.set(METRICS, Reply::Status("200 OK", "text/plain", "go_goroutines 7\n".into()));
    let metrics = loop {
        let metrics = nodes.read().await.nodes["tikv0"].metrics.clone();
        if metrics.error.is_some() {
            break metrics;
        }
    };
    assert_eq!(metrics.error.as_deref(), Some("TiKV at tikv0:20180 answered no metrics of TiKV"));
    assert!(metrics.is_stale());
}

#[tokio::test]
async fn cluster_reader_does_not_ask_paused_nodes() {
    let (pd0, tikv0) = (Server::start(healthy_pd()), tikv(1));
    let mut nodes = Nodes::new(&[("pd0", pd0.port), ("tikv0", tikv0.port)]);
    for member in &mut nodes.roster.members {
        member.silent = Some("is paused".into());
    }
    let state = nodes.read().await;
    assert_eq!(state.pd.error.as_deref(), Some("PD at pd0:2379 is paused"));
    assert_eq!(state.nodes["tikv0"].metrics.error.as_deref(), Some("TiKV at tikv0:20180 is paused"));
    assert_eq!((pd0.connections(), tikv0.connections()), (0, 0));
}

#[tokio::test]
async fn cluster_reader_asks_for_node_configuration_once_and_keeps_it_for_other_programs() {
    let state = tempfile::tempdir().unwrap();
    let tikv0 = tikv(1);
    tikv0.set(CONFIG, config("256MiB"));
    let mut nodes = Nodes::new(&[("tikv0", tikv0.port)]);
    nodes.roster.members[0].life = "monday".into();
    nodes.again(state.path());
    let first = nodes.config("tikv0").await;
    assert_eq!((first.value.as_ref().and_then(|one| one.reserve_space), first.error.as_ref()), (Some(256 << 20), None));
    assert!(first.at.is_some());
    let before = tikv0.times_asked(METRICS);
    while tikv0.times_asked(METRICS) == before {
        nodes.read().await;
    }
    nodes.again(state.path());
    assert_eq!(nodes.config("tikv0").await, first);
    assert_eq!(tikv0.times_asked(CONFIG), 1);

    // Killed, and known to a program that never met it.
    nodes.roster.members[0].silent = Some("is exited".into());
    nodes.again(state.path());
    assert_eq!(nodes.config("tikv0").await.value, first.value);
    // Started again with another configuration: what was kept is of a former life.
    nodes.roster.members[0].silent = None;
    nodes.roster.members[0].life = "tuesday".into();
    tikv0.set(CONFIG, Reply::Hang);
    let unread = nodes.config("tikv0").await;
    assert_eq!((unread.value, unread.error.as_deref()), (None, Some("TiKV at tikv0:20180 did not answer within 1 s")));
    tikv0.set(CONFIG, config("1GiB"));
    nodes.again(state.path());
    assert_eq!(nodes.config("tikv0").await.value.unwrap().reserve_space, Some(1 << 30));
}

#[tokio::test]
async fn cluster_reader_says_why_node_configuration_is_not_known() {
    let Reply::Json(whole) = config("256MiB") else { unreachable!() };
    let half = whole[..whole.len() / 2].to_owned();
    let cases = [
        (Reply::Status("404 Not Found", "text/plain", "path not found".into()), "answered 404 Not Found"),
        (Reply::Status("200 OK", "text/html", "<html></html>".into()), "answered HTML, not a configuration"),
        (Reply::Json(half), "answered half a JSON document"),
        (Reply::Json(r#"{"storage":7}"#.into()), "wrong at storage"),
        (Reply::Json("{}".into()), "answered no configuration of TiKV"),
        (Reply::Json(String::new()), "answered nothing"),
        (
            Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{\"storage\":".to_vec()),
            "broke off in the middle",
        ),
    ];
    for (reply, expected) in cases {
        let tikv0 = tikv(1);
        tikv0.set(CONFIG, reply);
        let state = Nodes::new(&[("tikv0", tikv0.port)]).read().await;
        let view = &state.nodes["tikv0"];
        let error = view.config.error.clone().unwrap_or_default();
        assert!(error.starts_with("TiKV at tikv0:20180 ") && error.contains(expected), "{expected}: {error}");
        assert_eq!(view.config.value, None, "{expected}");
        assert!(view.metrics.value.is_some(), "{expected}: the rest does not live on");
    }
    let over_tls = tikv(1);
    over_tls.set_all(&Reply::Raw(vec![0x15, 3, 1, 0, 2, 2, 22]));
    let unread = Nodes::new(&[("tikv0", over_tls.port)]).config("tikv0").await;
    assert!(unread.error.is_some_and(|error| error.contains("speaks TLS: give --pd-ca")));
    let dead = Nodes::new(&[("tikv0", dead_port())]).config("tikv0").await;
    assert!(dead.error.is_some_and(|error| error.ends_with("Connection refused")));
}

#[tokio::test]
async fn cluster_reader_ignores_kept_configuration_that_is_broken() {
    let state = tempfile::tempdir().unwrap();
    let folder = state.path().join("node-config");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("tikv0.json"), "{\"schema\": 1, \"conta").unwrap();
    let tikv0 = tikv(1);
    tikv0.set(CONFIG, config("64MiB"));
    let mut nodes = Nodes::new(&[("tikv0", tikv0.port)]);
    nodes.again(state.path());
    assert_eq!(nodes.config("tikv0").await.value.unwrap().reserve_space, Some(64 << 20));
    // And it is whole again for the next one.
    nodes.roster.members[0].silent = Some("is paused".into());
    nodes.again(state.path());
    assert_eq!(nodes.config("tikv0").await.value.unwrap().reserve_space, Some(64 << 20));
}

#[tokio::test]
async fn cluster_reader_keeps_configuration_of_pd_for_when_it_is_silent() {
    const PD_CONFIG: &str = "/pd/api/v1/config";
    let state = tempfile::tempdir().unwrap();
    let pd0 = Server::start(healthy_pd());
    pd0.set(PD_CONFIG, Reply::Json(r#"{"schedule":{"max-store-down-time":"1h0m0s"}}"#.into()));
    let mut nodes = Nodes::new(&[("pd0", pd0.port), ("pd1", dead_port())]);
    nodes.again(state.path());
    let first = nodes.read().await.pd_config;
    assert_eq!(first.value.as_ref().and_then(|config| config.max_store_down_time_ms), Some(3_600_000));
    for member in &mut nodes.roster.members {
        member.silent = Some("is exited".into());
    }
    nodes.again(state.path());
    assert_eq!(nodes.read().await.pd_config, first);
    assert_eq!(pd0.times_asked(PD_CONFIG), 1);

    let unlike = Server::start(healthy_pd());
    unlike.set(PD_CONFIG, Reply::Json("{}".into()));
    let state = Nodes::new(&[("pd0", unlike.port)]).read().await;
    assert_eq!(state.pd_config.error.as_deref(), Some("PD at pd0:2379 answered no configuration of PD"));
    assert!(state.pd.value.is_some());
}
