//! Data that is small to send and large to read: schemas, expressions, forms,
//! what is compressed.

use serde_json::{Map, Value, json};
use tests_harness::{Connection, HostBuilder, example};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::scene::Scene;

/// `a0` leads twice to `a1`, which leads twice to `a2`, …
fn doubling(levels: usize) -> Value {
    let mut definitions = Map::new();
    for level in 0..levels {
        let next = json!({ "$ref": format!("#/$defs/a{}", level + 1) });
        definitions.insert(format!("a{level}"), json!({ "anyOf": [next, next] }));
    }
    definitions.insert(format!("a{levels}"), json!({ "type": "number" }));
    json!({ "$ref": "#/$defs/a0", "$defs": definitions })
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!({}), |inner, _| json!({ "items": inner }))
}

#[tokio::test]
async fn bombs_of_schemas_and_patterns_are_refused_before_they_are_used() {
    let scene = Scene::with(&[]).await;
    for (what, schema) in [
        ("doubling", doubling(60)),
        ("itself", json!({ "$ref": "#" })),
        ("deep", nested(80)),
        (
            "a pattern of repetitions",
            json!({ "pattern": "((((((a{1,99}){1,99}){1,99}){1,99}){1,99}){1,99})" }),
        ),
        ("a pattern that is long", json!({ "pattern": "(a|b)".repeat(20_000) })),
        ("a pattern that looks back", json!({ "pattern": "^(a+)+\\1$" })),
        ("a schema from elsewhere", json!({ "$ref": "http://127.0.0.1:9/schema.json" })),
        ("a schema from the disk", json!({ "$ref": "file:///etc/passwd" })),
    ] {
        let yaml = format!("kind: schema\nname: bomb@1\nschema: {schema}\n");
        let refused = scene.beside(scene.mallory().try_apply(&yaml)).await;
        assert_eq!(refused.status, 422, "{what}: {refused:?}");
        assert!(
            refused.text.len() < 5_000 && !refused.text.contains("root:"),
            "{what}: {}",
            refused.text.len()
        );
    }
}

#[tokio::test]
async fn bombs_of_jq_end_their_own_run_by_file_and_line() {
    let scene = Scene::with(&[]).await;
    for (jq, bound) in [
        ("def f: f; f", "fuel"),
        ("[range(infinite)]", "fuel"),
        ("\"x\" * 1000000000", "memory"),
        ("def f: 1 + f; f", "trapped"),
        ("\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\" | test(\"^(a+)+$\")", ""),
    ] {
        let yaml = format!("kind: workflow\nname: made\nsteps:\n- id: odd\n  map: |\n    ${{ {jq} }}\n");
        scene.mallory().apply(&yaml).await;
        let run = scene.beside(scene.ended_run("made", json!(1))).await;
        if bound.is_empty() {
            assert_eq!(
                run["run"]["status"], "succeeded",
                "a pattern is matched in steps as many as the text: {run}"
            );
        } else {
            assert_eq!(run["run"]["failure"]["kind"], bound, "{jq}: {run}");
            assert_eq!(run["run"]["failure"]["place"], "test.yaml:6 odd", "{jq}: {run}");
        }
    }
}

#[tokio::test]
async fn a_form_of_too_many_parts_is_refused_and_starts_nothing() {
    let scene = Scene::with(&[]).await;
    scene.host.publish(example("web-form")).await.expect(201);
    scene.mallory().apply(&Connection::new("website", "example/web-form@0.1.0").open_hooks().yaml()).await;
    let part = |n: usize| format!("--b\r\ncontent-disposition: form-data; name=\"f{n}\"\r\n\r\nx\r\n");
    let parts: String = (0..15_000).map(part).collect();
    let headers = "x: y\r\n".repeat(100_000);
    let nested = "--b\r\ncontent-type: multipart/mixed; boundary=b\r\n\r\n".repeat(10_000);
    let fields = (0..100_000).map(|n| format!("f{n}=x&")).collect::<String>();
    let multipart = "multipart/form-data; boundary=b";
    for (what, kind, body) in [
        ("parts", multipart, format!("{parts}--b--\r\n")),
        ("a part of headers", multipart, format!("--b\r\n{headers}\r\nx\r\n--b--\r\n")),
        ("parts in parts", multipart, nested),
        ("never closed", multipart, "--b\r\n".repeat(150_000)),
        (
            "a boundary of 10,000 bytes",
            &format!("multipart/form-data; boundary={}", "b".repeat(10_000)),
            parts,
        ),
        ("fields", "application/x-www-form-urlencoded", fields),
        ("lists in lists", "application/json", "[".repeat(500_000)),
    ] {
        let hook = scene.mallory().hook("website/inquiry").header("content-type", kind).body(body);
        let refused = scene.beside(scene.host.ask(hook)).await;
        assert!((400..=502).contains(&refused.status), "{what}: {refused:?}");
        assert!(refused.text.len() < 5_000, "{what}");
    }
    assert_eq!(scene.runs().await, 0);
}

/// 16 MiB of nothing, by gzip: the same 1,030 bytes of deflate again and again
/// would be more; a header and a stored run are enough to be looked into.
fn compressed() -> Vec<u8> {
    // One block of fixed Huffman codes: a zero, then "258 bytes from 1 back", each in 13 bits.
    let mut bits: Vec<u8> = vec![1, 1, 0];
    let code = |bits: &mut Vec<u8>, value: u32, width: u32| {
        bits.extend((0..width).rev().map(|at| (value >> at & 1) as u8));
    };
    code(&mut bits, 0x30, 8); // the byte 0
    for _ in 0..65_000 {
        code(&mut bits, 0xc5, 8); // length 258
        code(&mut bits, 0, 5); // distance 1
    }
    code(&mut bits, 0, 7); // the end
    let packed = bits.chunks(8).map(|byte| byte.iter().enumerate().fold(0, |sum, (at, bit)| sum | bit << at));
    b"\x1f\x8b\x08\0\0\0\0\0\0\x03".iter().copied().chain(packed).collect()
}

#[tokio::test]
async fn what_is_compressed_stays_as_small_as_it_was_sent() {
    let bomb = compressed();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let outside = listener.local_addr().unwrap();
    let (tasks, body) = (TaskTracker::new(), bomb.clone());
    tasks.spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _asked = socket.read(&mut [0; 4096]).await;
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let _ = socket.write_all(&[head.as_bytes(), &body].concat()).await;
        }
    });
    let scene = Scene::on(HostBuilder::default().open(outside), &["echo"]).await;
    scene.publish("fetch").await;
    let url = format!("http://{outside}");
    let connection = Connection::probe("fetch").config("base-url", &url).grant_http(&url);
    scene.mallory().apply(&connection.bound("body-bytes", 1 << 20).yaml()).await;
    let report = scene.report("fetch", json!({ "url": format!("{url}/") })).await;
    let value = &report["outcome"]["value"];
    assert_eq!(value["status"], 200, "nobody opened it: {report}");
    assert!(value["body"].as_str().unwrap().len() < 4 * bomb.len(), "{report}");
    // What comes in is opened by nobody either.
    let hook = scene.mallory().hook("echo/hook").header("content-encoding", "gzip").body(bomb.clone());
    let echoed = scene.beside(scene.host.ask(hook)).await;
    assert!(echoed.status < 500 && echoed.text.len() < 4 * bomb.len(), "{}", echoed.text.len());
}
