//! A world to run in: a store that survives its processes, a clock, guests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::DateTime;
use host_model::bounds::Bounds;
use host_model::clock::SimClock;
use host_model::digest::Digest;
use host_model::effects::{BoxFuture, Effects, Intent, Pending, Stopped};
use host_model::id::RunId;
use host_model::manifest::Manifest;
use host_model::message::Draft;
use host_model::name::{PackageRef, TenantId, TopicName, WorkflowName};
use host_model::outcome::{CallError, Finished, Outcome, Usage};
use host_model::resource::{Package, Workflow, WorkflowSpec};
use host_model::retention::RetentionSpec;
use host_model::run::{Run, StartedBy, Step};
use host_store::faults::{Fault, FaultyStore};
use host_store::{Blobs, MemoryStore, Store};
use parking_lot::Mutex;
use serde_json::json;

use crate::repair::{By, From, On, Replay};
use crate::{EndpointCall, Guests, HostFailure, NewRun, NoRoom, Room, Runs, Settings};

/// Longer than anything takes: tokio's clock jumps when nothing else is left to do.
pub(crate) const LONG: Duration = Duration::from_secs(100_000);

type Answer = Result<Result<String, CallError>, Stopped>;
type Flow = dyn Fn(Run, Arc<dyn Effects>) -> BoxFuture<'static, Answer> + Send + Sync;
type Endpoint =
    dyn Fn(EndpointCall) -> BoxFuture<'static, Result<Finished<String>, HostFailure>> + Send + Sync;

/// Who repairs, and why.
pub(crate) fn ada() -> By {
    By { who: "ada".to_owned(), why: "the CRM was down".to_owned() }
}

/// A replay of the run as it was.
pub(crate) fn replay(from: From) -> Replay {
    Replay { from, on: On::Pinned, input: None, dry: false, by: ada(), request: None, unless_replayed: false }
}

/// Guests in plain Rust.
pub(crate) struct Fake {
    pub(crate) flow: Box<Flow>,
    pub(crate) endpoint: Box<Endpoint>,
    /// Every call of an endpoint that was begun.
    pub(crate) calls: Mutex<Vec<EndpointCall>>,
    /// Nothing can be run any more.
    pub(crate) package_gone: AtomicBool,
    /// The tenants' workflows; `on-{topic}` and `on-{topic}-…` subscribe.
    pub(crate) workflows: Mutex<Vec<Arc<Workflow>>>,
    /// How long acme's runs are kept.
    pub(crate) retention: RetentionSpec,
    /// For how many runs more there is room, if that is limited.
    pub(crate) room: Mutex<Option<u64>>,
    /// Bytes that room was found for, run by run.
    pub(crate) booked: Mutex<Vec<u64>>,
}

impl Fake {
    /// This workflow, with endpoints that answer what they were asked.
    pub(crate) fn flow<F>(flow: impl Fn(Run, Arc<dyn Effects>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        Self {
            flow: Box::new(move |run, effects| Box::pin(flow(run, effects))),
            endpoint: Box::new(|call| {
                Box::pin(async move { Ok(answered(format!("{{\"did\":{}}}", call.input))) })
            }),
            calls: Mutex::default(),
            package_gone: AtomicBool::new(false),
            workflows: Mutex::default(),
            retention: RetentionSpec::default(),
            room: Mutex::default(),
            booked: Mutex::default(),
        }
    }

    /// With these endpoints.
    pub(crate) fn endpoint<F>(mut self, endpoint: impl Fn(EndpointCall) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Finished<String>, HostFailure>> + Send + 'static,
    {
        self.endpoint = Box::new(move |call| Box::pin(endpoint(call)));
        self
    }
}

impl Guests for Fake {
    fn run_workflow<'a>(
        &'a self,
        run: &'a Run,
        _: &'a Bounds,
        effects: Arc<dyn Effects>,
    ) -> BoxFuture<'a, Result<Finished<String>, HostFailure>> {
        Box::pin(async move {
            let outcome = match (self.flow)(run.clone(), effects).await {
                Ok(Ok(text)) => Outcome::Answered(text),
                Ok(Err(error)) => Outcome::Declined(error),
                Err(stopped) => Outcome::Trapped(stopped.to_string()),
            };
            Ok(Finished { outcome, usage: Usage { fuel: 1_000, ..Usage::default() }, log: Vec::new() })
        })
    }

    fn has_package<'a>(
        &'a self,
        _: &'a PackageRef,
        _: &'a Digest,
    ) -> BoxFuture<'a, Result<bool, HostFailure>> {
        let there = !self.package_gone.load(Ordering::SeqCst);
        Box::pin(async move { Ok(there) })
    }

    fn room(&self, _: &TenantId, runs: u64, bytes: u64) -> Result<Box<dyn Room>, NoRoom> {
        if let Some(left) = &mut *self.room.lock() {
            *left = left.checked_sub(runs).ok_or(NoRoom::Host("room"))?;
        }
        self.booked.lock().push(bytes);
        Ok(Box::new(()))
    }

    fn retention(&self) -> Vec<(TenantId, RetentionSpec)> {
        vec![(acme(), self.retention)]
    }

    fn call_endpoint(&self, call: EndpointCall) -> BoxFuture<'_, Result<Finished<String>, HostFailure>> {
        self.calls.lock().push(call.clone());
        (self.endpoint)(call)
    }

    /// Everything but what says that it does not.
    fn fits<'a>(
        &'a self,
        _: &'a TenantId,
        _: &'a PackageRef,
        data: &'a str,
    ) -> BoxFuture<'a, Result<Result<(), String>, HostFailure>> {
        let unfit = data.contains("unfit").then(|| "/name is missing".to_owned());
        Box::pin(async { Ok(unfit.map_or(Ok(()), Err)) })
    }

    fn workflow(&self, tenant: &TenantId, name: &WorkflowName) -> Option<Arc<Workflow>> {
        let workflows = self.workflows.lock();
        workflows.iter().find(|workflow| workflow.tenant == *tenant && workflow.name == *name).cloned()
    }

    fn subscribers<'a>(
        &'a self,
        tenant: &'a TenantId,
        topic: &'a TopicName,
        data: &'a str,
    ) -> BoxFuture<'a, Result<Result<Vec<NewRun>, String>, HostFailure>> {
        let subscribes = |workflow: &&Arc<Workflow>| {
            let rest = workflow.name.as_str().strip_prefix(&format!("on-{topic}"));
            workflow.tenant == *tenant && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let new = |workflow: &Arc<Workflow>| NewRun {
            workflow: Arc::clone(workflow),
            started_by: StartedBy::Topic(topic.clone()),
            draft: Draft { kind: topic.to_string(), subject: None, data: data.to_owned() },
            once: None,
        };
        let runs = self.workflows.lock().iter().filter(subscribes).map(new).collect();
        Box::pin(async { Ok(Ok(runs)) })
    }
}

/// An endpoint's answer.
pub(crate) fn answered(text: impl Into<String>) -> Finished<String> {
    let usage = Usage { fuel: 1, ..Usage::default() };
    Finished { outcome: Outcome::Answered(text.into()), usage, log: Vec::new() }
}

/// What outlives a process.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) inner: Arc<MemoryStore>,
    pub(crate) blobs: Blobs,
    pub(crate) payloads: Blobs,
    pub(crate) clock: SimClock,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            inner: Arc::new(MemoryStore::new()),
            blobs: Blobs::in_memory(),
            payloads: Blobs::in_memory(),
            clock: SimClock::at(DateTime::from_timestamp_millis(1_800_000_000_000).unwrap()),
        }
    }

    /// A process on this store.
    pub(crate) fn process_on(
        &self,
        store: Arc<dyn Store>,
        fake: &Arc<Fake>,
        settings: Settings,
    ) -> Arc<Runs> {
        let (payloads, blobs) = (self.payloads.clone(), self.blobs.clone());
        Runs::new(store, payloads, blobs, Arc::new(self.clock.clone()), Arc::clone(fake) as _, settings)
    }

    /// A process on the store that survives.
    pub(crate) fn process(&self, fake: &Arc<Fake>) -> Arc<Runs> {
        self.process_on(Arc::clone(&self.inner) as _, fake, Settings::default())
    }

    /// The store, which dies after that many commits; if `unsure`, nobody hears of the last one.
    pub(crate) fn dies_after(&self, last: u64, unsure: bool) -> Arc<FaultyStore<MemoryStore>> {
        let store = FaultyStore::new(Arc::clone(&self.inner)).die_after(last);
        Arc::new(if unsure { store.with(last.max(1), Fault::Unsure) } else { store })
    }

    /// A process on a store with faults.
    pub(crate) fn faulty(&self, store: &Arc<FaultyStore<MemoryStore>>, fake: &Arc<Fake>) -> Arc<Runs> {
        self.process_on(Arc::clone(store) as _, fake, Settings::default())
    }
}

impl Runs {
    /// As `kill -9`.
    pub(crate) async fn kill(&self) {
        self.stops.drain.cancel();
        self.stops.now.cancel();
        self.lease.die();
        self.stops.tasks.close();
        self.stops.tasks.wait().await;
    }

    /// The run at its end. Whoever waits hears of it: the deadline never comes.
    pub(crate) async fn ended(&self, tenant: &TenantId, id: RunId) -> (Run, Vec<Step>) {
        let run = soon(self.wait(tenant, id, LONG)).await.unwrap().expect("the run is there");
        assert!(run.outcome.is_some(), "the run did not end: {run:?}");
        (run, self.steps(tenant, id, None).await.unwrap().steps)
    }
}

/// It happens before the clock of a test jumps far.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG / 2, future).await.expect("it never happened")
}

pub(crate) fn acme() -> TenantId {
    "acme".parse().unwrap()
}

/// A workflow of this tenant whose roles `crm`, `mail` and `chat` are wired.
pub(crate) fn workflow_of(tenant: &TenantId, name: &str, wall: Duration) -> Arc<Workflow> {
    let manifest = Manifest::parse(
        br#"
name = "example/lead-intake"
version = "0.1.0"
world = "workflow"
[roles.crm]
endpoints = ["create", "update"]
[roles.mail]
endpoints = ["send"]
[roles.chat]
endpoints = ["post"]
"#,
    )
    .unwrap();
    let package =
        Package { package: manifest.package(), digest: Digest::of(b"x"), manifest: Arc::new(manifest) };
    let spec: WorkflowSpec = serde_json::from_value(json!({
        "name": name, "package": "example/lead-intake@0.1.0",
        "roles": { "crm": "acme-crm", "mail": "acme-mail", "chat": "acme-chat" },
    }))
    .unwrap();
    let ceiling = Bounds { wall, ..Bounds::for_workflows() };
    Arc::new(Workflow::resolve(tenant.clone(), spec, package, &ceiling).unwrap())
}

/// A run of that workflow.
pub(crate) fn new_run_of(tenant: &TenantId, name: &str, data: &str) -> NewRun {
    NewRun {
        workflow: workflow_of(tenant, name, LONG),
        started_by: StartedBy::Manual(None),
        draft: Draft { kind: "lead".to_owned(), subject: None, data: data.to_owned() },
        once: None,
    }
}

pub(crate) fn new_run() -> NewRun {
    new_run_of(&acme(), "lead-intake", r#"{"name":"Ada"}"#)
}

/// Accepts one run and gives its id.
pub(crate) async fn accept_one(runs: &Arc<Runs>) -> RunId {
    runs.accept(vec![new_run()], None).await.unwrap().runs[0]
}

/// Starts a call.
pub(crate) async fn start(
    effects: &Arc<dyn Effects>,
    role: &str,
    endpoint: &str,
    input: impl Into<String>,
) -> Result<Pending, Stopped> {
    let (role, endpoint, input) = (role.to_owned(), endpoint.to_owned(), input.into());
    effects.start(Intent::Call { role, endpoint, input, tries: None }).await
}

/// Calls and waits.
pub(crate) async fn call(
    effects: &Arc<dyn Effects>,
    role: &str,
    endpoint: &str,
    input: impl Into<String>,
) -> Answer {
    let pending = start(effects, role, endpoint, input).await?;
    effects.wait(pending).await
}

/// Six steps: one call, two at once, a pause, two more calls.
pub(crate) async fn six_steps(run: Run, effects: Arc<dyn Effects>) -> Answer {
    let created = call(&effects, "crm", "create", run.input.data).await?.unwrap();
    let mail = start(&effects, "mail", "send", created.clone()).await?;
    let chat = start(&effects, "chat", "post", created).await?;
    effects.wait_any(vec![mail, chat]).await?;
    let sent = effects.wait(mail).await?.unwrap();
    let posted = effects.wait(chat).await?.unwrap();
    sleep(&effects, 0).await?;
    let updated = call(&effects, "crm", "update", format!("[{sent},{posted}]")).await?.unwrap();
    call(&effects, "chat", "post", updated).await
}

/// A pause, waited for.
pub(crate) async fn sleep(effects: &Arc<dyn Effects>, ms: u64) -> Result<(), Stopped> {
    let pending = effects.start(Intent::Sleep { ms }).await?;
    effects.wait(pending).await.map(|_| ())
}
