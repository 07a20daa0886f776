//! What lies where, how long it is, and what it says first.

use std::fs;
use std::path::Path;

use crate::tree::{code, files, none, read, root};

/// The root's entries, besides dot-files and what is built.
const ROOT: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "README.md",
    "docs",
    "guests",
    "host",
    "registry",
    "sdk-guest",
    "tests",
    "wit",
];
/// What is written by people and read by people.
const SOURCES: &[&str] = &["css", "html", "js", "mjs", "py", "rs", "sh", "ts", "wit"];
/// A reader gives up on a file before this.
const MOST_LINES: usize = 600;
/// `main` is a table of contents.
const MOST_MAIN_LINES: usize = 60;
/// A README is read whole or not at all.
const MOST_README_LINES: usize = 150;
/// A header states the job, the hand-over and the invariants, no more.
const MOST_HEADER_LINES: usize = 15;

/// Files, or folders, that may say `unsafe`.
const UNSAFE: &[&str] = &[
    "host/sandbox/src/engine/",      // maps artefacts that we compiled and authenticated
    "host/sandbox/src/turns/way.rs", // one system call, which is told of a structure
    "guests/probes/examples/proxy_twice.rs", // a guest that breaks the rules on purpose; it is sandboxed
    "sdk-guest/rust/src/allocator.rs", // a global allocator is an unsafe trait
    "sdk-guest/rust/src/bindings.rs", // generated: the component model's calling convention
];
/// How a guest puts its manifest into its component. It places bytes in a
/// section that nothing executes.
const MANIFEST_SECTION: &str = "#[unsafe(link_section = \"wharf:manifest\")]";

#[test]
fn the_root_holds_what_the_design_lists() {
    let listed = fs::read_dir(root()).expect("the root is a folder");
    let mut names: Vec<String> =
        listed.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.retain(|name| !name.starts_with('.') && name != "target");
    names.sort();
    assert_eq!(names, ROOT, "the root's entries are fixed: put a new thing below one of them");
}

#[test]
fn no_file_is_too_long_to_read() {
    let mut offenders = Vec::new();
    for path in files(SOURCES) {
        let lines = read(&path).lines().count();
        let most = if path == Path::new("host/server/src/main.rs") { MOST_MAIN_LINES } else { MOST_LINES };
        if lines > most {
            offenders.push(format!("{}: {lines} lines, at most {most}", path.display()));
        }
    }
    let lines = read("README.md").lines().count();
    if lines > MOST_README_LINES {
        offenders.push(format!("README.md: {lines} lines, at most {MOST_README_LINES}"));
    }
    none("split by what a reader looks for", offenders);
}

#[test]
fn every_crate_and_folder_module_says_what_it_is_for() {
    let mut offenders = Vec::new();
    for path in files(&["rs"]) {
        let is_head = ["lib.rs", "mod.rs", "main.rs"].iter().any(|name| path.ends_with(name));
        if !is_head {
            continue;
        }
        let text = read(&path);
        let header =
            text.lines().skip_while(|line| line.starts_with("#![")).take_while(|l| l.starts_with("//!"));
        match header.count() {
            0 => offenders.push(format!("{}: has none", path.display())),
            lines if lines > MOST_HEADER_LINES => {
                offenders.push(format!("{}: {lines} lines, at most {MOST_HEADER_LINES}", path.display()));
            }
            _ => {}
        }
    }
    none("begin with `//!`: the job, the hand-over, the invariants", offenders);
}

#[test]
fn unsafe_code_stays_where_it_is_argued() {
    let mut offenders = Vec::new();
    for path in files(&["rs"]) {
        let shown = path.display().to_string();
        if UNSAFE.iter().any(|allowed| shown.starts_with(allowed)) {
            continue;
        }
        for (number, line) in read(&path).lines().enumerate() {
            let line = line.replace(MANIFEST_SECTION, "");
            if code(&line).split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe") {
                offenders.push(format!("{shown}:{}", number + 1));
            }
        }
    }
    none("there are few places for `unsafe`, each with an argument (tests/tidy/src/files.rs)", offenders);
    for allowed in UNSAFE {
        assert!(root().join(allowed).exists(), "`{allowed}` is gone: delete it from UNSAFE");
    }
}

#[test]
fn nothing_is_left_for_later() {
    // In two halves, or this file would be the first to be found.
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let mut offenders = Vec::new();
    for path in files(&[SOURCES, &["md", "toml", "yaml", "yml"]].concat()) {
        for (number, line) in read(&path).lines().enumerate() {
            let mut parts = line.split(|c: char| !c.is_alphanumeric());
            if parts.any(|part| words.contains(&part)) {
                offenders.push(format!("{}:{}", path.display(), number + 1));
            }
        }
    }
    none("do it, or open an issue", offenders);
}

#[test]
fn only_code_counts_as_code() {
    assert_eq!(code(r#"a("danger // x", b) // danger"#), "a(, b) ");
    assert_eq!(code("danger { x } // why"), "danger { x } ");
}
