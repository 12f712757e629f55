//! Where the other nodes are, by /etc/hosts as it was when this process started. No DNS server is asked for a name that
//! stands there. Docker hands a question about a container that is gone to the host's own servers; where none of them
//! answers, `getaddrinfo` blocks for seconds on a thread of tokio's, and behind 512 of these no name is looked up at all.

use std::{collections::HashMap, io, net::IpAddr, sync::LazyLock};

use tokio::net::TcpStream;

static HOSTS: LazyLock<HashMap<String, IpAddr>> =
    LazyLock::new(|| parse(&std::fs::read_to_string("/etc/hosts").unwrap_or_default()));

/// Connects to `host:port`. A name that is not in /etc/hosts goes to the system's resolver.
pub async fn connect(address: &str) -> io::Result<TcpStream> {
    let known = address.rsplit_once(':').and_then(|(host, port)| Some((*HOSTS.get(host)?, port.parse::<u16>().ok()?)));
    match known {
        Some(place) => TcpStream::connect(place).await,
        None => TcpStream::connect(address).await,
    }
}

/// hosts(5): an address and its names, up to a `#`. The first line that has a name counts.
fn parse(text: &str) -> HashMap<String, IpAddr> {
    let mut hosts = HashMap::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(ip) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
        for name in words {
            hosts.entry(name.to_owned()).or_insert(ip);
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_file_gives_first_address_of_each_name() {
        let text = "127.0.0.1\tlocalhost\n# 172.18.0.9 tikv0\n::1\tlocalhost ip6-loopback\nnonsense tikv2\n\n\
                    172.18.0.5\ttikv0 demo-tikv0 # the first store\n172.18.0.6\ttikv1";
        let hosts = parse(text);
        let of = |name: &str| hosts.get(name).map(ToString::to_string);
        assert_eq!(of("localhost").as_deref(), Some("127.0.0.1"));
        assert_eq!(of("tikv0").as_deref(), Some("172.18.0.5"));
        assert_eq!(of("demo-tikv0").as_deref(), Some("172.18.0.5"));
        assert_eq!(of("tikv1").as_deref(), Some("172.18.0.6"));
        assert_eq!((of("tikv2"), of("store")), (None, None));
    }
}
