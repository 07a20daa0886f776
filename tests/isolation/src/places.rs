//! Places: a tenant that fills its own leaves the others theirs.

use serde_json::json;
use tests_harness::{Connection, HostBuilder, Wire, eventually};

use crate::{Twins, go};

#[tokio::test]
async fn a_tenant_that_is_full_is_refused_and_the_other_is_not() {
    let wire = Wire::start();
    let config = "[admission]\ncalls-per-tenant = 2\nwaiting-per-tenant = 0\nwait-ms = 60000";
    let host = HostBuilder::default().config(config).open(wire.address()).start().await;
    let out =
        Connection::new("out", "probe/fetch@0.1.0").config("base-url", wire.url()).grant_http(wire.url());
    let twins = Twins::set_up(&host, &["fetch"], &out.yaml()).await;
    let held = || go(&twins.one, "out", json!({ "url": format!("{}/hold", wire.url()) }));
    let meanwhile = async {
        eventually("both are held", async || (wire.seen().len() == 2).then_some(())).await;
        let wish = json!({ "url": wire.url() });
        for _ in 0..2 {
            let full = twins.one.call("out", "go", wish.clone()).await.expect(429);
            assert!(full.headers.contains_key("retry-after"), "{full:?}");
            assert_eq!(go(&twins.two, "out", wish.clone()).await["status"], 200);
        }
        wire.release();
    };
    let (first, second, ()) = tokio::join!(held(), held(), meanwhile);
    assert_eq!((&first["status"], &second["status"]), (&json!(200), &json!(200)), "what had a place kept it");
    assert_eq!(go(&twins.one, "out", json!({ "url": wire.url() })).await["status"], 200, "and gave it back");
}

#[tokio::test]
async fn a_tenant_whose_guests_spin_does_not_keep_another_from_its_answer() {
    let host = HostBuilder::default().start().await;
    let yaml =
        format!("{}---\n{}", Connection::probe("loop-forever").yaml(), Connection::probe("echo").yaml());
    let twins = Twins::set_up(&host, &["loop-forever", "echo"], &yaml).await;
    let spin = async || {
        for _ in 0..5 {
            let ended = twins.one.call("loop-forever", "go", json!(1)).await.expect(502);
            assert_eq!(ended.code(), "bound-passed", "{ended:?}");
        }
    };
    let work = async {
        for n in 0..20 {
            assert_eq!(go(&twins.two, "echo", json!(n)).await, json!(n));
        }
    };
    tokio::join!(spin(), spin(), spin(), spin(), work);
}
