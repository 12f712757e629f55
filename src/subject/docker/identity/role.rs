//! Whether a container is a node: by what was configured, by what runs in it, by its command, its image, its names. Pure.

use std::collections::HashMap;

use bollard::models::{ContainerInspectResponse, ContainerSummary};

use super::{
    named::{Named, Names},
    processes::{Rest, Seen},
    program::{self, Line, Program},
};
use crate::subject::docker::{belonging, node::Role};

/// Our own label. Any other value than those of a node hides the container.
pub const ROLE_LABEL: &str = "tikv-chaos.role";
/// Labels of Compose (docker/compose, pkg/api/labels.go); version 1 writes the same.
pub const PROJECT_LABEL: &str = "com.docker.compose.project";
pub const SERVICE_LABEL: &str = "com.docker.compose.service";
const ONE_OFF_LABEL: &str = "com.docker.compose.oneoff";

/// What Docker says of one container, as far as it tells what that is.
#[derive(Debug, Default)]
pub struct Facts {
    pub id: String,
    pub name: String,
    pub labels: HashMap<String, String>,
    pub command: Vec<String>,
    pub image: String,
}

impl Facts {
    pub fn of(found: &ContainerInspectResponse) -> Self {
        let config = found.config.as_ref();
        Self {
            id: found.id.clone().unwrap_or_default(),
            name: found.name.as_deref().unwrap_or_default().trim_start_matches('/').to_owned(),
            labels: config.and_then(|config| config.labels.clone()).unwrap_or_default(),
            command: found.path.iter().chain(found.args.iter().flatten()).cloned().collect(),
            // The list has an id in its place once the image's name has gone to another.
            image: config.and_then(|config| config.image.clone()).unwrap_or_default(),
        }
    }

    /// What the list says: its command is one text.
    pub fn of_summary(found: &ContainerSummary) -> Self {
        let names = found.names.iter().flatten();
        // A linked container has its links among its names.
        let own = names.map(|name| name.trim_start_matches('/')).find(|name| !name.contains('/'));
        Self {
            id: found.id.clone().unwrap_or_default(),
            name: own.unwrap_or_default().to_owned(),
            labels: found.labels.clone().unwrap_or_default(),
            command: found.command.iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect(),
            image: found.image.clone().unwrap_or_default(),
        }
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    pub fn service(&self) -> Option<&str> {
        self.label(SERVICE_LABEL).or_else(|| belonging::swarm_service(&self.labels))
    }
}

/// What is settled without a look at what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    Node(Role),
    No,
    /// What runs there decides.
    Nothing,
}

/// What was configured for the container: `--node` and `[nodes]`, then labels. Our helpers are never nodes.
pub fn said(facts: &Facts, names: &Names) -> Said {
    let label = facts.label(ROLE_LABEL);
    if matches!(label, Some("holder" | "relay")) {
        return Said::No;
    }
    match names.of(&facts.id, &facts.name, facts.service()) {
        Some(Named::Tikv) => return Said::Node(Role::Tikv),
        Some(Named::Pd) => return Said::Node(Role::Pd),
        Some(Named::Ignore) => return Said::No,
        None => {}
    }
    match label {
        Some("tikv") => Said::Node(Role::Tikv),
        Some("pd") => Said::Node(Role::Pd),
        Some(_) => Said::No,
        // `docker compose run`: a tool in a node's image.
        None if facts.label(ONE_OFF_LABEL).is_some_and(|value| value.eq_ignore_ascii_case("true")) => Said::No,
        None => Said::Nothing,
    }
}

/// What the container is. `seen` is what was seen to run in it, if that is known.
pub fn decide(facts: &Facts, said: Said, line: &Line, seen: Option<&Seen>) -> Option<Role> {
    match said {
        Said::Node(role) => return Some(role),
        Said::No => return None,
        Said::Nothing => {}
    }
    if let Some(role) = seen.and_then(Seen::role) {
        return Some(role);
    }
    let rest = seen.map(|seen| &seen.rest);
    if matches!(rest, Some(Rest::Other(_))) {
        return None;
    }
    match line.program {
        Program::Node(role) => return Some(role),
        Program::Other(_) | Program::Idle => return None,
        Program::Wrapper | Program::Unknown(_) => {}
    }
    if let Some(role) = of_image(&facts.image) {
        return Some(role);
    }
    let service = facts.service()?;
    match rest {
        // Its program is something else.
        Some(Rest::Unknown(_) | Rest::Other(_)) => None,
        Some(Rest::Waiting) => of_service(service),
        None => of_service(service).or_else(|| begins(service).filter(|_| line.program == Program::Wrapper)),
    }
}

/// What a container that does not run would be, by words alone: whether it is worth a closer look.
pub fn may_be(facts: &Facts) -> bool {
    let line = program::of_command(&facts.command);
    // The list has the words of a command without what held them together.
    let is_named = facts.command.iter().any(|word| word.contains("tikv-server") || word.contains("pd-server"));
    let is_id = |image: &str| image.len() >= 12 && image.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_named || is_id(facts.image.trim_start_matches("sha256:")) || decide(facts, Said::Nothing, &line, None).is_some()
}

/// By the last part of an image's repository: `tikv` of `registry:5000/pingcap/tikv:v8.5.5@sha256:…`, `tikv-server`,
/// `tikv-arm64`.
fn of_image(image: &str) -> Option<Role> {
    let image = image.split('@').next().unwrap_or(image);
    let last = image.rsplit('/').next().unwrap_or(image);
    let repository = last.split(':').next().unwrap_or(last);
    let repository = repository.strip_prefix("pingcap-").unwrap_or(repository);
    of_parts(repository, &IMAGES)
}

/// A Compose service that can hardly be anything else: `tikv`, `tikv0`, `tikv-1`, `pd-a`, `tikv-server`.
fn of_service(service: &str) -> Option<Role> {
    const BETWEEN: [char; 3] = ['-', '_', '.'];
    let (role, rest) = split(service)?;
    let is_number = rest.chars().all(|letter| letter.is_ascii_digit() || BETWEEN.contains(&letter));
    let is_letter = rest.strip_prefix(BETWEEN).is_some_and(|rest| rest.len() == 1);
    (is_number || is_letter).then_some(role).or_else(|| of_parts(service, &SERVICES))
}

/// `tikv-main`, `pd-east`: perhaps a node, perhaps something beside one. Two letters are too few to take whatever follows.
fn begins(service: &str) -> Option<Role> {
    let (role, rest) = split(service)?;
    (role == Role::Tikv || !rest.starts_with(|letter: char| letter.is_ascii_alphabetic())).then_some(role)
}

fn split(name: &str) -> Option<(Role, &str)> {
    let tikv = name.strip_prefix("tikv").map(|rest| (Role::Tikv, rest));
    tikv.or_else(|| name.strip_prefix("pd").map(|rest| (Role::Pd, rest)))
}

/// A node's name and behind it nothing but these words and versions.
fn of_parts(name: &str, known: &[&str]) -> Option<Role> {
    let (role, rest) = split(name)?;
    let is_version = |part: &str| {
        let digits = part.strip_prefix('v').unwrap_or(part);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    if rest.is_empty() {
        return Some(role);
    }
    let parts = rest.strip_prefix(['-', '_', '.'])?;
    parts.split(['-', '_', '.']).all(|part| known.contains(&part) || is_version(part)).then_some(role)
}

const IMAGES: [&str; 28] = [
    "server",
    "node",
    "store",
    "arm64",
    "amd64",
    "aarch64",
    "arm",
    "x86",
    "64",
    "linux",
    "multiarch",
    "debug",
    "release",
    "nightly",
    "dev",
    "test",
    "local",
    "custom",
    "patched",
    "fips",
    "enterprise",
    "community",
    "alpine",
    "debian",
    "ubuntu",
    "rocky",
    "centos7",
    "image",
];
const SERVICES: [&str; 4] = ["server", "node", "store", "kv"];

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(image: &str, command: &str, labels: &[(&str, &str)]) -> Facts {
        Facts {
            id: "0123456789abcdef".into(),
            name: "here".into(),
            labels: labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            command: command.split_whitespace().map(str::to_owned).collect(),
            image: image.into(),
        }
    }

    fn role(facts: &Facts, seen: Option<&Seen>) -> Option<Role> {
        let line = program::of_command(&facts.command);
        decide(facts, said(facts, &Names::default()), &line, seen)
    }

    fn waiting() -> Seen {
        Seen::default()
    }

    fn running(rest: Rest) -> Seen {
        Seen { rest, ..Seen::default() }
    }

    #[test]
    fn node_is_told_by_label_command_image_or_service() {
        let service = |name| [(SERVICE_LABEL, name)];
        let cases = [
            (facts("x", "/x", &[(ROLE_LABEL, "tikv")]), Some(Role::Tikv)),
            (facts("x", "/x", &[(ROLE_LABEL, "pd")]), Some(Role::Pd)),
            (facts("pingcap/tikv:v8.5.5", "/tikv-server", &[(ROLE_LABEL, "holder")]), None),
            (facts("pingcap/tikv:v8.5.5", "/tikv-server", &[(ROLE_LABEL, "ignore")]), None),
            (facts("my/thing", "/tikv-server --addr=0.0.0.0:20160", &[]), Some(Role::Tikv)),
            (facts("my/thing", "/bin/tini -g -- /pd-server", &[]), Some(Role::Pd)),
            (facts("registry:5000/pingcap/tikv:v8.5.5@sha256:abc", "/entry.sh", &[]), Some(Role::Tikv)),
            (facts("pingcap/pd", "/entry.sh", &[]), Some(Role::Pd)),
            (facts("lab/tikv-server", "/entry.sh", &[]), Some(Role::Tikv)),
            (facts("lab/tikv-arm64:v8", "/entry.sh", &[]), Some(Role::Tikv)),
            (facts("lab/pd_linux_amd64", "/entry.sh", &[]), Some(Role::Pd)),
            (facts("pingcap/tikv", "sleep infinity", &[]), None),
            (facts("pingcap/tikv", "/tikv-ctl store", &[]), None),
            (facts("pingcap/tikv", "/pd-server --name=pd0", &[]), Some(Role::Pd)),
            (facts("tikv-exporter", "/x", &[]), None),
            (facts("tikv-importer:v8", "/x", &[]), None),
            (facts("pdns", "/x", &[]), None),
            (facts("x", "/x", &service("tikv0")), Some(Role::Tikv)),
            (facts("x", "/x", &service("tikv-1")), Some(Role::Tikv)),
            (facts("x", "/entry.sh", &service("tikv-main")), Some(Role::Tikv)),
            (facts("x", "/ui", &service("tikv-ui")), None),
            (facts("x", "/x", &service("pd1")), Some(Role::Pd)),
            (facts("x", "/x", &service("pd-a")), Some(Role::Pd)),
            (facts("x", "/x", &service("pdns-server")), None),
            (facts("pingcap/tikv", "/tikv-ctl", &[(SERVICE_LABEL, "tikv0"), (ONE_OFF_LABEL, "True")]), None),
            (facts("sha256:0123", "/x", &[]), None),
        ];
        for (facts, expected) in cases {
            assert_eq!(role(&facts, None), expected, "{facts:?}");
        }
    }

    #[test]
    fn what_runs_comes_before_image_and_names() {
        let pd = Seen { pd: vec![vec![]], ..Seen::default() };
        let tikv = Seen { tikv: vec![vec![]], ..Seen::default() };
        let service = |name| [(SERVICE_LABEL, name)];
        let other = || running(Rest::Other("prometheus".into()));
        let unknown = || running(Rest::Unknown("ui-server".into()));
        let cases = [
            (facts("pingcap/tikv", "/start.sh", &[]), pd.clone(), Some(Role::Pd)),
            (facts("x", "/start.sh", &[]), tikv.clone(), Some(Role::Tikv)),
            (facts("pingcap/pd", "/start.sh", &service("pd0")), tikv, Some(Role::Tikv)),
            (facts("pingcap/tikv", "/start.sh", &[(ROLE_LABEL, "tikv")]), pd, Some(Role::Tikv)),
            (facts("pingcap/tikv", "/start.sh", &[]), other(), None),
            (facts("pingcap/tikv", "/start.sh", &[]), unknown(), Some(Role::Tikv)),
            (facts("pingcap/tikv", "/start.sh", &[]), waiting(), Some(Role::Tikv)),
            (facts("x", "/start.sh", &service("tikv0")), other(), None),
            (facts("x", "/start.sh", &service("tikv0")), unknown(), None),
            (facts("x", "/start.sh", &service("tikv0")), waiting(), Some(Role::Tikv)),
            (facts("x", "/start.sh", &service("tikv-ui")), waiting(), None),
            (facts("x", "/start.sh", &service("tikv-ui")), unknown(), None),
        ];
        for (facts, seen, expected) in cases {
            assert_eq!(role(&facts, Some(&seen)), expected, "{facts:?} {seen:?}");
        }
    }

    #[test]
    fn name_that_was_given_comes_before_everything_but_our_own_helpers() {
        let names: Names = [("here".to_owned(), Named::Pd), ("tikv9".to_owned(), Named::Ignore)].into_iter().collect();
        assert_eq!(said(&facts("x", "/x", &[(ROLE_LABEL, "tikv")]), &names), Said::Node(Role::Pd));
        assert_eq!(said(&facts("x", "/x", &[(ROLE_LABEL, "holder")]), &names), Said::No);
        let service = Facts { name: "there".into(), ..facts("x", "/tikv-server", &[(SERVICE_LABEL, "tikv9")]) };
        assert_eq!(said(&service, &names), Said::No);
        assert_eq!(said(&Facts { name: "there".into(), ..facts("x", "/x", &[]) }, &names), Said::Nothing);
    }
}
