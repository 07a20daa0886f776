//! The repository as files.

use std::fs;
use std::path::{Path, PathBuf};

/// Not ours to keep tidy: built, fetched or vendored byte for byte.
const SKIPPED: &[&str] = &["target", "node_modules", "wit/deps/wasi-"];

/// The workspace's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("tests/tidy is two folders deep")
}

/// Every file of ours with one of these extensions, relative to the root, in
/// order. Hidden files and folders are left out.
pub(crate) fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(Path::new(""), extensions, &mut found);
    found.sort();
    assert!(!found.is_empty(), "found no file of {extensions:?} below {}", root().display());
    found
}

fn walk(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root().join(folder)).expect("a folder that was just listed") {
        let entry = entry.expect("an entry of a folder that was just listed");
        let name = entry.file_name().into_string().expect("names are UTF-8");
        let path = folder.join(&name);
        let shown = path.to_str().expect("names are UTF-8");
        if name.starts_with('.')
            || SKIPPED.iter().any(|skipped| shown.starts_with(skipped) || name == *skipped)
        {
            continue;
        }
        let kind = entry.file_type().expect("an entry of a folder that was just listed");
        if kind.is_dir() {
            walk(&path, extensions, found);
        } else if path.extension().is_some_and(|extension| extensions.iter().any(|e| extension == *e)) {
            found.push(path);
        }
    }
}

/// A file's text.
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// Fails with the whole list, so that one run shows all there is to do.
#[track_caller]
pub(crate) fn none(what_to_do: &str, offenders: Vec<String>) {
    assert!(offenders.is_empty(), "{what_to_do}:\n  {}", offenders.join("\n  "));
}

/// A line without its comment and its plain string literals.
pub(crate) fn code(line: &str) -> String {
    let mut code = String::new();
    for (place, part) in line.split('"').enumerate() {
        if place % 2 == 1 {
            continue;
        }
        match part.split_once("//") {
            Some((before, _)) => {
                code.push_str(before);
                break;
            }
            None => code.push_str(part),
        }
    }
    code
}
