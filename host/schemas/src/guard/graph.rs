//! The subschemas that a schema reaches, and how they lead to each other: at
//! the same place of the data, or into it.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::pattern::Pattern;
use super::{BadSchema, Cost, MAX_CHAIN, MAX_NESTING, join};

/// The most patterns of a schema: each takes up to a millisecond to compile.
const MAX_PATTERNS: usize = 100;

/// Into which parts of a value a subschema leads.
pub(super) enum Into<'a> {
    /// The property of this name.
    Property(&'a str),
    /// Properties whose name matches, by the pattern's place in [`Graph::patterns`].
    Matching(usize),
    /// Properties that the same schema has neither named nor matched.
    Others,
    /// Any property or item.
    Any,
    /// The names themselves.
    Names,
    /// The item at this place.
    Item(usize),
    /// The items from this place on.
    ItemsFrom(usize),
}

/// One subschema.
#[derive(Default)]
pub(super) struct Node<'a> {
    /// Where it stands, a JSON Pointer.
    pub(super) at: String,
    /// Those that apply to the same place, and whether `unevaluated…` may look at them again.
    pub(super) same: Vec<(usize, bool)>,
    /// Those that apply further in.
    pub(super) within: Vec<(Into<'a>, usize)>,
    /// The names that `Others` leaves out.
    pub(super) named: BTreeSet<&'a str>,
    pub(super) cost: Cost,
}

/// All subschemas that can be reached; the first is the schema itself.
pub(super) struct Graph<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) patterns: Vec<Pattern>,
    /// Nodes so ordered that whoever leads to another at the same place comes first.
    pub(super) order: Vec<usize>,
    /// How often a subschema is gone through for one time that its parent is at the same place.
    pub(super) repeats: u64,
    /// Keywords that look again to tell what is wrong.
    pub(super) again: u64,
}

struct Building<'a> {
    root: &'a Value,
    graph: Graph<'a>,
    /// A subschema by its address: references lead to the same value.
    known: HashMap<*const Value, usize>,
    todo: Vec<(&'a Value, usize)>,
    /// The places that references point to, for the depth that they add up to.
    targets: Vec<&'a Value>,
}

impl<'a> Graph<'a> {
    pub(super) fn of(root: &'a Value) -> Result<Self, BadSchema> {
        let graph =
            Graph { nodes: Vec::new(), patterns: Vec::new(), order: Vec::new(), repeats: 1, again: 0 };
        let mut building =
            Building { root, graph, known: HashMap::new(), todo: Vec::new(), targets: vec![root] };
        if !root.is_object() {
            return Err(invalid("", "a schema is a mapping"));
        }
        building.node(root, String::new());
        while let Some((value, node)) = building.todo.pop() {
            if let Value::Object(fields) = value {
                building.read(fields, node)?;
            } else if !value.is_boolean() {
                return Err(invalid(&building.at(node), "a schema is a mapping, `true` or `false`"));
            }
        }
        let nesting = building.targets.iter().map(|target| depth(target)).sum();
        if nesting > MAX_NESTING {
            return Err(BadSchema::Nesting(nesting));
        }
        let mut graph = building.graph;
        graph.arrange()?;
        Ok(graph)
    }

    /// Puts nodes into order, and finds those that never leave their place.
    fn arrange(&mut self) -> Result<(), BadSchema> {
        let mut waits = vec![0_usize; self.nodes.len()];
        for (to, _) in self.nodes.iter().flat_map(|node| &node.same) {
            if let Some(waits) = waits.get_mut(*to) {
                *waits += 1;
            }
        }
        let mut chain = vec![1_usize; self.nodes.len()];
        let mut free: Vec<usize> =
            waits.iter().enumerate().filter(|(_, waits)| **waits == 0).map(|(node, _)| node).collect();
        while let Some(node) = free.pop() {
            self.order.push(node);
            let Some(from) = self.nodes.get(node) else { continue };
            let reached = chain.get(node).copied().unwrap_or(1);
            if reached > MAX_CHAIN {
                return Err(BadSchema::Chain(from.at.clone()));
            }
            for (to, _) in &from.same {
                if let (Some(waits), Some(chain)) = (waits.get_mut(*to), chain.get_mut(*to)) {
                    *chain = (*chain).max(reached + 1);
                    *waits -= 1;
                    if *waits == 0 {
                        free.push(*to);
                    }
                }
            }
        }
        match waits.iter().position(|waits| *waits > 0) {
            Some(node) => {
                Err(BadSchema::Endless(self.nodes.get(node).map(|node| node.at.clone()).unwrap_or_default()))
            }
            None => Ok(()),
        }
    }
}

impl<'a> Building<'a> {
    fn node(&mut self, value: &'a Value, at: String) -> usize {
        let next = self.graph.nodes.len();
        match self.known.entry(std::ptr::from_ref(value)) {
            std::collections::hash_map::Entry::Occupied(known) => *known.get(),
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(next);
                self.graph.nodes.push(Node {
                    at,
                    cost: Cost { value: 1, text: 1, ..Cost::default() },
                    ..Node::default()
                });
                self.todo.push((value, next));
                next
            }
        }
    }

    fn at(&self, node: usize) -> String {
        self.graph.nodes.get(node).map(|node| node.at.clone()).unwrap_or_default()
    }

    fn read(&mut self, fields: &'a Map<String, Value>, node: usize) -> Result<(), BadSchema> {
        let at = self.at(node);
        let mut read = Node { at: at.clone(), ..Node::default() };
        read.cost = Cost { value: 1, text: 1, ..Cost::default() };
        let prefix = fields.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
        let unevaluated =
            fields.contains_key("unevaluatedProperties") || fields.contains_key("unevaluatedItems");
        for (keyword, value) in fields {
            let at = join(&at, keyword);
            self.keyword(&mut read, (keyword, value), &at, prefix, unevaluated)?;
        }
        if let Some(node) = self.graph.nodes.get_mut(node) {
            *node = read;
        }
        Ok(())
    }

    fn keyword(
        &mut self,
        node: &mut Node<'a>,
        (keyword, value): (&str, &'a Value),
        at: &str,
        prefix: usize,
        unevaluated: bool,
    ) -> Result<(), BadSchema> {
        match keyword {
            "$ref" => {
                // Nothing looks again at a mere reference, only at what it leads to.
                let target = self.follow(value, at)?;
                node.same.push((target, unevaluated));
            }
            "allOf" | "anyOf" | "oneOf" => {
                if keyword != "allOf" {
                    self.graph.again += 1;
                }
                for (place, it) in value.as_array().into_iter().flatten().enumerate() {
                    node.same.push((self.node(it, format!("{at}/{place}")), true));
                }
            }
            "if" | "then" | "else" | "not" => {
                if keyword == "not" {
                    self.graph.again += 1;
                    node.cost.value += size(value);
                }
                node.same.push((self.node(value, at.to_owned()), true));
            }
            "dependentSchemas" => {
                for (name, it) in entries(value) {
                    node.same.push((self.node(it, join(at, name)), true));
                }
            }
            "properties" => {
                for (name, it) in entries(value) {
                    node.named.insert(name);
                    node.cost.value += 1;
                    let it = self.node(it, join(at, name));
                    node.within.push((Into::Property(name), it));
                }
            }
            "patternProperties" => {
                for (text, it) in entries(value) {
                    let pattern = self.pattern(text, &join(at, text), &mut node.cost)?;
                    let it = self.node(it, join(at, text));
                    node.within.push((Into::Matching(pattern), it));
                }
            }
            "pattern" => {
                if let Some(text) = value.as_str() {
                    self.pattern(text, at, &mut node.cost)?;
                }
            }
            "unevaluatedProperties" | "unevaluatedItems" => {
                // Looks a second time at whatever applies to the same place, and at what that
                // leads to; where these nest, at each of them again: 2.62 times for each level.
                self.graph.repeats = 3;
                let it = self.node(value, at.to_owned());
                node.within.extend([(Into::Any, it), (Into::Any, it), (Into::Any, it)]);
            }
            "additionalProperties" => node.within.push((Into::Others, self.node(value, at.to_owned()))),
            "propertyNames" => node.within.push((Into::Names, self.node(value, at.to_owned()))),
            "contains" => node.within.push((Into::Any, self.node(value, at.to_owned()))),
            "items" => node.within.push((Into::ItemsFrom(prefix), self.node(value, at.to_owned()))),
            "prefixItems" => {
                for (place, it) in value.as_array().into_iter().flatten().enumerate() {
                    let it = self.node(it, format!("{at}/{place}"));
                    node.within.push((Into::Item(place), it));
                }
            }
            "uniqueItems" => node.cost.unique += 1,
            // Compared, or looked up, for each value.
            "required" => node.cost.value += value.as_array().map_or(0, |names| names.len() as u64),
            "enum" | "const" | "dependentRequired" => node.cost.value += size(value),
            "dependencies" | "additionalItems" | "contentSchema" => {
                return Err(BadSchema::Keyword {
                    at: node.at.clone(),
                    keyword: keyword.to_owned(),
                    instead: "use `dependentRequired`, `dependentSchemas`, or `prefixItems` with `items`",
                });
            }
            // The rest is constant for each value, or linear in its text.
            _ => {}
        }
        Ok(())
    }

    fn pattern(&mut self, text: &str, at: &str, cost: &mut Cost) -> Result<usize, BadSchema> {
        let refused = |why| BadSchema::Pattern { at: at.to_owned(), why };
        if self.graph.patterns.len() >= MAX_PATTERNS {
            return Err(refused(format!("there are more than {MAX_PATTERNS}")));
        }
        let pattern = Pattern::new(text).map_err(refused)?;
        // `additionalProperties` looks whether it matches once more.
        cost.text = cost.text.saturating_add(pattern.cost().saturating_mul(2));
        self.graph.patterns.push(pattern);
        Ok(self.graph.patterns.len() - 1)
    }

    fn follow(&mut self, value: &Value, at: &str) -> Result<usize, BadSchema> {
        let to = value.as_str().ok_or_else(|| invalid(at, "a reference is a text"))?;
        let refused =
            |why| BadSchema::Reference { at: at.to_owned(), to: to.chars().take(120).collect(), why };
        let pointer = to
            .strip_prefix('#')
            .ok_or_else(|| refused("leads out of the document: only `#` and `#/...` are taken"))?;
        if pointer.contains('%') {
            return Err(refused("has a percent sign: write the characters as they are"));
        }
        let target = self.root.pointer(pointer).ok_or_else(|| refused("leads nowhere"))?;
        if !self.targets.iter().any(|known| std::ptr::eq(*known, target)) {
            self.targets.push(target);
        }
        Ok(self.node(target, pointer.to_owned()))
    }
}

fn invalid(at: &str, message: &str) -> BadSchema {
    BadSchema::Invalid { at: at.to_owned(), message: message.to_owned() }
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

/// Sixteenths of the bytes as JSON.
fn size(value: &Value) -> u64 {
    u64::try_from(value.to_string().len() / 16).unwrap_or(u64::MAX).saturating_add(1)
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
