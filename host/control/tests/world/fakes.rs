//! The rest of the host, as these tests need it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use host_control::ports::{
    Authorizations, Beginning, Calls, EventError, Events, Keys, PortError, Rotated, RunPage, RunQuery,
    RunStory, Runs, Secrets, StepTest, StepTests, Topics, Usage as UsagePort,
};
use host_model::clock::Timestamp;
use host_model::effects::BoxFuture;
use host_model::id::{RunId, TokenId};
use host_model::name::{EndpointName, SecretName, TenantId, TopicName};
use host_model::outcome::{Bound, CallError, Exceeded, Finished, Outcome, Usage};
use host_model::quota::{Quota, QuotaUse};
use host_model::resource::{Connection, Package};
use host_model::run::{Run, StartedBy};
use host_store::{Commit, MemoryStore, Store};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

/// Answers what it is told to, and remembers what it was asked.
#[derive(Default)]
pub struct FakeCalls {
    pub asked: Mutex<Vec<String>>,
    pub answer: Mutex<Option<Result<Outcome<String>, PortError>>>,
}

impl FakeCalls {
    pub fn will(&self, answer: Result<Outcome<String>, PortError>) {
        *self.answer.lock().unwrap() = Some(answer);
    }

    fn take(&self, asked: String) -> BoxFuture<'_, Result<Finished<String>, PortError>> {
        self.asked.lock().unwrap().push(asked);
        let answer = self.answer.lock().unwrap().clone();
        let answer = answer.unwrap_or(Ok(Outcome::Answered("{\"id\":7}".to_owned())));
        let usage = Usage { fuel: 42, ..Usage::default() };
        Box::pin(async move { answer.map(|outcome| Finished { outcome, usage, log: Vec::new() }) })
    }
}

impl Calls for FakeCalls {
    fn examine(&self, _: Package, _: Bytes) -> BoxFuture<'_, Result<(), PortError>> {
        Box::pin(async { Ok(()) })
    }

    fn check(&self, it: Arc<Connection>) -> BoxFuture<'_, Result<Finished<String>, PortError>> {
        self.take(format!("check {} {}", it.tenant, it.name))
    }

    fn call(
        &self,
        it: Arc<Connection>,
        endpoint: EndpointName,
        input: String,
    ) -> BoxFuture<'_, Result<Finished<String>, PortError>> {
        if it.name.as_str() == "wharf-expression" {
            self.asked.lock().unwrap().push(format!("read {endpoint} {input}"));
            let outcome = reader(endpoint.as_str(), &serde_json::from_str(&input).unwrap());
            return Box::pin(async { Ok(Finished { outcome, usage: Usage::default(), log: Vec::new() }) });
        }
        self.take(format!("call {} {} {endpoint} {input}", it.tenant, it.name))
    }
}

/// Plays `wharf/expression`: `call: a.b` is a call, `start-workflow: b` and
/// `start-topic: t` start others, or may with `?` at the end, `bad-step` a mistake, `odd`
/// a warning, `bomb` passes a bound; an expression with `|||` is no jq.
fn reader(endpoint: &str, question: &Value) -> Outcome<String> {
    if endpoint == "evaluate" {
        let of = |expression: &Value| match expression.as_str().unwrap().contains("|||") {
            true => json!({ "error": "unexpected `|`" }),
            false => json!({}),
        };
        let all: Vec<_> = question["expressions"].as_array().unwrap().iter().map(of).collect();
        return Outcome::Answered(Value::Array(all).to_string());
    }
    if endpoint == "part" {
        return match question["step"].as_str().unwrap() {
            "twice" => Outcome::Answered(question.to_string()),
            _ => Outcome::Declined(CallError::NotFound("the workflow has no such step".to_owned())),
        };
    }
    let (mut problems, mut uses, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    for (number, line) in question["text"].as_str().unwrap().lines().enumerate() {
        let number = number + 1;
        if let Some((_, called)) = line.split_once("call: ") {
            let (connection, endpoint) = called.split_once('.').unwrap();
            uses.push(json!({ "connection": connection, "endpoint": endpoint, "line": number }));
        }
        for by in ["workflow", "topic"] {
            if let Some((_, name)) = line.split_once(&format!("start-{by}: ")) {
                let (name, certain) = name.split_once('?').map_or((name, true), |(name, _)| (name, false));
                starts.push(json!({ "by": by, "name": name, "line": number, "certain": certain }));
            }
        }
        if line.contains("bad-step") {
            problems.push(json!({ "line": number, "column": 1, "message": "unknown step `bad-step`" }));
        }
        if line.contains("odd") {
            problems.push(json!({ "line": number, "column": 1, "message": "odd", "level": "warning" }));
        }
        if line.contains("bomb") {
            let exceeded = Exceeded { bound: Bound::Fuel, limit: 1, used: 2 };
            return Outcome::Exceeded(exceeded);
        }
    }
    let flow = json!({ "file": question["file"], "steps": [], "text": question["text"] });
    Outcome::Answered(
        json!({ "problems": problems, "flow": flow, "uses": uses, "starts": starts }).to_string(),
    )
}

/// One run of acme's, started with this token.
#[derive(Default)]
pub struct FakeRuns(pub Option<TokenId>);

pub const RUN: &str = "run_00000000000000000000000001";

pub fn run(id: RunId) -> Run {
    serde_json::from_value(json!({
        "id": id, "tenant": "acme", "workflow": "intake", "package": "example/intake@0.1.0",
        "digest": host_model::digest::Digest::of(b""), "started-by": { "by": "manual" }, "status": "succeeded",
        "input": { "id": "msg_00000000000000000000000001", "source": "/run", "kind": "lead", "subject": null,
                   "time": Timestamp::UNIX_EPOCH, "data": "{}" },
        "accepted-at": Timestamp::UNIX_EPOCH, "attempts": 1, "usage": {}, "steps": 0,
    }))
    .unwrap()
}

impl FakeRuns {
    fn run(&self, id: RunId) -> Run {
        Run { started_by: StartedBy::Manual(self.0), ..run(id) }
    }
}

impl Runs for FakeRuns {
    fn list<'a>(
        &'a self,
        tenant: &'a TenantId,
        query: RunQuery,
    ) -> BoxFuture<'a, Result<RunPage, PortError>> {
        let id: RunId = RUN.parse().unwrap();
        let filter = &query.filter;
        let wanted = filter.workflow.as_ref().is_none_or(|workflow| workflow.as_str() == "intake")
            && filter.error.is_none()
            && filter.since.is_none_or(|since| since <= Timestamp::UNIX_EPOCH)
            && filter.until.is_none_or(|until| until > Timestamp::UNIX_EPOCH)
            && filter.connection.as_ref().is_none_or(|connection| connection.as_str() == "crm")
            && filter.keys.iter().all(|(name, value)| name == "customer" && value == "47:1 1");
        let there = tenant.as_str() == "acme" && wanted && query.after.is_none();
        let next = (query.limit.get() == 1).then_some(id);
        let runs = if there { vec![self.run(id)] } else { Vec::new() };
        Box::pin(async move { Ok(RunPage { next: next.filter(|_| there), runs }) })
    }

    fn show<'a>(
        &'a self,
        tenant: &'a TenantId,
        id: RunId,
    ) -> BoxFuture<'a, Result<Option<RunStory>, PortError>> {
        let there = tenant.as_str() == "acme" && id.to_string() == RUN;
        Box::pin(async move { Ok(there.then(|| RunStory { run: self.run(id), steps: Vec::new() })) })
    }
}

/// Takes `approved` for the run once that is one JSON text, and says why not otherwise.
impl Events for FakeRuns {
    fn send<'a>(
        &'a self,
        tenant: &'a TenantId,
        run: RunId,
        event: &'a str,
        data: String,
    ) -> BoxFuture<'a, Result<(), EventError>> {
        let there = tenant.as_str() == "acme" && run.to_string() == RUN;
        let sent = match event {
            _ if !there => Err(EventError::Absent),
            "approved" if serde_json::from_str::<serde_json::Value>(&data).is_ok() => Ok(()),
            "approved" => Err(EventError::Invalid("not JSON".to_owned())),
            "taken" => Err(EventError::Taken("it came before".to_owned())),
            "late" => Err(EventError::Over("it has ended".to_owned())),
            _ => Err(EventError::Crowded("too many".to_owned())),
        };
        Box::pin(async move { sent })
    }
}

/// Acme has one subscriber of `leads`, which refuses a message that says so.
pub struct FakeTopics;

impl Topics for FakeTopics {
    fn publish<'a>(
        &'a self,
        tenant: &'a TenantId,
        topic: &'a TopicName,
        data: String,
        _: Option<String>,
    ) -> BoxFuture<'a, Result<Vec<RunId>, PortError>> {
        let there = tenant.as_str() == "acme" && topic.as_str() == "leads";
        Box::pin(async move {
            match data.as_str() {
                "\"refuse\"" => Err(PortError::Refused("`when` fails on this message".to_owned())),
                _ => Ok(if there { vec![RUN.parse().unwrap()] } else { Vec::new() }),
            }
        })
    }
}

/// Every test ends as [`RUN`]; what was asked is remembered with the calls.
pub struct FakeStepTests(pub Arc<FakeCalls>);

impl StepTests for FakeStepTests {
    fn test(&self, test: StepTest) -> BoxFuture<'_, Result<RunId, PortError>> {
        let StepTest { workflow, tested, input, answers, errors, of } = test;
        let asked = json!({ "workflow": workflow.name, "definition": workflow.definition, "tested": tested,
                            "input": input, "answers": answers, "errors": errors, "of": of });
        self.0.asked.lock().unwrap().push(format!("test {asked}"));
        Box::pin(async { Ok(RUN.parse().unwrap()) })
    }
}

/// Nobody has authorized anything, and everybody may begin.
pub struct FakeAuthorizations;

impl Authorizations for FakeAuthorizations {
    fn needed<'a>(&'a self, _: &'a Connection) -> BoxFuture<'a, Result<Option<String>, PortError>> {
        Box::pin(async { Ok(None) })
    }

    fn begin<'a>(
        &'a self,
        connection: &'a Connection,
        by: &'a str,
    ) -> BoxFuture<'a, Result<Beginning, PortError>> {
        let url = format!("https://login.example/{}/{}/{by}", connection.tenant, connection.name);
        Box::pin(async { Ok(Beginning { url, until: Timestamp::UNIX_EPOCH }) })
    }
}

/// Keys that rotate at a word.
pub struct FakeKeys;

impl Keys for FakeKeys {
    fn report(&self) -> BoxFuture<'_, Result<Value, PortError>> {
        Box::pin(async { Ok(json!({ "current": "0123456789abcdef" })) })
    }

    fn rotate_master(&self) -> BoxFuture<'_, Result<Rotated, PortError>> {
        self.rotate_data(None)
    }

    fn rotate_data<'a>(&'a self, _: Option<&'a TenantId>) -> BoxFuture<'a, Result<Rotated, PortError>> {
        Box::pin(async { Ok(Rotated { master_key: "0123456789abcdef".to_owned(), changed: 1 }) })
    }
}

pub struct FakeSecrets {
    pub store: Arc<MemoryStore>,
    pub names: Mutex<BTreeMap<(TenantId, SecretName), String>>,
}

impl Secrets for FakeSecrets {
    fn set<'a>(
        &'a self,
        tenant: &'a TenantId,
        name: &'a SecretName,
        value: SecretString,
        beside: Commit,
    ) -> BoxFuture<'a, Result<(), PortError>> {
        let key = (tenant.clone(), name.clone());
        self.names.lock().unwrap().insert(key, value.expose_secret().to_owned());
        Box::pin(async move { Ok(self.store.commit(beside).await.map(drop)?) })
    }

    fn delete<'a>(
        &'a self,
        tenant: &'a TenantId,
        name: &'a SecretName,
        beside: Commit,
    ) -> BoxFuture<'a, Result<bool, PortError>> {
        let there = self.names.lock().unwrap().remove(&(tenant.clone(), name.clone())).is_some();
        Box::pin(async move {
            if there {
                self.store.commit(beside).await?;
            }
            Ok(there)
        })
    }

    fn names<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<Vec<SecretName>, PortError>> {
        let names = self
            .names
            .lock()
            .unwrap()
            .keys()
            .filter(|(of, _)| of == tenant)
            .map(|(_, name)| name.clone())
            .collect();
        Box::pin(async move { Ok(names) })
    }
}

pub struct FakeUsage;

impl UsagePort for FakeUsage {
    fn usage(&self, _: &TenantId) -> Vec<QuotaUse> {
        vec![QuotaUse { quota: Quota::RunsPerDay, used: 8, limit: 10, near: true, resets_at: None }]
    }
}
