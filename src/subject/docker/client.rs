//! The connection to Docker: made inside every try, because a missing socket fails at construction, and with a limit
//! on every wait.

use std::{future::Future, time::Duration};

use bollard::{Docker, errors::Error};

use crate::subject::SubjectError;

/// How long an answer may take. Docker answers in milliseconds; a hanging daemon must not hang us.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// `DOCKER_HOST`, or the usual socket.
pub fn host() -> String {
    std::env::var("DOCKER_HOST")
        .ok()
        .filter(|host| !host.is_empty())
        .unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned())
}

/// A client that speaks the daemon's own version of the API.
pub async fn connect() -> Result<Docker, SubjectError> {
    let no_docker = |error: &Error| SubjectError::NoDocker { host: host(), reason: reason(error) };
    // bollard's own limit is on the head of an answer; an image's import answers only at its end.
    let docker = Docker::connect_with_host(&host()).map_err(|error| no_docker(&error))?.with_timeout(6 * PATIENCE);
    match tokio::time::timeout(PATIENCE, docker.negotiate_version()).await {
        Ok(Ok(docker)) => Ok(docker),
        Ok(Err(error)) => Err(no_docker(&error)),
        Err(_) => Err(no_docker(&Error::RequestTimeoutError)),
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
    let answer = tokio::time::timeout(PATIENCE, call).await.unwrap_or(Err(Error::RequestTimeoutError));
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
        Error::RequestTimeoutError => format!("no answer within {} s", PATIENCE.as_secs()),
        error => {
            let mut innermost: &dyn std::error::Error = error;
            while let Some(source) = innermost.source() {
                innermost = source;
            }
            innermost.to_string().replace('\n', " ")
        }
    }
}
