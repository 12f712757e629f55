//! How many voters the placement rules give regions. Rules are for ranges of keys and lie over each other; which of them
//! apply is decided by groups, of which `/config/rules` shows the order and not whether one overrides those before it.
//!
//! Source: tikv/pd pkg/schedule/placement/rule.go (`prepareRulesForApply`, `GetAllRules` sorts); the same in 6.5 to 8.5.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::parse;

/// More are not laid over each other.
const MOST_RULES: usize = 1000;

#[derive(Debug, Deserialize)]
struct Rule {
    group_id: String,
    /// In hexadecimal; an empty end is that of all keys.
    start_key: String,
    end_key: String,
    role: Role,
    count: u32,
    /// The rules before it in its group do not apply.
    #[serde(default, rename = "override")]
    overrides: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    Voter,
    Leader,
    Follower,
    Learner,
}

/// `/config/rules`: every number of voters that some range of keys may have, the smallest first. A group may override those
/// before it, so that a range has several numbers.
pub fn voter_counts(text: &str) -> Result<Vec<u32>, String> {
    let mut rules: Vec<Rule> = parse(text)?;
    if rules.len() > MOST_RULES {
        return Err(format!("answered with {} rules, and {MOST_RULES} are understood", rules.len()));
    }
    for (at, rule) in rules.iter_mut().enumerate() {
        for key in [&mut rule.start_key, &mut rule.end_key] {
            if !key.len().is_multiple_of(2) || !key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(format!("answered with a key that is not hexadecimal in [{at}]"));
            }
            // As text, two of the same case are in the order of their bytes.
            key.make_ascii_lowercase();
        }
    }
    let starts: BTreeSet<&str> =
        rules.iter().flat_map(|rule| [rule.start_key.as_str(), rule.end_key.as_str()]).chain([""]).collect();
    let mut counts = BTreeSet::new();
    for start in starts {
        let here = rules.iter().filter(|rule| rule.has(start));
        let sums = sums(here);
        if sums.is_empty() {
            return Err(format!("answered with no rule for a voter from key {start:?} on"));
        }
        counts.extend(sums);
    }
    Ok(counts.into_iter().collect())
}

/// The voters of a range, by its rules in PD's order: of all groups, of all but the first, and so on.
fn sums<'a>(rules: impl Iterator<Item = &'a Rule>) -> BTreeSet<u32> {
    let mut groups: Vec<(&str, u32)> = Vec::new();
    for rule in rules {
        if groups.last().is_none_or(|(group, _)| *group != rule.group_id) {
            groups.push((&rule.group_id, 0));
        }
        if let Some((_, voters)) = groups.last_mut() {
            let before = if rule.overrides { 0 } else { *voters };
            *voters = before.saturating_add(if rule.role == Role::Learner { 0 } else { rule.count });
        }
    }
    let mut sum = 0_u32;
    let from_each_on = groups.iter().rev().map(|(_, voters)| {
        sum = sum.saturating_add(*voters);
        sum
    });
    // PD takes no rules that leave a range without a voter.
    from_each_on.filter(|sum| *sum > 0).collect()
}

impl Rule {
    fn has(&self, key: &str) -> bool {
        self.start_key.as_str() <= key && (self.end_key.is_empty() || key < self.end_key.as_str())
    }
}

#[cfg(test)]
mod tests;
