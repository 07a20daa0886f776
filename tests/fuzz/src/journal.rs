//! A run's journal with bytes in it that nobody wrote: the next process says
//! what is wrong and goes on. It neither panics nor tries for ever.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Once};
use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use host_model::bounds::Bounds;
use host_model::clock::SimClock;
use host_model::digest::Digest;
use host_model::effects::{BoxFuture, Effects, Intent, Stopped};
use host_model::id::RunId;
use host_model::manifest::Manifest;
use host_model::message::Draft;
use host_model::name::{PackageRef, TenantId, TopicName, WorkflowName};
use host_model::outcome::{Finished, Outcome, Usage};
use host_model::resource::{Package, Workflow};
use host_model::retention::RetentionSpec;
use host_model::run::{Run, RunStatus, StartedBy};
use host_runs::{EndpointCall, Guests, HostFailure, NewRun, Runs, Settings};
use host_store::{Blobs, Commit, MemoryStore, Store};

/// The most attempts at one run within [`WATCHED`]: more is a loop. A failure
/// of the host is tried ten times, and a start of the host once more.
const MOST_ATTEMPTS: u32 = 30;
/// How long it is looked at, by a clock that jumps when nothing is left to do.
const WATCHED: Duration = Duration::from_secs(3_600);
/// The workflow's pause: at its end the run is taken up again.
const PAUSE: Duration = Duration::from_secs(600);

const MANIFEST: &str = "name = \"example/lead\"\nversion = \"0.1.0\"\nworld = \"workflow\"\n\
    [roles.crm]\nendpoints = [\"create\", \"update\"]\n";

/// What the first process left, and the run that it left waiting.
struct Left {
    run: RunId,
    entries: Vec<(Bytes, Bytes)>,
}

static LEFT: LazyLock<Left> = LazyLock::new(|| in_a_runtime(left()));
static PANICS: AtomicU32 = AtomicU32::new(0);

/// The first line says which entry of the store and, perhaps, from which byte
/// on; the rest is written there.
pub fn journal(data: &[u8]) {
    let Some(line) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (head, rest) = (String::from_utf8_lossy(&data[..line]), &data[line + 1..]);
    let mut numbers = head.split(' ').map_while(|number| number.parse::<usize>().ok());
    let Some(entry) = numbers.next() else { return };
    let mut entries = LEFT.entries.clone();
    let place = entry % entries.len();
    let (_, value) = &mut entries[place];
    *value = match numbers.next() {
        None => Bytes::copy_from_slice(rest),
        Some(from) => {
            let mut bent = value.to_vec();
            let from = from % (bent.len() + 1);
            bent.resize(bent.len().max(from + rest.len()), b' ');
            bent[from..from + rest.len()].copy_from_slice(rest);
            bent.into()
        }
    };
    watch_panics();
    let panics = PANICS.load(Ordering::SeqCst);
    in_a_runtime(taken_up(entries));
    assert_eq!(PANICS.load(Ordering::SeqCst), panics, "something in there panicked");
}

/// Tasks that panic are caught; here each is a finding.
fn watch_panics() {
    static WATCHING: Once = Once::new();
    WATCHING.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            before(info);
        }));
    });
}

fn in_a_runtime<T>(what: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().expect("a runtime").block_on(what)
}

fn acme() -> TenantId {
    "acme".parse().expect("a name")
}

fn process(store: &Arc<MemoryStore>, clock: &SimClock, guests: &Arc<Fake>) -> Arc<Runs> {
    let (payloads, blobs) = (Blobs::in_memory(), Blobs::in_memory());
    let (store, guests) = (Arc::clone(store) as _, Arc::clone(guests) as _);
    Runs::new(store, payloads, blobs, Arc::new(clock.clone()), guests, Settings::default())
}

fn clock() -> SimClock {
    SimClock::at(DateTime::from_timestamp_millis(1_800_000_000_000).expect("a time"))
}

/// A process carries a run into its pause and stops.
async fn left() -> Left {
    let (store, guests) = (Arc::new(MemoryStore::new()), Arc::new(Fake::default()));
    let runs = process(&store, &clock(), &guests);
    let accepted = runs.accept(vec![new_run()], None).await.expect("it is accepted");
    while guests.calls.load(Ordering::SeqCst) < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    runs.drain(Duration::from_secs(60)).await;
    let mut entries = Vec::new();
    loop {
        let after = entries.last().map(|(key, _): &(Bytes, Bytes)| key.to_vec());
        let page = store.scan(b"", after.as_deref(), 1_000).await.expect("a page");
        if page.is_empty() {
            break;
        }
        entries.extend(page.into_iter().map(|entry| (entry.key, entry.value)));
    }
    assert!(entries.len() > 8, "a run with its steps is in there: {}", entries.len());
    Left { run: accepted.runs[0], entries }
}

/// The next process takes up what it finds, once the pause is over: how the run ended then, if it
/// can be read.
async fn taken_up(entries: Vec<(Bytes, Bytes)>) -> Option<RunStatus> {
    let (store, guests, clock) = (Arc::new(MemoryStore::new()), Arc::new(Fake::default()), clock());
    for (key, value) in entries {
        // What a store would not take is not in one.
        store.commit(Commit::default().put(key, value)).await.ok()?;
    }
    clock.advance(2 * PAUSE);
    let runs = process(&store, &clock, &guests);
    runs.recover().await.ok()?;
    // What can be read is shown, and what cannot be is an error.
    let shown = runs.wait(&acme(), LEFT.run, WATCHED).await;
    let _steps = runs.steps(&acme(), LEFT.run, None).await;
    let attempts = guests.attempts.load(Ordering::SeqCst);
    assert!(attempts <= MOST_ATTEMPTS, "{attempts} attempts at one run");
    runs.drain(Duration::from_secs(60)).await;
    Some(shown.ok()??.status)
}

fn new_run() -> NewRun {
    let manifest = Manifest::parse(MANIFEST.as_bytes()).expect("a manifest");
    let package =
        Package { package: manifest.package(), digest: Digest::of(b"x"), manifest: Arc::new(manifest) };
    let spec =
        serde_json::json!({ "name": "lead", "package": "example/lead@0.1.0", "roles": { "crm": "crm" } });
    let spec = serde_json::from_value(spec).expect("a workflow");
    let workflow = Workflow::resolve(acme(), spec, package, &Bounds::for_workflows()).expect("it resolves");
    NewRun {
        workflow: Arc::new(workflow),
        started_by: StartedBy::Manual(None),
        draft: Draft { kind: "lead".to_owned(), subject: None, data: "{\"name\":\"Ada\"}".to_owned() },
        once: None,
    }
}

/// Guests in plain Rust: the workflow below, and endpoints that say what they were asked.
#[derive(Default)]
struct Fake {
    attempts: AtomicU32,
    calls: AtomicU32,
}

fn answered(text: String) -> Finished<String> {
    Finished { outcome: Outcome::Answered(text), usage: Usage::default(), log: Vec::new() }
}

/// Every kind of step that needs nobody else, then a pause, then one step more.
async fn flow(data: String, effects: &dyn Effects) -> Result<String, Stopped> {
    let call = |endpoint: &str, input: String| Intent::Call {
        role: "crm".to_owned(),
        endpoint: endpoint.to_owned(),
        input,
        tries: None,
    };
    let created = effects.start(call("create", data.clone())).await?;
    let updated = effects.start(call("update", data.clone())).await?;
    effects.wait_any(vec![created, updated]).await?;
    let answers = [effects.wait(created).await?, effects.wait(updated).await?];
    effects.start(Intent::SetKey { name: "order".to_owned(), value: "7".to_owned() }).await?;
    let (role, endpoint) = ("crm".to_owned(), "update".to_owned());
    effects.start(Intent::OnCancel { role, endpoint, input: data }).await?;
    effects.mark("lead.yaml:12 pause".to_owned());
    effects.fill_random(&mut [0; 16]);
    let ms = u64::try_from(PAUSE.as_millis()).unwrap_or(u64::MAX);
    let pause = effects.start(Intent::Sleep { ms }).await?;
    let _over = effects.wait(pause).await?;
    let last = effects.start(call("update", format!("\"{answers:?}\"").replace('\\', ""))).await?;
    Ok(effects.wait(last).await?.unwrap_or_default())
}

impl Guests for Fake {
    fn run_workflow<'a>(
        &'a self,
        run: &'a Run,
        _: &'a Bounds,
        effects: Arc<dyn Effects>,
    ) -> BoxFuture<'a, Result<Finished<String>, HostFailure>> {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            Ok(match flow(run.input.data.clone(), &*effects).await {
                Ok(text) => answered(text),
                Err(stopped) => {
                    Finished { outcome: Outcome::Trapped(stopped.to_string()), ..answered(String::new()) }
                }
            })
        })
    }

    fn has_package<'a>(
        &'a self,
        _: &'a PackageRef,
        _: &'a Digest,
    ) -> BoxFuture<'a, Result<bool, HostFailure>> {
        Box::pin(async { Ok(true) })
    }

    fn retention(&self) -> Vec<(TenantId, RetentionSpec)> {
        vec![(acme(), RetentionSpec::default())]
    }

    fn call_endpoint(&self, call: EndpointCall) -> BoxFuture<'_, Result<Finished<String>, HostFailure>> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move { Ok(answered(call.input)) })
    }

    fn fits<'a>(
        &'a self,
        _: &'a TenantId,
        _: &'a PackageRef,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Result<(), String>, HostFailure>> {
        Box::pin(async { Ok(Ok(())) })
    }

    fn workflow(&self, _: &TenantId, _: &WorkflowName) -> Option<Arc<Workflow>> {
        None
    }

    fn subscribers<'a>(
        &'a self,
        _: &'a TenantId,
        _: &'a TopicName,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Result<Vec<NewRun>, String>, HostFailure>> {
        Box::pin(async { Ok(Ok(Vec::new())) })
    }
}

#[cfg(test)]
mod tests {
    use super::{LEFT, RunStatus, in_a_runtime, taken_up};

    #[test]
    fn what_nobody_wrote_into_is_replayed_to_its_end() {
        assert_eq!(in_a_runtime(taken_up(LEFT.entries.clone())), Some(RunStatus::Succeeded));
    }

    #[test]
    fn a_step_that_was_asked_for_otherwise_is_noticed() {
        let mut entries = LEFT.entries.clone();
        let step =
            entries.iter_mut().map(|(_, value)| value).find(|value| value.starts_with(b"{\"number\":0"));
        let step = step.expect("the first step is in there");
        let bent = String::from_utf8_lossy(step).replacen("sha256:", "sha256:00", 1);
        let digest = bent.find("sha256:").expect("a digest") + "sha256:".len() + 64;
        *step = [&bent.as_bytes()[..digest], &bent.as_bytes()[digest + 2..]].concat().into();
        assert_eq!(in_a_runtime(taken_up(entries)), Some(RunStatus::Diverged));
    }
}
