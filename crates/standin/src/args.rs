//! The command lines of the roles, in the spelling of real TiKV and PD, by which discovery knows a node.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use super::pace::Pace;

/// A node of the stand-in cluster
#[derive(Debug, Parser)]
#[command(name = "tikv-chaos demo-node", disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub role: Role,
}

#[derive(Debug, Subcommand)]
pub enum Role {
    /// Places regions and says how the cluster is
    Pd(Pd),
    /// Keeps data
    Store(Store),
    /// Reads and writes
    Load(Load),
}

#[derive(Debug, Clone, Args)]
pub struct Pd {
    #[arg(long)]
    pub name: String,
    #[arg(long, value_parser = listen_url)]
    pub client_urls: SocketAddr,
    #[arg(long, value_parser = listen_url)]
    pub peer_urls: SocketAddr,
    #[arg(long, value_parser = url)]
    pub advertise_client_urls: String,
    #[arg(long, value_parser = url)]
    pub advertise_peer_urls: String,
    /// `name=http://host:port` of every member, this one too; the same on all of them
    #[arg(long, value_delimiter = ',', value_parser = member)]
    pub initial_cluster: Vec<Member>,
    #[arg(long)]
    pub data_dir: PathBuf,
    /// Everything else: see `settings`
    #[arg(long)]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    /// `host:port`
    pub peer: String,
}

#[derive(Debug, Clone, Args)]
pub struct Store {
    #[arg(long)]
    pub addr: SocketAddr,
    #[arg(long)]
    pub advertise_addr: String,
    /// TiKV's default
    #[arg(long, default_value = "127.0.0.1:20180")]
    pub status_addr: SocketAddr,
    /// As TiKV: the address that it listens on
    #[arg(long)]
    advertise_status_addr: Option<String>,
    #[arg(long)]
    pub data_dir: PathBuf,
    #[arg(long = "pd", alias = "pd-endpoints", value_delimiter = ',', required = true, value_parser = url)]
    pub pds: Vec<String>,
    /// Everything else: see `settings`
    #[arg(long)]
    pub config: Option<PathBuf>,
}

impl Store {
    pub fn advertise_status_addr(&self) -> String {
        self.advertise_status_addr.clone().unwrap_or_else(|| self.status_addr.to_string())
    }
}

#[derive(Debug, Clone, Args)]
pub struct Load {
    #[arg(long = "pd", value_delimiter = ',', required = true, value_parser = url)]
    pub pds: Vec<String>,
    /// Operations a second, half reads, half writes; 0 does nothing
    #[arg(long, default_value_t = 200)]
    pub rate: u32,
    #[arg(long, default_value = "1", value_parser = Pace::parse)]
    pub speed: Pace,
}

/// `host:port` of a URL with or without its scheme.
fn url(text: &str) -> Result<String, String> {
    let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    match address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(address.to_owned()),
        _ => Err("allowed: http://host:port or host:port".to_owned()),
    }
}

fn listen_url(text: &str) -> Result<SocketAddr, String> {
    url(text)?.parse().map_err(|_| "allowed: http://IP:port".to_owned())
}

fn member(text: &str) -> Result<Member, String> {
    let (name, peer) = text.split_once('=').ok_or("allowed: name=http://host:port")?;
    Ok(Member { name: name.to_owned(), peer: url(peer)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Role, String> {
        let words = std::iter::once("demo-node").chain(line.split_whitespace());
        Cli::try_parse_from(words).map(|cli| cli.role).map_err(|error| error.to_string())
    }

    #[test]
    fn the_flags_are_spelt_as_tikv_and_pd_spell_them() {
        let pd = parse(
            "pd --name=pd0 --client-urls=http://0.0.0.0:2379 --peer-urls=http://0.0.0.0:2380 \
             --advertise-client-urls=http://pd0:2379 --advertise-peer-urls=http://pd0:2380 \
             --initial-cluster=pd0=http://pd0:2380,pd1=http://pd1:2380 --data-dir=/data --config=/etc/pd.toml",
        );
        let Ok(Role::Pd(pd)) = pd else { panic!("{pd:?}") };
        assert_eq!(pd.client_urls.to_string(), "0.0.0.0:2379");
        assert_eq!(pd.initial_cluster[1], Member { name: "pd1".to_owned(), peer: "pd1:2380".to_owned() });
        let store = parse(
            "store --addr=0.0.0.0:20160 --advertise-addr=tikv0:20160 --status-addr=0.0.0.0:20180 \
             --advertise-status-addr=tikv0:20180 --data-dir=/data --pd=pd0:2379,pd1:2379,pd2:2379 \
             --config=/etc/tikv.toml",
        );
        let Ok(Role::Store(store)) = store else { panic!("{store:?}") };
        assert_eq!(store.config, Some(PathBuf::from("/etc/tikv.toml")));
        assert_eq!(store.pds, ["pd0:2379", "pd1:2379", "pd2:2379"]);
    }

    /// Whatever looks at a command line would learn to rely on what real nodes do not have there.
    #[test]
    fn flags_that_tikv_and_pd_lack_are_refused() {
        let store = "store --addr=0.0.0.0:20160 --advertise-addr=a:1 --status-addr=0.0.0.0:20180 \
                     --advertise-status-addr=a:2 --data-dir=/data --pd=pd0:2379";
        assert!(parse(store).is_ok());
        for flag in ["--reserve-space=64MiB", "--speed=2", "--stores=3", "--regions=6"] {
            assert!(parse(&format!("{store} {flag}")).unwrap_err().contains("unexpected argument"), "{flag}");
        }
    }

    #[test]
    fn what_is_not_allowed_is_said() {
        assert!(parse("load --pd=pd0:2379 --speed=0").unwrap_err().contains("allowed: 1 to 50"));
        assert!(parse("load --pd=pd0").unwrap_err().contains("allowed: http://host:port or host:port"));
        assert!(parse("load").unwrap_err().contains("--pd"));
    }
}
