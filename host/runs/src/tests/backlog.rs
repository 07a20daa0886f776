//! More runs than fit in memory, and stopping with some of them undone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use host_model::effects::Effects;
use host_model::name::TenantId;
use host_model::run::RunStatus;
use host_store::{Blobs, SledStore};
use tokio::sync::{Notify, Semaphore};

use super::world::*;
use crate::{Filter, Runs, Settings};

#[derive(Default)]
struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

fn few(max_in_memory: usize) -> Settings {
    Settings { max_in_memory, ..Settings::default() }
}

#[tokio::test(start_paused = true)]
async fn two_thousand_runs_finish_with_ten_in_memory() {
    let gauge = Arc::new(Gauge::default());
    let fake = {
        let gauge = Arc::clone(&gauge);
        Arc::new(Fake::flow(move |_, effects: Arc<dyn Effects>| {
            let gauge = Arc::clone(&gauge);
            async move {
                gauge.most.fetch_max(gauge.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let answer = call(&effects, "chat", "post", "1").await;
                gauge.now.fetch_sub(1, Ordering::SeqCst);
                answer
            }
        }))
    };
    let world = World::new();
    let runs = world.process_on(Arc::clone(&world.inner) as _, &fake, few(10));
    let tenants: Vec<TenantId> = ["acme", "rival", "third", "last"].map(|name| name.parse().unwrap()).into();
    let mut accepted = Vec::new();
    for batch in 0..20 {
        let tenant = &tenants[batch % tenants.len()];
        let batch = vec![new_run_of(tenant, "lead-intake", "1"); 100];
        let ids = runs.accept(batch, None).await.unwrap().runs;
        accepted.extend(ids.into_iter().map(|id| (tenant.clone(), id)));
    }
    assert_eq!(accepted.len(), 2_000);
    for (tenant, id) in accepted {
        let (run, _) = runs.ended(&tenant, id).await;
        assert_eq!((run.status, run.attempts), (RunStatus::Succeeded, 1));
    }
    assert_eq!(fake.calls.lock().len(), 2_000, "each once");
    assert!(gauge.most.load(Ordering::SeqCst) <= 10);
    assert!(gauge.most.load(Ordering::SeqCst) > 3, "and not one at a time");
}

#[tokio::test(start_paused = true)]
async fn a_tenant_with_a_backlog_does_not_keep_another_waiting() {
    let gate = Arc::new(Semaphore::new(0));
    let fake = {
        let gate = Arc::clone(&gate);
        Arc::new(Fake::flow(move |run, _| {
            let gate = Arc::clone(&gate);
            async move {
                if run.tenant == acme() {
                    gate.acquire().await.unwrap().forget();
                }
                Ok(Ok("1".to_owned()))
            }
        }))
    };
    let world = World::new();
    let runs = world.process_on(Arc::clone(&world.inner) as _, &fake, few(10));
    let hogs = runs.accept(vec![new_run(); 100], None).await.unwrap().runs;
    let rival: TenantId = "rival".parse().unwrap();
    let theirs = runs.accept(vec![new_run_of(&rival, "w", "1"); 20], None).await.unwrap().runs;
    for id in theirs {
        runs.ended(&rival, id).await;
    }
    assert!(runs.get(&acme(), hogs[0]).await.unwrap().unwrap().outcome.is_none());
    gate.add_permits(100);
    for id in hogs {
        runs.ended(&acme(), id).await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_kill_every_accepted_run_of_every_tenant_finishes() {
    let hang = Arc::new(Fake::flow(|_, _| std::future::pending()));
    let world = World::new();
    let before = world.process_on(Arc::clone(&world.inner) as _, &hang, few(4));
    let mut accepted = Vec::new();
    for name in ["acme", "acme-2", "rival"] {
        let tenant: TenantId = name.parse().unwrap();
        let ids = before.accept(vec![new_run_of(&tenant, "w", "1"); 50], None).await.unwrap().runs;
        accepted.extend(ids.into_iter().map(|id| (tenant.clone(), id)));
    }
    before.kill().await;

    let fake = Arc::new(Fake::flow(|_, _| async { Ok(Ok("1".to_owned())) }));
    let runs = world.process_on(Arc::clone(&world.inner) as _, &fake, few(4));
    runs.recover().await.unwrap();
    for (tenant, id) in accepted {
        assert_eq!(runs.ended(&tenant, id).await.0.status, RunStatus::Succeeded);
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_runs_end_and_cuts_them_after_the_grace() {
    let began = Arc::new(Notify::new());
    let fake = {
        let began = Arc::clone(&began);
        Arc::new(Fake::flow(move |run, effects: Arc<dyn Effects>| {
            began.notify_one();
            async move { call(&effects, "chat", "post", run.input.data).await }
        }))
    };
    let slow = |seconds| {
        let fake =
            Fake::flow(|run, effects| async move { call(&effects, "chat", "post", run.input.data).await });
        Arc::new(fake.endpoint(move |_| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok(answered("1"))
        }))
    };
    let world = World::new();
    let runs = world.process(&slow(5));
    let ends = accept_one(&runs).await;
    tokio::task::yield_now().await;
    assert!(runs.drain(Duration::from_secs(10)).await);

    let runs = world.process(&slow(50));
    let cut = accept_one(&runs).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!runs.drain(Duration::from_secs(10)).await);
    assert_eq!(runs.get(&acme(), ends).await.unwrap().unwrap().status, RunStatus::Succeeded);
    assert_eq!(runs.get(&acme(), cut).await.unwrap().unwrap().status, RunStatus::Accepted);

    let runs = world.process(&fake);
    runs.recover().await.unwrap();
    soon(began.notified()).await;
    assert_eq!(runs.ended(&acme(), cut).await.0.status, RunStatus::Succeeded);
    let page = runs.list(&acme(), &Filter::default(), None, 9).await.unwrap();
    assert_eq!(page.runs.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_two_threads_and_a_real_disk_nothing_is_lost_either() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Arc::new(Fake::flow(six_steps));
    let process = || {
        let store = Arc::new(SledStore::open(&dir.path().join("store")).unwrap());
        let blobs = Blobs::open(&dir.path().join("blobs")).unwrap();
        Runs::new(store, blobs.clone(), blobs, Arc::new(World::new().clock), Arc::clone(&fake) as _, few(20))
    };
    let runs = process();
    let accepting: Vec<_> = (0..40).map(|_| runs.accept(vec![new_run(); 2], None)).collect();
    let accepted = futures::future::try_join_all(accepting).await.unwrap();
    runs.kill().await;
    drop(runs);

    let runs = process();
    runs.recover().await.unwrap();
    for id in accepted.into_iter().flat_map(|accepted| accepted.runs) {
        let (run, steps) = runs.ended(&acme(), id).await;
        assert_eq!((run.status, steps.len()), (RunStatus::Succeeded, 6));
    }
    assert!(runs.drain(LONG).await);
}
