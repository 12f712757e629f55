//! Configurations of nodes as they were read last, and what else is remembered of containers, in the state folder: a command is a program of its own, and a node that
//! was killed or paused says nothing. One file for each container, replaced as a whole, so that programs need no lock:
//! what two of them write is the same.
//!
//! It spares a question and is never needed: whatever is wrong with a file is logged, and then nothing is known.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::private::check_owner;

/// The version of a file's shape; one with another is not read.
const SCHEMA: u32 = 1;
/// How long the file of a container that is not found any more is kept.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Ours are smaller than a thousand bytes.
const LONGEST: u64 = 64 << 10;

/// The folder of these files; without one nothing is kept.
#[derive(Debug, Clone, Default)]
pub struct ConfigCache {
    folder: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
struct Kept<T> {
    schema: u32,
    container: String,
    /// Docker's own text for the start of the container: another life may have another configuration.
    started_at: String,
    read_at: Timestamp,
    config: T,
}

impl ConfigCache {
    /// In this state folder. Nothing is made before there is something to keep.
    pub fn under(state_dir: &Path) -> Self {
        Self::named(state_dir, "node-config")
    }

    /// One of something else, in a folder of that name.
    pub fn named(state_dir: &Path, name: &str) -> Self {
        Self { folder: Some(state_dir.join(name)) }
    }

    /// What this life of the container said last, and when.
    pub fn load<T: DeserializeOwned>(&self, container: &str, started_at: &str) -> Option<(T, Timestamp)> {
        let kept = self.kept(container)?;
        (kept.started_at == started_at).then_some((kept.config, kept.read_at))
    }

    /// What the container said last, in whichever life.
    pub fn last<T: DeserializeOwned>(&self, container: &str) -> Option<T> {
        self.kept(container).map(|kept| kept.config)
    }

    fn kept<T: DeserializeOwned>(&self, container: &str) -> Option<Kept<T>> {
        let path = self.path(container)?;
        match read(&path) {
            Ok(kept) => Some(kept).filter(|kept: &Kept<T>| kept.container == container),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "what was kept of a container cannot be used");
                None
            }
        }
    }

    /// Keeps what this life of the container says now.
    pub fn store<T: Serialize>(&self, container: &str, started_at: &str, config: &T, read_at: Timestamp) {
        let Some(path) = self.path(container) else { return };
        let kept = Kept {
            schema: SCHEMA,
            container: container.to_owned(),
            started_at: started_at.to_owned(),
            read_at,
            config,
        };
        if let Err(error) = write(&path, &kept) {
            tracing::debug!(path = %path.display(), %error, "a configuration is not kept");
        }
    }

    /// Drops what was kept long ago of containers that are not among these, and what a killed program left half written.
    pub fn prune(&self, is_there: impl Fn(&str) -> bool) {
        let Some(entries) = self.folder.as_ref().and_then(|folder| fs::read_dir(folder).ok()) else { return };
        for entry in entries.flatten() {
            let age = entry.metadata().and_then(|found| found.modified()).ok().and_then(|at| at.elapsed().ok());
            let path = entry.path();
            let container = path.file_stem().and_then(|stem| stem.to_str());
            if age.is_some_and(|age| age > KEPT) && !container.is_some_and(&is_there) {
                let _ = fs::remove_file(&path);
            }
        }
    }

    /// None for what is no id of Docker's, which might lead anywhere.
    fn path(&self, container: &str) -> Option<PathBuf> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_id = !container.is_empty() && container.bytes().all(plain);
        self.folder.as_ref().filter(|_| is_id).map(|folder| folder.join(format!("{container}.json")))
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Kept<T>> {
    // Whatever stands there instead of a file must not be waited for.
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    check_owner(&found).map_err(io::Error::other)?;
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text)?;
    let kept: Kept<T> = serde_json::from_str(&text)?;
    if kept.schema != SCHEMA {
        return Err(io::Error::other(format!("its schema is {}; this program knows {SCHEMA}", kept.schema)));
    }
    Ok(kept)
}

/// A temporary file and a rename; one that a crash leaves empty is not read.
fn write<T: Serialize>(path: &Path, kept: &Kept<T>) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut new = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    new.write_all(&serde_json::to_vec_pretty(kept)?)?;
    new.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt as _, time::SystemTime};

    use super::*;
    use crate::cluster::NodeConfig;

    fn load(cache: &ConfigCache, container: &str, started_at: &str) -> Option<(NodeConfig, Timestamp)> {
        cache.load(container, started_at)
    }

    fn config(reserve: u64) -> NodeConfig {
        NodeConfig { reserve_space: Some(reserve), ..NodeConfig::default() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn files(state: &Path) -> Vec<String> {
        let entries = fs::read_dir(state.join("node-config")).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.map(|one| one.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn configuration_is_kept_for_one_life_of_a_container() {
        let state = tempfile::tempdir().unwrap();
        let cache = ConfigCache::under(state.path());
        assert_eq!(load(&cache, "c0", "monday"), None);
        assert!(files(state.path()).is_empty());
        cache.store("c0", "monday", &config(1), at(7));
        // Another program finds it.
        let other = ConfigCache::under(state.path());
        assert_eq!(load(&other, "c0", "monday"), Some((config(1), at(7))));
        assert_eq!((load(&other, "c0", "tuesday"), load(&other, "c1", "monday")), (None, None));
        other.store("c0", "tuesday", &config(2), at(9));
        assert_eq!((load(&cache, "c0", "monday"), load(&cache, "c0", "tuesday")), (None, Some((config(2), at(9)))));
        assert_eq!(cache.last::<NodeConfig>("c0"), Some(config(2)));
        assert_eq!(cache.last::<NodeConfig>("c1"), None);
        assert_eq!(files(state.path()), ["c0.json"]);
    }

    #[test]
    fn what_is_no_file_of_ours_is_not_read_and_not_followed() {
        let state = tempfile::tempdir().unwrap();
        let cache = ConfigCache::under(state.path());
        cache.store("good", "x", &config(1), at(0));
        let folder = state.path().join("node-config");
        let good = fs::read_to_string(folder.join("good.json")).unwrap();
        let foreign = [
            ("half", good[..good.len() / 2].to_owned()),
            ("empty", String::new()),
            ("other", r#"{"schema":1}"#.to_owned()),
            ("newer", good.replace("\"schema\": 1", "\"schema\": 2").replace("good", "newer")),
            ("binary", "\u{0}\u{1}".to_owned()),
            // A copy of another container's.
            ("copied", good.clone()),
        ];
        for (name, text) in foreign {
            let path = folder.join(format!("{name}.json"));
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert_eq!(load(&cache, name, "x"), None, "{name}");
        }
        let open_to_all = folder.join("open.json");
        fs::write(&open_to_all, good.replace("good", "open")).unwrap();
        fs::set_permissions(&open_to_all, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(load(&cache, "open", "x"), None);
        std::os::unix::fs::symlink(folder.join("good.json"), folder.join("link.json")).unwrap();
        fs::create_dir(folder.join("folder.json")).unwrap();
        assert_eq!((load(&cache, "link", "x"), load(&cache, "folder", "x")), (None, None));
        for id in ["", "../good", "a/b", "."] {
            cache.store(id, "x", &config(1), at(0));
            assert_eq!(load(&cache, id, "x"), None, "{id}");
        }
        assert_eq!(load(&cache, "good", "x"), Some((config(1), at(0))));
        // What cannot be written is not kept, and nothing else happens.
        cache.store("folder", "x", &config(1), at(0));
        assert!(!files(state.path()).iter().any(|name| name.starts_with(".new-")));
    }

    #[test]
    fn file_of_a_container_that_is_long_gone_is_dropped() {
        let state = tempfile::tempdir().unwrap();
        let cache = ConfigCache::under(state.path());
        let names = ["here", "gone", "lately"];
        names.iter().for_each(|name| cache.store(name, "x", &config(1), at(0)));
        let long_ago = SystemTime::now() - KEPT - Duration::from_secs(60);
        for name in ["here", "gone"] {
            let file = fs::File::options().write(true).open(state.path().join(format!("node-config/{name}.json")));
            file.unwrap().set_modified(long_ago).unwrap();
        }
        cache.prune(|container| container == "here");
        assert_eq!(files(state.path()), ["here.json", "lately.json"]);
    }

    #[test]
    fn without_a_folder_nothing_is_kept() {
        let cache = ConfigCache::default();
        cache.store("c0", "x", &config(1), at(0));
        cache.prune(|_| false);
        assert_eq!(load(&cache, "c0", "x"), None);
    }
}
