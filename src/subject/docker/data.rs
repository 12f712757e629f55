//! Where a node keeps its data: as it says itself, else by the arguments of its process, else by its configuration file. Never
//! a guess: a file in the wrong folder fills the wrong disk.

use std::io::Read as _;

use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use futures_util::StreamExt as _;

use super::{
    client,
    host::TikvSubject,
    node::{Node, Role},
};
use crate::{cluster::NodeConfig, subject::SubjectError};

/// A configuration of TiKV with all its comments has some 50 kB.
const LONGEST: u64 = 1 << 20;
/// What an archive has beside the file: its header, and padding.
const LONGEST_ARCHIVE: usize = (1 << 20) + (64 << 10);
const MOST_LINKS: usize = 8;

impl TikvSubject {
    /// The folder of the node's data, in the container.
    pub(super) async fn data_dir(&self, node: &Node) -> Result<String, SubjectError> {
        let kept = self.readings.configs().load::<NodeConfig>(&node.id, &node.started_at);
        let said = kept.and_then(|(config, _)| config.data_dir).filter(|folder| is_absolute(folder));
        if let Some(folder) = said.filter(|_| node.role == Role::Tikv) {
            return Ok(folder);
        }
        if let Some(folder) = &node.data_dir {
            return if is_absolute(folder) {
                Ok(folder.clone())
            } else {
                Err(unknown(node, &format!("its arguments say {folder:?}, which depends on where it was started")))
            };
        }
        let Some(path) = &node.config_file else {
            return Err(unknown(node, "neither the node itself nor its arguments say it"));
        };
        let text = self.file_of(node, path).await.map_err(|reason| unknown(node, &format!("{path} {reason}")))?;
        let folder = in_file(node.role, &text).map_err(|reason| unknown(node, &format!("{path} {reason}")))?;
        match folder {
            Some(folder) if is_absolute(&folder) => Ok(folder),
            Some(folder) => {
                Err(unknown(node, &format!("{path} says {folder:?}, which depends on where it was started")))
            }
            None => Err(unknown(node, &format!("neither the node itself nor its arguments nor {path} say it"))),
        }
    }

    /// The text of a file in a container, running or not, or why there is none.
    async fn file_of(&self, node: &Node, path: &str) -> Result<String, String> {
        let docker = self.docker().await.map_err(|error| format!("cannot be read: {error}"))?;
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            let options = DownloadFromContainerOptionsBuilder::new().path(&path).build();
            let mut pieces = std::pin::pin!(docker.download_from_container(&node.id, Some(options)));
            let all = async {
                let mut archive = Vec::new();
                while let Some(piece) = pieces.next().await {
                    archive.extend_from_slice(&piece?);
                    if archive.len() > LONGEST_ARCHIVE {
                        break;
                    }
                }
                Ok(archive)
            };
            let archive = client::ask("read a file of", &node.name, all).await;
            let archive = archive.map_err(|error| format!("cannot be read: {error}"))?;
            match entry(&archive).map_err(|reason| format!("cannot be read: {reason}"))? {
                Entry::Text(text) => return Ok(text),
                Entry::Link(to) => path = beside(&path, &to),
            }
        }
        Err("cannot be read: too many links".to_owned())
    }
}

fn is_absolute(folder: &str) -> bool {
    folder.starts_with('/')
}

fn unknown(node: &Node, why: &str) -> SubjectError {
    let reason = format!("does not say where it keeps its data ({why}); name the folder with --target-path");
    SubjectError::Refused { target: node.name.clone(), reason }
}

enum Entry {
    Text(String),
    Link(String),
}

/// The first entry of an archive, which is the file that was asked for.
fn entry(archive: &[u8]) -> Result<Entry, String> {
    let mut archive = tar::Archive::new(archive);
    let mut entries = archive.entries().map_err(|error| error.to_string())?;
    let entry = entries.next().ok_or("the archive is empty")?.map_err(|error| error.to_string())?;
    let kind = entry.header().entry_type();
    if kind.is_symlink() {
        let to = entry.link_name().map_err(|error| error.to_string())?.ok_or("the link leads nowhere")?;
        return Ok(Entry::Link(to.to_string_lossy().into_owned()));
    }
    if !kind.is_file() {
        return Err("it is no file".to_owned());
    }
    if entry.size() > LONGEST {
        return Err(format!("it has {} bytes, and no configuration is as long", entry.size()));
    }
    let mut text = String::new();
    entry.take(LONGEST).read_to_string(&mut text).map_err(|error| error.to_string())?;
    Ok(Entry::Text(text))
}

/// Where a link beside that path leads.
fn beside(path: &str, to: &str) -> String {
    let folder = std::path::Path::new(path).parent().unwrap_or(std::path::Path::new("/"));
    folder.join(to).to_string_lossy().into_owned()
}

/// The data folder of TiKV's or PD's configuration file; `None` where it sets none.
fn in_file(role: Role, text: &str) -> Result<Option<String>, String> {
    let table: toml::Table =
        toml::from_str(text).map_err(|error| format!("is no TOML: {}", error.message().replace('\n', " ")))?;
    let value = match role {
        Role::Tikv => table.get("storage").and_then(|storage| storage.get("data-dir")),
        Role::Pd => table.get("data-dir"),
    };
    match value {
        None => Ok(None),
        Some(toml::Value::String(folder)) => Ok(Some(folder.clone()).filter(|folder| !folder.is_empty())),
        Some(other) => Err(format!("has a data-dir of the type {}", other.type_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_folder_is_read_from_the_configuration_of_either_kind() {
        let tikv = "log-level = \"info\"\n[storage]\nreserve-space = \"1GiB\"\ndata-dir = \"/kv/data\"\n[raft-engine]\ndir = \"/r\"\n";
        assert_eq!(in_file(Role::Tikv, tikv), Ok(Some("/kv/data".into())));
        assert_eq!(in_file(Role::Pd, tikv), Ok(None));
        assert_eq!(in_file(Role::Tikv, "storage.data-dir = '/x'"), Ok(Some("/x".into())));
        assert_eq!(in_file(Role::Pd, "data-dir = \"/pd\"\n"), Ok(Some("/pd".into())));
        assert_eq!(in_file(Role::Tikv, ""), Ok(None));
        assert_eq!(in_file(Role::Tikv, "[storage]\ndata-dir = \"\""), Ok(None));
        for wrong in ["[storage]\ndata-dir = 3", "[storage", "no toml"] {
            assert!(in_file(Role::Tikv, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn entry_of_an_archive_is_a_text_or_leads_to_one() {
        let packed = |kind: tar::EntryType, text: &[u8]| {
            let mut archive = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(0o644);
            if kind.is_symlink() {
                header.set_size(0);
                archive.append_link(&mut header, "tikv.toml", std::str::from_utf8(text).unwrap()).unwrap();
            } else {
                header.set_size(text.len() as u64);
                archive.append_data(&mut header, "tikv.toml", text).unwrap();
            }
            archive.into_inner().unwrap()
        };
        let read = |archive: &[u8]| match entry(archive) {
            Ok(Entry::Text(text)) => Ok(text),
            Ok(Entry::Link(to)) => Ok(format!("-> {to}")),
            Err(reason) => Err(reason),
        };
        assert_eq!(read(&packed(tar::EntryType::Regular, b"[storage]")), Ok("[storage]".into()));
        assert_eq!(read(&packed(tar::EntryType::Symlink, b"..data/x")), Ok("-> ..data/x".into()));
        assert!(read(&packed(tar::EntryType::Directory, b"")).is_err());
        assert!(read(&packed(tar::EntryType::Regular, b"\xff\xfe")).is_err());
        assert!(read(b"").is_err() && read(&[1; 700]).is_err());
        let long = vec![b'#'; (LONGEST + 1) as usize];
        assert!(read(&packed(tar::EntryType::Regular, &long)).unwrap_err().contains("bytes"));
        assert_eq!(beside("/conf/tikv.toml", "..data/tikv.toml"), "/conf/..data/tikv.toml");
        assert_eq!(beside("/conf/tikv.toml", "/etc/tikv.toml"), "/etc/tikv.toml");
    }
}
