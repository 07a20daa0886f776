//! Steps: what each one's keys mean.

use serde_json::Value;

use super::fields::{Fields, otherwise_called};
use super::values::{MAX_NAME, is_name};
use super::{MAX_NESTED, MAX_STEPS, Reader};
use crate::duration::{instant_ms, parse_duration};
use crate::suggest::{hint, list};
use crate::template::Template;
use crate::tree::{Call, Kind, Step, What};
use crate::yaml::{Data, Node, Place};

/// What a step may do, each with its further keys.
pub(crate) const VERBS: [(&str, &[&str]); 17] = [
    ("call", &["with", "undo"]),
    ("map", &[]),
    ("if", &["then", "else"]),
    ("switch", &["cases", "else"]),
    ("for-each", &["at-once", "steps", "gives"]),
    ("parallel", &[]),
    ("try", &["on", "catch", "finally"]),
    ("retry", &["times", "wait", "at-most", "on"]),
    ("sleep", &[]),
    ("wait-for", &["timeout", "notify", "on-timeout"]),
    ("workflow", &["with", "wait"]),
    ("publish", &["with"]),
    ("set", &["keys"]),
    ("keys", &[]),
    ("reply", &[]),
    ("fail", &["kind"]),
    ("stop", &[]),
];

/// The most branches of a `parallel` and items of a `for-each` at once: what a
/// run may have pending.
const MAX_AT_ONCE: u32 = 64;
/// The most ways of a `switch`.
const MAX_CASES: usize = 100;
/// The most tries of a `retry`.
const MAX_TIMES: u32 = 100;
/// The most business keys that a run may set.
const MAX_KEYS: usize = 4;
/// How often a `retry` tries unless it says so, and how long it pauses.
const TIMES: u32 = 3;
const WAIT_MS: u64 = 1_000;
const AT_MOST_MS: u64 = 60_000;
/// What a `retry` tries again unless it says so: what may pass by itself.
const PASSING: [Kind; 2] = [Kind::RateLimited, Kind::Retry];
/// Variables that are there without a step that sets them.
pub(crate) const BUILT_IN: [&str; 5] = ["message", "item", "index", "error", "url"];

impl Reader<'_> {
    /// A list of steps.
    pub(super) fn steps(&mut self, node: Node, of: &str) -> Option<Vec<Step>> {
        let items = match node.data {
            Data::List(items) => items,
            other => {
                let what = other.what();
                self.wrong(node.at, format!("`{of}` is a list of steps, each after a `- `; this is {what}"));
                return None;
            }
        };
        if items.is_empty() {
            self.wrong(node.at, format!("`{of}` has no steps: write one, or leave it out"));
            return None;
        }
        if self.depth == MAX_NESTED {
            let message = format!(
                "steps stand within steps more than {MAX_NESTED} deep: move some into a workflow of their own and start it with `workflow`"
            );
            self.wrong(node.at, message);
            return None;
        }
        self.depth += 1;
        let steps = items.into_iter().filter_map(|item| self.step(item)).collect();
        self.depth -= 1;
        Some(steps)
    }

    fn step(&mut self, node: Node) -> Option<Step> {
        let at = node.at;
        self.steps += 1;
        if self.steps > MAX_STEPS {
            if self.steps == MAX_STEPS + 1 {
                self.wrong(
                    at,
                    format!("there are more than {MAX_STEPS} steps: move some into a workflow of their own"),
                );
            }
            return None;
        }
        let place = |what| Step { line: at.line, column: at.column, id: None, what };
        if matches!(&node.data, Data::Text(text) if text == "stop") {
            return Some(place(What::Stop(None)));
        }
        let mut fields = Fields::of(node, "a step is a mapping, like `- call: crm.create-lead`", self)?;
        let id = fields.take("id").and_then(|(_, id)| self.id(id, "an id"));
        let (verb, known) = self.verb(&fields)?;
        let (_, value) = fields.take(verb)?;
        let what = self.what(verb, value, &mut fields);
        let known: Vec<&str> = ["id"].iter().chain(known).copied().collect();
        fields.finish(&format!("`{verb}`"), &known, self);
        Some(Step { id, ..place(what?) })
    }

    /// The one key that says what a step does.
    fn verb(&mut self, fields: &Fields) -> Option<(&'static str, &'static [&'static str])> {
        let verb = |name: &str| VERBS.iter().find(|(verb, _)| *verb == name);
        let mut found: Vec<_> = fields.keys().filter_map(|key| Some((key, verb(&key.name)?))).collect();
        if found.iter().any(|(_, (verb, _))| *verb == "set") {
            found.retain(|(_, (verb, _))| *verb != "keys"); // both may be set by one step
        }
        let mut found = found.into_iter();
        let Some((first, known)) = found.next() else {
            let names = || VERBS.iter().map(|(verb, _)| *verb);
            let near = |name: &str| match otherwise_called(name).filter(|here| verb(here).is_some()) {
                Some(here) => format!(" (did you mean `{here}`?)"),
                None => hint(name, names()),
            };
            let slip = fields.keys().find(|key| !near(&key.name).is_empty()).or(fields.keys().next());
            let (at, message) = match slip {
                Some(key) => {
                    (key.at, format!("unknown step `{}`{}", key.name.escape_debug(), near(&key.name)))
                }
                None => (fields.at, "a step that does nothing".to_owned()),
            };
            self.wrong(at, format!("{message}; a step is one of {}", list(names())));
            return None;
        };
        if let Some((second, _)) = found.next() {
            let message = format!(
                "a step does one thing: `{}` and `{}` are two; write a step for each, or put one into the other's steps",
                first.name, second.name
            );
            self.wrong(second.at, message);
            return None;
        }
        Some((known.0, known.1))
    }

    #[expect(clippy::too_many_lines, reason = "one arm a verb; splitting it would hide the table")]
    fn what(&mut self, verb: &str, value: Node, fields: &mut Fields) -> Option<What> {
        let at = value.at;
        Some(match verb {
            "call" => {
                let call = self.call(value, fields.take("with").map(|it| it.1));
                let undo = fields.take("undo").map(|it| self.undo(it.1));
                What::Call { call: call?, undo: undo.flatten() }
            }
            "map" => What::Map(self.template(value)),
            "if" => {
                let when = self.template(value);
                let then = self.block(fields, "then", at, "if");
                let otherwise = self.maybe_block(fields, "else");
                What::If { when, then: then?, otherwise: otherwise.unwrap_or_default() }
            }
            "switch" => {
                let on = self.template(value);
                let cases = self.named(fields.take("cases").map(|it| it.1), at, "switch", "cases", MAX_CASES);
                let otherwise = self.maybe_block(fields, "else").unwrap_or_default();
                What::Switch { on, cases: cases?, otherwise }
            }
            "for-each" => {
                let over = self.checked(value, "`for-each` takes a list: `${ .items }`", Value::is_array);
                let at_once =
                    fields.take("at-once").and_then(|it| self.number(&it.1, "at-once", 1..=MAX_AT_ONCE));
                let steps = self.block(fields, "steps", at, "for-each");
                let gives = fields.take("gives").map(|it| self.template(it.1));
                What::ForEach { over, at_once: at_once.unwrap_or(1), steps: steps?, gives }
            }
            "parallel" => {
                let most = MAX_AT_ONCE as usize;
                let branches = self.named(Some(value), at, "parallel", "parallel", most)?;
                for (name, _) in &branches {
                    if !is_name(&name.replace('_', "-")) {
                        self.wrong(at, format!("`{}` cannot name a branch: {NAME}", name.escape_debug()));
                    }
                }
                What::Parallel(branches)
            }
            "try" => {
                let steps = self.steps(value, "try");
                let on = fields.take("on").map(|(key, kinds)| (key.at, self.kinds(kinds)));
                let catch = self.maybe_block(fields, "catch");
                let finally = self.maybe_block(fields, "finally");
                if catch.is_none() && finally.is_none() {
                    self.wrong(
                        at,
                        "a `try` needs a `catch` or a `finally`: steps for when it fails, or for any case",
                    );
                }
                if let (Some((at, _)), None) = (&on, &catch) {
                    self.wrong(*at, "`on` says which errors are caught, but there is no `catch`");
                }
                let on = on.map(|it| it.1).unwrap_or_default();
                What::Try { steps: steps?, on, catch, finally: finally.unwrap_or_default() }
            }
            "retry" => {
                let steps = self.steps(value, "retry");
                let times = fields.take("times").and_then(|it| self.number(&it.1, "times", 1..=MAX_TIMES));
                let wait_ms = fields.take("wait").and_then(|it| self.pause(it.1, "wait"));
                let at_most_ms = fields.take("at-most").and_then(|it| self.pause(it.1, "at-most"));
                let on = fields.take("on").map_or(PASSING.to_vec(), |it| self.kinds(it.1));
                let wait_ms = wait_ms.unwrap_or(WAIT_MS);
                What::Retry {
                    steps: steps?,
                    times: times.unwrap_or(TIMES),
                    wait_ms,
                    at_most_ms: at_most_ms.unwrap_or(AT_MOST_MS.max(wait_ms)),
                    on,
                }
            }
            "sleep" => self.sleep(value)?,
            "wait-for" => {
                let event = self.checked(value, &format!("this cannot name an event: {NAME}"), |it| {
                    it.as_str().is_some_and(is_name)
                });
                let timeout = fields.take("timeout").map(|it| self.span(it.1, "timeout"));
                let notify = self.maybe_block(fields, "notify").unwrap_or_default();
                let late = fields.take("on-timeout");
                if let (Some((key, _)), None) = (&late, &timeout) {
                    self.wrong(key.at, "`on-timeout` needs a `timeout`: `timeout: 3d`");
                }
                let on_timeout = late.and_then(|it| self.steps(it.1, "on-timeout"));
                What::WaitFor { event, timeout, notify, on_timeout }
            }
            "workflow" => {
                let workflow = self.name(value, "a workflow");
                let input =
                    fields.take("with").map_or(Template::Literal(Value::Null), |it| self.template(it.1));
                let wait = match fields.take("wait").map(|it| it.1) {
                    None => true,
                    Some(Node { data: Data::Bool(wait), .. }) => wait,
                    Some(other) => {
                        self.wrong(
                            other.at,
                            "`wait` is `true` or `false`: whether the other run's end is waited for",
                        );
                        return None;
                    }
                };
                What::Workflow { workflow: workflow?, input, wait }
            }
            "publish" => {
                let topic = self.checked(value, &format!("this cannot name a topic: {NAME}"), |it| {
                    it.as_str().is_some_and(is_name)
                });
                let data =
                    fields.take("with").map_or(Template::Literal(Value::Null), |it| self.template(it.1));
                What::Publish { topic, data }
            }
            "set" | "keys" => {
                let (vars, keys) = match verb {
                    "set" => (Some(value), fields.take("keys").map(|it| it.1)),
                    _ => (None, Some(value)),
                };
                let vars = vars.map_or(Some(Vec::new()), |vars| self.variables(vars));
                let keys = keys.map_or(Some(Vec::new()), |keys| self.business_keys(keys));
                What::Set { vars: vars?, keys: keys? }
            }
            "reply" => What::Reply(self.template(value)),
            "fail" => {
                let message =
                    self.checked(value, "`fail` takes the message: `fail: no such customer`", |it| {
                        it.as_str().is_some_and(|text| !text.is_empty())
                    });
                let kind = fields.take("kind").and_then(|it| self.kind(it.1));
                What::Fail { kind: kind.unwrap_or(Kind::Permanent), message }
            }
            _ => What::Stop(match value.data {
                Data::Null => None,
                data => Some(self.template(Node { at, data })),
            }),
        })
    }

    fn call(&mut self, node: Node, with: Option<Node>) -> Option<Call> {
        const WANT: &str =
            "`call` takes a connection and its endpoint, with a dot between: `crm.create-lead`";
        let input = with.map_or(Template::Literal(Value::Null), |with| self.template(with));
        let at = node.at;
        let text = self.plain(node, WANT)?;
        match text.split_once('.') {
            Some((connection, endpoint)) if is_name(connection) && is_name(endpoint) => Some(Call {
                at: (at.line, at.column),
                connection: connection.to_owned(),
                endpoint: endpoint.to_owned(),
                input,
            }),
            _ => {
                self.wrong(at, format!("{WANT}; this is `{}`", short(&text)));
                None
            }
        }
    }

    fn undo(&mut self, node: Node) -> Option<Call> {
        let at = node.at;
        let mut fields =
            Fields::of(node, "`undo` is a call: `undo: { call: crm.delete-lead, with: … }`", self)?;
        let call = fields.take("call");
        let with = fields.take("with").map(|it| it.1);
        if call.is_none() {
            self.wrong(at, "`undo` needs a `call`: what undoes the step, should the run be cancelled");
        }
        fields.finish("`undo`", &["call", "with"], self);
        self.call(call?.1, with)
    }

    fn sleep(&mut self, value: Node) -> Option<What> {
        if !matches!(value.data, Data::Map(_)) {
            return Some(What::SleepFor(self.span(value, "sleep")));
        }
        let at = value.at;
        let mut fields = Fields::of(value, "", self)?;
        let until = fields.take("until");
        if until.is_none() {
            self.wrong(
                at,
                "`sleep` takes a time, `10m`, or an instant, `{ until: \"2026-01-31T08:00:00Z\" }`",
            );
        }
        fields.finish("`sleep`", &["until"], self);
        let want = "`until` takes an instant with its zone, like `2026-01-31T08:00:00Z`";
        let until = self.checked(until?.1, want, |value| match value {
            Value::String(text) => instant_ms(&jaq_json::Val::from(text.clone())).is_some(),
            other => other.as_f64().is_some_and(|seconds| seconds >= 0.0),
        });
        Some(What::SleepUntil(until))
    }

    /// A time span that may be made by an expression.
    fn span(&mut self, node: Node, what: &str) -> Template {
        let want =
            format!("`{what}` takes a time, like `90s`, `10m`, `1h30m` or `3d`, or a number of seconds");
        self.checked(node, &want, |value| match value {
            Value::String(text) => parse_duration(text).is_some(),
            other => other.as_f64().is_some_and(|seconds| seconds >= 0.0),
        })
    }

    /// A time span that is known before the run, in milliseconds.
    fn pause(&mut self, node: Node, what: &str) -> Option<u64> {
        let at = node.at;
        let span = match &node.data {
            Data::Text(text) => parse_duration(text),
            Data::Number(number) => number.as_u64().and_then(|seconds| seconds.checked_mul(1_000)),
            _ => None,
        };
        if span.is_none() {
            self.wrong(at, format!("`{what}` takes a time, like `500ms`, `10s` or `2m`"));
        }
        span
    }

    fn block(&mut self, fields: &mut Fields, name: &str, at: Place, of: &str) -> Option<Vec<Step>> {
        match fields.take(name) {
            Some((_, steps)) => self.steps(steps, name),
            None => {
                self.wrong(at, format!("`{of}` needs `{name}`: a list of steps"));
                None
            }
        }
    }

    fn maybe_block(&mut self, fields: &mut Fields, name: &str) -> Option<Vec<Step>> {
        let (_, steps) = fields.take(name)?;
        // Steps that are wrong are still there, for what is said of the others.
        Some(self.steps(steps, name).unwrap_or_default())
    }

    /// Lists of steps by their names: cases, branches.
    fn named(
        &mut self,
        node: Option<Node>,
        at: Place,
        of: &str,
        name: &str,
        most: usize,
    ) -> Option<Vec<(String, Vec<Step>)>> {
        let (at, entries) = match node {
            Some(Node { at, data: Data::Map(entries) }) if !entries.is_empty() => (at, entries),
            other => {
                let at = other.map_or(at, |node| node.at);
                self.wrong(at, format!("`{of}` needs names with a list of steps each under `{name}:`"));
                return None;
            }
        };
        if entries.len() > most {
            self.wrong(at, format!("`{of}` has {} ways, the limit is {most}", entries.len()));
            return None;
        }
        let lists = entries.into_iter().filter_map(|(key, steps)| {
            let steps = self.steps(steps, &key.name)?;
            Some((key.name, steps))
        });
        Some(lists.collect())
    }

    fn variables(&mut self, node: Node) -> Option<Vec<(String, Template)>> {
        let at = node.at;
        let Data::Map(entries) = node.data else {
            self.wrong(at, "`set` takes variables and their values: `set: { total: \"${ .a + .b }\" }`");
            return None;
        };
        let vars = entries.into_iter().filter_map(|(key, value)| {
            let name = Node { at: key.at, data: Data::Text(key.name) };
            let name = self.id(name, "a variable");
            let value = self.template(value);
            Some((name?, value))
        });
        Some(vars.collect())
    }

    fn business_keys(&mut self, node: Node) -> Option<Vec<(String, Template)>> {
        let at = node.at;
        let Data::Map(entries) = node.data else {
            self.wrong(at, "`keys` takes names and values by which the run is found: `keys: { customer: \"${ .customer }\" }`");
            return None;
        };
        if entries.len() > MAX_KEYS {
            self.wrong(
                at,
                format!("a run has at most {MAX_KEYS} business keys; these are {}", entries.len()),
            );
        }
        Some(
            entries
                .into_iter()
                .map(|(key, value)| {
                    if key.name.is_empty() || key.name.len() > MAX_NAME {
                        self.wrong(key.at, format!("the name of a business key has 1 to {MAX_NAME} bytes"));
                    }
                    (key.name, self.template(value))
                })
                .collect(),
        )
    }

    /// The name of a variable.
    fn id(&mut self, node: Node, what: &str) -> Option<String> {
        let at = node.at;
        let text = self.plain(node, "an `id` is a text")?;
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let starts = text.starts_with(|c: char| c.is_ascii_alphabetic());
        if starts && text.chars().all(inner) && text.len() <= MAX_NAME {
            if BUILT_IN.contains(&text.as_str()) {
                self.wrong(at, format!("`${text}` is there already: choose another name"));
                return None;
            }
            return Some(text);
        }
        let better = text.replace(['-', ' ', '.'], "_");
        let better = if better != text
            && better.chars().all(inner)
            && better.starts_with(|c: char| c.is_ascii_alphabetic())
        {
            format!(", like `{better}`")
        } else {
            String::new()
        };
        let message = format!(
            "`{}` cannot be {what}: expressions call it `$…`, so it has letters, digits and `_` only, at most {MAX_NAME}, a letter first{better}",
            short(&text)
        );
        self.wrong(at, message);
        None
    }

    fn name(&mut self, node: Node, what: &str) -> Option<String> {
        let at = node.at;
        let text = self.plain(node, &format!("the name of {what} is a text"))?;
        if is_name(&text) {
            return Some(text);
        }
        self.wrong(at, format!("`{}` cannot name {what}: {NAME}", short(&text)));
        None
    }
}

/// What a name is made of.
const NAME: &str = "use 1 to 63 lower-case letters, digits and inner hyphens";

/// As much of a text as a message needs.
fn short(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}
