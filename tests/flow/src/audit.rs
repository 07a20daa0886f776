//! Who did what: written with the change, there after a kill, and whole or
//! told to be broken.

use host_store::{Commit, SledStore, Store};
use reqwest::Method;
use serde_json::json;
use tests_harness::{Connection, Host, probe};

use crate::cli::User;

#[tokio::test]
async fn what_was_done_is_in_the_log_after_a_kill_and_who_tampers_with_it_is_told_of() {
    let mut host = Host::start().await;
    host.publish(probe("kv")).await.expect(201);
    let acme = host.tenant("acme").await;
    let token = acme.token.clone();
    let user = User::of(&host, host.operator());
    acme.apply(&Connection::probe("kv").grant_kv().yaml()).await;
    acme.secret("crm-key", "hush-hush").await;
    acme.call("kv", "go", json!([["set", "k", "v"]])).await.expect(200);
    user.types(&["--tenant", "acme", "token", "create", "--role", "viewer", "--note", "ada"]).await.exit(0);
    let refused = host.request(Method::GET, "/api/v1/keys").bearer_auth(&token);
    host.ask(refused).await.expect(403);
    let heads = user.types(&["audit", "head"]).await.exit(0).out;
    user.writes("heads", &heads);
    host.kill();
    host.restart();

    let user = User::of(&host, host.operator());
    let listed = user.types(&["--json", "--tenant", "acme", "audit", "list"]).await.exit(0);
    let told: Vec<_> = listed
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            format!("{} {}", entry["operation"].as_str().unwrap(), entry["outcome"].as_str().unwrap())
        })
        .collect();
    for operation in ["put_tenant", "apply", "put_secret", "call_endpoint", "create_token"] {
        assert!(told.contains(&format!("{operation} done")), "{operation}: {told:?}");
    }
    assert!(told.contains(&"show_keys refused".to_owned()), "{told:?}");
    let table = user.types(&["audit", "list", "--kind", "secret"]).await.exit(0).out;
    assert!(
        table.contains("put_secret") && table.contains("secret crm-key") && table.contains("127.0.0.1"),
        "{table}"
    );
    let export = user.types(&["audit", "export"]).await.exit(0).out;
    assert!(!export.contains("hush-hush") && !export.contains("wharf_"), "{export}");
    user.types(&["audit", "verify", "--heads", "heads"]).await.exit(0);
    let admin = User::of(&host, &token);
    let own = admin.types(&["audit", "export"]).await.exit(0).out;
    assert!(own.lines().count() > 4 && own.lines().all(|line| line.contains("\"chain\":\"acme\"")), "{own}");

    host.kill();
    let doctor = ["doctor", "--data", "data"];
    let sound = user.types(&doctor).await.exit(0).out;
    assert!(sound.contains("audit log: ") && sound.contains(" in 2 chains"), "{sound}");

    // Somebody who can write the store says that the operator did not make the token.
    let data = host.folder().join("data/store");
    let key = |seq: u64| [&b"!\0audit\0acme\0"[..], &seq.to_be_bytes()].concat();
    let mut seq = 1;
    {
        let store = SledStore::open(&data).unwrap();
        let mut line = String::new();
        while !line.contains("\"operation\":\"put_secret\"") {
            seq += 1;
            line = String::from_utf8(store.get(&key(seq)).await.unwrap().unwrap().value.to_vec()).unwrap();
        }
        let forged = line.replace("put_secret", "delete_secret");
        store.commit(Commit::default().put(key(seq), forged)).await.unwrap();
    }
    let broken = user.types(&doctor).await;
    let place = format!("the audit log of tenant `acme` is broken at entry {seq}:");
    assert!(broken.err.contains(&place), "{broken:?}");
    broken.exit(1);
    host.restart();
    let user = User::of(&host, host.operator());
    let told = user.types(&["audit", "verify", "--heads", "heads"]).await.exit(1);
    assert!(told.out.contains(&format!("acme: broken at entry {seq}:")), "{told:?}");
}

/// A chain that was made anew is whole; the head that was kept tells.
#[tokio::test]
async fn a_tail_that_is_cut_off_with_its_head_shows_against_the_head_that_was_kept() {
    let mut host = Host::start().await;
    host.tenant("acme").await;
    let before = {
        host.kill();
        let store = SledStore::open(&host.folder().join("data/store")).unwrap();
        let head = store.get(b"!\0audit-head\0acme\0").await.unwrap().unwrap().value;
        drop(store);
        host.restart();
        head
    };
    let user = User::of(&host, host.operator());
    user.types(&["--tenant", "acme", "token", "create", "--role", "viewer"]).await.exit(0);
    user.writes("heads", &user.types(&["audit", "head"]).await.exit(0).out);
    host.kill();
    {
        let store = SledStore::open(&host.folder().join("data/store")).unwrap();
        let page = store.scan(b"!\0audit\0acme\0", None, 100).await.unwrap();
        let last = page.last().unwrap().key.clone();
        store
            .commit(Commit::default().delete(last).put(&b"!\0audit-head\0acme\0"[..], before))
            .await
            .unwrap();
    }
    host.restart();
    let user = User::of(&host, host.operator());
    user.types(&["audit", "verify"]).await.exit(0);
    let told = user.types(&["audit", "verify", "--heads", "heads"]).await.exit(1);
    assert!(told.err.contains("acme: entry") && told.err.contains("is gone"), "{told:?}");
}
