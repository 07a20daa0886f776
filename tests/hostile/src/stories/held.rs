//! Guests that hold on to what the host gives them: handles, futures, timers,
//! memory. All of it goes with the call.

use futures::future::join_all;
use serde_json::json;
use tests_harness::{Connection, HostBuilder, eventually};
use tests_upstreams::{Credentials, Upstreams};

use crate::scene::Scene;
use crate::table::KEEPS_KB;
use crate::watch::memory_kb;

#[tokio::test]
async fn thousands_of_handles_and_of_timers_end_at_the_handles() {
    let scene = Scene::with(&["proxy-handles", "proxy-pollables"]).await;
    for name in ["proxy-handles", "proxy-pollables"] {
        let refused = scene.beside(scene.host.ask(scene.mallory().hook(&format!("{name}/")))).await;
        assert_eq!((refused.status, refused.code().as_str()), (502, "exceeded-handles"), "{refused:?}");
    }
    assert!(scene.host.log().contains("its bound on handles: the limit is 1000"), "{}", scene.host.log());
}

#[tokio::test]
async fn thousands_of_futures_end_at_the_outbound_calls_and_leave_no_socket() {
    let upstreams = Upstreams::start(Credentials::default()).await.unwrap();
    let scene = Scene::empty(HostBuilder::default().open(upstreams.lab)).await;
    scene.publish("proxy-futures").await;
    let lab = format!("http://{}", upstreams.lab);
    let connection = Connection::probe("proxy-futures").config("base-url", &lab).grant_http(&lab);
    scene.mallory().apply(&connection.yaml()).await;
    let visit = scene.mallory().hook(&format!("proxy-futures/?{}", upstreams.lab));
    let refused = scene.beside(scene.host.ask(visit)).await;
    assert_eq!((refused.status, refused.code().as_str()), (502, "exceeded-outbound-calls"), "{refused:?}");
    assert!(upstreams.lab_received().len() <= 100, "{}", upstreams.lab_received().len());
    // None of them is waited for on behalf of a call that is over.
    let open = format!("{:08X}:{:04X}", 0x0100_007f, upstreams.lab.port());
    eventually("the call's sockets are closed", async || {
        let sockets = std::fs::read_to_string(format!("/proc/{}/net/tcp", scene.host.pid())).unwrap();
        let established = sockets.lines().filter(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            fields.get(2) == Some(&open.as_str()) && fields.get(3) == Some(&"01")
        });
        (established.count() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_memory_of_many_instances_at_once_is_given_back() {
    /// Instances at once, and what each may have.
    const MANY: usize = 30;
    const EACH: u64 = 16 << 20;
    let scene = Scene::with(&["eat-memory"]).await;
    let connection = Connection::probe("eat-memory").bound("memory-bytes", EACH);
    scene.mallory().apply(&connection.yaml()).await;
    let many = || join_all((0..MANY).map(|_| scene.mallory_calls("eat-memory", json!(null))));
    many().await; // every slot has been used once
    let base = memory_kb(scene.host.pid(), "VmRSS:").unwrap();
    for _ in 0..3 {
        for answer in scene.beside(many()).await {
            assert_eq!((answer.status, answer.code().as_str()), (502, "bound-passed"), "{answer:?}");
        }
    }
    eventually("the host is as large as before", async || {
        scene.bystander_is_served().await;
        (memory_kb(scene.host.pid(), "VmRSS:").unwrap() <= base + KEEPS_KB).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_attacker_among_a_hundred_tenants_gets_its_share_and_no_more() {
    /// Tenants besides the attacker.
    const TENANTS: usize = 100;
    /// The attacker's calls at once, each an endless loop.
    const ATTACKS: usize = 50;
    let scene = Scene::with(&["loop-forever"]).await;
    let mut tenants = Vec::new();
    for number in 0..TENANTS {
        let tenant = scene.host.tenant(&format!("tenant-{number}")).await;
        tenant.apply(&Connection::probe("echo").yaml()).await;
        tenants.push(tenant);
    }
    let attack = join_all((0..ATTACKS).map(|_| scene.mallory_calls("loop-forever", json!(null))));
    let others = async {
        let mut answers = Vec::new();
        for round in 0..3 {
            let calls = tenants.iter().map(|tenant| tenant.call("echo", "go", json!(round)));
            answers.extend(join_all(calls).await);
        }
        answers
    };
    let (attacks, answers) = scene.beside(async { tokio::join!(attack, others) }).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "each of the others is served");
    for answer in attacks {
        assert!(
            matches!((answer.status, answer.code().as_str()), (502, "bound-passed") | (429, _)),
            "{answer:?}"
        );
    }
}
