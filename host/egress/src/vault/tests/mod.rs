//! What the vault keeps and for whom.

mod rotation;

use host_store::MemoryStore;

use super::*;
use crate::master::MasterKey;

fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

fn secret(name: &str) -> SecretName {
    name.parse().unwrap()
}

fn key_of(of: &str, name: &str) -> Key {
    key::tenant(&tenant(of)).kind(SECRET).name(name)
}

fn vault() -> (Arc<MemoryStore>, Vault) {
    let store = Arc::new(MemoryStore::default());
    (store.clone(), Vault::new(store, MasterKey::generate().unwrap()))
}

async fn set(vault: &Vault, of: &str, name: &str, value: &str) {
    vault.set(&tenant(of), &secret(name), value.into()).await.unwrap();
}

async fn reveal(vault: &Vault, of: &str, name: &str) -> Option<String> {
    let revealed = vault.reveal_for_injection(&tenant(of), &secret(name)).await.unwrap();
    revealed.map(|value| value.expose_secret().to_owned())
}

#[tokio::test]
async fn a_secret_is_its_tenants_until_it_is_replaced_or_deleted() {
    let (_, vault) = vault();
    set(&vault, "acme", "key", "one").await;
    set(&vault, "other", "key", "theirs").await;
    assert_eq!(reveal(&vault, "acme", "key").await.as_deref(), Some("one"));
    assert_eq!(reveal(&vault, "acme", "other").await, None);
    set(&vault, "acme", "key", "two").await;
    assert_eq!(reveal(&vault, "acme", "key").await.as_deref(), Some("two"));
    assert!(vault.delete(&tenant("acme"), &secret("key")).await.unwrap());
    assert!(!vault.delete(&tenant("acme"), &secret("key")).await.unwrap());
    assert_eq!(reveal(&vault, "acme", "key").await, None);
    assert_eq!(reveal(&vault, "other", "key").await.as_deref(), Some("theirs"));
}

#[tokio::test]
async fn names_come_in_order_over_any_number_of_pages_for_one_tenant() {
    let (_, vault) = vault();
    set(&vault, "acme-2", "theirs", "x").await;
    let names: Vec<_> = (0..PAGE * 2 + 1).map(|at| format!("key-{at:04}")).collect();
    for name in names.iter().rev() {
        set(&vault, "acme", name, "x").await;
    }
    let listed = vault.names(&tenant("acme")).await.unwrap();
    assert_eq!(listed.iter().map(SecretName::as_str).collect::<Vec<_>>(), names);
    assert!(vault.names(&tenant("nobody")).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_store_holds_no_value() {
    let (store, vault) = vault();
    set(&vault, "acme", "key", "hunter22").await;
    let all = store.scan(b"", None, 100).await.unwrap();
    assert_eq!(all.len(), 2, "the secret and the data key");
    assert!(!all.iter().any(|entry| entry.value.windows(8).any(|part| part == b"hunter22")));
    assert_eq!(format!("{vault:?}"), "Vault(***)");
}

#[tokio::test]
async fn a_value_moved_to_another_name_or_tenant_does_not_open() {
    let (store, vault) = vault();
    set(&vault, "acme", "key", "one").await;
    set(&vault, "other", "key", "theirs").await;
    let moved = store.get(&key_of("other", "key")).await.unwrap().unwrap().value;
    let own = store.get(&key_of("acme", "key")).await.unwrap().unwrap().value;
    let puts = [("key", moved), ("copy", own)];
    for (name, value) in puts {
        let commit = Commit::default().put(key_of("acme", name), value);
        store.commit(commit).await.unwrap();
        let error = vault.reveal_for_injection(&tenant("acme"), &secret(name)).await.unwrap_err();
        assert!(matches!(error, VaultError::NotOpened { .. }), "{error}");
    }
    // The other tenant's data key does not help either: it is bound to its tenant.
    let wrapped = store.get(&data_key_key(&tenant("other"))).await.unwrap().unwrap().value;
    store.commit(Commit::default().put(data_key_key(&tenant("acme")), wrapped)).await.unwrap();
    let error = vault.reveal_for_injection(&tenant("acme"), &secret("key")).await.unwrap_err();
    assert!(matches!(error, VaultError::KeyNotOpened { .. }), "{error}");
}

#[tokio::test]
async fn another_master_key_opens_nothing_and_says_what_to_do() {
    let (store, vault) = vault();
    set(&vault, "acme", "key", "one").await;
    let other = Vault::new(store, MasterKey::generate().unwrap());
    let error = other.reveal_for_injection(&tenant("acme"), &secret("key")).await.unwrap_err();
    assert!(error.to_string().contains("restore the master key"), "{error}");
    let error = other.set(&tenant("acme"), &secret("key"), "two".into()).await.unwrap_err();
    assert!(matches!(error, VaultError::KeyNotOpened { .. }), "nothing is overwritten: {error}");
}

#[tokio::test]
async fn empty_and_oversized_values_are_refused() {
    let (_, vault) = vault();
    let check = async |value: String| vault.set(&tenant("acme"), &secret("key"), value.into()).await;
    assert!(matches!(check(String::new()).await, Err(VaultError::Empty(_))));
    assert!(check("x".repeat(MAX_SECRET)).await.is_ok());
    let error = check("x".repeat(MAX_SECRET + 1)).await.unwrap_err();
    assert!(matches!(error, VaultError::TooLarge { size, .. } if size == MAX_SECRET + 1));
    assert!(!error.to_string().contains("xxx"));
}

#[tokio::test]
async fn a_lost_race_for_the_data_key_uses_the_winners() {
    let (store, vault) = vault();
    let ours = vault.current_data_key(&tenant("acme")).await.unwrap();
    let master = vault.master().current.clone();
    let theirs = Vault::new(store, master).current_data_key(&tenant("acme")).await.unwrap();
    assert_eq!((ours.key.id(), ours.version), (theirs.key.id(), theirs.version));
}
