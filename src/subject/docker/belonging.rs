//! What a container's command and labels say of the cluster that it belongs to: where it looks for PD, which task of a Swarm
//! service it is, and whether it is PD at all. Pure.

use std::collections::HashMap;

use jiff::Timestamp;

use super::node::Role;
use crate::{
    chaos::Task,
    cluster::{
        assumed::{
            ADVERTISE_CLIENT_URLS_FLAG, ADVERTISE_PEER_URLS_FLAG, INITIAL_CLUSTER_FLAG, JOIN_FLAG, PD_ENDPOINTS_FLAGS,
            PD_SERVICES, PEER_URLS_FLAG,
        },
        pd::host_and_port,
    },
};

/// Labels of Docker Swarm (moby/moby daemon/cluster/executor/container/container.go).
const SWARM_SERVICE_LABEL: &str = "com.docker.swarm.service.name";
const SWARM_TASK_LABEL: &str = "com.docker.swarm.task.name";
/// Of `docker stack deploy` (docker/cli cli/compose/convert).
const STACK_LABEL: &str = "com.docker.stack.namespace";

/// A host by any of its names, and a port.
pub type Address = (String, u16);

/// What is said of a node's cluster before anything was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Belonging {
    /// Where it was told to find PD: a store's `--pd`, a PD's `--join`.
    pub pds: Vec<Address>,
    /// PD's `--initial-cluster`.
    pub peers: Vec<Address>,
    /// By which the other PDs, and clients, know a PD.
    pub own: Vec<Address>,
    pub task: Option<Task>,
    pub created: Option<Timestamp>,
}

impl Belonging {
    pub fn of(
        role: Role,
        args: &[String],
        labels: Option<&HashMap<String, String>>,
        created: Option<Timestamp>,
    ) -> Self {
        let words = words(args.iter().map(String::as_str));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let of = |names: &[&str]| names.iter().flat_map(|name| values(&words, name)).collect::<Vec<_>>();
        let task = labels.and_then(task);
        match role {
            Role::Tikv => Self { pds: addresses(of(&PD_ENDPOINTS_FLAGS)), task, created, ..Self::default() },
            Role::Pd => Self {
                pds: addresses(of(&[JOIN_FLAG])),
                // `name=url`, each.
                peers: addresses(
                    of(&[INITIAL_CLUSTER_FLAG]).into_iter().map(|one| one.split_once('=').map_or(one, |(_, url)| url)),
                ),
                own: addresses(of(&[ADVERTISE_CLIENT_URLS_FLAG, ADVERTISE_PEER_URLS_FLAG])),
                task,
                created,
            },
        }
    }
}

/// The stack that a container was deployed with: the first guess for its cluster, as Compose's project is.
pub fn stack(labels: &HashMap<String, String>) -> Option<&str> {
    labels.get(STACK_LABEL).map(String::as_str)
}

/// The name by which the others of its stack know a container's service.
pub fn swarm_service(labels: &HashMap<String, String>) -> Option<&str> {
    let service = labels.get(SWARM_SERVICE_LABEL)?;
    let short = stack(labels).and_then(|stack| service.strip_prefix(stack)?.strip_prefix('_'));
    Some(short.unwrap_or(service))
}

fn task(labels: &HashMap<String, String>) -> Option<Task> {
    Task::from_labels(labels.get(SWARM_SERVICE_LABEL)?, labels.get(SWARM_TASK_LABEL)?)
}

/// Whether a command runs one of PD's microservices, which use PD and are no members: `pd-server services tso …`. The one
/// called `api` is PD itself in that mode (tikv/pd cmd/pd-server/main.go), where it is given what a member needs.
pub fn is_pd_microservice<'a>(command: impl IntoIterator<Item = &'a str>) -> bool {
    let words = words(command);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Some(at) = words.iter().position(|word| *word == "services") else { return false };
    let is_server = words[..at].last().is_some_and(|word| word.rsplit('/').next() == Some("pd-server"));
    let Some(kind) = words.get(at + 1).filter(|kind| is_server || PD_SERVICES.contains(kind)) else { return is_server };
    let member = [JOIN_FLAG, INITIAL_CLUSTER_FLAG, PEER_URLS_FLAG, ADVERTISE_PEER_URLS_FLAG];
    *kind != "api" || member.iter().all(|flag| values(&words, flag).is_empty())
}

/// The words of a command, those of a shell's script among them.
fn words<'a>(args: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let trimmed = |word: &str| word.trim_matches(['"', '\'', ';', '(', ')', '&']).to_owned();
    let all = args.into_iter().flat_map(str::split_whitespace).map(trimmed);
    all.filter(|word| !word.is_empty()).collect()
}

/// The values of a flag, however often it is given, in any spelling: `--pd=a,b`, `--pd a`, PD's `-join a`.
fn values<'a>(words: &[&'a str], name: &str) -> Vec<&'a str> {
    let bare = name.trim_start_matches('-');
    let given = words.iter().enumerate().filter_map(|(at, word)| {
        let flag = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
        match flag.strip_prefix(bare)? {
            "" => words.get(at + 1).copied().filter(|next| !next.starts_with('-')),
            rest => rest.strip_prefix('='),
        }
    });
    given.flat_map(|value| value.split(',')).collect()
}

/// What a shell would have to fill in leads nowhere.
pub fn addresses<'a>(urls: impl IntoIterator<Item = &'a str>) -> Vec<Address> {
    let trimmed = |url: &'a str| url.trim().trim_matches(['"', '\'']);
    let found = urls.into_iter().filter_map(|url| host_and_port(trimmed(url)));
    let plain = found.filter(|(host, _)| !host.is_empty() && !host.contains(['$', '{', '`']));
    let mut addresses: Vec<Address> = plain.map(|(host, port)| (host.trim_end_matches('.').to_owned(), port)).collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(role: Role, args: &[&str]) -> Belonging {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        Belonging::of(role, &args, None, None)
    }

    fn address(host: &str, port: u16) -> Address {
        (host.to_owned(), port)
    }

    #[test]
    fn stores_pds_are_read_in_every_spelling() {
        let both = vec![address("pd0", 2379), address("pd1", 2379)];
        for args in [
            &["--pd=pd0:2379,pd1:2379"][..],
            &["--pd-endpoints", "http://pd0:2379,http://pd1:2379/"],
            &["--pd-endpoint=pd1:2379", "--pd-endpoint=pd0:2379"],
            &["-c", "exec /tikv-server --addr=0.0.0.0:20160 --pd='pd0:2379,pd1:2379' --data-dir=/data"],
            &["--pd", "\"pd0:2379\",\"pd1:2379\""],
        ] {
            assert_eq!(of(Role::Tikv, args).pds, both, "{args:?}");
        }
        assert_eq!(of(Role::Tikv, &["--pd=[fd00::1]:2379"]).pds, [address("fd00::1", 2379)]);
        for args in [&["--pd=$PD:2379"][..], &["--pd"], &["--pd", "--addr=a:1"], &["--pdx=a:1"], &["--pd=pd0"]] {
            assert_eq!(of(Role::Tikv, args).pds, [], "{args:?}");
        }
        assert_eq!(of(Role::Pd, &["--pd=pd0:2379"]).pds, []);
    }

    #[test]
    fn members_of_pd_are_read_from_its_flags() {
        let first = of(Role::Pd, &["--initial-cluster=pd0=http://pd0:2380,pd1=http://pd1:2380"]);
        assert_eq!(first.peers, [address("pd0", 2380), address("pd1", 2380)]);
        let later = of(Role::Pd, &["-join", "http://pd0:2379", "--advertise-peer-urls=http://pd2:2380"]);
        assert_eq!((later.pds, later.own), (vec![address("pd0", 2379)], vec![address("pd2", 2380)]));
    }

    #[test]
    fn microservices_of_pd_are_no_members() {
        let is = |command: &str| is_pd_microservice([command]);
        assert!(is("/pd-server services tso --listen-addr=http://0.0.0.0:3379 --backend-endpoints=http://pd0:2379"));
        assert!(is("/pd-server services scheduling"));
        assert!(is("/pd-server services"));
        assert!(is("/tini -g -- /pd-server services resource-manager"));
        assert!(is("sh -c 'exec /pd-server services tso'"));
        assert!(is("/entry.sh services tso"));
        assert!(is("/pd-server services api --listen-addr=http://0.0.0.0:3379"));
        assert!(!is("/pd-server services api --name=pd0 --initial-cluster=pd0=http://pd0:2380"));
        assert!(!is("/pd-server --name=services"));
        assert!(!is("/pd-server --data-dir services"));
        assert!(!is("/entry.sh services web"));
    }

    #[test]
    fn swarm_names_stack_service_and_task() {
        let labels = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
            pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
        };
        let of_stack =
            labels(&[(SWARM_SERVICE_LABEL, "db_tikv0"), (SWARM_TASK_LABEL, "db_tikv0.1.xyz"), (STACK_LABEL, "db")]);
        assert_eq!((stack(&of_stack), swarm_service(&of_stack)), (Some("db"), Some("tikv0")));
        let task = Belonging::of(Role::Tikv, &[], Some(&of_stack), None).task.unwrap();
        assert_eq!(task.to_string(), "db_tikv0.1");
        let alone = labels(&[(SWARM_SERVICE_LABEL, "tikv0"), (SWARM_TASK_LABEL, "tikv0.1.xyz")]);
        assert_eq!((stack(&alone), swarm_service(&alone)), (None, Some("tikv0")));
        assert_eq!(Belonging::of(Role::Tikv, &[], Some(&HashMap::new()), None).task, None);
    }
}
