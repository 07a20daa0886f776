//! Admission as its callers see it, in a time that stands still.

use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use host_model::bounds::Bounds;
use host_model::digest::Digest;
use host_model::manifest::Manifest;
use host_model::name::TenantId;
use host_model::resource::{Package, TenantSpec, Workflow};
use host_routing::{Routed, Routes, Snapshot};
use serde_json::json;
use tokio::task::yield_now;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::*;

const WAIT: Duration = Duration::from_millis(250);
const LONG: Duration = Duration::from_secs(3600);

fn admission(calls: usize, waiting: usize) -> Admission {
    let calls_per_tenant = NonZeroUsize::new(calls).unwrap();
    Admission::new(Limits { calls_per_tenant, waiting_per_tenant: waiting, wait: WAIT })
}

fn routed(tenant: &str, concurrency: Option<u32>) -> Routed {
    let manifest = "name = 'example/w'\nversion = '0.1.0'\nworld = 'workflow'\n";
    let manifest = Manifest::parse(manifest.as_bytes()).unwrap();
    let package =
        Package { package: manifest.package(), digest: Digest::of(b""), manifest: Arc::new(manifest) };
    let spec = serde_json::from_value(json!({ "name": "w", "package": package.package })).unwrap();
    let workflow = Workflow::resolve(tenant.parse().unwrap(), spec, package, &Bounds::default()).unwrap();
    let spec: TenantSpec =
        serde_json::from_value(json!({ "name": tenant, "concurrency": concurrency })).unwrap();
    let routes = Routes::default();
    routes.replace(Snapshot::build(vec![spec], vec![], vec![workflow]));
    routes.resolve_run(tenant, "w").unwrap()
}

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

/// Lets every task run until it waits for something.
async fn settle() {
    for _ in 0..50 {
        yield_now().await;
    }
}

/// Polls once.
async fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context).is_pending())).await
}

#[tokio::test(start_paused = true)]
async fn a_call_beyond_the_limit_waits_its_time_and_is_refused() {
    let admission = admission(1, 10);
    let _running = admission.admit(routed("acme", None)).await.unwrap();
    let start = Instant::now();
    let refused = admission.admit(routed("acme", None)).await.unwrap_err();
    assert_eq!(refused, Refused::Busy { retry_after: Duration::from_secs(1) });
    assert_eq!(start.elapsed().as_millis(), WAIT.as_millis());
    assert_eq!(admission.counts().waiting, 0, "it waits no longer");
}

#[tokio::test(start_paused = true)]
async fn a_call_beyond_the_waiting_room_is_refused_at_once() {
    let admission = admission(1, 1);
    let _running = admission.admit(routed("acme", None)).await.unwrap();
    let start = Instant::now();
    let (first, second) = tokio::join!(admission.admit(routed("acme", None)), async {
        let refused = admission.admit(routed("acme", None)).await;
        (refused, start.elapsed())
    });
    assert!(first.is_err() && second.0.is_err());
    assert_eq!(second.1, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_place_given_back_goes_to_who_came_first() {
    let admission = admission(1, 10);
    let running = admission.admit(routed("acme", None)).await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let tasks = TaskTracker::new();
    for number in 0..5 {
        let (admission, order) = (admission.clone(), Arc::clone(&order));
        tasks.spawn(async move {
            let admitted = admission.admit(routed("acme", None)).await.unwrap();
            order.lock().unwrap().push(number);
            yield_now().await;
            drop(admitted);
        });
        settle().await;
    }
    assert_eq!(admission.counts().waiting, 5);
    drop(running);
    tasks.close();
    tasks.wait().await;
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
    assert_eq!(admission.counts(), Counts::default(), "an idle tenant costs no memory");
}

#[tokio::test(start_paused = true)]
async fn one_tenants_calls_do_not_delay_anothers() {
    let admission = admission(1, 10);
    let _running = admission.admit(routed("acme", None)).await.unwrap();
    let start = Instant::now();
    let _other = admission.admit(routed("bolt", None)).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(admission.counts().tenants, 2);
}

#[tokio::test(start_paused = true)]
async fn a_backlog_of_runs_waits_without_end_and_delays_no_call() {
    let admission = admission(1, 0);
    let first = admission.place(&acme(), None).await.unwrap();
    let tasks = TaskTracker::new();
    for _ in 0..1_000 {
        let admission = admission.clone();
        tasks.spawn(async move { drop(admission.place(&acme(), None).await.unwrap()) });
    }
    settle().await;
    tokio::time::advance(LONG).await;
    assert_eq!(admission.counts().waiting, 1_000);

    let call = admission.admit(routed("acme", None)).await.unwrap();
    assert_eq!((admission.counts().calls, admission.counts().runs), (1, 1));

    drop((first, call));
    tasks.close();
    tasks.wait().await;
    assert_eq!(admission.counts(), Counts::default());
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_waiting_leaves_no_trace() {
    let admission = admission(1, 1);
    let running = admission.admit(routed("acme", None)).await.unwrap();

    let gone = tokio::time::timeout(WAIT / 2, admission.admit(routed("acme", None))).await;
    assert!(gone.is_err());
    assert_eq!(admission.counts().waiting, 0);

    // The place arrives, and its receiver is dropped before it looks.
    let mut waiting = Box::pin(admission.admit(routed("acme", None)));
    assert!(is_pending(&mut waiting).await);
    drop(running);
    assert_eq!(admission.counts().calls, 1, "on its way to the one who waits");
    drop(waiting);
    assert_eq!(admission.counts(), Counts::default());
}

#[tokio::test(start_paused = true)]
async fn a_panic_gives_the_place_back() {
    let admission = admission(1, 0);
    let admitted = admission.admit(routed("acme", None)).await.unwrap();
    let ended = TaskTracker::new()
        .spawn(async move {
            let _held = admitted;
            panic!("a guest's call went wrong in the host");
        })
        .await;
    assert!(ended.is_err());
    assert_eq!(admission.counts(), Counts::default());
}

#[tokio::test(start_paused = true)]
async fn a_streamed_answer_holds_its_place_until_it_lets_go() {
    let admission = admission(1, 0);
    let (_routed, place) = admission.admit(routed("acme", None)).await.unwrap().split();
    assert_eq!(admission.counts().calls, 1);
    drop(place);
    assert_eq!(admission.counts(), Counts::default());
}

#[tokio::test(start_paused = true)]
async fn a_tenants_own_limit_counts_and_raising_it_lets_waiters_in() {
    let admission = admission(10, 10);
    let _one = admission.admit(routed("acme", Some(1))).await.unwrap();
    let waiting = admission.clone();
    let waiter = TaskTracker::new().spawn(async move { waiting.admit(routed("acme", Some(1))).await });
    settle().await;
    assert_eq!(admission.counts().waiting, 1);

    let start = Instant::now();
    let _three = admission.admit(routed("acme", Some(3))).await.unwrap();
    assert!(waiter.await.unwrap().is_ok());
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn draining_refuses_sends_away_and_waits_for_what_runs() {
    let admission = admission(1, 10);
    let call = admission.admit(routed("acme", None)).await.unwrap();
    let run = admission.place(&acme(), None).await.unwrap();
    let tasks = TaskTracker::new();
    let (a, b, c) = (admission.clone(), admission.clone(), admission.clone());
    let waiting_call = tasks.spawn(async move { a.admit(routed("acme", None)).await });
    let waiting_run = tasks.spawn(async move { b.place(&acme(), None).await });
    let told = tasks.spawn(async move { c.draining().await });
    settle().await;
    assert_eq!(admission.counts().waiting, 2);

    let draining = admission.clone();
    let drained = tasks.spawn(async move { draining.drain(LONG).await });
    assert_eq!(waiting_call.await.unwrap().unwrap_err(), Refused::Draining);
    assert_eq!(waiting_run.await.unwrap().unwrap_err(), Draining);
    told.await.unwrap();
    assert_eq!(admission.admit(routed("bolt", None)).await.unwrap_err(), Refused::Draining);
    assert_eq!(admission.place(&acme(), None).await.unwrap_err(), Draining);

    drop(call);
    settle().await;
    assert!(!drained.is_finished(), "a run is still going on");
    drop(run);
    assert!(drained.await.unwrap());
    assert_eq!(admission.counts(), Counts::default());
}

#[tokio::test(start_paused = true)]
async fn draining_gives_up_when_the_grace_is_over() {
    assert!(admission(1, 0).drain(Duration::ZERO).await, "nothing runs");

    let admission = admission(1, 0);
    let _stuck = admission.admit(routed("acme", None)).await.unwrap();
    let start = Instant::now();
    assert!(!admission.drain(WAIT).await);
    assert_eq!(start.elapsed().as_millis(), WAIT.as_millis());
}

/// Counts who is inside, and the most that ever were.
#[derive(Default)]
struct Inside(AtomicUsize, AtomicUsize);

struct Entered(Arc<Inside>);

impl Entered {
    fn new(inside: Arc<Inside>) -> Self {
        inside.1.fetch_max(inside.0.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Self(inside)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_calls_are_cut_short_the_limit_holds_and_every_place_comes_back() {
    const LIMIT: usize = 3;
    let admission = admission(LIMIT, 10_000);
    let inside = Arc::<Inside>::default();
    let ready = routed("acme", None);
    let tasks = TaskTracker::new();
    for number in 0..2_000_u32 {
        let (admission, inside, ready) = (admission.clone(), Arc::clone(&inside), ready.clone());
        tasks.spawn(async move {
            let call = async {
                let Ok(_admitted) = admission.admit(ready).await else { return };
                let _entered = Entered::new(inside);
                yield_now().await;
            };
            let patience = async {
                for _ in 0..number % 7 {
                    yield_now().await;
                }
            };
            if number % 2 == 0 {
                call.await;
            } else {
                tokio::select! { biased; () = call => {}, () = patience => {} }
            }
        });
    }
    tasks.close();
    tasks.wait().await;
    let most = inside.1.load(Ordering::SeqCst);
    assert!((1..=LIMIT).contains(&most), "{most} at once");
    assert_eq!(admission.counts(), Counts::default());
}
