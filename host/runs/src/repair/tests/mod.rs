//! Stories of repair.

mod cancelling;
mod intervening;
mod leasing;
mod replaying;

use std::sync::Arc;
use std::time::Duration;

use host_model::id::RunId;
use host_model::run::{Run, RunStatus};
use tokio::sync::Notify;

use crate::Runs;
use crate::tests::world::*;

/// Lets what can happen happen; the clock of timers moves a little.
async fn breathe() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// The run once it stands there.
async fn stands(runs: &Arc<Runs>, id: RunId, status: RunStatus) -> Run {
    for _ in 0..10_000 {
        let run = runs.get(&acme(), id).await.unwrap().unwrap();
        if run.status == status {
            return run;
        }
        breathe().await;
    }
    panic!("it never was {}: {:?}", status.as_str(), runs.get(&acme(), id).await);
}

/// A workflow of three calls, and a bell that rings when the second has begun;
/// the second ends when it is let go.
fn held_in_the_middle() -> (Arc<Fake>, Arc<Notify>, Arc<Notify>) {
    let (began, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let fake = Fake::flow(|_, effects| async move {
        call(&effects, "crm", "create", "1").await?.unwrap();
        let answer = call(&effects, "mail", "send", "2").await?;
        if answer.is_err() {
            return Ok(answer);
        }
        call(&effects, "chat", "post", "3").await
    });
    let (ring, wait) = (Arc::clone(&began), Arc::clone(&go));
    let fake = fake.endpoint(move |call| {
        let (ring, wait) = (Arc::clone(&ring), Arc::clone(&wait));
        async move {
            if call.input == "2" {
                ring.notify_one();
                wait.notified().await;
            }
            Ok(answered(call.input))
        }
    });
    (Arc::new(fake), began, go)
}

fn inputs(fake: &Fake) -> Vec<String> {
    fake.calls.lock().iter().map(|call| call.input.clone()).collect()
}
