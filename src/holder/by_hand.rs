//! The undo of one injection by hand: a process beside the helper's own that asks it to end that one, so that everything else
//! which holds there stays as it is, and is not made again by the helper's next change.

use std::{collections::BTreeSet, io, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::{UnixStream, unix::OwnedReadHalf, unix::OwnedWriteHalf},
    time::timeout,
};

use super::{
    protocol::{Answer, Ask, HeldThing, Reply, Request, Survey},
    talks::SOCKET,
};
use crate::chaos::{InjectionId, network::NetworkFault};

/// How long the helper may take over one answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ends the injection of that id. Not to find it is no error, unless unrecorded faults are there.
pub async fn by_hand(id: Option<String>) -> io::Result<()> {
    let id: InjectionId = id.unwrap_or_default().parse().map_err(io::Error::other)?;
    let mut talk = Talk::begin().await?;
    let Answer::Survey(survey) = talk.ask(Ask::Survey { folders: Vec::new() }).await? else {
        return Err(io::Error::other("the helper answered something else"));
    };
    match find(&survey, &id) {
        Found::Fault(fault) => {
            talk.ask(Ask::Remove { injection: id.clone(), fault }).await?;
            println!("{id} is ended");
            Ok(())
        }
        Found::Nothing => {
            println!("nothing of {id} is held here");
            Ok(())
        }
        Found::Unclaimed(interfaces) => Err(io::Error::other(format!(
            "{} holds what a helper left that died, and whether that is {id}'s is not known",
            interfaces.join(", ")
        ))),
    }
}

#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one lives at a time")]
enum Found {
    Fault(NetworkFault),
    Nothing,
    Unclaimed(Vec<String>),
}

/// What the helper holds under that id, else what the kernel has under it.
fn find(survey: &Survey, id: &InjectionId) -> Found {
    let held = survey.held.iter().filter_map(|held| match &held.what {
        HeldThing::Network(fault) => Some((&held.injection, fault)),
        HeldThing::Fill(_) => None,
    });
    let held: Vec<(&InjectionId, &NetworkFault)> = held.collect();
    if let Some((_, fault)) = held.iter().find(|(one, _)| *one == id) {
        return Found::Fault((*fault).clone());
    }
    let netems = survey.kernel.netems();
    let claimed = held.iter().filter_map(|(_, fault)| fault.shape()).flat_map(|shape| &shape.interfaces);
    let claimed: BTreeSet<&String> = claimed.collect();
    // Its number is made up where the kernel has no name for it.
    let named = survey.kernel.as_faults().remove(id).filter(|fault| {
        !fault.shape().is_some_and(|shape| shape.interfaces.iter().any(|interface| netems.contains(interface)))
    });
    match named {
        Some(fault) => Found::Fault(fault),
        None => {
            let left: Vec<String> = netems.into_iter().filter(|interface| !claimed.contains(interface)).collect();
            if left.is_empty() { Found::Nothing } else { Found::Unclaimed(left) }
        }
    }
}

/// A conversation with the helper, over the socket that all clients share.
struct Talk {
    lines: Lines<BufReader<OwnedReadHalf>>,
    to: OwnedWriteHalf,
    count: u32,
}

impl Talk {
    async fn begin() -> io::Result<Self> {
        let (from, to) = UnixStream::connect(SOCKET).await?.into_split();
        Ok(Self { lines: BufReader::new(from).lines(), to, count: 0 })
    }

    /// Every client gets every answer: ours has our own number.
    async fn ask(&mut self, ask: Ask) -> io::Result<Answer> {
        self.count += 1;
        let id = format!("by-hand-{}-{}", std::process::id(), self.count);
        let mut line = serde_json::to_vec(&Request { id: id.clone(), ask })?;
        line.push(b'\n');
        self.to.write_all(&line).await?;
        let answer = async {
            while let Some(line) = self.lines.next_line().await? {
                let reply = serde_json::from_str::<Reply>(&line).ok().filter(|reply| reply.id == id);
                if let Some(reply) = reply {
                    return reply.result.map_err(io::Error::other);
                }
            }
            Err(io::Error::other("the helper ended before it answered"))
        };
        timeout(PATIENCE, answer).await.map_err(|_| io::Error::other("the helper does not answer"))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chaos::network::{Cut, Flavour, Impairment, Kernel, RootQdisc, Shape, Tree, Via},
        holder::protocol::Held,
    };

    fn survey(held: &[(u32, NetworkFault)], kernel: Kernel) -> Survey {
        let held = held.iter().map(|(number, fault)| Held {
            injection: InjectionId::from_number(*number),
            left_ms: None,
            what: HeldThing::Network(fault.clone()),
        });
        Survey { flavour: Flavour::Nft, kernel, held: held.collect(), files: Vec::new() }
    }

    #[test]
    fn injection_is_found_by_its_id_and_unrecorded_faults_are_left_alone() {
        let id = InjectionId::from_number;
        let cut = NetworkFault::Drop(Cut::off(vec!["10.0.0.2".parse().unwrap()]));
        let late = |name: &str| NetworkFault::Shape(Shape { via: Via::Netem, ..Shape::on(name) });
        let netem = |name: &str| (name.to_owned(), RootQdisc::Ours(Tree::One(Impairment::default())));
        let kernel =
            |names: &[&str]| Kernel { qdiscs: names.iter().map(|name| netem(name)).collect(), ..Kernel::default() };
        let both = survey(&[(1, cut.clone()), (2, late("eth0"))], kernel(&["eth0"]));
        assert_eq!(find(&both, &id(1)), Found::Fault(cut));
        assert_eq!(find(&both, &id(2)), Found::Fault(late("eth0")));
        assert_eq!(find(&both, &id(3)), Found::Nothing, "undone already: the other one's qdisc is not its own");
        assert_eq!(find(&both, &id(0)), Found::Nothing, "a made-up number is no id");
        let left = survey(&[(2, late("eth0"))], kernel(&["eth0", "eth1"]));
        assert_eq!(find(&left, &id(1)), Found::Unclaimed(vec!["eth1".to_owned()]));
    }
}
