//! The daemon that answers: Docker's, or Podman's in its place.

use bollard::{
    Docker,
    models::{SystemInfo, SystemVersion},
};

use super::client;
use crate::{
    chaos::{PODMAN_ID, client_of},
    subject::SubjectError,
};

/// A daemon that we are connected to.
#[derive(Clone)]
pub struct Engine {
    pub docker: Docker,
    /// What tells it from another: a record belongs to one daemon.
    pub id: String,
    pub is_podman: bool,
}

impl Engine {
    pub async fn connect() -> Result<Self, SubjectError> {
        let docker = client::connect().await?;
        let (info, version) = tokio::try_join!(
            client::ask("ask about", "the daemon", docker.info()),
            client::ask("ask the version of", "Docker", docker.version()),
        )?;
        let is_podman = is_podman(&version);
        Ok(Self { id: identity(is_podman, info), docker, is_podman })
    }

    /// The command that speaks to it.
    pub fn client(&self) -> &'static str {
        client_of(&self.id)
    }
}

/// Podman makes up an id for every answer (`pkg/api/handlers/compat/info.go`): there it is the host and where its
/// containers are.
fn identity(is_podman: bool, info: SystemInfo) -> String {
    if is_podman {
        format!("{PODMAN_ID}{}:{}", info.name.unwrap_or_default(), info.docker_root_dir.unwrap_or_default())
    } else {
        info.id.unwrap_or_default()
    }
}

/// Both say of which programs they are made.
fn is_podman(version: &SystemVersion) -> bool {
    version.components.iter().flatten().any(|component| component.name.starts_with("Podman"))
}

/// Name and version, such as `Docker 28.2.2`.
pub fn title(version: &SystemVersion) -> String {
    let name = if is_podman(version) { "Podman" } else { "Docker" };
    format!("{name} {}", version.version.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use bollard::models::SystemVersionComponents;

    use super::*;

    #[test]
    fn podman_is_known_again_although_it_says_another_id_each_time() {
        let said = |id: &str, engine: &str| {
            let component = SystemVersionComponents { name: engine.to_owned(), ..SystemVersionComponents::default() };
            let version = SystemVersion { components: Some(vec![component]), ..SystemVersion::default() };
            let info = SystemInfo {
                id: Some(id.to_owned()),
                name: Some("here".to_owned()),
                docker_root_dir: Some("/var/lib/containers".to_owned()),
                ..SystemInfo::default()
            };
            identity(is_podman(&version), info)
        };
        assert_eq!(said("a", "Podman Engine"), said("b", "Podman Engine"));
        assert_ne!(said("a", "Engine"), said("b", "Engine"));
        assert_ne!(said("a", "Engine"), said("a", "Podman Engine"));
    }
}
