//! A User-Mode Linux guest with its own dockerd, because netem needs a kernel that has it and the one under the tests
//! may not. Debian's `user-mode-linux` runs as an ordinary process on the machine's own files, which it cannot write.
//! Knows nothing of the product: it runs one shell script and hands back what the script said and how it ended.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// What a script left behind: its standard output and error as one text, and its exit status.
#[derive(Debug)]
pub struct Guest {
    pub output: String,
    pub status: i32,
}

const KERNEL: &str = "linux.uml";
const MEMORY_MIB: u64 = 2048;
const TOOL_DIRS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const MODULES: &str = "/usr/lib/uml/modules";

const INIT: &str = include_str!("guest-init.sh");
/// What lets the kernel run on processors whose registers are more than it knows.
const REGISTERS: &str = include_str!("guest-registers.c");
const BEGIN: &str = "guest: script begins\n";
const END: &str = "guest: script ended with ";

/// Runs the kernel until it ends or until standard input closes, which happens as well when the test is killed. Either
/// way nothing stays: not the directory `$1`, and not the kernel's helper processes. Those are in a session of their
/// own, because the kernel calls setsid, so that a signal to this shell's group would not reach them.
const LEASH: &str = r#"
dir=$1
shift
exec 3<&0 </dev/null
"$@" 2>&1 3<&- &
kernel=$!
{ read -r _ <&3; kill -KILL "$kernel" "-$kernel"; } >/dev/null 2>&1 &
wait "$kernel"
kill -KILL "-$kernel" 2>/dev/null
rm -rf "$dir"
kill -KILL 0
"#;

/// Why no guest can run here, `None` if one can.
pub fn missing() -> Option<String> {
    let tools = [
        KERNEL,
        "cc",
        "dockerd",
        "docker",
        "containerd",
        "runc",
        "iptables-legacy",
        "ip",
        "insmod",
        "modprobe",
        "pivot_root",
        "poweroff",
    ];
    if let Some(tool) = tools.into_iter().find(|tool| find_tool(tool).is_none()) {
        return Some(format!("{tool} is not installed"));
    }
    let release = match Command::new(find_tool(KERNEL)?).arg("--version").output() {
        Ok(said) => String::from_utf8_lossy(&said.stdout).trim().to_owned(),
        Err(error) => return Some(format!("{KERNEL} does not run: {error}")),
    };
    ["fs/overlayfs/overlay.ko", "net/sched/sch_netem.ko"]
        .map(|module| format!("{MODULES}/{release}/kernel/{module}"))
        .into_iter()
        .find(|module| !Path::new(module).exists())
        .map(|module| format!("{module} is missing"))
}

/// Boots a guest, starts dockerd in it, runs `script` with `/bin/sh` and `env`, and powers off, all within `limit`.
///
/// The script sees the machine's files except /run, /dev/shm and Docker's, and may write anywhere: its writes are
/// private to the guest. It is root, has no network but loopback and what it makes, and `iptables` is the legacy one.
///
/// # Errors
/// If the guest does not start, does not reach the end of the script, or is not done in time: with what it said.
pub fn run(script: &str, env: &[(&str, &str)], limit: Duration) -> io::Result<Guest> {
    let dir = handover(script, env)?;
    let (console, in_time) = boot(&dir, limit)?;
    match parse(&console) {
        Some(guest) if in_time => Ok(guest),
        _ => Err(failure(&console, in_time, limit)),
    }
}

fn find_tool(name: &str) -> Option<PathBuf> {
    TOOL_DIRS.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.exists())
}

/// A new directory with what the guest reads: its init, the script and the script's environment.
fn handover(script: &str, env: &[(&str, &str)]) -> io::Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("tikv-chaos-guest-{}-{count}", std::process::id()));
    fs::create_dir(&dir)?;
    let exports: String = env.iter().map(|(name, value)| format!("export {name}={}\n", quote(value))).collect();
    fs::write(dir.join("env"), exports)?;
    fs::write(dir.join("script"), script)?;
    fs::write(dir.join("init"), INIT)?;
    fs::set_permissions(dir.join("init"), fs::Permissions::from_mode(0o755))?;
    fs::write(dir.join("registers.c"), REGISTERS)?;
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-o", "registers.so", "registers.c", "-ldl"]);
    match cc.current_dir(&dir).output()? {
        built if built.status.success() => Ok(dir),
        built => Err(io::Error::other(format!("registers.c: {}", String::from_utf8_lossy(&built.stderr)))),
    }
}

fn quote(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// Everything that the guest's console said, and whether the guest ended by itself.
fn boot(dir: &Path, limit: Duration) -> io::Result<(String, bool)> {
    let mut leash = Command::new("/bin/sh")
        .args(["-c", LEASH, "leash"])
        .arg(dir)
        .args(["env", &format!("LD_PRELOAD={}/registers.so", dir.display()), KERNEL])
        .args(["rootfstype=hostfs", "rootflags=/", "ro", "con=null", "con0=null,fd:1"])
        .arg(format!("mem={MEMORY_MIB}M"))
        .arg(format!("init={}/init", dir.display()))
        .arg(format!("uml_dir={}", dir.display()))
        .env("PATH", TOOL_DIRS.join(":"))
        .env("TMPDIR", memory_dir(dir))
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let hold = leash.stdin.take();
    let console = read_all(leash.stdout.take());

    let (said, in_time) = match console.recv_timeout(limit) {
        Ok(said) => (said, true),
        Err(_) => {
            drop(hold);
            (console.recv().unwrap_or_default(), false)
        }
    };
    leash.wait()?;
    Ok((String::from_utf8_lossy(&said).into_owned(), in_time))
}

/// The guest's memory is a file, and a file system that fills up ends the guest with a bus error.
fn memory_dir(fallback: &Path) -> &Path {
    let shm = Path::new("/dev/shm");
    let free = Command::new("df").args(["--output=avail", "--block-size=1M"]).arg(shm).output();
    let free = free.ok().and_then(|said| String::from_utf8_lossy(&said.stdout).lines().last()?.trim().parse().ok());
    if free.is_some_and(|mib: u64| mib > MEMORY_MIB) { shm } else { fallback }
}

/// Reads on a thread of its own, so that the wait can have a limit.
fn read_all(source: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut said = Vec::new();
        if let Some(mut source) = source {
            // What was read before an error is in `said`, and worth showing.
            let _ = source.read_to_end(&mut said);
        }
        let _ = sender.send(said);
    });
    receiver
}

/// The script's part of the console, if the script came to its end.
fn parse(console: &str) -> Option<Guest> {
    let (_, script) = console.split_once(BEGIN)?;
    let (output, rest) = script.rsplit_once(END)?;
    let status = rest.lines().next()?.parse().ok()?;
    Some(Guest { output: output.to_owned(), status })
}

/// Shows the script's output if it began, else the end of the boot.
fn failure(console: &str, in_time: bool, limit: Duration) -> io::Error {
    let (stage, said) = match console.split_once(BEGIN) {
        Some((_, script)) => ("in its script", script.to_owned()),
        None => {
            let lines: Vec<&str> = console.lines().collect();
            ("before its script", lines[lines.len().saturating_sub(60)..].join("\n"))
        }
    };
    if in_time {
        io::Error::other(format!("the guest ended {stage}; it said:\n{said}"))
    } else {
        io::Error::new(io::ErrorKind::TimedOut, format!("the guest was {stage} after {limit:?}; it said:\n{said}"))
    }
}
