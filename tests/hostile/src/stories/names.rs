//! Names that are none: too long, not UTF-8, paths, with commands for a
//! terminal. And guests that would like to be a name in the operator's metrics.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;
use tests_harness::{Connection, example};

use crate::scene::Scene;
use crate::wire;

/// As they stand in a path; every one is refused wherever a name goes.
const NO_NAMES: &[&str] = &[
    "%ff%fe",
    "%c0%af",
    "%00",
    "a%00b",
    "%2e%2e",
    "..%2f..%2fetc%2fpasswd",
    "a%2fb",
    "a%0d%0aset-cookie:%20x",
    "%1b%5b31mred",
    "%20",
    "a%20b",
    "UPPER",
    "%c3%a4",
    "%ef%bd%81",
    "-a",
    "a;b",
    "a%3fb",
];

#[tokio::test]
async fn what_is_no_name_is_refused_wherever_a_name_goes() {
    let scene = Scene::with(&["echo"]).await;
    let (operator, mallory) = (scene.host.operator().to_owned(), scene.mallory().token);
    let long = "a".repeat(5_000);
    for name in NO_NAMES.iter().chain([&long.as_str()]) {
        for (method, path, token) in [
            ("PUT", format!("/api/v1/tenants/{name}"), &operator),
            ("GET", format!("/api/v1/tenants/{name}/connections"), &operator),
            ("PUT", format!("/api/v1/tenants/mallory/connections/{name}"), &mallory),
            ("PUT", format!("/api/v1/tenants/mallory/workflows/{name}"), &mallory),
            ("PUT", format!("/api/v1/tenants/mallory/schedules/{name}"), &mallory),
            ("PUT", format!("/api/v1/tenants/mallory/schemas/{name}"), &mallory),
            ("PUT", format!("/api/v1/tenants/mallory/secrets/{name}"), &mallory),
            ("POST", format!("/api/v1/tenants/mallory/connections/echo/call/{name}"), &mallory),
            ("POST", format!("/api/v1/tenants/mallory/topics/{name}"), &mallory),
            ("GET", format!("/api/v1/tenants/mallory/runs/{name}"), &mallory),
            ("POST", format!("/api/v1/tenants/mallory/runs/{name}/events/{name}"), &mallory),
            ("GET", format!("/api/v1/packages/{name}/{name}/{name}"), &operator),
            ("POST", format!("/hooks/{name}/{name}/{name}"), &mallory),
            ("POST", format!("/hooks/mallory/echo/{name}"), &mallory),
            ("POST", format!("/run/mallory/{name}"), &mallory),
        ] {
            let body = "{\"name\":\"x\",\"value\":\"v\"}";
            let request = format!(
                "{method} {path} HTTP/1.1\r\nhost: wharf\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let said = scene.beside(wire::ask(scene.host.address(), &request)).await;
            let status = said.split(' ').nth(1).unwrap_or_default();
            assert!(status.starts_with('4'), "{method} {path}: {said}");
            assert!(said.len() < 8_000, "{method} {path} is not told at length: {}", said.len());
            let head = said.split("\r\n\r\n").next().unwrap();
            assert!(!head.contains("set-cookie") && !said.contains('\u{1b}'), "{said}");
        }
    }
    let listed = scene.host.operate(Method::GET, "/tenants", "").await.expect(200).json();
    assert_eq!(listed.as_array().unwrap().len(), 2, "none of them became a tenant: {listed}");
    assert!(!scene.host.log().contains('\u{0}') && !scene.host.log().contains("\u{1b}[31mred"));
}

#[tokio::test]
async fn what_is_no_name_is_refused_in_files_headers_and_tokens_too() {
    let scene = Scene::with(&["echo"]).await;
    let long = "a".repeat(5_000);
    for name in ["../../etc/passwd", "a/b", "a b", "\u{1b}[31mred", "UPPER", "ä", "", &long] {
        for yaml in [
            format!("kind: connection\nname: {name:?}\npackage: probe/echo@0.1.0\n"),
            format!("kind: connection\nname: x\npackage: {:?}\n", format!("{name}/{name}@0.1.0")),
            format!("kind: workflow\nname: {name:?}\nsteps: [ {{ map: 1 }} ]\n"),
            format!("kind: workflow\nname: x\nsteps: [ {{ call: {:?} }} ]\n", format!("{name}.go")),
            format!("kind: schedule\nname: {name:?}\ncron: '* * * * *'\nworkflow: x\n"),
        ] {
            let answer = scene.beside(scene.mallory().try_apply(&yaml)).await;
            assert_eq!(answer.status, 422, "{yaml}: {answer:?}");
            assert!(answer.text.len() < 20_000 && !answer.text.contains('\u{1b}'), "{}", answer.text.len());
        }
        let token = json!({ "tenant": name, "role": "admin", "note": "x" }).to_string();
        let answer = scene.beside(scene.host.operate(Method::POST, "/tokens", token)).await;
        assert!((400..500).contains(&answer.status), "{name}: {answer:?}");
    }
    // A file's name is said back and opens nothing.
    let file = "..%2f..%2f..%2fetc%2fpasswd%00%1b%5b31m";
    let told = scene.mallory().try_apply_file(file, "kind: nothing\n").await;
    assert!((400..500).contains(&told.status), "{told:?}");
    assert!(!told.text.contains("root:") && !told.text.contains('\u{1b}'), "{told:?}");
    // A key of idempotency is bytes like any others, up to its length.
    for key in [vec![b'x'; 5_000], vec![0xff, 0xfe], b"a\tb".to_vec()] {
        let hook = scene.mallory().hook("echo/hook").header("idempotency-key", key.as_slice()).body("x");
        let answer = scene.beside(scene.host.ask(hook)).await;
        assert!(answer.status < 500, "{answer:?}");
    }
}

#[tokio::test]
async fn an_uploads_file_name_is_a_text_and_no_path() {
    let scene = Scene::with(&[]).await;
    scene.host.publish(example("web-form")).await.expect(201);
    let website = Connection::new("website", "example/web-form@0.1.0").open_hooks().yaml();
    scene.mallory().apply(&website).await;
    for name in ["../../../../etc/cron.d/wharf", "/etc/passwd", "..\\..\\x", "a\u{0}b", "x\"; filename=\"y"] {
        let part = "content-type: text/plain\r\n\r\nmine\r\n";
        let body = format!(
            "--b\r\ncontent-disposition: form-data; name=\"email\"; filename=\"{name}\"\r\n{part}--b--\r\n"
        );
        let hook = scene.mallory().hook("website/inquiry").body(body);
        let answer = scene
            .beside(scene.host.ask(hook.header("content-type", "multipart/form-data; boundary=b")))
            .await;
        assert!((400..500).contains(&answer.status), "{name:?}: {answer:?}");
    }
    assert!(!std::path::Path::new("/etc/cron.d/wharf").exists());
}

#[tokio::test]
async fn nothing_that_a_guest_says_becomes_a_line_of_the_metrics() {
    let mut scene = Scene::with(&["log-lines"]).await;
    let config = scene.host.folder().join("wharf.toml");
    let named = std::fs::read_to_string(&config)
        .unwrap()
        .replace("[egress]", "[egress]\nmetrics-by-connection = true");
    std::fs::write(&config, named).unwrap();
    scene.host.restart();
    scene.publish("fetch").await;
    let to = "http://granted.invalid";
    scene.mallory().apply(&Connection::probe("fetch").config("base-url", to).grant_http(to).yaml()).await;
    let wish = |n: usize| {
        json!({
            "url": format!("http://label-{n}.invalid/label-{n}"), "method": format!("LABEL{n}"),
            "headers": { format!("x-label-{n}"): "1" },
        })
    };
    scene.report("fetch", wish(0)).await;
    let before = lines(&scene).await;
    for n in 1..40 {
        scene.report("fetch", wish(n)).await;
        scene.report("log-lines", json!(format!("wharf_label_{n}{{x=\"{n}\"}} 1"))).await;
        let hook = scene.mallory().hook(&format!("fetch/label-{n}")).body("x");
        scene.beside(scene.host.ask(hook)).await;
    }
    let after = lines(&scene).await;
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.is_empty(), "{new:?}");
    assert!(
        after.iter().any(|line| line.contains("connection=\"fetch\"")),
        "what its tenant named is there: {after:?}"
    );
}

/// The names and labels of the host's metrics.
async fn lines(scene: &Scene) -> BTreeSet<String> {
    let text = scene.host.ask(scene.host.request(Method::GET, "/metrics")).await.expect(200).text;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}
