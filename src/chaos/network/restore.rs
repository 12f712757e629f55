//! The transactions for `iptables-restore --noflush`: from the chains that are held to those that should be, and the undo by
//! hand.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{
    Chains, Direction, Family, Flow, Queues, Shape, Table,
    chains::{CLASSIFY, Wanted, cut_chain, place, queue_chains},
};
use crate::chaos::InjectionId;

/// The hooks that our transaction puts jumps into, by table.
pub fn hooks(text: &str) -> Vec<(Table, Vec<&str>)> {
    let mut found: Vec<(Table, Vec<&str>)> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            found.extend(Table::ALL.into_iter().find(|table| table.name() == name).map(|table| (table, Vec::new())));
        } else if let Some(hook) = line.strip_prefix("-I ").and_then(|rest| rest.split(' ').next())
            && let Some((_, hooks)) = found.last_mut()
            && !hooks.contains(&hook)
        {
            hooks.push(hook);
        }
    }
    found.retain(|(_, hooks)| !hooks.is_empty());
    found
}

/// One transaction for `iptables-restore --noflush`; `None` where nothing is to be done.
pub fn restore_text(table: Table, wanted: &Wanted, held: &Chains) -> Option<String> {
    let whole = |name: &str, rules: &Vec<String>| held.get(name).is_some_and(|chain| chain.rules == *rules);
    let (mut made, mut filled) = (String::new(), String::new());
    for (name, rules) in wanted {
        if !whole(name, rules) {
            // With --noflush this line makes the chain or, where it exists, empties it.
            writeln!(made, ":{name} - [0:0]").ok()?;
            for rule in rules {
                writeln!(filled, "-A {name} {rule}").ok()?;
            }
        }
    }
    let jumps: String = ["INPUT", "OUTPUT", "POSTROUTING"].map(|hook| jump_lines(hook, wanted, held)).concat();
    let gone = held.iter().filter(|(name, _)| !wanted.contains_key(*name));
    let gone: Vec<(&str, usize)> = gone.map(|(name, chain)| (name.as_str(), chain.jumps.len())).collect();
    let text = [made, filled, jumps, removal_lines(&gone)].concat();
    (!text.is_empty()).then(|| transaction(table, &text))
}

/// Brings a hook's jumps into their one order, in which what drops stands before what refuses, so that it does not
/// matter in which order the faults came. What is at the end of it already stays.
fn jump_lines(hook: &str, wanted: &Wanted, held: &Chains) -> String {
    let is_here = |name: &str| place(name).is_some_and(|(_, of)| of == Some(hook));
    let refuses = |rules: &[String]| rules.iter().any(|rule| rule.contains("-j REJECT"));
    let mut order: Vec<(bool, &str)> =
        wanted.iter().filter(|(name, _)| is_here(name)).map(|(name, rules)| (refuses(rules), name.as_str())).collect();
    order.sort_unstable();
    let mut there: Vec<(usize, &str)> = held
        .iter()
        .filter(|(name, _)| is_here(name) && wanted.contains_key(*name))
        .flat_map(|(name, chain)| chain.jumps.iter().map(move |at| (*at, name.as_str())))
        .collect();
    there.sort_unstable();
    let twice = there.len() > there.iter().map(|(_, name)| name).collect::<BTreeSet<_>>().len();
    let alike = there.iter().rev().zip(order.iter().rev()).take_while(|(one, two)| one.1 == two.1).count();
    let alike = if twice { 0 } else { alike };
    let gone = there[..there.len() - alike].iter().map(|(_, name)| format!("-D {hook} -j {name}\n"));
    let new = order[..order.len() - alike].iter().rev().map(|(_, name)| format!("-I {hook} 1 -j {name}\n"));
    gone.chain(new).collect()
}

fn transaction(table: Table, lines: &str) -> String {
    format!("*{}\n{lines}COMMIT\n", table.name())
}

/// Chains can be removed when nothing jumps to them any more.
fn removal_lines(chains: &[(&str, usize)]) -> String {
    let mut text = String::new();
    for (name, jumps) in chains {
        if let Some((_, Some(hook))) = place(name) {
            text += &format!("-D {hook} -j {name}\n").repeat(*jumps);
        }
        text += &format!("-F {name}\n");
    }
    chains.iter().for_each(|(name, _)| text += &format!("-X {name}\n"));
    text
}

/// The transaction that removes a whole partition, for a person to pipe into `iptables-restore --noflush`.
pub fn cut_removal_text(id: &InjectionId, direction: Direction) -> String {
    let flows = [Flow::In, Flow::Out].into_iter().filter(|flow| direction.has(*flow));
    let names: Vec<String> = flows.map(|flow| cut_chain(id, flow)).collect();
    let chains: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    transaction(Table::Filter, &removal_lines(&chains))
}

/// The transaction that removes the chains by which an injection's packets come to the shaper, and no other's; `None` where it
/// means no packets of that family.
pub fn queue_removal_text(id: &InjectionId, shape: &Shape, family: Family) -> Option<String> {
    let wanted = queue_chains(id, shape, Queues::default(), family);
    let chains: Vec<(&str, usize)> = wanted.keys().map(|name| (name.as_str(), 1)).collect();
    (!chains.is_empty()).then(|| transaction(Table::Mangle, &removal_lines(&chains)))
}

/// The transaction that removes the chain that puts packets to netem's bands, with the rules of every other such fault on
/// the node.
pub fn netem_removal_text() -> String {
    transaction(Table::Mangle, &removal_lines(&[(CLASSIFY, 1)]))
}
