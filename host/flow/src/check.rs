//! Holds a workflow against what is around it, and looks for what cannot work.
//!
//! Goes through the steps as a run would, with the variables that are set at
//! each place. What is certain to fail is an error; what may be meant is a
//! warning.

mod fits;
mod scope;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use self::fits::misfits;
use self::scope::{Known, Scope};
use crate::jq::Program;
use crate::jq_parts::{free_variables, only_variable};
use crate::problem::Problem;
use crate::read::{BUILT_IN, tidy};
use crate::suggest::hint;
use crate::template::{Expression, Template};
use crate::tree::{Call, Flow, Step, What};

/// What one outbound endpoint declares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    /// The schema of its input: `lead@1`.
    pub takes: Option<String>,
    /// The schema of its output.
    pub gives: Option<String>,
}

/// What there is around a workflow.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Surroundings {
    /// The tenant's connections with their outbound endpoints; `None` where it
    /// is not known what a connection offers.
    pub connections: BTreeMap<String, Option<BTreeMap<String, Endpoint>>>,
    /// The tenant's workflows.
    pub workflows: Vec<String>,
    /// The JSON Schemas that the endpoints name, as far as they are known.
    pub schemas: BTreeMap<String, Value>,
}

/// What is wrong with a workflow, in the order of the lines.
pub fn check(flow: &Flow, around: &Surroundings) -> Vec<Problem> {
    let mut checker = Checker { around, later: flow.places(), open: Vec::new(), problems: Vec::new() };
    let mut scope = Scope::default();
    scope.built_in("message");
    for (name, _) in &flow.given {
        scope.set(name, Known { line: 0, gives: None });
    }
    let ended = checker.steps(&flow.steps, &mut scope);
    if let Some(answer) = &flow.answer {
        checker.template(answer, &scope);
        if let Some(line) = ended {
            let (line_of_answer, column) =
                answer.expressions().first().map_or((1, 1), |it| (it.line, it.column));
            checker.problems.push(Problem::warning(
                line_of_answer,
                column,
                format!("`answer` is never given: the step of line {line} ends the run"),
            ));
        }
    }
    tidy(&mut checker.problems);
    checker.problems
}

struct Checker<'a> {
    around: &'a Surroundings,
    /// Where each variable is set, for what is said of one that is not yet.
    later: BTreeMap<&'a str, u32>,
    /// The steps that are being looked at, each within the one before.
    open: Vec<&'a Step>,
    problems: Vec<Problem>,
}

impl<'a> Checker<'a> {
    /// Goes through a list of steps. The line of the step that certainly ends
    /// the list, if one does.
    fn steps(&mut self, steps: &'a [Step], scope: &mut Scope<'a>) -> Option<u32> {
        let mut ended = None;
        let mut told = false;
        for step in steps {
            if let (Some(line), false) = (ended, told) {
                let message = format!("this step is never reached: the step of line {line} ends before it");
                self.problems.push(Problem::new(step.line, step.column, message));
                told = true; // of the first one; the rest is no news
            }
            if self.step(step, scope) {
                ended = ended.or(Some(step.line));
            }
        }
        ended
    }

    /// A block with a scope of its own, and whether it certainly ends.
    fn block(&mut self, steps: &'a [Step], scope: &Scope<'a>) -> (Scope<'a>, bool) {
        let mut inner = scope.clone();
        let ended = self.steps(steps, &mut inner).is_some();
        (inner, ended)
    }

    /// One step; whether it certainly ends what it stands in.
    fn step(&mut self, step: &'a Step, scope: &mut Scope<'a>) -> bool {
        self.open.push(step);
        let ends = self.what(step, scope);
        self.open.pop();
        if let Some(id) = &step.id {
            if let Some(line) = scope.line_of_id(id) {
                let message =
                    format!("the id `{id}` is that of the step of line {line} already: choose another");
                self.problems.push(Problem::new(step.line, step.column, message));
            }
            let gives = match &step.what {
                What::Call { call, .. } => self.endpoint(call).and_then(|endpoint| endpoint.gives.as_deref()),
                _ => None,
            };
            scope.set_id(id, Known { line: step.line, gives });
        }
        ends
    }

    #[expect(clippy::too_many_lines, reason = "one arm a kind of step")]
    fn what(&mut self, step: &'a Step, scope: &mut Scope<'a>) -> bool {
        match &step.what {
            What::Call { call, undo } => {
                self.call(call, scope);
                if let Some(undo) = undo {
                    // It runs after the step, so it may use the step's output.
                    let mut after = scope.clone();
                    if let Some(id) = &step.id {
                        after.set(id, Known { line: step.line, gives: None });
                    }
                    self.call(undo, &after);
                }
                false
            }
            What::Map(value) | What::Reply(value) => {
                self.template(value, scope);
                false
            }
            What::SleepFor(time) | What::SleepUntil(time) => {
                self.template(time, scope);
                false
            }
            What::If { when, then, otherwise } => {
                self.template(when, scope);
                if let Some(always) = when.literal() {
                    let way =
                        if matches!(always, Value::Null | Value::Bool(false)) { "else" } else { "then" };
                    let message = format!(
                        "this is always the same, so only `{way}` is ever done: write a condition, like `${{ .amount > 100 }}`"
                    );
                    self.problems.push(Problem::warning(step.line, step.column, message));
                }
                let ways = [self.block(then, scope), self.block(otherwise, scope)];
                self.one_of(ways, scope)
            }
            What::Switch { on, cases, otherwise } => {
                self.template(on, scope);
                let mut ways: Vec<_> = cases.iter().map(|(_, steps)| self.block(steps, scope)).collect();
                ways.push(self.block(otherwise, scope));
                self.one_of(ways, scope)
            }
            What::ForEach { over, steps, gives, .. } => {
                self.template(over, scope);
                let mut inner = scope.clone();
                inner.built_in("item");
                inner.built_in("index");
                for name in set_outside(steps, scope) {
                    let message = format!(
                        "`${name}` is set for each item by itself: after `for-each` it is what it was before; use `gives` to bring values out"
                    );
                    self.problems.push(Problem::warning(step.line, step.column, message));
                }
                self.steps(steps, &mut inner);
                if let Some(gives) = gives {
                    self.template(gives, &inner);
                }
                false
            }
            What::Parallel(branches) => {
                let mut ends = false;
                let mut all = scope.clone();
                for (_, steps) in branches {
                    let (inner, ended) = self.block(steps, scope);
                    for (id, line) in inner.new_ids(scope) {
                        if let Some(other) = all.line_of_id(id).filter(|_| scope.line_of_id(id).is_none()) {
                            let message = format!(
                                "the id `{id}` is that of the step of line {other} already, in another branch: choose another"
                            );
                            self.problems.push(Problem::new(line, 1, message));
                        }
                    }
                    all.join(&inner);
                    ends |= ended;
                }
                *scope = all;
                ends
            }
            What::Try { steps, catch, finally, .. } => {
                let (tried, ended) = self.block(steps, scope);
                let mut caught_ends = true;
                let mut after = tried.clone();
                if let Some(catch) = catch {
                    let mut inner = tried.again();
                    inner.built_in("error");
                    caught_ends = self.steps(catch, &mut inner).is_some();
                    inner.forget("error", scope);
                    after.join(&inner);
                }
                let finally_ends = self.steps(finally, &mut after).is_some();
                *scope = after;
                ended && caught_ends || finally_ends
            }
            What::Retry { steps, .. } => {
                let (inner, ended) = self.block(steps, scope);
                scope.join(&inner);
                ended
            }
            What::WaitFor { event, timeout, notify, on_timeout } => {
                self.template(event, scope);
                timeout.iter().for_each(|timeout| self.template(timeout, scope));
                let mut inner = scope.clone();
                inner.built_in("url");
                let ended = self.steps(notify, &mut inner).is_some();
                inner.forget("url", scope);
                if let Some(late) = on_timeout {
                    let (late, _) = self.block(late, &inner);
                    inner.join(&late);
                }
                *scope = inner;
                ended
            }
            What::Workflow { workflow, input, .. } => {
                self.template(input, scope);
                self.workflow(step, workflow);
                false
            }
            What::Publish { topic, data } => {
                self.template(topic, scope);
                self.template(data, scope);
                false
            }
            What::Set { vars, keys } => {
                for (name, value) in vars {
                    self.template(value, scope);
                    if let Some(line) = scope.line_of_id(name) {
                        let message = format!(
                            "`{name}` is the id of the step of line {line}: choose another name for the variable"
                        );
                        self.problems.push(Problem::new(step.line, step.column, message));
                    }
                    scope.set(name, Known { line: step.line, gives: None });
                }
                keys.iter().for_each(|(_, value)| self.template(value, scope));
                false
            }
            What::Fail { message, .. } => {
                self.template(message, scope);
                true
            }
            What::Stop(answer) => {
                answer.iter().for_each(|answer| self.template(answer, scope));
                true
            }
        }
    }

    /// After one of several ways: what any of them set may be there.
    fn one_of(&self, ways: impl IntoIterator<Item = (Scope<'a>, bool)>, scope: &mut Scope<'a>) -> bool {
        let mut all = true;
        for (inner, ended) in ways {
            scope.join(&inner);
            all &= ended;
        }
        all
    }

    /// Whether it is there. That workflows start each other in a circle is seen
    /// by who knows them all.
    fn workflow(&mut self, step: &Step, workflow: &str) {
        if !self.around.workflows.iter().any(|known| known == workflow) {
            let near = hint(workflow, self.around.workflows.iter().map(String::as_str));
            let message = format!("there is no workflow `{workflow}`{near}");
            self.problems.push(Problem::new(step.line, step.column, message));
        }
    }

    fn endpoint(&self, call: &Call) -> Option<&'a Endpoint> {
        self.around.connections.get(&call.connection)?.as_ref()?.get(&call.endpoint)
    }

    fn call(&mut self, call: &'a Call, scope: &Scope<'a>) {
        self.template(&call.input, scope);
        let Call { at: (line, column), connection, endpoint, input } = call;
        let mut say = |message: String| self.problems.push(Problem::new(*line, *column, message));
        let offered = match self.around.connections.get(connection) {
            None => {
                let near = hint(connection, self.around.connections.keys().map(String::as_str));
                return say(format!("there is no connection `{connection}`{near}"));
            }
            Some(None) => return,
            Some(Some(offered)) => offered,
        };
        let Some(declared) = offered.get(endpoint) else {
            let near = hint(endpoint, offered.keys().map(String::as_str));
            return say(format!("connection `{connection}` has no outbound endpoint `{endpoint}`{near}"));
        };
        let Some(takes) = &declared.takes else { return };
        if let Some(schema) = self.around.schemas.get(takes) {
            for misfit in misfits(input, schema) {
                say(format!("`{connection}.{endpoint}` takes `{takes}`, which this cannot be: {misfit}"));
            }
        } else if *input == Template::Literal(Value::Null) {
            let message =
                format!("`{connection}.{endpoint}` takes `{takes}`, but is given nothing: add `with:`");
            self.problems.push(Problem::warning(*line, *column, message));
        }
        if let Template::Jq(expression) = input
            && let Some(from) = only_variable(&expression.jq)
            && let Some(Known { gives: Some(gives), line: made }) = scope.get(from)
            && *gives != takes.as_str()
        {
            let message = format!(
                "`{connection}.{endpoint}` takes `{takes}`, but `${from}` of line {made} is `{gives}`: make one of the other with `map`"
            );
            self.problems.push(Problem::warning(expression.line, expression.column, message));
        }
    }

    fn template(&mut self, template: &Template, scope: &Scope<'a>) {
        for expression in template.expressions() {
            self.expression(expression, scope);
        }
    }

    fn expression(&mut self, expression: &Expression, scope: &Scope<'a>) {
        let jq = expression.jq.as_str();
        let place = |offset: usize| {
            let before = jq.get(..offset).unwrap_or_default();
            let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
            match small(before.matches('\n').count()) {
                0 => (expression.line, expression.column.saturating_add(small(before.chars().count()))),
                lines => (expression.line.saturating_add(lines), 1), // how far it is indented is not known
            }
        };
        let free = free_variables(jq);
        let unset: Vec<_> = free.iter().filter(|(name, _)| scope.get(name).is_none()).collect();
        for (name, offset) in &unset {
            let (line, column) = place(*offset);
            let message = self.unset(name, line, scope);
            self.problems.push(Problem::new(line, column, message));
        }
        if !unset.is_empty() {
            return; // `$create-lead` would be told twice
        }
        let names: Vec<&str> = free.iter().map(|(name, _)| *name).collect();
        if let Err(bad) = Program::compile(jq, &names) {
            let (line, column) = place(bad.offset);
            self.problems.push(Problem::new(
                line,
                column,
                format!("`{}` is no jq: {}", short(jq), bad.message),
            ));
        }
    }

    /// Why a variable is not there.
    fn unset(&self, name: &str, line: u32, scope: &Scope<'a>) -> String {
        let only = |place: &str| format!("`${name}` is only there within {place}");
        match (name, self.later.get(name)) {
            ("item" | "index", _) => only("`for-each`"),
            ("error", _) => only("`catch`"),
            ("url", _) => only("the `notify` of `wait-for`"),
            _ if self.open.iter().any(|step| step.sets().any(|set| set == name)) => {
                format!("`${name}` is what this step makes: it is there in the steps after it")
            }
            (_, Some(set)) if *set >= line => format!(
                "`${name}` is not there yet: it is the output of the step of line {set}, which comes later"
            ),
            (_, Some(set)) => format!(
                "`${name}` cannot be there: the step of line {set} stands in another way, branch or loop"
            ),
            ("ENV" | "__prog_args" | "__loc__", None) => {
                format!("`${name}` is not there: an expression sees only its workflow's values")
            }
            (_, None) => {
                let known = scope.names().chain(self.later.keys().copied()).chain(BUILT_IN);
                format!("no step before sets `${name}`{}", hint(name, known))
            }
        }
    }
}

/// The variables from outside that steps set.
fn set_outside<'a>(steps: &'a [Step], scope: &Scope<'_>) -> Vec<&'a str> {
    let mut names = Vec::new();
    for step in steps {
        if let What::Set { vars, .. } = &step.what {
            names.extend(vars.iter().map(|(name, _)| name.as_str()).filter(|name| scope.get(name).is_some()));
        }
        names.extend(step.what.blocks().into_iter().flat_map(|block| set_outside(block, scope)));
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// As much of an expression as a message needs.
fn short(jq: &str) -> String {
    const MOST: usize = 60;
    let line = jq.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = line.chars().filter(|c| !c.is_control()).take(MOST).collect();
    if line.chars().nth(MOST).is_some() {
        short.push('…');
    }
    short
}
