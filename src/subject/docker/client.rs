//! The connection to Docker: made inside every try, because a missing socket fails at construction, and with a limit
//! on every wait.

use std::{
    collections::HashMap,
    future::Future,
    path::PathBuf,
    sync::OnceLock,
    time::{Duration, Instant},
};

use bollard::{
    Docker,
    errors::Error,
    models::{ContainerInspectResponse, ContainerSummary},
    query_parameters::ListContainersOptionsBuilder,
};

use super::{
    endpoint::{Endpoint, EndpointError, Way},
    transport,
};
use crate::subject::SubjectError;

/// How long an answer may take that needs nothing but Docker itself. Docker answers in milliseconds; a hanging daemon must
/// not hang us.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long a change may take, and a question about a container: a busy machine starts one in tens of seconds, and
/// Docker says nothing about it meanwhile.
pub const LONG_PATIENCE: Duration = Duration::from_secs(60);

/// Waits for so long; `None` where that was not enough.
pub async fn patiently<T>(patience: Duration, call: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        answer = tokio::time::timeout(patience, call) => answer.ok(),
        () = silence() => None,
    }
}

/// Ends a second after a test said, by making a file, that Docker has fallen silent, for what was asked before. What is slow
/// and comes all the same is waited for in a test as ever.
async fn silence() {
    fn told() -> Option<PathBuf> {
        fail::fail_point!("Silence", |file: Option<String>| file.map(PathBuf::from));
        None
    }
    match told().filter(|file| !file.exists()) {
        Some(file) => {
            while !file.exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        None => std::future::pending().await,
    }
}

/// The Docker of this run: one program talks to one.
static CHOSEN: OnceLock<Endpoint> = OnceLock::new();

/// Settles which Docker it is. The first word counts.
pub fn choose(endpoint: Endpoint) {
    let _ = CHOSEN.set(endpoint);
}

/// The one that was chosen; where nobody chose, the environment's.
pub(super) fn endpoint() -> Result<Endpoint, EndpointError> {
    if let Some(chosen) = CHOSEN.get() {
        return Ok(chosen.clone());
    }
    let host = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    host.map_or_else(|| Ok(Endpoint::usual()), |host| Endpoint::of_host(&host, "DOCKER_HOST"))
}

/// Its address, as `DOCKER_HOST` would name it.
pub fn host() -> String {
    endpoint().map(|endpoint| endpoint.host).unwrap_or_default()
}

/// Its address, and why it is this one.
pub fn whence() -> String {
    endpoint().map_or_else(|error| error.to_string(), |endpoint| endpoint.to_string())
}

/// A client that speaks the daemon's own version of the API.
pub async fn connect() -> Result<Docker, SubjectError> {
    let no_docker = |reason: String| SubjectError::NoDocker { host: host(), reason };
    let endpoint = endpoint().map_err(|error| no_docker(error.to_string()))?;
    // bollard's own limit is on the head of an answer; an image's import answers only at its end.
    let limit = 2 * LONG_PATIENCE;
    let docker = match &endpoint.way {
        Way::Unix => Docker::connect_with_unix(&endpoint.host, limit.as_secs(), bollard::API_DEFAULT_VERSION)
            .map_err(|error| reason(&error)),
        Way::Tcp => Docker::connect_with_http(&endpoint.host, limit.as_secs(), bollard::API_DEFAULT_VERSION)
            .map_err(|error| reason(&error)),
        Way::Tls(files) => transport::over_tls(&endpoint.host, files, limit),
        Way::Ssh(target) => transport::over_ssh(target, limit),
    };
    let docker = docker.map_err(no_docker)?;
    match patiently(PATIENCE, docker.negotiate_version()).await {
        Some(Ok(docker)) => Ok(docker),
        Some(Err(error)) => Err(no_docker(reason(&error))),
        None => Err(no_docker(no_answer(PATIENCE))),
    }
}

/// Every container that the filters let through, running or not.
pub async fn containers(
    docker: &Docker,
    filters: &HashMap<&str, Vec<&str>>,
) -> Result<Vec<ContainerSummary>, SubjectError> {
    let options = || ListContainersOptionsBuilder::new().all(true).filters(filters).build();
    ask("list", "the containers", past_passing(|| docker.list_containers(Some(options())))).await
}

/// The container of that name or id; `None` where there is none.
pub async fn container(docker: &Docker, id: &str) -> Result<Option<ContainerInspectResponse>, SubjectError> {
    find("inspect", id, past_passing(|| docker.inspect_container(id, None))).await
}

/// Asks again while a container is in a state that Docker's API has no word for: Podman before 6 shows one that has just
/// ended as `stopped`, until it has cleaned up behind it (`pkg/api/handlers/compat/containers.go`).
async fn past_passing<T, F: Future<Output = Result<T, Error>>>(call: impl Fn() -> F) -> Result<T, Error> {
    let begun = Instant::now();
    loop {
        match call().await {
            Err(Error::JsonDataError { message, .. })
                if message.contains("unknown variant `stopped`") && begun.elapsed() < PATIENCE / 2 =>
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            answer => return answer,
        }
    }
}

/// Waits for one answer, and says what was tried on what if it is an error or does not come.
pub async fn ask<T>(
    operation: &'static str,
    object: &str,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, SubjectError> {
    ask_for(operation, object, PATIENCE, call).await
}

/// Like [`ask`], for what changes something.
pub async fn change<T>(
    operation: &'static str,
    object: &str,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, SubjectError> {
    ask_for(operation, object, LONG_PATIENCE, call).await
}

/// Like [`ask`], for what may take as long as is said.
pub async fn ask_for<T>(
    operation: &'static str,
    object: &str,
    patience: Duration,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, SubjectError> {
    match patiently(patience, call).await {
        Some(answer) => answer.map_err(|error| failed(operation, object, &error)),
        None => Err(silent(operation, object, patience)),
    }
}

/// Like [`change`], for one object; `None` where Docker says that there is no such.
pub async fn find<T>(
    operation: &'static str,
    object: &str,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<Option<T>, SubjectError> {
    match patiently(LONG_PATIENCE, call).await {
        Some(Ok(found)) => Ok(Some(found)),
        Some(Err(error)) if status(&error) == Some(404) => Ok(None),
        Some(Err(error)) => Err(failed(operation, object, &error)),
        None => Err(silent(operation, object, LONG_PATIENCE)),
    }
}

pub fn failed(operation: &'static str, object: &str, error: &Error) -> SubjectError {
    match error {
        Error::DockerResponseServerError { .. } | Error::DockerStreamError { .. } => {
            SubjectError::Docker { operation, object: object.to_owned(), reason: reason(error) }
        }
        _ => SubjectError::NoDocker { host: host(), reason: format!("cannot {operation} {object}: {}", reason(error)) },
    }
}

fn silent(operation: &'static str, object: &str, patience: Duration) -> SubjectError {
    let reason = format!("cannot {operation} {object}: {}", no_answer(patience));
    SubjectError::NoDocker { host: host(), reason }
}

fn no_answer(patience: Duration) -> String {
    format!("no answer within {} s", patience.as_secs())
}

/// The HTTP status of Docker's refusal, if it is one.
pub fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// The innermost reason in one line: `No such file or directory` rather than five layers of wrapping.
pub fn reason(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.trim().replace('\n', " "),
        Error::DockerStreamError { error } => error.trim().replace('\n', " "),
        Error::RequestTimeoutError => "no answer".to_owned(),
        error => {
            let mut innermost: &dyn std::error::Error = error;
            while let Some(source) = innermost.source() {
                innermost = source;
            }
            innermost.to_string().replace('\n', " ")
        }
    }
}
