//! The contract notices an engine that does not keep it. Alone in its file,
//! because it silences panics while it provokes hundreds.

use std::panic::{AssertUnwindSafe, set_hook, take_hook};
use std::sync::Arc;

use futures::FutureExt;
use host_store::contract::keeps_the_store_contract;
use host_store::faults::{Fault, FaultyStore};
use host_store::{MemoryStore, Store};

/// The contract makes this many commits in a fixed order; then callers race.
const IN_ORDER: u64 = 90;
/// One of those only requires: it has nothing to lose.
const EMPTY: usize = 1;
/// So many of those must be refused or are empty: they have nothing to tear.
const REFUSED: usize = 10;

fn faithful() -> FaultyStore<MemoryStore> {
    FaultyStore::new(Arc::new(MemoryStore::new()))
}

/// The commits among `numbers` at which the contract did not notice the fault.
async fn unnoticed(fault: Fault, numbers: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut unnoticed = Vec::new();
    for n in numbers {
        let contract = keeps_the_store_contract(Arc::new(faithful().with(n, fault)));
        if AssertUnwindSafe(contract).catch_unwind().await.is_ok() {
            unnoticed.push(n);
        }
    }
    unnoticed
}

#[tokio::test]
async fn the_contract_notices_whichever_commit_is_lost_or_torn() {
    let store = Arc::new(faithful());
    keeps_the_store_contract(Arc::clone(&store) as Arc<dyn Store>).await;
    let all = store.commits();
    assert!(all > IN_ORDER + 300, "{all}");

    let loud = take_hook();
    set_hook(Box::new(|_| {}));
    let lost = unnoticed(Fault::Lose, (1..IN_ORDER).chain((IN_ORDER..all - 100).step_by(97))).await;
    let torn = unnoticed(Fault::Tear, 1..IN_ORDER).await;
    set_hook(loud);

    assert_eq!(lost.len(), EMPTY, "lost and not missed: {lost:?}");
    assert_eq!(torn.len(), REFUSED, "torn and not noticed: {torn:?}");
}
