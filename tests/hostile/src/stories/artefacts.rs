//! Compiled components on disk that somebody changed.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tests_harness::{Connection, HostBuilder};

use crate::scene::Scene;

/// Gives the host a cache of its own, where nothing of other tests is.
fn private_cache(scene: &mut Scene) -> PathBuf {
    let cache = scene.host.folder().join("artefacts");
    let config = scene.host.folder().join("wharf.toml");
    let lines = fs::read_to_string(&config).unwrap();
    let lines = lines.lines().map(|line| match line.starts_with("artefact-cache") {
        true => format!("artefact-cache = \"{}\"\n", cache.display()),
        false => format!("{line}\n"),
    });
    fs::write(&config, lines.collect::<String>()).unwrap();
    scene.host.restart();
    cache
}

/// The files with this extension below a folder, in order.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|have| have == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn overwrite(path: &Path, content: &[u8]) {
    fs::remove_file(path).unwrap(); // it is read-only
    fs::write(path, content).unwrap();
}

async fn all_answer(scene: &Scene) {
    scene.beside(scene.mallory_calls("kv", json!([["increment", "n", 1]]))).await.expect(200);
}

#[tokio::test]
async fn a_poisoned_artefact_is_never_mapped_but_compiled_anew() {
    let mut scene = Scene::empty(HostBuilder::default()).await;
    scene.publish("kv").await;
    scene.mallory().apply(&Connection::probe("kv").grant_kv().yaml()).await;
    let cache = private_cache(&mut scene);
    all_answer(&scene).await;
    let code = files(&cache, "cwasm");
    let whole: Vec<_> = code.iter().map(|path| fs::read(path).unwrap()).collect();
    assert_eq!(whole.len(), 2, "echo and kv: {code:?}");

    let one_bit = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        bytes
    };
    for (how, first, second) in [
        ("garbage", vec![0xcc; whole[0].len()], vec![0xcc; whole[1].len()]),
        ("one bit", one_bit(&whole[0]), one_bit(&whole[1])),
        ("each other's", whole[1].clone(), whole[0].clone()),
        ("nothing", Vec::new(), Vec::new()),
    ] {
        scene.host.kill();
        overwrite(&code[0], &first);
        overwrite(&code[1], &second);
        let warned = scene.host.log().matches("not authentic").count();
        scene.host.restart();
        all_answer(&scene).await;
        assert!(
            scene.host.log().matches("not authentic").count() >= warned + 2,
            "{how}: {}",
            scene.host.log()
        );
        let anew: Vec<_> = code.iter().map(|path| fs::read(path).unwrap()).collect();
        assert!(anew == whole, "{how}: what is kept now is what the host compiled");
    }

    // With the other's seal as well, it is still not this package's.
    scene.host.kill();
    let seals = files(&cache, "mac");
    let sealed: Vec<_> = seals.iter().map(|path| fs::read(path).unwrap()).collect();
    for (own, other) in [(0, 1), (1, 0)] {
        overwrite(&code[own], &whole[other]);
        overwrite(&seals[own], &sealed[other]);
    }
    scene.host.restart();
    all_answer(&scene).await;
}
