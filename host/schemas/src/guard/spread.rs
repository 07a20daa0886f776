//! How many subschemas can apply to one place of any data.
//!
//! Which subschemas apply further in depends only on which apply here, and how
//! often. So all sets that can come up are gone through once, breadth first, as
//! when a non-deterministic automaton is made deterministic: recursion that
//! comes back to the same set ends, recursion that comes back to more of the
//! same grows until it passes the bound.

use std::collections::{BTreeMap, HashSet, VecDeque};

use super::graph::{Graph, Into, Node};
use super::{BadSchema, Cost, MAX_UNFOLDED, MAX_WIDTH};
use crate::instance::MAX_DATA_DEPTH;

/// Subschemas, and how often each applies. By place in the graph's order.
type Set = BTreeMap<usize, u64>;
/// A subschema that is led to, and how often.
type Lead = (usize, u64);

/// What it costs at most to check one place of the data.
pub(super) fn spread(graph: &Graph<'_>) -> Result<Cost, BadSchema> {
    let mut it =
        Spreading { graph, rank: vec![0; graph.nodes.len()], left: MAX_UNFOLDED, worst: Cost::default() };
    for (rank, node) in graph.order.iter().enumerate() {
        if let Some(slot) = it.rank.get_mut(*node) {
            *slot = rank;
        }
    }
    let start = Set::from([(it.rank.first().copied().unwrap_or(0), 1)]);
    let mut seen = HashSet::from([start.iter().map(|(k, v)| (*k, *v)).collect::<Vec<_>>()]);
    let mut queue = VecDeque::from([(start, String::new(), 0)]);
    while let Some((set, place, depth)) = queue.pop_front() {
        let set = it.close(set, &place)?;
        if depth == MAX_DATA_DEPTH {
            continue; // no data is deeper
        }
        for (step, further) in it.further(&set)? {
            if !further.is_empty() && seen.insert(further.iter().map(|(k, v)| (*k, *v)).collect()) {
                queue.push_back((further, format!("{place}/{step}"), depth + 1));
            }
        }
    }
    Ok(Cost { again: graph.again, ..it.worst })
}

struct Spreading<'a> {
    graph: &'a Graph<'a>,
    /// A node's place in the order.
    rank: Vec<usize>,
    left: usize,
    worst: Cost,
}

impl<'a> Spreading<'a> {
    fn node(&self, rank: usize) -> Option<&'a Node<'a>> {
        self.graph.nodes.get(*self.graph.order.get(rank)?)
    }

    /// Adds all that apply at the same place, and what they cost together.
    fn close(&mut self, mut set: Set, place: &str) -> Result<Set, BadSchema> {
        let (mut cost, mut width) = (Cost::default(), 0_u64);
        let mut next = set.first_key_value().map(|(rank, _)| *rank);
        while let Some(rank) = next {
            self.spend(1)?;
            let times = set.get(&rank).copied().unwrap_or(0);
            width = width.saturating_add(times);
            if width > MAX_WIDTH {
                return Err(BadSchema::TooWide { place: place.chars().take(120).collect() });
            }
            if let Some(node) = self.node(rank) {
                cost.value = cost.value.saturating_add(times.saturating_mul(node.cost.value));
                cost.text = cost.text.saturating_add(times.saturating_mul(node.cost.text));
                cost.unique = cost.unique.saturating_add(times.saturating_mul(node.cost.unique));
                for (to, again) in &node.same {
                    self.spend(1)?;
                    add(
                        &mut set,
                        self.rank.get(*to).copied(),
                        times.saturating_mul(if *again { self.graph.repeats } else { 1 }),
                    );
                }
            }
            next = set.range(rank + 1..).next().map(|(rank, _)| *rank);
        }
        self.worst.value = self.worst.value.max(cost.value);
        self.worst.text = self.worst.text.max(cost.text);
        self.worst.unique = self.worst.unique.max(cost.unique);
        Ok(set)
    }

    /// The sets that can apply one step into the data, with a name for the step.
    fn further(&mut self, set: &Set) -> Result<Vec<(String, Set)>, BadSchema> {
        let mut names: BTreeMap<&str, Vec<Lead>> = BTreeMap::new();
        let mut items: BTreeMap<usize, Vec<Lead>> = BTreeMap::new();
        let mut rest = Vec::new();
        for (rank, times) in set {
            let Some(node) = self.node(*rank) else { continue };
            for (into, to) in &node.within {
                let lead = (*to, *times);
                match into {
                    Into::Property(name) => names.entry(name).or_default().push(lead),
                    Into::Item(place) => items.entry(*place).or_default().push(lead),
                    Into::ItemsFrom(place) => {
                        items.entry(*place).or_default();
                        rest.push((node, into, lead));
                    }
                    _ => rest.push((node, into, lead)),
                }
            }
        }
        // A name or place that nobody mentions. What it may match is not known, so it matches all.
        let mut sets = vec![
            (
                "*",
                self.pick(&rest, &[], |_, into| {
                    matches!(into, Into::Matching(_) | Into::Others | Into::Any)
                })?,
            ),
            ("(name)", self.pick(&rest, &[], |_, into| matches!(into, Into::Names))?),
            ("*", self.pick(&rest, &[], |_, into| matches!(into, Into::ItemsFrom(_) | Into::Any))?),
        ]
        .into_iter()
        .map(|(step, set)| (step.to_owned(), set))
        .collect::<Vec<_>>();
        for (name, named) in names {
            let patterns = &self.graph.patterns;
            let picked = self.pick(&rest, &named, |node, into| match into {
                Into::Matching(pattern) => patterns.get(*pattern).is_some_and(|it| it.matches(name)),
                Into::Others => !node.named.contains(name),
                Into::Any => true,
                _ => false,
            })?;
            sets.push((name.to_owned(), picked));
        }
        for (place, named) in items {
            let picked = self.pick(&rest, &named, |_, into| match into {
                Into::ItemsFrom(from) => *from <= place,
                Into::Any => true,
                _ => false,
            })?;
            sets.push((place.to_string(), picked));
        }
        Ok(sets)
    }

    fn pick(
        &mut self,
        rest: &[(&'a Node<'a>, &'a Into<'a>, Lead)],
        named: &[Lead],
        applies: impl Fn(&Node<'a>, &Into<'a>) -> bool,
    ) -> Result<Set, BadSchema> {
        self.spend(rest.len() + named.len())?;
        let mut set = Set::new();
        let rest = rest.iter().filter(|(node, into, _)| applies(node, into)).map(|(_, _, lead)| lead);
        for (to, times) in named.iter().chain(rest) {
            add(&mut set, self.rank.get(*to).copied(), *times);
        }
        Ok(set)
    }

    fn spend(&mut self, parts: usize) -> Result<(), BadSchema> {
        self.left = self.left.checked_sub(parts).ok_or(BadSchema::TooLong)?;
        Ok(())
    }
}

fn add(set: &mut Set, rank: Option<usize>, times: u64) {
    if let Some(rank) = rank {
        let sum = set.entry(rank).or_insert(0);
        *sum = sum.saturating_add(times);
    }
}
