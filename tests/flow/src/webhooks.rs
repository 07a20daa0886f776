//! Verified webhooks on the real host: who gets in, once, and who does not.

use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tests_harness::{Connection, Host, HostBuilder, Tenant, example, probe};

use crate::cli::User;

const GITHUB: &str = "{ github: { secrets: [hook-key] } }";
const WORKFLOW: &str = "kind: workflow\nname: each\npackage: probe/workflow-random@0.1.0\n\
                        roles: { target: emit-n, other: emit-n }\n\
                        triggers:\n  - webhook: { connection: emit-n, message: probe }\n";

fn hex_mac(secret: &str, text: &str) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// A delivery as GitHub makes it.
fn delivery(hook: RequestBuilder, secret: &str, id: &str, body: &str) -> RequestBuilder {
    hook.header("x-hub-signature-256", format!("sha256={}", hex_mac(secret, body)))
        .header("x-github-delivery", id)
        .body(body.to_owned())
}

/// A tenant whose connections, one of each probe, take what GitHub signs with `hush`.
async fn tenant<'h>(host: &'h Host, name: &str, probes: &[&str]) -> Tenant<'h> {
    let tenant = host.tenant(name).await;
    tenant.secret("hook-key", "hush").await;
    for name in probes {
        host.publish(probe(name)).await; // by the first tenant; again it is there
        tenant.apply(&Connection::probe(name).verify(GITHUB).yaml()).await;
    }
    tenant
}

async fn runs(tenant: &Tenant<'_>) -> usize {
    let listed = tenant.api(Method::GET, "/runs", "").await.expect(200).json();
    listed.as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn what_is_signed_runs_and_what_is_forged_reaches_no_guest() {
    let host = Host::start().await;
    host.publish(probe("workflow-random")).await.expect(201);
    let acme = tenant(&host, "acme", &["emit-n", "trap"]).await;
    acme.apply(WORKFLOW).await;
    let hook = || acme.hook("emit-n/hook");

    let run = host.ask(delivery(hook(), "hush", "1", "1")).await.expect(202).json();
    assert_eq!(acme.ended(run["run"].as_str().unwrap()).await["run"]["status"], "succeeded");

    let unsigned = || hook().body("1");
    for (what, forged) in [
        ("nothing", unsigned()),
        ("another secret", delivery(hook(), "guess", "2", "1")),
        ("another body", delivery(hook(), "hush", "2", "2").body("1")),
        ("a signature twice", delivery(hook(), "hush", "2", "1").header("x-hub-signature-256", "sha256=00")),
        ("a token", unsigned().bearer_auth(&acme.token)),
        ("a key of idempotency", unsigned().header("idempotency-key", "1")),
    ] {
        let refused = host.ask(forged).await;
        assert_eq!((refused.status, refused.code().as_str()), (401, "unverified"), "{what}: {refused:?}");
        assert_eq!(refused.headers["www-authenticate"], "Signature", "{what}");
        let told = refused.json()["detail"].as_str().unwrap().to_owned();
        let reference = host.ask(unsigned()).await.json()["detail"].as_str().unwrap().to_owned();
        assert_eq!(told, reference, "{what}: every forgery is told the same");
    }
    assert_eq!(runs(&acme).await, 1);

    // A guest that traps shows that it ran.
    host.ask(delivery(acme.hook("trap/hook"), "hush", "1", "x")).await.expect(502);
    host.ask(delivery(acme.hook("trap/hook"), "guess", "1", "x")).await.expect(401);
    let large = "x".repeat((1 << 20) + 1);
    host.ask(delivery(acme.hook("trap/hook"), "hush", "1", &large)).await.expect(413);

    let log = host.log();
    assert!(log.contains("refused a request to a hook"), "{log}");
    assert!(!log.contains("hush") && !log.contains(&hex_mac("hush", "1")), "{log}");
}

#[tokio::test]
async fn an_event_that_comes_again_starts_no_second_run_also_after_a_crash() {
    let mut host = Host::start().await;
    host.publish(probe("workflow-random")).await.expect(201);
    let acme = tenant(&host, "acme", &["emit-n"]).await;
    acme.apply(WORKFLOW).await;
    let token = acme.token.clone();
    let event = |acme: &Tenant<'_>, id: &str| delivery(acme.hook("emit-n/hook"), "hush", id, "1");

    let first = host.ask(event(&acme, "1")).await.expect(202).json();
    let keyed = event(&acme, "1").header("idempotency-key", "fresh");
    let same_body = |again: Value| assert_eq!(again["runs"], first["runs"]);
    same_body(host.ask(event(&acme, "1")).await.expect(202).json());
    same_body(host.ask(keyed).await.expect(202).json());
    // A sender may say more of an event when it sends it again.
    let longer = delivery(acme.hook("emit-n/hook"), "hush", "1", "1 ");
    same_body(host.ask(longer).await.expect(202).json());
    drop(acme);

    host.restart(); // after `kill -9`
    let acme = host.tenant_with("acme", &token);
    same_body(host.ask(event(&acme, "1")).await.expect(202).json());
    assert_eq!(runs(&acme).await, 1);
    host.ask(event(&acme, "2")).await.expect(202);
    assert_eq!(runs(&acme).await, 2);

    // Of several that come at once, one starts it.
    let again = || host.ask(event(&acme, "3"));
    let all = tokio::join!(again(), again(), again(), again());
    let all = [all.0, all.1, all.2, all.3].map(|answer| answer.expect(202).json()["runs"].clone());
    assert!(all.iter().all(|runs| *runs == all[0]), "{all:?}");
    assert_eq!(runs(&acme).await, 3);
}

#[tokio::test]
async fn an_event_that_comes_again_gets_the_status_of_the_first_answer() {
    let host = Host::start().await;
    host.publish(probe("workflow-random")).await.expect(201);
    let acme = tenant(&host, "acme", &["emit-and-answer"]).await;
    acme.apply(&WORKFLOW.replace("emit-n", "emit-and-answer")).await;
    let event = || delivery(acme.hook("emit-and-answer/hook"), "hush", "1", "x");
    assert_eq!(host.ask(event()).await.expect(201).text, "emitted");
    assert_eq!(host.ask(event()).await.expect(201).text, "", "the guest did not run again");
    assert_eq!(runs(&acme).await, 1);
}

#[tokio::test]
async fn another_tenants_secret_of_the_same_name_opens_nothing_and_rotation_keeps_both() {
    let host = Host::start().await;
    let acme = tenant(&host, "acme", &["echo"]).await;
    let other = tenant(&host, "other", &["echo"]).await;
    other.secret("hook-key", "theirs").await;
    let hook = |tenant: &Tenant<'_>, secret: &str| delivery(tenant.hook("echo/hook"), secret, "1", "x");
    host.ask(hook(&acme, "hush")).await.expect(200);
    host.ask(hook(&other, "theirs")).await.expect(200);
    host.ask(hook(&acme, "theirs")).await.expect(401);
    host.ask(hook(&other, "hush")).await.expect(401);

    let both = Connection::probe("echo").verify("{ github: { secrets: [hook-key, hook-key-2] } }").yaml();
    acme.apply(&both).await;
    host.ask(hook(&acme, "hush")).await.expect(200);
    host.ask(hook(&acme, "next")).await.expect(401);
    acme.secret("hook-key-2", "next").await;
    host.ask(hook(&acme, "hush")).await.expect(200);
    host.ask(hook(&acme, "next")).await.expect(200);

    // Without any secret the sender is asked to come again, and the log says what is missing.
    acme.apply(&Connection::probe("echo").verify("{ github: { secrets: [unset] } }").yaml()).await;
    let refused = host.ask(hook(&acme, "hush")).await.expect(503);
    assert_eq!(
        (refused.code().as_str(), refused.headers.contains_key("retry-after")),
        ("unverifiable", true)
    );
    assert!(!refused.text.contains("unset"), "{refused:?}");
    acme.secret("unset", "now").await;
    host.ask(hook(&acme, "now")).await.expect(200);
}

#[tokio::test]
async fn an_expired_time_is_refused_whoever_signed_it() {
    let host = Host::start().await;
    host.publish(probe("echo")).await.expect(201);
    let acme = host.tenant("acme").await;
    acme.secret("hook-key", "hush").await;
    acme.apply(&Connection::probe("echo").verify("{ stripe: { secrets: [hook-key] } }").yaml()).await;
    #[expect(
        clippy::disallowed_methods,
        reason = "the host, a process of its own, compares it with its clock"
    )]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for (time, status) in [(now, 200), (now - 3_600, 401), (now + 3_600, 401)] {
        let signature = format!("t={time},v1={}", hex_mac("hush", &format!("{time}.body")));
        let hook = acme.hook("echo/hook").header("stripe-signature", signature).body("body");
        host.ask(hook).await.expect(status);
    }
}

#[tokio::test]
async fn hooks_are_closed_without_a_word_and_open_hooks_are_warned_of_everywhere() {
    let mut host = Host::start().await;
    host.publish(probe("echo")).await.expect(201);
    let acme = host.tenant("acme").await;
    let user = User::of(&host, &acme.token);
    let silent = Connection::new("echo", "probe/echo@0.1.0").yaml();
    user.writes("silent.yaml", &silent);
    let applied = user.types(&["apply", "-f", "silent.yaml"]).await.exit(0);
    assert!(applied.out.contains("warning: connection `echo`: its hooks are closed"), "{applied:?}");
    let refused = host.ask(acme.hook("echo/hook").body("x")).await.expect(403);
    assert_eq!(refused.code(), "hooks-closed");
    assert!(refused.text.contains("verify: none"), "{refused:?}");
    acme.call("echo", "go", json!(1)).await.expect(200); // the way out needs none

    user.writes("open.yaml", &format!("{silent}verify: none\n"));
    let warning = "connection `echo`: `verify: none` takes what anybody sends to its hooks";
    let checked = user.types(&["check", "open.yaml"]).await.exit(0);
    let applied = user.types(&["apply", "-f", "open.yaml"]).await.exit(0);
    let again = user.types(&["apply", "-f", "open.yaml"]).await.exit(0);
    assert!(
        [&checked, &applied, &again].iter().all(|told| told.out.contains(warning)),
        "{checked:?} {again:?}"
    );
    host.ask(acme.hook("echo/hook").body("x")).await.expect(200);
    let shown = user.types(&["get", "connection", "echo"]).await.exit(0);
    assert!(shown.err.contains(warning) && shown.out.contains("verify: none"), "{shown:?}");
    assert!(!shown.out.contains("warnings"), "what is shown can be applied: {shown:?}");
    let listed = user.types(&["get", "connection"]).await.exit(0);
    assert!(listed.out.contains(warning), "{listed:?}");
    let api = acme.api(Method::GET, "/connections/echo", "").await.expect(200).json();
    assert!(api["warnings"][0].as_str().unwrap().contains(warning), "{api}");
    acme.api(Method::PUT, "/connections/echo", api.to_string()).await.expect(200);

    drop(acme);
    host.kill();
    let doctor = user.types(&["doctor", "--data", "data"]).await.exit(0);
    assert!(doctor.out.contains(&format!("warning: tenant `acme`: {warning}")), "{doctor:?}");
}

#[tokio::test]
async fn a_refused_request_leaves_nothing_in_the_store() {
    let mut host = Host::start().await;
    let token = tenant(&host, "acme", &["emit-n"]).await.token.clone();
    let user = User::of(&host, "");
    let entries = async || {
        let told = user.types(&["doctor", "--data", "data"]).await.exit(0).out;
        told.lines().find(|line| line.starts_with("store: ")).unwrap().to_owned()
    };
    host.restart();
    host.kill();
    let before = entries().await;
    host.restart();
    let acme = host.tenant_with("acme", &token);
    for id in ["1", "2", "3"] {
        host.ask(delivery(acme.hook("emit-n/hook"), "guess", id, "1")).await.expect(401);
    }
    drop(acme);
    host.kill();
    assert_eq!(entries().await, before);
}

#[tokio::test]
async fn a_token_in_a_header_lets_in_and_no_guest_sees_it() {
    let host = Host::start().await;
    host.publish(probe("dump-everything")).await.expect(201);
    let acme = host.tenant("acme").await;
    acme.secret("key", "some-key").await;
    acme.secret("hook-key", "hush").await;
    let dump =
        Connection::probe("dump-everything").config("base-url", "http://a.example").config("account", "bot");
    let dump =
        ["api-key", "query-key", "password"].into_iter().fold(dump, |it, name| it.credential(name, "key"));
    let gitlab = "{ bearer: { secrets: [hook-key], header: x-gitlab-token } }";
    acme.apply(&dump.verify(gitlab).yaml()).await;
    let hook = |token: &str| {
        acme.hook("dump-everything/hook")
            .header("x-gitlab-token", token)
            .header("x-gitlab-event", "Push Hook")
    };
    let asked = host.ask(hook("hush")).await.expect(200).json()["asked"].as_str().unwrap().to_owned();
    assert!(asked.contains("x-gitlab-event") && !asked.contains("x-gitlab-token"), "{asked}");
    let refused = host.ask(hook("guess")).await.expect(401);
    assert_eq!(refused.headers["www-authenticate"], "Bearer");
}

#[tokio::test]
async fn a_proxy_component_is_behind_the_same_door() {
    let host = Host::start().await;
    host.publish(example("http-hello")).await.expect(201);
    let acme = host.tenant("acme").await;
    acme.secret("hook-key", "hush").await;
    acme.apply(&Connection::new("hello", "example/http-hello@0.1.0").verify(GITHUB).yaml()).await;
    let body = " as it came\r\n";
    let echoed = host.ask(delivery(acme.hook("hello/echo"), "hush", "1", body)).await.expect(200);
    assert_eq!(echoed.text, body);
    host.ask(delivery(acme.hook("hello/echo"), "guess", "1", body)).await.expect(401);
}

#[tokio::test]
async fn a_range_is_of_the_sender_behind_the_operators_proxy() {
    let verify = "{ ip-ranges: [192.30.252.0/22] }";
    for (config, forwarded, status) in [
        ("", "192.30.252.1", 401),
        ("[server]\ntrusted-proxies = [\"127.0.0.1\"]", "192.30.252.1", 200),
        ("[server]\ntrusted-proxies = [\"127.0.0.1\"]", "192.30.252.1, 203.0.113.9", 401),
    ] {
        let host = HostBuilder::default().config(config).start().await;
        host.publish(probe("echo")).await.expect(201);
        let acme = host.tenant("acme").await;
        acme.apply(&Connection::probe("echo").verify(verify).yaml()).await;
        host.ask(acme.hook("echo/hook").header("x-forwarded-for", forwarded).body("x")).await.expect(status);
    }
}
