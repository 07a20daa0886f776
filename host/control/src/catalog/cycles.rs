//! Workflows that start each other in a circle, by name or through a topic.
//!
//! What is known is what the reader found in the steps; code is not looked
//! into. A circle that every run goes round is refused: it only ever ends at
//! the bound on how deep runs start runs. One where something decides may be
//! meant, and is told as a warning.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use host_model::name::TenantId;
use host_model::resource::{Resource, StartBy, Trigger, WorkflowSpec};
use host_model::run::MAX_DEPTH;

use super::Edit;
use super::stored::Written;

/// A circle that an edit closes, or is part of.
pub(super) struct Cycle {
    /// The edit, by its place.
    pub(super) edit: usize,
    /// The file of its steps.
    pub(super) file: String,
    /// The line of the step that starts the next.
    pub(super) line: u64,
    /// Whether every run goes round it.
    pub(super) certain: bool,
    pub(super) message: String,
}

/// One workflow starts another.
struct Edge<'a> {
    to: &'a str,
    line: u64,
    certain: bool,
}

type Graph<'a> = BTreeMap<&'a str, Vec<Edge<'a>>>;

/// The circles of the edits' workflows, which have been read; `after` is all
/// that their tenants will have.
pub(super) fn cycles(edits: &[Edit], after: &BTreeMap<TenantId, Written>) -> Vec<Cycle> {
    let mut found = Vec::new();
    for (tenant, written) in after {
        let mut specs: BTreeMap<&str, &WorkflowSpec> = BTreeMap::new();
        let kept = written.workflows.values().filter_map(|kept| kept.as_ref().ok());
        specs.extend(kept.map(|spec| (spec.name.as_str(), spec)));
        let edited: Vec<_> =
            edits.iter().enumerate().filter_map(|(n, edit)| Some((n, put(edit, tenant)?))).collect();
        specs.extend(edited.iter().map(|(_, spec)| (spec.name.as_str(), *spec)));
        let graph = graph(&specs);
        for (edit, spec) in edited {
            let Some(source) = &spec.source else { continue };
            let name = spec.name.as_str();
            let round = |certain| Some((round(&graph, name, certain)?, certain));
            let Some(((line, way), certain)) = round(true).or_else(|| round(false)) else { continue };
            found.push(Cycle {
                edit,
                file: source.file.clone(),
                line,
                certain,
                message: said(name, &way, certain),
            });
        }
    }
    found
}

fn said(name: &str, way: &[&str], certain: bool) -> String {
    let between: Vec<_> = way.iter().map(|it| format!("`{it}`, which starts ")).collect();
    let (starts, end) = match certain {
        true => ("starts", "and so on without end: let a step decide whether it goes on"),
        false => ("may start", "and so on"),
    };
    format!(
        "workflow `{name}`: this {starts} {}`{name}` again, {end}; runs start runs {MAX_DEPTH} levels deep at most",
        between.concat()
    )
}

fn put<'a>(edit: &'a Edit, of: &TenantId) -> Option<&'a WorkflowSpec> {
    match edit {
        Edit::Put(Some(tenant), resource) if tenant == of => match &**resource {
            Resource::Workflow(spec) => Some(spec),
            _ => None,
        },
        _ => None,
    }
}

fn graph<'a>(specs: &BTreeMap<&'a str, &'a WorkflowSpec>) -> Graph<'a> {
    let mut subscribers: BTreeMap<&str, Vec<(&str, bool)>> = BTreeMap::new();
    for (name, spec) in specs {
        for trigger in &spec.triggers {
            if let Trigger::Topic { name: topic, when, deduplicate } = trigger {
                let always = when.is_none() && deduplicate.is_none();
                subscribers.entry(topic.as_str()).or_default().push((name, always));
            }
        }
    }
    let mut graph = Graph::new();
    for (name, spec) in specs {
        let checked = spec.source.as_ref().and_then(|source| source.checked.as_ref());
        let edges = graph.entry(*name).or_default();
        for start in checked.into_iter().flat_map(|checked| &checked.starts) {
            let edge = |to, always| Edge { to, line: start.line, certain: start.certain && always };
            match start.by {
                StartBy::Workflow => edges.push(edge(start.name.as_str(), true)),
                StartBy::Topic => {
                    let all = subscribers.get(start.name.as_str()).into_iter().flatten();
                    edges.extend(all.map(|(to, always)| edge(*to, *always)));
                }
            }
        }
    }
    graph
}

/// The shortest way from a workflow back to it: the line of its first step,
/// and whom it passes.
fn round<'a>(graph: &Graph<'a>, name: &str, certain: bool) -> Option<(u64, Vec<&'a str>)> {
    let mut seen = BTreeSet::new();
    let mut next: VecDeque<(&str, Option<u64>, Vec<&'a str>)> = [(name, None, Vec::new())].into();
    while let Some((at, first, way)) = next.pop_front() {
        for edge in graph.get(at).into_iter().flatten().filter(|edge| edge.certain || !certain) {
            let first = first.unwrap_or(edge.line);
            if edge.to == name {
                return Some((first, way));
            }
            if seen.insert(edge.to) {
                let way = way.iter().copied().chain([edge.to]).collect();
                next.push_back((edge.to, Some(first), way));
            }
        }
    }
    None
}
