//! Which program a line of words runs: through wrappers, interpreters and the text of a shell. Pure.
//!
//! Options that take a value are those of util-linux, coreutils, numactl, tini, dumb-init and the like: a value must not be
//! taken for the program.

use super::shell;
use crate::subject::docker::{belonging, node::Role};

/// What a program is, by the name of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    Node(Role),
    /// Starts something, or waits to: a shell, a script, an init.
    Wrapper,
    /// Waits, or does a small thing for a script: `sleep infinity`, `curl`.
    Idle,
    /// Known to be something else.
    Other(String),
    /// No name that is known. It may be a wrapper.
    Unknown(String),
}

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub program: Program,
    pub args: Vec<String>,
    /// It is the first word, or comes behind wrappers that it takes the place of: nothing else runs before it or beside it.
    pub direct: bool,
}

/// How deep wrappers are looked through.
const DEEPEST: usize = 12;

/// What comes of a container's own command.
pub fn of_command(words: &[String]) -> Line {
    read(words, Depth { left: DEEPEST, text: true })
}

/// What a process is that runs: a shell is one, whatever it is about to start.
pub fn of_process(words: &[String]) -> Line {
    read(words, Depth { left: DEEPEST, text: false })
}

#[derive(Clone, Copy)]
struct Depth {
    left: usize,
    /// Whether the text of a shell is read.
    text: bool,
}

fn read(words: &[String], depth: Depth) -> Line {
    let line = |program, args: &[String]| Line { program, args: args.to_vec(), direct: true };
    let Some((first, rest)) = words.split_first() else { return line(Program::Wrapper, &[]) };
    let name = base(first);
    if depth.left == 0 {
        return line(Program::Wrapper, rest);
    }
    let deeper = Depth { left: depth.left - 1, ..depth };
    if let Some(role) = node(name) {
        if role == Role::Pd && belonging::is_pd_microservice(words.iter().map(String::as_str)) {
            return line(Program::Other(format!("{name} services")), rest);
        }
        return line(Program::Node(role), rest);
    }
    if let Some(role) = standin(rest) {
        return line(Program::Node(role), &rest[2..]);
    }
    if SHELLS.contains(&name) {
        return of_shell(rest, deeper);
    }
    if name == "busybox" || name == "toybox" {
        return if rest.is_empty() { line(Program::Wrapper, rest) } else { read(rest, deeper) };
    }
    if (name == "su" || name == "runuser")
        && let Some(at) = rest.iter().position(|word| word == "-c" || word == "--command")
    {
        return match depth.text {
            true => of_text(rest.get(at + 1..).unwrap_or_default(), deeper),
            false => line(Program::Wrapper, rest),
        };
    }
    if let Some(wrapper) = WRAPPERS.iter().find(|wrapper| wrapper.is(name)) {
        let behind = wrapper.behind(rest);
        return if behind.is_empty() { line(Program::Wrapper, rest) } else { read(behind, deeper) };
    }
    if INTERPRETERS.iter().any(|interpreter| is_version_of(name, interpreter)) {
        let script = rest.iter().position(|word| !word.starts_with('-'));
        let program = script.and_then(|at| node(base(&rest[at])));
        return match (program, script) {
            (Some(role), Some(at)) => line(Program::Node(role), &rest[at + 1..]),
            _ => line(Program::Unknown(name.to_owned()), rest),
        };
    }
    if IDLE.contains(&name) {
        return line(Program::Idle, rest);
    }
    if is_script(name) {
        return if depth.text { of_script(name, rest, deeper) } else { line(Program::Wrapper, rest) };
    }
    let program = if OTHERS.iter().any(|other| is_version_of(name, other)) {
        Program::Other(name.to_owned())
    } else if name.is_empty() || name.contains('$') || STARTERS.contains(&name) {
        Program::Wrapper
    } else {
        Program::Unknown(name.to_owned())
    };
    line(program, rest)
}

/// A shell with its own words behind it: `-ec "…"`, or a script.
fn of_shell(words: &[String], depth: Depth) -> Line {
    let wrapper = Line { program: Program::Wrapper, args: words.to_vec(), direct: true };
    let mut at = 0;
    let mut has_text = false;
    while let Some(word) = words.get(at).filter(|word| word.starts_with(['-', '+']) && word.len() > 1) {
        let is_short = !word.starts_with("--");
        has_text |= is_short && word.contains('c');
        // `-o pipefail`, `-euo pipefail`, `--rcfile FILE`.
        let takes_value = is_short && word.ends_with(['o', 'O']) || word == "--rcfile" || word == "--init-file";
        at += if takes_value { 2 } else { 1 };
        if word == "--" {
            break;
        }
    }
    let rest = words.get(at..).unwrap_or_default();
    if has_text {
        return if depth.text { of_text(rest, depth) } else { wrapper };
    }
    let Some((script, args)) = rest.split_first() else { return wrapper };
    match node(base(script)) {
        Some(role) => Line { program: Program::Node(role), args: args.to_vec(), direct: true },
        None if depth.text => of_script(base(script), args, depth),
        None => wrapper,
    }
}

/// The text of a shell is its first word; those behind it are the text's own arguments.
fn of_text(words: &[String], depth: Depth) -> Line {
    let Some(text) = words.first() else { return Line { program: Program::Wrapper, args: vec![], direct: false } };
    let commands = shell::commands(text);
    let lines: Vec<Line> = commands.iter().map(|words| read(words, depth)).collect();
    let found = lines.iter().find(|line| matches!(line.program, Program::Node(_)));
    let line = match (found, &lines[..]) {
        (Some(found), _) => found.clone(),
        // A loop around `sleep` is a script, of which nothing is known.
        (None, [only]) if only.program != Program::Idle || shell::is_one_command(text) => only.clone(),
        _ => Line { program: Program::Wrapper, args: Vec::new(), direct: false },
    };
    // A shell may stay beside what it starts.
    Line { direct: false, ..line }
}

/// A script that is given the program to start, as in `entrypoint.sh tikv-server …` and `wait-for pd:2379 -- tikv-server …`,
/// or that bears its name, as tiup's `run_tikv.sh`.
fn of_script(name: &str, words: &[String], depth: Depth) -> Line {
    let is_place = |at: usize| at == 0 || words[at].contains('/') || words[at - 1] == "--";
    let given = (0..words.len()).find(|&at| is_place(at) && node(base(&words[at])).is_some());
    if let Some(at) = given {
        return Line { direct: false, ..read(&words[at..], depth) };
    }
    let program = match name {
        "run_tikv.sh" => Program::Node(Role::Tikv),
        "run_pd.sh" => Program::Node(Role::Pd),
        _ => Program::Wrapper,
    };
    Line { program, args: Vec::new(), direct: false }
}

/// The name of a program's file; `ps` has `[name]` where it knows no arguments, and a login shell a hyphen before its name.
fn base(word: &str) -> &str {
    let word = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')).unwrap_or(word);
    let name = word.rsplit('/').next().unwrap_or(word);
    // `nginx: master process`.
    name.strip_prefix('-').unwrap_or(name).trim_end_matches(':')
}

/// `tikv-server`, and with something behind it as in `tikv-server.real` and `tikv-server-v8.5.5`, which Linux cuts at 15
/// characters where it shows a process by its short name.
pub fn node(name: &str) -> Option<Role> {
    let is = |program: &str| {
        let Some(more) = name.strip_prefix(program) else { return false };
        let variant = more.strip_prefix(['.', '-', '_']);
        more.is_empty() || variant.is_some_and(|variant| !BESIDE.iter().any(|word| variant.starts_with(word)))
    };
    if is("tikv-server") {
        return Some(Role::Tikv);
    }
    is("pd-server").then_some(Role::Pd)
}

/// The demo's nodes: this program as another.
fn standin(args: &[String]) -> Option<Role> {
    match args {
        [role, kind, ..] if role == "demo-node" => match kind.as_str() {
            "store" => Some(Role::Tikv),
            "pd" => Some(Role::Pd),
            _ => None,
        },
        _ => None,
    }
}

fn is_script(name: &str) -> bool {
    const ENDS: [&str; 3] = [".sh", ".bash", ".bat"];
    const BEGINS: [&str; 7] = ["entrypoint", "docker-entrypoint", "entry", "start", "run", "wait-for", "launch"];
    ENDS.iter().any(|end| name.ends_with(end))
        || BEGINS
            .iter()
            .any(|begin| name.strip_prefix(begin).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric)))
}

/// `python3.11` of `python`, but not `nodejs` of `node`.
fn is_version_of(name: &str, program: &str) -> bool {
    name.strip_prefix(program).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
}

/// A program that starts another in its own place or beside itself, with its own words before it.
struct Wrapper {
    names: &'static [&'static str],
    /// Options whose value is the next word, unless it is behind a `=`.
    valued: &'static [&'static str],
    /// Words of its own before the program.
    own: usize,
}

impl Wrapper {
    fn is(&self, name: &str) -> bool {
        self.names.iter().any(|own| name == *own || (own.ends_with('*') && name.starts_with(own.trim_end_matches('*'))))
    }

    /// The words behind its own.
    fn behind<'a>(&self, words: &'a [String]) -> &'a [String] {
        let is_option = |word: &str| word.len() > 1 && word.starts_with('-');
        let is_variable = |word: &str| {
            let name = word.split_once('=').map(|(name, _)| name);
            name.is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
        };
        let (mut at, mut own) = (0, self.own);
        while let Some(word) = words.get(at) {
            if word == "--" {
                at += 1;
                // Its own words come before it or behind it.
                if own > 0 && !words[at..].is_empty() {
                    at += std::mem::take(&mut own).min(words.len() - at);
                }
                break;
            }
            if is_option(word) {
                at += if self.valued.contains(&word.as_str()) { 2 } else { 1 };
            } else if is_variable(word) {
                at += 1;
            } else if own > 0 {
                (at, own) = (at + 1, own - 1);
            } else {
                break;
            }
        }
        words.get(at..).unwrap_or_default()
    }
}

const fn wrapper(names: &'static [&'static str], own: usize, valued: &'static [&'static str]) -> Wrapper {
    Wrapper { names, valued, own }
}

const WRAPPERS: [Wrapper; 23] = [
    wrapper(&["tini", "tini-static", "docker-init", "catatonit"], 0, &["-p", "-e"]),
    wrapper(&["dumb-init"], 0, &["-r", "--rewrite"]),
    wrapper(
        &["numactl"],
        0,
        &[
            "-i",
            "-m",
            "-N",
            "-C",
            "-p",
            "-w",
            "-P",
            "--interleave",
            "--membind",
            "--cpunodebind",
            "--physcpubind",
            "--preferred",
            "--preferred-many",
            "--weighted-interleave",
        ],
    ),
    wrapper(&["gosu", "su-exec", "setuidgid", "s6-setuidgid", "s6-applyuidgid"], 1, &[]),
    wrapper(&["env"], 0, &["-u", "-C", "--unset", "--chdir"]),
    wrapper(&["nice"], 0, &["-n", "--adjustment"]),
    wrapper(&["ionice"], 0, &["-c", "-n", "--class", "--classdata"]),
    wrapper(&["chrt"], 1, &["-T", "-P", "-D", "--sched-runtime", "--sched-period", "--sched-deadline"]),
    wrapper(&["taskset"], 1, &[]),
    wrapper(
        &["setpriv"],
        0,
        &[
            "--reuid",
            "--regid",
            "--ruid",
            "--euid",
            "--rgid",
            "--egid",
            "--groups",
            "--inh-caps",
            "--ambient-caps",
            "--bounding-set",
            "--securebits",
            "--pdeathsig",
            "--selinux-label",
            "--apparmor-profile",
        ],
    ),
    wrapper(&["setsid", "nohup", "catchsegv", "exec", "command", "builtin", "unbuffer", "heaptrack"], 0, &["-a"]),
    wrapper(&["stdbuf"], 0, &["-i", "-o", "-e", "--input", "--output", "--error"]),
    wrapper(&["timeout"], 1, &["-k", "-s", "--kill-after", "--signal"]),
    wrapper(&["time"], 0, &["-f", "-o", "--format", "--output"]),
    wrapper(&["sudo", "doas"], 0, &["-u", "-g", "-h", "-C", "-D", "-p", "-R", "-T", "--user", "--group", "--chdir"]),
    wrapper(&["runuser", "su"], 0, &["-u", "-g", "-G", "-s", "--user", "--group", "--shell"]),
    wrapper(&["chroot"], 1, &[]),
    wrapper(
        &["chpst"],
        0,
        &["-u", "-U", "-b", "-e", "-/", "-n", "-l", "-L", "-m", "-d", "-o", "-p", "-f", "-c", "-r", "-t"],
    ),
    wrapper(&["strace", "ltrace"], 0, &["-o", "-e", "-p", "-s", "-E", "-a", "-I", "-O", "-S", "-u", "-P", "-X"]),
    wrapper(&["gdb"], 0, &["-ex", "-x", "-iex", "--command"]),
    wrapper(&["valgrind*", "prlimit", "unshare", "systemd-cat", "xvfb-run"], 0, &[]),
    wrapper(&["ld-linux*", "ld-musl*"], 0, &["--library-path", "--preload", "--argv0", "--audit", "--inhibit-rpath"]),
    wrapper(&["dockerize"], 0, &["-wait", "-timeout", "-wait-retry-interval", "-template", "-stdout", "-stderr"]),
];

const SHELLS: [&str; 8] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "rbash"];
const INTERPRETERS: [&str; 4] = ["python", "perl", "ruby", "node"];
const IDLE: [&str; 20] = [
    "sleep", "tail", "cat", "pause", "true", "curl", "wget", "nc", "ncat", "pd-ctl", "etcdctl", "dig", "nslookup",
    "getent", "ping", "date", "tee", "grep", "sed", "awk",
];
/// They start others, with words of which the program cannot be told.
const STARTERS: [&str; 9] = [
    "tiup",
    "tiup-playground",
    "tiup-cluster",
    "supervisord",
    "runsvdir",
    "runsv",
    "s6-svscan",
    "s6-supervise",
    "systemd",
];
/// What may stand beside a node, in its image too: tools, the rest of the field's programs, what watches and loads it.
const OTHERS: [&str; 55] = [
    "tikv-ctl",
    "pd-recover",
    "pd-tso-bench",
    "pd-heartbeat-bench",
    "pd-api-bench",
    "tikv-importer",
    "tidb-server",
    "tidb",
    "tiflash",
    "tiproxy",
    "cdc",
    "tidb-lightning",
    "tidb-dashboard",
    "br",
    "dumpling",
    "drainer",
    "pump",
    "etcd",
    "prometheus",
    "alertmanager",
    "node_exporter",
    "blackbox_exporter",
    "process-exporter",
    "pushgateway",
    "grafana",
    "grafana-server",
    "loki",
    "promtail",
    "cadvisor",
    "go-ycsb",
    "go-tpc",
    "sysbench",
    "haproxy",
    "nginx",
    "envoy",
    "traefik",
    "caddy",
    "httpd",
    "apache2",
    "postgres",
    "mysqld",
    "mariadbd",
    "redis-server",
    "mongod",
    "memcached",
    "minio",
    "java",
    "dockerd",
    "containerd",
    "sshd",
    "cron",
    "crond",
    "toxiproxy-server",
    "pumba",
    "socat",
];
/// What makes another program of a name that begins as a node's.
const BESIDE: [&str; 14] = [
    "exporter", "proxy", "client", "bench", "mock", "ctl", "ui", "web", "monitor", "operator", "backup", "agent",
    "sidecar", "sh",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        // A `|` stands for what is one word with blanks in it.
        line.split('|').enumerate().fold(Vec::new(), |mut all, (at, part)| {
            if at % 2 == 1 {
                all.push(part.to_owned());
            } else {
                all.extend(part.split_whitespace().map(str::to_owned));
            }
            all
        })
    }

    #[test]
    fn node_is_seen_through_wrappers_with_its_own_arguments() {
        let cases = [
            "/tikv-server --data-dir=/d",
            "numactl --cpunodebind=0 --membind 0 /opt/tikv-server --data-dir=/d",
            "numactl -N 1 -m 1 tikv-server --data-dir=/d",
            "/usr/sbin/gosu tikv:tikv tikv-server --data-dir=/d",
            "su-exec 1000 /tikv-server --data-dir=/d",
            "env -u HOME RUST_BACKTRACE=1 MALLOC_CONF=prof:true tikv-server --data-dir=/d",
            "/bin/tini -g -- /tikv-server --data-dir=/d",
            "tini -e 143 -- gosu tikv env A=b tikv-server --data-dir=/d",
            "dumb-init -r 15:2 tikv-server --data-dir=/d",
            "nice -n 5 ionice -c 2 -n 0 taskset -c 0-3 tikv-server --data-dir=/d",
            "chrt -f 10 tikv-server --data-dir=/d",
            "setpriv --reuid 1000 --regid=1000 --init-groups -- tikv-server --data-dir=/d",
            "timeout -k 5 3600 stdbuf -o L tikv-server --data-dir=/d",
            "sudo -u tikv -E LANG=C tikv-server --data-dir=/d",
            "valgrind.bin --tool=massif /tikv-server --data-dir=/d",
            "strace -f -o /tmp/trace tikv-server --data-dir=/d",
            "/lib64/ld-linux-x86-64.so.2 --library-path /x /tikv-server --data-dir=/d",
            "/tikv-server-v8.5.5 --data-dir=/d",
            "/tikv-server.real --data-dir=/d",
            "[tikv-server-v8.] --data-dir=/d",
            "/bin/sh /opt/tikv-server --data-dir=/d",
            "/tikv-chaos demo-node store --data-dir=/d",
        ];
        for case in cases {
            for line in [of_command(&words(case)), of_process(&words(case))] {
                assert_eq!(
                    (line.program, line.args.join(" ")),
                    (Program::Node(Role::Tikv), "--data-dir=/d".into()),
                    "{case}"
                );
            }
        }
        assert_eq!(of_process(&words("/bin/tini -- /pd-server --name=pd0")).program, Program::Node(Role::Pd));
    }

    #[test]
    fn command_is_seen_through_the_text_of_a_shell_and_its_scripts() {
        let node = [
            "sh -c |exec tikv-server --data-dir=/d|",
            "bash -euo pipefail -c |until nc -z pd-server 2379; do sleep 1; done; exec /tikv-server --data-dir=/d|",
            "/bin/bash -lc |cd /x && A=b exec numactl -N 0 '/opt/tikv-server' --data-dir=/d|",
            "tini -- sh -c |tikv-server --data-dir=/d & wait|",
            "busybox sh -c |exec tikv-server --data-dir=/d|",
            "su tikv -c |tikv-server --data-dir=/d|",
            "/docker-entrypoint.sh tikv-server --data-dir=/d",
            "/wait-for-it.sh pd0:2379 -t 0 -- tikv-server --data-dir=/d",
            "sh /entrypoint.sh /tikv-server --data-dir=/d",
        ];
        for case in node {
            let line = of_command(&words(case));
            assert_eq!(
                (line.program, line.args.join(" ")),
                (Program::Node(Role::Tikv), "--data-dir=/d".into()),
                "{case}"
            );
            assert!(!line.direct, "{case}");
        }
        assert_eq!(of_command(&words("/bin/bash /deploy/scripts/run_tikv.sh")).program, Program::Node(Role::Tikv));
        let others = [
            ("sh -c |until nc -z tikv-server 20160; do sleep 1; done; exec tidb-server|", Program::Wrapper),
            ("sh -c |trap '' TERM; while :; do sleep 1; done|", Program::Wrapper),
            ("sh -c |exec nginx -g 'daemon off;'|", Program::Other("nginx".into())),
            ("/start.sh --host tikv-server", Program::Wrapper),
            ("/usr/bin/python3.11 app.py", Program::Unknown("python3.11".into())),
            ("sleep infinity", Program::Idle),
            ("sh -c |exec sleep infinity|", Program::Idle),
            ("/tikv-ctl --host tikv0:20160", Program::Other("tikv-ctl".into())),
            ("/tikv-server-exporter", Program::Unknown("tikv-server-exporter".into())),
            ("/entry.sh", Program::Wrapper),
            ("tiup playground v8.5.5 --kv 3", Program::Wrapper),
            ("gosu tikv", Program::Wrapper),
            ("", Program::Wrapper),
        ];
        for (case, expected) in others {
            assert_eq!(of_command(&words(case)).program, expected, "{case}");
        }
    }

    #[test]
    fn running_shell_is_not_yet_what_it_will_start() {
        for case in [
            "sh -c exec tikv-server --data-dir=/d",
            "/bin/bash /run_tikv.sh",
            "bash",
            "-bash",
            "tini -- sh -c tikv-server",
        ] {
            assert_eq!(of_process(&words(case)).program, Program::Wrapper, "{case}");
        }
    }
}
