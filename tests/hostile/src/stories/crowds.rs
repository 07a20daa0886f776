//! A tenant that asks for more at once than it may have.

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use tests_harness::{Answer, Connection, HostBuilder};
use tests_upstreams::{Credentials, Upstreams};

use crate::scene::Scene;

/// Mallory may have one call at a time, and each of hers takes this long.
const SLOW_MS: u64 = 1_500;

#[tokio::test]
async fn a_crowd_gets_429_with_a_time_to_come_again_and_others_notice_nothing() {
    let upstreams = Upstreams::start(Credentials::default()).await.unwrap();
    let impatient = HostBuilder::default().config("[admission]\nwait-ms = 100").open(upstreams.lab);
    let scene = Scene::empty(impatient).await;
    let one = json!({ "name": "mallory", "concurrency": 1 }).to_string();
    scene.host.operate(Method::PUT, "/tenants/mallory", one).await.expect(200);
    scene.publish("fetch").await;
    let lab = format!("http://{}", upstreams.lab);
    scene.mallory().apply(&Connection::probe("fetch").config("base-url", &lab).grant_http(&lab).yaml()).await;

    let wish = json!({ "url": format!("{lab}/slow?ms={SLOW_MS}") });
    let call = async || -> Answer { scene.mallory().call("fetch", "go", wish.clone()).await };
    let hook = || scene.host.ask(scene.mallory().hook("fetch/hook").json(&wish));
    let (calls, hooks) = (join_all((0..4).map(|_| call())), join_all((0..4).map(|_| hook())));
    let (calls, hooks) = scene.beside(async { tokio::join!(calls, hooks) }).await;
    let answers: Vec<_> = calls.into_iter().chain(hooks).collect();
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(served, 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!((answer.status, answer.code().as_str()), (429, "busy"), "{answer:?}");
        let after: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&after), "{answer:?}");
    }
    assert_eq!(upstreams.lab_received().len(), 1);

    // The place is free again.
    let quick = json!({ "url": format!("{lab}/count") });
    scene.mallory().call("fetch", "go", quick).await.expect(200);
}
