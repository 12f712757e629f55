//! The image of the helpers and of the stand-in cluster: this program and the host's own `tc`, `iptables` and `rm`, imported
//! into Docker on the spot and from no registry. Both use the same one, so that the daemon holds the program once.
//!
//! Its name carries a fingerprint of what is in it, so that a later start only asks whether that name is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    path::{Path, PathBuf},
    pin::Pin,
    process,
    task::{Context, Poll},
    time::{Duration, UNIX_EPOCH},
};

use bollard::{
    Docker, body_try_stream,
    models::ImageSummary,
    query_parameters::{CreateImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptions},
};
use futures_util::{Stream, StreamExt as _};
use hyper::body::Bytes;
use jiff::Timestamp;
use tokio::{
    sync::{Mutex, mpsc},
    time::timeout,
};

use super::{client, discovery::ROLE_LABEL};
use crate::{
    chaos::{HOLDER_PROGRAM, HOLDER_REPOSITORY},
    holder::protocol,
    subject::SubjectError,
};

/// Where this program is in an image.
pub(super) const PROGRAM: &str = HOLDER_PROGRAM;
const TOOL_FOLDERS: [&str; 6] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin"];
/// iptables' match and target extensions, by distribution.
const EXTENSIONS: [&str; 3] =
    ["/usr/lib/x86_64-linux-gnu/xtables", "/usr/lib/aarch64-linux-gnu/xtables", "/usr/lib64/xtables"];
/// Where tc keeps the tables of its distributions, by distribution of Linux.
const TABLES: [&str; 4] =
    ["/usr/lib/x86_64-linux-gnu/tc", "/usr/lib/aarch64-linux-gnu/tc", "/usr/lib64/tc", "/usr/lib/tc"];
const MULTI: [(&str, &str); 2] = [("xtables-nft-multi", "nft"), ("xtables-legacy-multi", "legacy")];

/// Longer than the longest time to live.
const KEEP_S: i64 = 8 * 24 * 3600;
/// How long Docker may take for the import, which is over in a second or two.
const IMPORT_PATIENCE: Duration = Duration::from_secs(300);

/// What goes to Docker at a time, and how much of it may wait.
const PIECE: usize = 256 * 1024;
const PIECES_AHEAD: usize = 4;

/// Held while an image is looked for and made: a program that needs it in two places at once, as the screen does for its
/// look at every cluster, would make it twice, and leave the first without a name.
static MAKING: Mutex<()> = Mutex::const_new(());

/// Where the image comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// One that is there already, by name.
    Ready(String),
    /// Made from this executable.
    Made { exe: PathBuf },
}

/// The label of every image that was made here. The other is of those that the demo had before it shared the helper's.
const ROLES: [&str; 2] = ["holder-image", "demo-image"];
/// Their repositories likewise.
const REPOSITORIES: [&str; 2] = [HOLDER_REPOSITORY, "tikv-chaos-demo"];

/// The image's name; made first where it is not there yet. `progress` is told what takes time, and when it is over.
pub async fn ensure(
    docker: &Docker,
    source: &Source,
    progress: &(dyn Fn(Option<&str>) + Send + Sync),
) -> Result<String, SubjectError> {
    let exe = match source {
        Source::Ready(name) => {
            let found = client::find("look for the image", name, docker.inspect_image(name)).await?;
            return found.map(|_| name.clone()).ok_or_else(|| SubjectError::Image(format!("there is no image {name}")));
        }
        Source::Made { exe } => exe,
    };
    let tag = fingerprint(exe).map_err(|error| SubjectError::Image(format!("{}: {error}", exe.display())))?;
    let name = format!("{HOLDER_REPOSITORY}:{tag}");
    let _alone = MAKING.lock().await;
    if client::find("look for the image", &name, docker.inspect_image(&name)).await?.is_some() {
        return Ok(name);
    }
    progress(Some("making the image from this program and the host's tc and iptables"));
    let made = make(docker, &name, exe).await;
    progress(None);
    made?;
    remove_old(docker).await;
    Ok(name)
}

async fn make(docker: &Docker, name: &str, exe: &Path) -> Result<(), SubjectError> {
    let exe = exe.to_owned();
    let failed = |error: &dyn Display| SubjectError::Image(format!("packing it failed: {error}"));
    let contents = tokio::task::spawn_blocking(move || Contents::of_this_host(&exe));
    let contents = contents.await.map_err(|error| failed(&error))??;
    // A few pieces ahead of Docker: the whole never lies in memory.
    let (pieces, archive) = mpsc::channel(PIECES_AHEAD);
    let pack = tokio::task::spawn_blocking(move || contents.pack(Pieces(pieces)));
    let import = timeout(IMPORT_PATIENCE, import(docker, name, ReceiverStream(archive)));
    let (packed, imported) = tokio::join!(pack, import);
    let late = || SubjectError::Image(format!("Docker took longer than {} s", IMPORT_PATIENCE.as_secs()));
    let imported = imported.map_err(|_| late())?;
    match packed.map_err(|error| failed(&error))? {
        // Docker stopped reading, and says why.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe && imported.is_err() => imported,
        packed => packed.map_err(|error| failed(&error)).and(imported),
    }
}

async fn import(docker: &Docker, name: &str, archive: ReceiverStream) -> Result<(), SubjectError> {
    // One alone: Podman takes several for one. What runs in a container is said when it is made.
    let changes = vec![format!("LABEL {ROLE_LABEL}={}", ROLES[0])];
    // The tag as a part of the name, as Docker's command line sends it: Podman overlooks one of its own.
    let options = CreateImageOptionsBuilder::new().from_src("-").repo(name).changes(changes).build();
    let mut steps = std::pin::pin!(docker.create_image(Some(options), Some(body_try_stream(archive)), None));
    while let Some(step) = steps.next().await {
        step.map_err(|error| SubjectError::Image(format!("Docker would not import it: {}", client::reason(&error))))?;
    }
    Ok(())
}

/// What is packed, piece by piece. An error of the packer is one here too, so that Docker does not take a part for the whole.
struct ReceiverStream(mpsc::Receiver<io::Result<Bytes>>);

impl Stream for ReceiverStream {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

/// Where the packer writes.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Pieces {
    fn send(&self, piece: io::Result<Bytes>) -> io::Result<()> {
        self.0.blocking_send(piece).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

impl io::Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(Ok(Bytes::copy_from_slice(bytes))).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Removes the images that were made here and that no injection can still name in its undo, by the names that they have from
/// here. Docker keeps the ones that a container uses. One whose name went to another, which was made at the same time, has
/// none left.
async fn remove_old(docker: &Docker) {
    let long_ago = Timestamp::now().as_second() - KEEP_S;
    for (role, repository) in ROLES.into_iter().zip(REPOSITORIES) {
        let label = format!("{ROLE_LABEL}={role}");
        let filters = [("label", vec![label.as_str()])].into();
        let options = ListImagesOptionsBuilder::new().filters(&filters).build();
        let images = match docker.list_images(Some(options)).await {
            Ok(images) => images,
            Err(error) => {
                tracing::debug!(role, reason = client::reason(&error), "images cannot be listed, and stay");
                continue;
            }
        };
        for image in images.iter().filter(|image| image.created < long_ago) {
            for name in names(image, repository) {
                if let Err(error) = docker.remove_image(name, None::<RemoveImageOptions>, None).await {
                    tracing::debug!(name, reason = client::reason(&error), "an image stays");
                }
            }
        }
    }
}

/// The names of that repository, with or without a registry's before it; the id of an image that has no name at all.
fn names<'a>(image: &'a ImageSummary, repository: &str) -> Vec<&'a str> {
    // Docker's word for none, before API 1.43.
    let tags: Vec<&str> = image.repo_tags.iter().map(String::as_str).filter(|tag| *tag != "<none>:<none>").collect();
    if tags.is_empty() {
        return vec![&image.id];
    }
    let is_ours = |tag: &&str| tag.rsplit('/').next().and_then(|name| name.split(':').next()) == Some(repository);
    tags.into_iter().filter(is_ours).collect()
}

/// What goes into the image: files by the path that they have there, and links.
struct Contents {
    files: BTreeMap<PathBuf, PathBuf>,
    links: BTreeMap<PathBuf, String>,
}

impl Contents {
    fn of_this_host(exe: &Path) -> Result<Self, SubjectError> {
        if !cfg!(target_os = "linux") {
            let message = "this host is not Linux, so its program cannot run in a container: build assets/holder.Dockerfile \
                           and name the image with --holder-image";
            return Err(SubjectError::Image(message.to_owned()));
        }
        let mut files = BTreeMap::from([(PathBuf::from(PROGRAM), exe.to_owned())]);
        let mut links = BTreeMap::new();
        add_libraries(exe, &mut files)?;
        for (tool, path) in tools() {
            add_libraries(&path, &mut files)?;
            let folder = if tool == "rm" { "/usr/bin" } else { "/usr/sbin" };
            files.insert(Path::new(folder).join(tool), path);
        }
        for (multi, flavour) in MULTI.into_iter().filter(|(multi, _)| find_tool(multi).is_some()) {
            for name in [format!("iptables-{flavour}"), format!("ip6tables-{flavour}")] {
                for end in ["", "-save", "-restore"] {
                    links.insert(Path::new("/usr/sbin").join(format!("{name}{end}")), multi.to_owned());
                }
            }
        }
        for folder in EXTENSIONS.into_iter().chain(TABLES) {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                files.insert(entry.path(), entry.path());
            }
        }
        Ok(Self { files, links })
    }

    /// As a tar archive, written piece by piece.
    fn pack(&self, pieces: Pieces) -> io::Result<()> {
        let failure = pieces.0.clone();
        let packed = self.write(io::BufWriter::with_capacity(PIECE, pieces));
        if let Err(error) = &packed {
            // Whether Docker still reads is its own affair: the error is ours.
            let _ = failure.blocking_send(Err(io::Error::new(error.kind(), error.to_string())));
        }
        packed
    }

    fn write(&self, to: impl io::Write) -> io::Result<()> {
        let mut archive = tar::Builder::new(to);
        // Mount points, and room for tools and for the demo's PD, which a container FROM scratch would lack; Podman lets
        // nobody write beside them.
        let mut folders: BTreeSet<&Path> = ["/data", "/run", "/tmp"].map(Path::new).into();
        for path in self.files.keys().chain(self.links.keys()) {
            folders.extend(path.ancestors().skip(1).filter(|folder| folder.parent().is_some()));
        }
        for folder in folders {
            archive.append_data(&mut header(tar::EntryType::Directory, 0o755, 0), relative(folder), io::empty())?;
        }
        for (path, source) in &self.files {
            let mut file = fs::File::open(source)?;
            let size = file.metadata()?.len();
            archive.append_data(&mut header(tar::EntryType::Regular, 0o755, size), relative(path), &mut file)?;
        }
        for (path, target) in &self.links {
            archive.append_link(&mut header(tar::EntryType::Symlink, 0o777, 0), relative(path), target)?;
        }
        io::Write::flush(&mut archive.into_inner()?)
    }
}

pub(super) fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header
}

pub(super) fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

fn find_tool(name: &str) -> Option<PathBuf> {
    let from_path = std::env::var_os("PATH");
    let folders = from_path.iter().flat_map(std::env::split_paths).chain(TOOL_FOLDERS.map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// The shared libraries and the loader of a program, at the paths where the loader looks for them: as `ldd` lists them, which
/// asks that loader itself.
fn add_libraries(program: &Path, files: &mut BTreeMap<PathBuf, PathBuf>) -> Result<(), SubjectError> {
    let failed =
        |reason: String| SubjectError::Image(format!("cannot tell the libraries of {}: {reason}", program.display()));
    let listed = process::Command::new("ldd").arg(program).env("LC_ALL", "C").env_remove("LD_LIBRARY_PATH").output();
    let listed = listed.map_err(|error| failed(format!("ldd: {error}")))?;
    let said = String::from_utf8_lossy(&listed.stdout);
    if !listed.status.success() {
        let error = String::from_utf8_lossy(&listed.stderr);
        // One that is linked statically needs none; glibc and musl say so each in its way.
        let needs_none = |text: &str| {
            ["not a dynamic executable", "Not a valid dynamic program"].iter().any(|end| text.contains(end))
        };
        return if needs_none(&said) || needs_none(&error) { Ok(()) } else { Err(failed(error.trim().to_owned())) };
    }
    for path in libraries(&said).map_err(|missing| failed(format!("{missing} is not on this host")))? {
        let real = path.canonicalize().map_err(|error| failed(format!("{}: {error}", path.display())))?;
        files.insert(path, real);
    }
    Ok(())
}

/// The paths in what `ldd` prints, the loader's among them; else the library that was not found.
fn libraries(listing: &str) -> Result<Vec<PathBuf>, String> {
    let mut paths = Vec::new();
    for line in listing.lines().map(str::trim) {
        let (name, place) = line.split_once(" => ").unwrap_or(("", line));
        if place.starts_with("not found") {
            return Err(name.to_owned());
        }
        // The kernel's own has no path.
        if let Some((path, _)) = place.split_once(" (").filter(|(path, _)| path.starts_with('/')) {
            paths.push(PathBuf::from(path));
        }
        // The loader is asked for by a name of its own, which on merged systems is a link elsewhere.
        if name.starts_with('/') {
            paths.push(PathBuf::from(name));
        }
    }
    Ok(paths)
}

/// The tools that this host has, with their paths here.
fn tools() -> impl Iterator<Item = (&'static str, PathBuf)> {
    let names = ["tc", "rm"].into_iter().chain(MULTI.map(|(multi, _)| multi));
    names.filter_map(|name| Some((name, find_tool(name)?)))
}

/// Sizes and times of the programs in it: cheaper than reading them, and another build has another time.
fn fingerprint(exe: &Path) -> io::Result<String> {
    let mut hasher = DefaultHasher::new();
    (env!("CARGO_PKG_VERSION"), protocol::VERSION).hash(&mut hasher);
    for (name, path) in [("exe", exe.to_owned())].into_iter().chain(tools()) {
        let metadata = fs::metadata(&path)?;
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        (name, metadata.len(), modified).hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_ldd_of_glibc_and_musl() {
        let paths = |listing: &str| {
            libraries(listing).unwrap().iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        let glibc = "\tlinux-vdso.so.1 (0x00007ffc6a5f2000)\n\tlibmnl.so.0 => /lib/x86_64-linux-gnu/libmnl.so.0 (0x00007f2a)\n\
                     \t/lib64/ld-linux-x86-64.so.2 (0x00007f2b)\n";
        assert_eq!(paths(glibc), ["/lib/x86_64-linux-gnu/libmnl.so.0", "/lib64/ld-linux-x86-64.so.2"]);
        let musl = "\t/lib/ld-musl-x86_64.so.1 (0x7f1)\n\tlibmnl.so.0 => /usr/lib/libmnl.so.0 (0x7f2)\n\
                    \tlibc.musl-x86_64.so.1 => /lib/ld-musl-x86_64.so.1 (0x7f1)\n";
        assert_eq!(paths(musl), ["/lib/ld-musl-x86_64.so.1", "/usr/lib/libmnl.so.0", "/lib/ld-musl-x86_64.so.1"]);
        let merged = "\t/lib64/ld-linux-x86-64.so.2 => /usr/lib64/ld-linux-x86-64.so.2 (0x7f)\n";
        assert_eq!(paths(merged), ["/usr/lib64/ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2"]);
        assert_eq!(paths("\tstatically linked\n"), Vec::<String>::new());
        assert_eq!(libraries("\tlibelf.so.1 => not found\n"), Err("libelf.so.1".to_owned()));
    }

    #[test]
    fn an_image_goes_by_our_names_alone_and_by_its_id_where_it_has_none() {
        let of = |tags: &[&str]| {
            let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
            let image = ImageSummary { id: "sha256:1".into(), repo_tags: tags, ..ImageSummary::default() };
            names(&image, "tikv-chaos-demo").into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(of(&["tikv-chaos-demo:a", "mine:1"]), ["tikv-chaos-demo:a"]);
        assert_eq!(of(&["docker.io/library/tikv-chaos-demo:a"]), ["docker.io/library/tikv-chaos-demo:a"]);
        assert_eq!(of(&["mine:1", "tikv-chaos-demo-mine:1"]), Vec::<String>::new());
        assert_eq!((of(&[]), of(&["<none>:<none>"])), (vec!["sha256:1".to_owned()], vec!["sha256:1".to_owned()]));
    }
}
