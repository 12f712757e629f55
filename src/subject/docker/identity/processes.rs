//! What runs in a container, from Docker's answer to `top`. Pure.
//!
//! Docker runs `ps` on its own host and keeps the lines of the container, so the container needs no `ps`; a blank and the end of
//! an argument look the same there.

use serde::{Deserialize, Serialize};

use super::program::{self, Program};
use crate::subject::docker::node::Role;

/// What `ps` is asked for; the last column takes the rest of a line.
pub const COLUMNS: &str = "-eo pid,ppid,args";
/// The same as Podman's own reader knows it, which needs no `ps` in the container.
pub const COLUMNS_OF_PODMAN: &str = "pid,ppid,args";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub parent: u32,
    pub words: Vec<String>,
}

/// The rows of an answer; an error where it is none of what was asked for.
pub fn of_top(titles: &[String], rows: &[Vec<String>]) -> Result<Vec<Process>, String> {
    let column = |names: &[&str]| titles.iter().position(|title| names.contains(&title.trim()));
    let (pid, parent) = (column(&["PID"]), column(&["PPID"]));
    let (Some(pid), Some(parent), Some(args)) = (pid, parent, column(&["COMMAND", "CMD", "ARGS"])) else {
        return Err(format!("it answered the columns {}", titles.join(", ")));
    };
    let process = |row: &Vec<String>| {
        let number = |at: usize| row.get(at)?.trim().parse().ok();
        let words = row.get(args..)?.iter().flat_map(|part| part.split_whitespace()).map(str::to_owned).collect();
        Some(Process { pid: number(pid)?, parent: number(parent)?, words })
    };
    rows.iter().map(|row| process(row).ok_or_else(|| format!("it answered the row {}", row.join(" ")))).collect()
}

/// What was seen to run in one life of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seen {
    /// The arguments of each process of TiKV.
    pub tikv: Vec<Vec<String>>,
    /// Of each of PD.
    pub pd: Vec<Vec<String>>,
    pub rest: Rest,
    /// A later look would show the same: the container's own process is the node, behind an init at most, or is known to be
    /// something else.
    pub is_final: bool,
}

/// What else the container's own process and its children are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rest {
    /// Shells and what waits: a node may yet be started.
    #[default]
    Waiting,
    /// A program of no known name.
    Unknown(String),
    /// One that is known to be no node.
    Other(String),
}

impl Seen {
    pub fn role(&self) -> Option<Role> {
        match (self.tikv.is_empty(), self.pd.is_empty()) {
            (false, _) => Some(Role::Tikv),
            (true, false) => Some(Role::Pd),
            (true, true) => None,
        }
    }

    /// The arguments of the node, where one process is it.
    pub fn args(&self, role: Role) -> Option<&[String]> {
        let of_role = if role == Role::Tikv { &self.tikv } else { &self.pd };
        match &of_role[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// In words, where there are several nodes: `3 tikv-server processes in one container`.
    pub fn several(&self) -> Option<String> {
        let (tikv, pd) = (self.tikv.len(), self.pd.len());
        let count = |count: usize, name: &str| {
            if count == 1 { format!("1 {name} process") } else { format!("{count} {name} processes") }
        };
        match (tikv, pd) {
            (0 | 1, 0) | (0, 1) => None,
            (_, 0) => Some(format!("{} in one container", count(tikv, "tikv-server"))),
            (0, _) => Some(format!("{} in one container", count(pd, "pd-server"))),
            _ => Some(format!("{} in one container, beside {}", count(tikv, "tikv-server"), count(pd, "pd-server"))),
        }
    }
}

/// What these processes are. `own` is the id of the container's own process, where that is known: what `docker exec` started
/// besides says nothing of the container.
pub fn seen(processes: &[Process], own: Option<u32>) -> Seen {
    let lines: Vec<_> = processes.iter().map(|process| program::of_process(&process.words)).collect();
    let role = |at: usize| match lines[at].program {
        Program::Node(role) => Some(role),
        _ => None,
    };
    let parent = |at: usize| {
        let parent = processes[at].parent;
        processes.iter().position(|other| other.pid == parent).filter(|other| *other != at)
    };
    // A wrapper that bears the name of what it started, and stays.
    let has_node_below = |wrapper: usize| {
        let is_above = |at: usize| ancestors(at, processes.len(), parent).any(|above| above == wrapper);
        (0..processes.len()).any(|at| at != wrapper && role(at) == role(wrapper) && is_above(at))
    };
    let is_finished = |at: usize| processes[at].words.last().is_some_and(|word| word == "<defunct>");
    let mut seen = Seen::default();
    let mut nodes = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(role) = role(at).filter(|_| !is_finished(at) && !has_node_below(at)) else { continue };
        nodes.push(at);
        let args = line.args.clone();
        match role {
            Role::Tikv => seen.tikv.push(args),
            Role::Pd => seen.pd.push(args),
        }
    }
    let own = own.and_then(|own| processes.iter().position(|process| process.pid == own));
    let is_own =
        |at: usize| own.is_none_or(|own| at == own || ancestors(at, processes.len(), parent).any(|above| above == own));
    for (at, line) in lines.iter().enumerate().filter(|(at, _)| is_own(*at) && !is_finished(*at)) {
        match (&line.program, &seen.rest) {
            (Program::Other(name), _) => seen.rest = Rest::Other(name.clone()),
            (Program::Unknown(name), Rest::Waiting) => seen.rest = Rest::Unknown(name.clone()),
            _ => {}
        }
        // The container's own program counts, whatever it has started.
        if own == Some(at) && matches!(line.program, Program::Other(_)) {
            break;
        }
    }
    seen.is_final = match (&nodes[..], own) {
        ([node], Some(own)) => {
            let is_init = matches!(lines[own].program, Program::Node(_));
            *node == own || (is_init && processes.len() == 2 && parent(*node) == Some(own))
        }
        ([], Some(own)) => matches!(lines[own].program, Program::Other(_)),
        _ => false,
    };
    seen
}

/// Every process above one, nearest first; at most as many as there are.
fn ancestors(of: usize, most: usize, parent: impl Fn(usize) -> Option<usize>) -> impl Iterator<Item = usize> {
    std::iter::successors(parent(of), move |at| parent(*at)).take(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top(lines: &[&str]) -> Vec<Process> {
        let titles = ["PID", "PPID", "COMMAND"].map(str::to_owned);
        let row = |line: &&str| line.splitn(3, ' ').map(str::to_owned).collect::<Vec<_>>();
        of_top(&titles, &lines.iter().map(row).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn node_is_found_below_scripts_with_its_arguments() {
        let cases: [(&[&str], Option<Role>, bool); 8] = [
            (&["7 1 /tikv-server --data-dir=/d"], Some(Role::Tikv), true),
            (&["7 1 /bin/tini -- tikv-server --data-dir=/d", "8 7 tikv-server --data-dir=/d"], Some(Role::Tikv), true),
            (
                &["7 1 /bin/bash /run_tikv.sh", "8 7 bin/tikv-server --data-dir=/d", "9 7 tee -i /log"],
                Some(Role::Tikv),
                false,
            ),
            (&["7 1 sh -c tikv-server --data-dir=/d; true", "8 7 tikv-server --data-dir=/d"], Some(Role::Tikv), false),
            (&["7 1 sh /opt/tikv-server", "8 7 /opt/tikv-server.real --data-dir=/d"], Some(Role::Tikv), true),
            (&["7 1 sh -c exec tikv-server --data-dir=/d", "8 7 sleep 30"], None, false),
            (&["7 1 tikv-server <defunct>", "8 7 sleep 1"], None, false),
            (&["7 1 sleep infinity", "9 2 /tikv-server --data-dir=/d"], Some(Role::Tikv), false),
        ];
        for (lines, role, is_final) in cases {
            let seen = seen(&top(lines), Some(7));
            assert_eq!((seen.role(), seen.several(), seen.is_final), (role, None, is_final), "{lines:?}");
            if let Some(role) = role {
                assert_eq!(seen.args(role), Some(&["--data-dir=/d".to_owned()][..]), "{lines:?}");
            }
        }
    }

    #[test]
    fn several_nodes_in_one_container_are_counted() {
        let playground = [
            "7 1 tiup-playground v8.5.5 --kv 3",
            "8 7 /root/.tiup/components/pd/v8.5.5/pd-server --name=pd-0",
            "9 7 /root/.tiup/components/tikv/v8.5.5/tikv-server --addr=127.0.0.1:20160",
            "10 7 /root/.tiup/components/tikv/v8.5.5/tikv-server --addr=127.0.0.1:20161",
            "11 7 /root/.tiup/components/tikv/v8.5.5/tikv-server --addr=127.0.0.1:20162",
            "12 7 tidb-server --store=tikv",
        ];
        let told = |lines: &[&str]| {
            let seen = seen(&top(lines), Some(7));
            assert_eq!(seen.role(), Some(Role::Tikv));
            assert_eq!(seen.args(Role::Tikv), None);
            seen.several().unwrap()
        };
        assert_eq!(told(&playground), "3 tikv-server processes in one container, beside 1 pd-server process");
        assert_eq!(told(&["7 1 sh", "8 7 tikv-server", "9 7 tikv-server"]), "2 tikv-server processes in one container");
        let alone = seen(&top(&["7 1 sh", "8 7 pd-server", "9 7 tikv-server"]), Some(7));
        let expected = "1 tikv-server process in one container, beside 1 pd-server process";
        assert_eq!(alone.several().as_deref(), Some(expected));
    }

    #[test]
    fn what_else_runs_is_told_and_not_what_was_started_besides() {
        let rest = |lines: &[&str]| seen(&top(lines), Some(7)).rest;
        assert_eq!(rest(&["7 1 sh /entry.sh", "8 7 sleep 3", "9 2 curl -s x"]), Rest::Waiting);
        assert_eq!(rest(&["7 1 /ui-server --port 80"]), Rest::Unknown("ui-server".into()));
        assert_eq!(rest(&["7 1 sh /entry.sh", "8 7 nginx: master"]), Rest::Other("nginx".into()));
        assert_eq!(rest(&["7 1 tini -- prometheus", "8 7 prometheus"]), Rest::Other("prometheus".into()));
    }

    #[test]
    fn answer_of_another_shape_is_an_error() {
        let titles = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let rows = |rows: &[&[&str]]| rows.iter().map(|row| titles(row)).collect::<Vec<_>>();
        assert!(of_top(&titles(&["UID", "PID", "CMD"]), &[]).is_err());
        assert!(of_top(&titles(&["PID", "PPID", "CMD"]), &rows(&[&["x", "1", "a"]])).is_err());
        let read = of_top(&titles(&["PID", "PPID", "COMMAND"]), &rows(&[&["7", "1", "a", "b c"]])).unwrap();
        assert_eq!(read, [Process { pid: 7, parent: 1, words: titles(&["a", "b", "c"]) }]);
    }
}
