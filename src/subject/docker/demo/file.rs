//! A file put into a container that does not run yet, through the archive API that Docker and Podman share: nothing has to
//! lie on the host that outlives the command.

use std::{io, path::Path};

use bollard::{Docker, body_full, query_parameters::UploadToContainerOptionsBuilder};

use crate::subject::{
    SubjectError,
    docker::{
        client,
        image::{header, relative},
    },
};

/// `path` is absolute. Its folder is made where the image lacks it.
pub async fn put(docker: &Docker, id: &str, name: &str, path: &str, text: &str) -> Result<(), SubjectError> {
    let archive = packed(Path::new(path), text).map_err(|error| SubjectError::Docker {
        operation: "write the configuration of",
        object: name.to_owned(),
        reason: error.to_string(),
    })?;
    let options = UploadToContainerOptionsBuilder::new().path("/").build();
    let upload = docker.upload_to_container(id, Some(options), body_full(archive.into()));
    client::change("write the configuration of", name, upload).await
}

fn packed(path: &Path, text: &str) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    if let Some(folder) = path.parent() {
        archive.append_data(&mut header(tar::EntryType::Directory, 0o755, 0), relative(folder), io::empty())?;
    }
    let size = text.len() as u64;
    archive.append_data(&mut header(tar::EntryType::Regular, 0o644, size), relative(path), text.as_bytes())?;
    archive.into_inner()
}
