//! The connection to Docker: made inside every try, because a missing socket fails at construction, and with a limit
//! on every wait.

use std::{future::Future, sync::OnceLock, time::Duration};

use bollard::{Docker, errors::Error};

use super::{
    endpoint::{Endpoint, EndpointError, Way},
    transport,
};
use crate::subject::SubjectError;

/// How long an answer may take. Docker answers in milliseconds; a hanging daemon must not hang us.
const PATIENCE: Duration = Duration::from_secs(10);

/// [`PATIENCE`]; less in a test that has Docker not answer again and again.
pub fn patience() -> Duration {
    fail::fail_point!(IMPATIENT, |_| PATIENCE / 2);
    PATIENCE
}

/// The name under which a test asks for less patience.
pub const IMPATIENT: &str = "Impatient";

/// The Docker of this run: one program talks to one.
static CHOSEN: OnceLock<Endpoint> = OnceLock::new();

/// Settles which Docker it is. The first word counts.
pub fn choose(endpoint: Endpoint) {
    let _ = CHOSEN.set(endpoint);
}

/// The one that was chosen; where nobody chose, the environment's.
fn endpoint() -> Result<Endpoint, EndpointError> {
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
    let limit = 6 * PATIENCE;
    let docker = match &endpoint.way {
        Way::Unix => Docker::connect_with_unix(&endpoint.host, limit.as_secs(), bollard::API_DEFAULT_VERSION)
            .map_err(|error| reason(&error)),
        Way::Tcp => Docker::connect_with_http(&endpoint.host, limit.as_secs(), bollard::API_DEFAULT_VERSION)
            .map_err(|error| reason(&error)),
        Way::Tls(files) => transport::over_tls(&endpoint.host, files, limit),
        Way::Ssh(target) => transport::over_ssh(target, limit),
    };
    let docker = docker.map_err(no_docker)?;
    match tokio::time::timeout(patience(), docker.negotiate_version()).await {
        Ok(Ok(docker)) => Ok(docker),
        Ok(Err(error)) => Err(no_docker(reason(&error))),
        Err(_) => Err(no_docker(reason(&Error::RequestTimeoutError))),
    }
}

/// Waits for one answer, and says what was tried on what if it is an error or does not come.
pub async fn ask<T>(
    operation: &'static str,
    object: &str,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, SubjectError> {
    ask_for(operation, object, patience(), call).await
}

/// Like [`ask`], for what may take longer.
pub async fn ask_for<T>(
    operation: &'static str,
    object: &str,
    patience: Duration,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, SubjectError> {
    let answer = tokio::time::timeout(patience, call).await.unwrap_or(Err(Error::RequestTimeoutError));
    answer.map_err(|error| failed(operation, object, &error))
}

/// Like [`ask`], and `None` where Docker says that there is no such object.
pub async fn find<T>(
    operation: &'static str,
    object: &str,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<Option<T>, SubjectError> {
    let answer = tokio::time::timeout(patience(), call).await.unwrap_or(Err(Error::RequestTimeoutError));
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if status(&error) == Some(404) => Ok(None),
        Err(error) => Err(failed(operation, object, &error)),
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
        Error::RequestTimeoutError => format!("no answer within {} s", patience().as_secs()),
        error => {
            let mut innermost: &dyn std::error::Error = error;
            while let Some(source) = innermost.source() {
                innermost = source;
            }
            innermost.to_string().replace('\n', " ")
        }
    }
}
