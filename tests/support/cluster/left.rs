//! What a cluster shows of the program's work, read from the kernel, the volumes and Docker.

use std::{collections::BTreeSet, process::Command, time::Duration};

use super::Cluster;
use crate::{run, try_run, wait_up_to};

impl Cluster {
    /// Whatever of ours the kernel holds in the node's namespace: chains, rules, qdiscs. Empty means clean.
    pub fn traces(&self, node: usize) -> Vec<String> {
        traces_beside(&self.inspect(node, "{{.State.Pid}}"))
    }

    /// The tables of iptables-legacy in the node's namespace, by the kernel's own list.
    pub fn legacy_tables(&self, node: usize) -> String {
        let pid = self.inspect(node, "{{.State.Pid}}");
        std::fs::read_to_string(format!("/proc/{pid}/net/ip_tables_names")).unwrap_or_default()
    }

    /// The fill files on a volume.
    pub fn fill_files(&self, volume: &str) -> Vec<String> {
        fill_files_in(&[self.root_of(volume)])
    }

    /// Bytes that are free on a volume.
    pub fn available(&self, volume: &str) -> u64 {
        let text = run("stat", &["-f", "-c", "%a %S", &self.root_of(volume)]);
        let figures: Vec<u64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
        figures[0] * figures[1]
    }

    /// Where this machine has a volume of this cluster. A container for each look would cost many times as much.
    fn root_of(&self, volume: &str) -> String {
        let number = self.volumes.iter().position(|one| one == volume).expect("a volume of this cluster");
        self.roots().swap_remove(number)
    }

    /// The same for all of them: through the process that has them mounted, or Docker's own folders.
    fn roots(&self) -> Vec<String> {
        let Some(keeper) = &self.keeper else {
            let volumes: Vec<&str> = self.volumes.iter().map(String::as_str).collect();
            let places = run("docker", &[&["volume", "inspect", "-f", "{{.Mountpoint}}"], &volumes[..]].concat());
            return places.lines().map(str::to_owned).collect();
        };
        let pid = run("docker", &["inspect", "-f", "{{.State.Pid}}", keeper]);
        (0..self.volumes.len()).map(|number| format!("/proc/{pid}/root/kept/{number}")).collect()
    }

    /// The helper containers beside the nodes, or beside containers of this cluster that are gone.
    pub fn holders(&self) -> Vec<String> {
        let format = "{{.ID}} cluster={{.Label \"tikv-chaos.cluster\"}} target={{.Label \"tikv-chaos.target\"}}";
        let all = run("docker", &["ps", "-a", "--filter", "label=tikv-chaos.role=holder", "--format", format]);
        if all.is_empty() {
            return Vec::new();
        }
        let nodes: Vec<&str> = self.nodes.iter().map(String::as_str).collect();
        let ids = try_run("docker", &[&["inspect", "-f", "{{.Id}}"], &nodes[..]].concat()).1;
        let ids: BTreeSet<&str> = ids.lines().collect();
        let ours = all.lines().filter_map(|line| {
            let (helper, labels) = line.split_once(" cluster=")?;
            let (cluster, target) = labels.split_once(" target=")?;
            (cluster == self.project || ids.contains(target)).then(|| helper.to_owned())
        });
        ours.collect()
    }

    /// The helper containers beside a volume of a node alone, which came and went by themselves if all is well.
    pub fn volume_holders(&self) -> Vec<String> {
        let of_it = |node: &String| {
            let name = format!("label=tikv-chaos.target-name={node}");
            run("docker", &["ps", "-aq", "--filter", "name=tikv-chaos-holder-volume-", "--filter", &name])
        };
        self.nodes.iter().map(of_it).flat_map(|ids| ids.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// The helper beside one node, if one runs. Those of a look at all nodes come and go.
    pub fn find_holder(&self, node: usize) -> Option<String> {
        let target = format!("label=tikv-chaos.target={}", self.inspect(node, "{{.Id}}"));
        let found = run("docker", &["ps", "-q", "--filter", "label=tikv-chaos.role=holder", "--filter", &target]);
        found.lines().next().map(str::to_owned)
    }

    /// The helper beside one node, which must be there.
    pub fn holder_of(&self, node: usize) -> String {
        self.find_holder(node).unwrap_or_else(|| panic!("no helper beside node {node}"))
    }

    /// Fails if anything of ours is left in a running node, on a volume or beside the nodes.
    pub fn assert_clean(&self) {
        for node in 0..self.nodes.len() {
            if try_run("docker", &["inspect", "-f", "{{.State.Running}}", &self.nodes[node]]).1.trim() == "true" {
                assert_eq!(self.traces(node), Vec::<String>::new(), "left in the kernel of {}", self.nodes[node]);
            }
        }
        assert_eq!(self.all_fill_files(), Vec::<String>::new(), "left on {:?}", self.volumes);
        // Docker removes a helper that has ended in its own time, and one that holds nothing ends by itself after two minutes.
        let all = || [self.holders(), self.volume_holders()].concat();
        if wait_up_to(Duration::from_secs(180), || all().is_empty().then_some(())).is_none() {
            let left = all();
            let states: Vec<String> = left.iter().map(|helper| describe(helper)).collect();
            panic!("waited three minutes for the helper containers to be gone:\n{}", states.join("\n"));
        }
    }

    /// The fill files on every volume.
    pub fn all_fill_files(&self) -> Vec<String> {
        fill_files_in(&self.roots())
    }
}

/// What a container is and what it said.
fn describe(container: &str) -> String {
    let state = try_run("docker", &["inspect", "-f", "{{.Name}} {{json .State}}", container]).1;
    let said = Command::new("docker").args(["logs", "--tail", "20", container]).output();
    let said = said.map(|said| String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned());
    format!("{state}\n{}", said.unwrap_or_default())
}

fn fill_files_in(folders: &[String]) -> Vec<String> {
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    let listing = run("find", &[&folders[..], &["-name", "chaos-fill-*"]].concat());
    listing.lines().map(str::to_owned).collect()
}

/// Whatever of ours the kernel holds in the network namespace of a process: chains, rules, qdiscs.
pub fn traces_beside(pid: &str) -> Vec<String> {
    let mut lines = run("nsenter", &["-t", pid, "-n", "tc", "qdisc", "show"]);
    let mut tools = vec!["iptables-nft-save", "ip6tables-nft-save"];
    // Tables of the legacy kind are there once somebody asked for them.
    if std::fs::read_to_string(format!("/proc/{pid}/net/ip_tables_names")).is_ok_and(|names| !names.is_empty()) {
        tools.push("iptables-legacy-save");
    }
    for tool in tools {
        lines += &try_run("nsenter", &["-t", pid, "-n", tool]).1;
    }
    let ours = |line: &&str| line.contains("TIKV-CHAOS") || line.contains("c4a0:") || line.contains("netem");
    lines.lines().filter(ours).map(str::to_owned).collect()
}
