//! Data that is small to send and large to read: schemas, expressions, forms,
//! what is compressed.

use std::sync::Arc;

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

/// 16 MiB of zeros as DEFLATE writes them, by hand: a hundred kilobytes.
fn deflated() -> Vec<u8> {
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
    packed.collect()
}

fn gzip(deflated: &[u8]) -> Vec<u8> {
    [b"\x1f\x8b\x08\0\0\0\0\0\0\x03", deflated].concat()
}

/// What is in there as DEFLATE writes what it cannot make smaller.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut blocks = Vec::new();
    let mut chunks = bytes.chunks(0xffff).peekable();
    while let Some(chunk) = chunks.next() {
        let length = chunk.len() as u16;
        blocks.push(u8::from(chunks.peek().is_none()));
        blocks.extend([length.to_le_bytes(), (!length).to_le_bytes()].concat());
        blocks.extend(chunk);
    }
    blocks
}

/// 12 MiB of zeros as a frame of zstd: a hundred blocks, each one byte that is repeated.
fn zstd() -> Vec<u8> {
    let block = |last: u32| {
        let header = last | 1 << 1 | (128 << 10) << 3;
        [&header.to_le_bytes()[..3], b"\0"].concat()
    };
    let blocks: Vec<u8> = (0..100).flat_map(|at| block(u32::from(at == 99))).collect();
    [&b"\x28\xb5\x2f\xfd\0\x68"[..], &blocks].concat()
}

/// An archive of one file, `zeros`, whose sizes are what they are not.
fn zip(deflated: &[u8]) -> Vec<u8> {
    let size = (deflated.len() as u32).to_le_bytes();
    let entry = [&b"\x08\0\0\0\0\0\0\0\0\0"[..], &size, b"\x01\0\0\0\x05\0\0\0"].concat();
    let local = [&b"PK\x03\x04\x14\0\0\0"[..], &entry, b"zeros", deflated].concat();
    let central = [&b"PK\x01\x02\x14\0\x14\0\0\0"[..], &entry, &[0; 14], b"zeros"].concat();
    let (at, long) = ((local.len() as u32).to_le_bytes(), (central.len() as u32).to_le_bytes());
    [&local, &central, &b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..], &long, &at, b"\0\0"].concat()
}

/// Whoever asks for `/0`, `/1`, … gets that body, said to be encoded so.
async fn serve(bombs: Arc<[(&'static str, Vec<u8>)]>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    TaskTracker::new().spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let read = socket.read(&mut head).await.unwrap_or_default();
            let path = String::from_utf8_lossy(&head[..read]);
            let which = path.strip_prefix("GET /").and_then(|path| path.split(' ').next()?.parse::<usize>().ok());
            let Some((encoding, body)) = which.and_then(|which| bombs.get(which)) else { continue };
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let _ = socket.write_all(&[head.as_bytes(), body].concat()).await;
        }
    });
    address
}

#[tokio::test]
async fn what_is_compressed_stays_as_small_as_it_was_sent() {
    let deflated = deflated();
    let once = gzip(&deflated);
    let twice = gzip(&stored(&once));
    let bombs: Arc<[_]> = Arc::new([
        ("gzip", once.clone()),
        ("gzip, gzip", twice),
        ("deflate", [&b"\x78\x9c"[..], &deflated].concat()),
        ("zstd", zstd()),
        ("br", b"\x0b\x80 nobody who reads brotli reads this \x03".to_vec()),
    ]);
    let outside = serve(Arc::clone(&bombs)).await;
    let scene = Scene::on(HostBuilder::default().open(outside), &["echo"]).await;
    scene.publish("fetch").await;
    let url = format!("http://{outside}");
    let connection = Connection::probe("fetch").config("base-url", &url).grant_http(&url);
    scene.mallory().apply(&connection.bound("body-bytes", 1 << 20).yaml()).await;
    for (which, (encoding, bomb)) in bombs.iter().enumerate() {
        let report = scene.report("fetch", json!({ "url": format!("{url}/{which}") })).await;
        let value = &report["outcome"]["value"];
        assert_eq!(value["status"], 200, "{encoding}: nobody opened it: {report}");
        let same = value["body"] == *String::from_utf8_lossy(bomb);
        assert!(same, "{encoding}: {} bytes", value["body"].as_str().unwrap().len());

        // What comes in is opened by nobody either.
        let hook = scene.mallory().hook("echo/hook").header("content-encoding", *encoding).body(bomb.clone());
        let echoed = scene.beside(scene.host.ask(hook)).await.expect(200);
        assert!(echoed.text == String::from_utf8_lossy(bomb), "{encoding}: {} bytes", echoed.text.len());
    }
    let archive = zip(&deflated);
    let upload =
        scene.mallory().hook("echo/hook").header("content-type", "application/zip").body(archive.clone());
    let echoed = scene.beside(scene.host.ask(upload)).await.expect(200);
    assert!(echoed.text == String::from_utf8_lossy(&archive), "{} bytes", echoed.text.len());
}
