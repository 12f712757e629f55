//! Which Docker is meant: a flag, `DOCKER_HOST`, a Docker context, the configuration, or the usual socket, in the order
//! in which Docker's own command line decides (docs.docker.com, "Docker contexts"). Knows files and no network.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

const SOCKET: &str = "/var/run/docker.sock";
/// Podman's, below the user's own runtime folder and below the system's.
const PODMAN: &str = "podman/podman.sock";
/// What Docker calls it where no context is in force.
const NO_CONTEXT: &str = "default";

/// What was asked for, each with the words for where it was said.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    pub host: Option<(String, String)>,
    pub context: Option<(String, String)>,
}

/// A Docker to talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// As `DOCKER_HOST` would name it; it tells one Docker from another in the journal and for the guard.
    pub host: String,
    pub way: Way,
    /// Why this one: `DOCKER_HOST`, `context "lab"`, …
    pub why: String,
    /// The Docker context it comes from, if it does.
    pub context: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    Unix,
    Tcp,
    Tls(TlsFiles),
    Ssh(SshTarget),
}

/// The files that prove the daemon to us and us to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    pub ca: PathBuf,
    /// Certificate and key; a daemon may ask for none.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// Where `ssh` goes and which socket it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshTarget {
    pub user: Option<String>,
    pub host: String,
    pub port: Option<u16>,
    pub socket: Option<String>,
}

/// Why no Docker is known that could be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    #[error("--docker-host and --context are both given: leave one of them out")]
    Both,
    #[error("{from} cannot be {host:?}: {reason}")]
    Host { from: String, host: String, reason: String },
    #[error("{from}: there is no Docker context {name:?} in {folder}; there are {known}", folder = folder.display())]
    NoContext { from: String, name: String, folder: PathBuf, known: String },
    #[error("the Docker context {name:?} cannot be used: {reason}")]
    Context { name: String, reason: String },
    #[error("{name} cannot be {path:?}: it must be absolute, as the guard stands in another folder")]
    Relative { name: &'static str, path: PathBuf },
    #[error("{path} cannot be used: {reason}", path = path.display())]
    File { path: PathBuf, reason: String },
    #[error("{what} is wanted for Docker over TLS and is not there: {path}", path = path.display())]
    Missing { what: &'static str, path: PathBuf },
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if matches!(self.way, Way::Tls(_)) { " with TLS" } else { "" };
        write!(f, "{}{tls} ({})", self.host, self.why)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DockerConfig {
    #[serde(default)]
    current_context: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    name: String,
    #[serde(default)]
    endpoints: Endpoints,
}

#[derive(Default, Deserialize)]
struct Endpoints {
    docker: Option<MetaEndpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetaEndpoint {
    #[serde(default)]
    host: String,
    #[serde(default, rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

impl Endpoint {
    /// The Docker that is meant by these wishes, the environment and Docker's own configuration.
    pub fn choose(wish: &Wish) -> Result<Self, EndpointError> {
        if let Some((host, from)) = &wish.host {
            return Self::of_host(host, from);
        }
        if let Some((name, from)) = &wish.context {
            return if name == NO_CONTEXT { Ok(Self::usual()) } else { Self::of_context(name, from) };
        }
        let config = docker_folder()?.map(|folder| folder.join("config.json"));
        match config.and_then(|path| fs::read_to_string(&path).ok().map(|text| (path, text))) {
            None => Ok(Self::usual()),
            Some((path, text)) => {
                let config: DockerConfig = serde_json::from_str(&text)
                    .map_err(|error| EndpointError::File { path: path.clone(), reason: error.to_string() })?;
                match config.current_context.filter(|name| !name.is_empty() && name != NO_CONTEXT) {
                    None => Ok(Self::usual()),
                    Some(name) => Self::of_context(&name, &format!("currentContext in {}", path.display())),
                }
            }
        }
    }

    /// The usual socket, or Podman's where only that is there.
    pub fn usual() -> Self {
        let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_absolute());
        let folders: Vec<PathBuf> = runtime.into_iter().chain([PathBuf::from("/run")]).collect();
        Self::socket(Path::new(SOCKET), &folders)
    }

    fn socket(docker: &Path, folders: &[PathBuf]) -> Self {
        let podman = folders.iter().map(|folder| folder.join(PODMAN)).find(|path| path.exists());
        let (path, why) = match podman.filter(|_| !docker.exists()) {
            Some(path) => (path, "Podman's socket, as there is no Docker's"),
            None => (docker.to_owned(), "the usual socket"),
        };
        Self { host: format!("unix://{}", path.display()), way: Way::Unix, why: why.to_owned(), context: None }
    }

    /// From a URL; what TLS needs comes from the environment, as for Docker itself.
    pub fn of_host(host: &str, from: &str) -> Result<Self, EndpointError> {
        let set = |name| env::var(name).is_ok_and(|value| !value.is_empty());
        let tls = || -> Result<TlsFiles, EndpointError> {
            let folder = match folder_in("DOCKER_CERT_PATH")? {
                Some(folder) => folder,
                None => docker_folder()?.unwrap_or_default(),
            };
            TlsFiles::in_folder(&folder)
        };
        let tls = if set("DOCKER_TLS_VERIFY") || host.starts_with("https://") { Some(tls) } else { None };
        Self::parse(host, from, tls)
    }

    fn parse(
        host: &str,
        from: &str,
        tls: Option<impl FnOnce() -> Result<TlsFiles, EndpointError>>,
    ) -> Result<Self, EndpointError> {
        let bad = |reason: String| EndpointError::Host { from: from.to_owned(), host: host.to_owned(), reason };
        let made = |way| Self { host: host.to_owned(), way, why: from.to_owned(), context: None };
        let (scheme, rest) = host
            .split_once("://")
            .ok_or_else(|| bad("it is no address; allowed: unix://, tcp:// or ssh:// with what follows".to_owned()))?;
        match scheme {
            "unix" if rest.starts_with('/') => Ok(made(Way::Unix)),
            "unix" => Err(bad("a socket's path must be absolute, as in unix:///var/run/docker.sock".to_owned())),
            "tcp" | "http" | "https" => {
                authority(rest).map_err(bad)?;
                match tls {
                    Some(files) => Ok(made(Way::Tls(files()?))),
                    None => Ok(made(Way::Tcp)),
                }
            }
            "ssh" => SshTarget::parse(rest).map(|target| made(Way::Ssh(target))).map_err(bad),
            other => Err(bad(format!("{other}:// is not known; allowed: unix://, tcp://, ssh://"))),
        }
    }

    fn of_context(name: &str, from: &str) -> Result<Self, EndpointError> {
        let folder = docker_folder()?.unwrap_or_default().join("contexts");
        let mut known = Vec::new();
        // Each lies in a folder whose name is a hash of the context's; its own file says which.
        for entry in fs::read_dir(folder.join("meta")).into_iter().flatten().flatten() {
            let path = entry.path().join("meta.json");
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let meta: Meta = match serde_json::from_str(&text) {
                Ok(meta) => meta,
                Err(error) => return Err(EndpointError::File { path, reason: error.to_string() }),
            };
            if meta.name == name {
                return Self::of_meta(meta, &folder.join("tls").join(entry.file_name()).join("docker"));
            }
            known.push(meta.name);
        }
        known.push(NO_CONTEXT.to_owned());
        known.sort();
        let known = known.join(", ");
        Err(EndpointError::NoContext { from: from.to_owned(), name: name.to_owned(), folder, known })
    }

    fn of_meta(meta: Meta, tls: &Path) -> Result<Self, EndpointError> {
        let bad = |reason: &str| EndpointError::Context { name: meta.name.clone(), reason: reason.to_owned() };
        let docker = meta.endpoints.docker.as_ref().filter(|docker| !docker.host.is_empty());
        let docker = docker.ok_or_else(|| bad("it has no Docker endpoint"))?;
        if docker.skip_tls_verify {
            return Err(bad("it skips the check of the daemon's certificate, and chaos is not sent to just anybody"));
        }
        let files = tls.is_dir().then_some(|| TlsFiles::in_folder(tls));
        let from = format!("the Docker context {:?}", meta.name);
        let mut endpoint = Self::parse(&docker.host, &from, files)?;
        endpoint.context = Some(meta.name);
        Ok(endpoint)
    }

    /// The flags with which another start of this program finds the same.
    pub fn flags(&self) -> [String; 2] {
        match &self.context {
            Some(name) => ["--context".to_owned(), name.clone()],
            None => ["--docker-host".to_owned(), self.host.clone()],
        }
    }
}

impl TlsFiles {
    fn in_folder(folder: &Path) -> Result<Self, EndpointError> {
        let at = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
        let missing = |what, name: &str| EndpointError::Missing { what, path: folder.join(name) };
        let ca = at("ca.pem").ok_or_else(|| missing("the authority's certificate", "ca.pem"))?;
        let own = match (at("cert.pem"), at("key.pem")) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => return Err(missing("the key of our certificate", "key.pem")),
            (None, Some(_)) => return Err(missing("our certificate", "cert.pem")),
        };
        Ok(Self { ca, own })
    }
}

impl SshTarget {
    /// The words end up on a command line here and in a shell there, so only plain ones are taken.
    fn parse(rest: &str) -> Result<Self, String> {
        let (address, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (user, address) = address.rsplit_once('@').map_or((None, address), |(user, host)| (Some(user), host));
        let (host, port) = authority(address)?;
        let plain = |text: &str, also: &str| {
            !text.is_empty()
                && !text.starts_with('-')
                && text.chars().all(|one| one.is_ascii_alphanumeric() || "._-".contains(one) || also.contains(one))
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err("a password has no place in it: let ssh have a key".to_owned());
        }
        if !plain(&host, ":") || !user.is_none_or(|user| plain(user, "+")) {
            return Err("only letters, digits and . _ - may stand in a user's and a host's name".to_owned());
        }
        let socket = Some(path).filter(|path| !path.is_empty() && *path != "/").map(str::to_owned);
        if socket.as_ref().is_some_and(|path| !plain(path, "/")) {
            return Err("only letters, digits and / . _ - may stand in a socket's path".to_owned());
        }
        Ok(Self { user: user.map(str::to_owned), host, port, socket })
    }
}

/// Host and port, the host without its brackets.
pub fn authority(text: &str) -> Result<(String, Option<u16>), String> {
    let text = text.split('/').next().unwrap_or_default();
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').unwrap_or(port))),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err("it names no host".to_owned());
    }
    let port = port.map(|port| port.parse().map_err(|_| format!("{port:?} is no port; allowed: 1 to 65535")));
    Ok((host.to_owned(), port.transpose()?))
}

/// Where Docker's command line keeps what it knows.
fn docker_folder() -> Result<Option<PathBuf>, EndpointError> {
    let home = || env::var_os("HOME").filter(|home| !home.is_empty()).map(|home| PathBuf::from(home).join(".docker"));
    Ok(folder_in("DOCKER_CONFIG")?.or_else(home))
}

/// The folder that a variable names.
fn folder_in(name: &'static str) -> Result<Option<PathBuf>, EndpointError> {
    match env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from) {
        Some(path) if path.is_relative() => Err(EndpointError::Relative { name, path }),
        found => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_TLS: Option<fn() -> Result<TlsFiles, EndpointError>> = None;

    fn ssh(rest: &str) -> SshTarget {
        match Endpoint::parse(&format!("ssh://{rest}"), "DOCKER_HOST", NO_TLS).unwrap().way {
            Way::Ssh(target) => target,
            way => panic!("{way:?}"),
        }
    }

    #[test]
    fn ssh_addresses_are_taken_apart() {
        let target = ssh("me@lab.example:2222/run/user/1000/docker.sock");
        assert_eq!((target.user.as_deref(), target.host.as_str()), (Some("me"), "lab.example"));
        assert_eq!((target.port, target.socket.as_deref()), (Some(2222), Some("/run/user/1000/docker.sock")));
        assert_eq!(ssh("lab"), SshTarget { user: None, host: "lab".into(), port: None, socket: None });
        assert_eq!(ssh("[fe80::1]:22").host, "fe80::1");
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_is_allowed() {
        let cases = [
            ("docker.sock", "allowed: unix://, tcp:// or ssh://"),
            ("npipe:////./pipe/docker_engine", "npipe:// is not known"),
            ("unix://docker.sock", "must be absolute"),
            ("tcp://:2376", "names no host"),
            ("tcp://lab:docker", "no port"),
            ("ssh://-oProxyCommand=touch", "only letters"),
            ("ssh://me:secret@lab", "a password has no place"),
            ("ssh://lab/run/a;b", "socket's path"),
            ("ssh://a b", "only letters"),
        ];
        for (host, expected) in cases {
            let error = Endpoint::parse(host, "DOCKER_HOST", NO_TLS).unwrap_err().to_string();
            assert!(error.contains(expected) && error.starts_with("DOCKER_HOST cannot be"), "{host}: {error}");
        }
    }

    #[test]
    fn podmans_socket_is_taken_where_there_is_no_dockers() {
        let folder = tempfile::tempdir().unwrap();
        let (docker, runtime) = (folder.path().join("docker.sock"), folder.path().join("run"));
        let folders = [folder.path().join("user"), runtime.clone()];
        let chosen = || Endpoint::socket(&docker, &folders).host;
        assert!(chosen().ends_with("docker.sock"), "what is named where neither is there");
        fs::create_dir_all(runtime.join("podman")).unwrap();
        fs::write(runtime.join(PODMAN), "").unwrap();
        assert!(chosen().ends_with("run/podman/podman.sock"));
        fs::write(&docker, "").unwrap();
        assert!(chosen().ends_with("docker.sock"));
    }

    #[test]
    fn half_a_set_of_certificates_says_which_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let said = |folder: &Path| TlsFiles::in_folder(folder).unwrap_err().to_string();
        assert!(said(folder.path()).contains("the authority's certificate"));
        fs::write(folder.path().join("ca.pem"), "").unwrap();
        assert_eq!(TlsFiles::in_folder(folder.path()).unwrap().own, None);
        fs::write(folder.path().join("cert.pem"), "").unwrap();
        assert!(said(folder.path()).contains("key.pem"));
    }
}
