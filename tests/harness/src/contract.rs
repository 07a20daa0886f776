//! The contract as a list, read from the WIT: what a test must cover is not
//! kept by hand.

use std::collections::BTreeSet;

/// A function of an interface: `("kv/store", "get")`. A resource's method
/// bears the resource's name too: `("workflow/calls", "pending.wait")`.
pub type Function = (String, String);

/// Every function of the packages `wit/deps/wharf-*`.
///
/// A scan by lines, which is enough for files that `wasm-tools` formatted.
pub fn functions() -> BTreeSet<Function> {
    let mut found = BTreeSet::new();
    let mut packages: Vec<_> = std::fs::read_dir(crate::root().join("wit/deps"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    packages.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with("wharf-"));
    for file in packages.iter().flat_map(|path| std::fs::read_dir(path).unwrap()) {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let (mut package, mut interface, mut resource) = ("", String::new(), String::new());
        for line in text.lines() {
            let code = line.trim_start();
            if let Some(rest) = code.strip_prefix("package wharf:") {
                package = rest.split('@').next().unwrap();
            } else if let Some(rest) = code.strip_prefix("interface ") {
                interface = format!("{package}/{}", word(rest));
            } else if let Some(rest) = code.strip_prefix("resource ") {
                resource = format!("{}.", word(rest));
            } else if code == "}" && line.starts_with("    }") {
                resource.clear();
            } else if !code.starts_with("//") && (code.contains(": func(") || code.contains(": static func("))
            {
                found.insert((interface.clone(), format!("{resource}{}", word(code))));
            }
        }
    }
    found
}

fn word(text: &str) -> &str {
    text.split([' ', ':', '{']).next().unwrap()
}
