//! Who may know what, read from the manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde::Deserialize;

use crate::tree::{files, none, read, root};

/// A dependency, by the start of its name, and the only members that may have
/// it, for whatever kind of use. Members below `tests/` are programs of their
/// own and may read arguments.
const ONLY: &[(&str, &[&str])] = &[
    // The benchmark leaves a guard out and sees what it costs.
    ("wasmtime", &["host-sandbox", "host-capabilities", "tests-bench"]),
    ("sled", &["host-store"]),
    ("openidconnect", &["host-login"]),
    ("clap", &["host-server", "host-cli", "tests-*"]),
    ("rpassword", &["host-cli"]),
];

/// Members, and what they must not even reach through others.
const CANNOT_KNOW: &[(&str, &[&str])] = &[
    ("host-model", &["tokio", "wasmtime", "axum", "hyper", "sled"]),
    ("host-routing", &["tokio", "wasmtime", "axum", "hyper", "sled"]),
    ("host-webhooks", &["tokio", "wasmtime", "axum", "hyper", "sled", "host-store", "host-egress"]),
    ("host-admission", &["wasmtime", "axum", "hyper", "sled"]),
    ("host-audit", &["wasmtime", "axum", "hyper"]),
    ("host-ingress", &["wasmtime", "sled"]),
    ("host-login", &["wasmtime", "axum", "hyper", "sled", "host-store", "host-egress"]),
    ("host-egress", &["wasmtime", "axum"]),
    ("host-store", &["wasmtime", "axum", "hyper"]),
    ("host-runs", &["wasmtime", "axum"]),
    ("host-schedules", &["wasmtime", "axum"]),
    ("host-schemas", &["tokio", "wasmtime", "axum", "hyper", "reqwest", "sled"]),
    ("host-control", &["wasmtime"]),
    ("host-cli", &["wasmtime", "axum", "sled", "host-store", "host-runs", "host-control"]),
    ("registry", &["wasmtime", "axum"]),
    ("wharf-sdk", &["tokio", "wasmtime", "host-model"]),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `None`: normal.
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    #[serde(default)]
    dependencies: Vec<String>,
}

fn members() -> Vec<Member> {
    let asked = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    serde_json::from_slice::<Metadata>(&asked.stdout).expect("cargo metadata is JSON").packages
}

/// What a program built of each package has in it: of members the normal and
/// build dependencies, of all others what `Cargo.lock` says.
fn graph(members: &[Member]) -> BTreeMap<String, BTreeSet<String>> {
    let lock: Lock = toml::from_str(&read("Cargo.lock")).expect("Cargo.lock is TOML");
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in lock.package {
        // `name`, or `name version` where there are several: all versions are one here.
        let names = package.dependencies.iter().filter_map(|text| text.split(' ').next());
        graph.entry(package.name).or_default().extend(names.map(str::to_owned));
    }
    for member in members {
        let shipped = member.dependencies.iter().filter(|d| d.kind.as_deref() != Some("dev"));
        graph.insert(member.name.clone(), shipped.map(|d| d.name.clone()).collect());
    }
    graph
}

fn reaches(graph: &BTreeMap<String, BTreeSet<String>>, from: &str, forbidden: &str) -> Option<String> {
    let mut todo = vec![vec![from]];
    let mut seen = BTreeSet::new();
    while let Some(path) = todo.pop() {
        for next in path.last().and_then(|last| graph.get(*last)).into_iter().flatten() {
            let path = [&path[..], &[next]].concat();
            if next == forbidden {
                return Some(path.join(" → "));
            }
            if seen.insert(next) {
                todo.push(path);
            }
        }
    }
    None
}

#[test]
fn heavy_dependencies_stay_where_they_belong() {
    let mut offenders = Vec::new();
    for member in members() {
        for dependency in &member.dependencies {
            for (heavy, allowed) in ONLY {
                let allowed = allowed.iter().any(|allowed| match allowed.strip_suffix('*') {
                    Some(start) => member.name.starts_with(start),
                    None => member.name == *allowed,
                });
                if dependency.name.starts_with(heavy) && !allowed {
                    offenders.push(format!("{} depends on {}", member.name, dependency.name));
                }
            }
        }
    }
    none("a crate may not know this (docs/architecture.md says who may)", offenders);
}

#[test]
fn what_a_crate_cannot_know_it_cannot_reach() {
    let members = members();
    let graph = graph(&members);
    let mut offenders = Vec::new();
    for (member, forbidden) in CANNOT_KNOW {
        assert!(graph.contains_key(*member), "there is no crate `{member}` any more: correct CANNOT_KNOW");
        offenders.extend(forbidden.iter().filter_map(|forbidden| reaches(&graph, member, forbidden)));
    }
    none("a crate reaches what it must not know", offenders);
}

#[test]
fn the_graph_finds_what_is_there() {
    let graph = graph(&members());
    assert!(reaches(&graph, "host-sandbox", "wasmtime").is_some());
    assert!(reaches(&graph, "host-ingress", "tokio").is_some());
    let far = reaches(&graph, "host-sandbox", "cranelift-codegen");
    assert!(far.is_some_and(|path| path.contains("wasmtime")), "through Cargo.lock");
}

#[test]
fn versions_live_in_the_root_manifest_only() {
    let mut offenders = Vec::new();
    for path in files(&["toml"]) {
        if path.file_name().is_none_or(|name| name != "Cargo.toml") || path.components().count() == 1 {
            continue;
        }
        let manifest: toml::Table =
            read(&path).parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut tables = vec![&manifest];
        let targets = manifest.get("target").and_then(toml::Value::as_table);
        tables.extend(targets.into_iter().flat_map(|t| t.values()).filter_map(toml::Value::as_table));
        for table in tables {
            for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
                let listed = table.get(kind).and_then(toml::Value::as_table).into_iter().flatten();
                for (name, value) in listed {
                    let is_true = |key| value.get(key).and_then(toml::Value::as_bool) == Some(true);
                    if !is_true("workspace") && value.get("path").is_none() || value.get("version").is_some()
                    {
                        offenders.push(format!("{}: {kind}.{name}", path.display()));
                    }
                }
            }
        }
        let package = manifest.get("package").and_then(toml::Value::as_table);
        for key in ["version", "edition", "license", "publish"] {
            let value = package.and_then(|package| package.get(key));
            if value.and_then(|value| value.get("workspace")).is_none() {
                offenders.push(format!("{}: package.{key}", path.display()));
            }
        }
        if manifest.get("lints").and_then(|lints| lints.get("workspace")).is_none() {
            offenders.push(format!("{}: [lints] workspace = true is missing", path.display()));
        }
    }
    none("write `workspace = true`; the root manifest has the value", offenders);
}

#[test]
fn a_crate_is_named_by_its_path() {
    let mut offenders = Vec::new();
    for (folder, start) in [
        ("host", "host-"),
        ("tests", "tests-"),
        ("guests/builtin", "builtin-"),
        ("guests/examples", "example-"),
    ] {
        for path in files(&["toml"]) {
            let Ok(inner) = path.strip_prefix(folder) else { continue };
            let parts: Vec<_> = inner.iter().filter_map(|part| part.to_str()).collect();
            let [crate_folder, "Cargo.toml"] = parts[..] else { continue };
            let manifest: toml::Table = read(&path).parse().expect("a manifest is TOML");
            let name = manifest["package"]["name"].as_str().unwrap_or_default();
            if name != format!("{start}{crate_folder}") {
                offenders.push(format!("{}: `{name}`", path.display()));
            }
        }
    }
    none("name the crate by its path (`host/ingress` is `host-ingress`)", offenders);
}
