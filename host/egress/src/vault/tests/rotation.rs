//! Rotation while others read, and whatever is left of it when it is cut off.

use std::sync::atomic::{AtomicBool, Ordering};

use host_store::faults::{Fault, FaultyStore};

use super::*;

const VALUES: usize = 5;

/// Two tenants with values, under `master`.
async fn filled(master: &MasterKey) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::default());
    let vault = Vault::new(store.clone(), master.clone());
    for of in ["acme", "acme-2"] {
        for at in 0..VALUES {
            set(&vault, of, &format!("key-{at}"), &format!("value-{at}-of-{of}")).await;
        }
    }
    store
}

async fn all_readable(vault: &Vault) {
    for of in ["acme", "acme-2"] {
        for at in 0..VALUES {
            let value = reveal(vault, of, &format!("key-{at}")).await;
            assert_eq!(value, Some(format!("value-{at}-of-{of}")));
        }
    }
}

fn keys(current: &MasterKey, older: &[&MasterKey]) -> MasterKeys {
    MasterKeys { current: current.clone(), older: older.iter().map(|key| (*key).clone()).collect() }
}

#[tokio::test]
async fn a_master_key_rotates_and_the_old_one_is_needed_no_more() {
    let (old, new) = (MasterKey::generate().unwrap(), MasterKey::generate().unwrap());
    let store = filled(&old).await;
    let vault = Vault::new(store.clone(), old.clone());
    vault.adopt(keys(&new, &[&old])).unwrap();
    all_readable(&vault).await;
    let report = vault.key_report().await.unwrap();
    assert_eq!((report.data_keys, report.under_older[&old.id().to_string()]), (0, 2));

    assert_eq!(vault.rewrap().await.unwrap(), 2);
    assert_eq!(vault.rewrap().await.unwrap(), 0, "there is nothing left to do");
    let alone = Vault::new(store.clone(), new.clone());
    all_readable(&alone).await;
    let report = alone.key_report().await.unwrap();
    assert_eq!((report.data_keys, report.values, report.under_older.len()), (2, 2 * VALUES, 0));
    assert_eq!(report.current, new.id().to_string());

    let report = Vault::new(store, old).key_report().await.unwrap();
    assert_eq!(report.unreadable[&new.id().to_string()], 2, "the old key alone opens nothing");
    assert_eq!(report.values_unreadable, 2 * VALUES);
}

#[tokio::test]
async fn a_key_that_is_in_use_is_not_given_up() {
    let (old, new) = (MasterKey::generate().unwrap(), MasterKey::generate().unwrap());
    let vault = Vault::new(filled(&old).await, old.clone());
    let error = vault.adopt(new.into()).unwrap_err().to_string();
    assert!(error.contains(&old.id().to_string()) && error.contains("`older`"), "{error}");
    all_readable(&vault).await;
}

#[tokio::test]
async fn a_data_key_rotates_for_its_tenant_alone() {
    let master = MasterKey::generate().unwrap();
    let store = filled(&master).await;
    let vault = Vault::new(store.clone(), master);
    let before = store.get(&key_of("acme-2", "key-0")).await.unwrap().unwrap();
    let earlier = vault.current_data_key(&tenant("acme")).await.unwrap().key.id();
    assert_eq!(vault.rotate_data(&tenant("acme")).await.unwrap(), VALUES);
    assert_ne!(vault.current_data_key(&tenant("acme")).await.unwrap().key.id(), earlier);
    assert!(vault.data_key(&tenant("acme"), earlier).await.unwrap().is_none(), "it is forgotten");
    assert_eq!(store.get(&key_of("acme-2", "key-0")).await.unwrap().unwrap(), before);
    all_readable(&vault).await;
    assert_eq!(vault.rotate_data(&tenant("nobody")).await.unwrap(), 0);
    assert!(store.get(&data_key_key(&tenant("nobody"))).await.unwrap().is_none());
}

#[tokio::test]
async fn a_rotation_that_dies_after_any_commit_is_finished_by_the_next() {
    for unsure in [false, true] {
        for last in 0.. {
            let (old, new) = (MasterKey::generate().unwrap(), MasterKey::generate().unwrap());
            let store = filled(&old).await;
            let faulty = FaultyStore::new(store.clone()).die_after(last);
            let faulty = Arc::new(if unsure { faulty.with(last, Fault::Unsure) } else { faulty });
            let dying = Vault::new(faulty.clone(), keys(&new, &[&old]));
            let data = dying.rotate_data(&tenant("acme")).await;
            let master = dying.rewrap().await;
            let done = data.is_ok() && master.is_ok();

            let vault = Vault::new(store.clone(), keys(&new, &[&old]));
            all_readable(&vault).await;
            set(&vault, "acme", "key-0", "changed meanwhile").await;
            set(&vault, "acme", "key-0", "value-0-of-acme").await;
            // The next asks for the same again.
            vault.rotate_data(&tenant("acme")).await.unwrap();
            vault.rewrap().await.unwrap();
            let report = vault.key_report().await.unwrap();
            assert_eq!((report.values, report.values_under_older, report.values_unreadable), (10, 0, 0));
            assert!(report.under_older.is_empty() && report.unreadable.is_empty(), "{report:?}");
            let older = store.scan(&older_data_keys(&tenant("acme")).prefix(), None, 1).await.unwrap();
            assert!(older.is_empty(), "no key is left behind");
            all_readable(&Vault::new(store, new)).await;
            if done {
                assert!(last >= 8, "a commit for each value and each step: {last}");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_are_read_and_written_all_the_while() {
    let (old, new) = (MasterKey::generate().unwrap(), MasterKey::generate().unwrap());
    let vault = Arc::new(Vault::new(filled(&old).await, old.clone()));
    let over = Arc::new(AtomicBool::new(false));
    let readers = tokio_util::task::TaskTracker::new();
    let mut reading = Vec::new();
    for _ in 0..2 {
        let (vault, over) = (Arc::clone(&vault), Arc::clone(&over));
        reading.push(readers.spawn(async move {
            while !over.load(Ordering::SeqCst) {
                all_readable(&vault).await;
                set(&vault, "acme", "key-1", "value-1-of-acme").await;
                tokio::task::yield_now().await;
            }
        }));
    }
    for round in 0..20 {
        let fresh = if round % 2 == 0 { &new } else { &old };
        vault.adopt(keys(fresh, &[&old, &new])).unwrap();
        vault.rewrap().await.unwrap();
        vault.rotate_data(&tenant("acme")).await.unwrap();
    }
    over.store(true, Ordering::SeqCst);
    for reader in reading {
        reader.await.unwrap();
    }
    let report = vault.key_report().await.unwrap();
    assert_eq!((report.values, report.values_under_older, report.values_unreadable), (10, 0, 0));
}
