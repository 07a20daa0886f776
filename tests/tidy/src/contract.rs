//! The WIT contract: every part of it says what it means.

use wit_parser::{Docs, Resolve, TypeDefKind};

use crate::tree::{none, root};

/// Reads all of `wit/`, and says what is not documented in `wharf:…`.
fn undocumented() -> (usize, Vec<String>) {
    let mut wit = Resolve::default();
    wit.push_dir(root().join("wit")).expect("wit/ parses");
    let mut seen = 0;
    let mut missing = Vec::new();
    let mut check = |what: String, docs: &Docs| {
        seen += 1;
        if docs.contents.as_deref().is_none_or(|text| text.trim().is_empty()) {
            missing.push(what);
        }
    };
    for (_, package) in wit.packages.iter().filter(|(_, package)| package.name.namespace == "wharf") {
        let name = format!("{}:{}", package.name.namespace, package.name.name);
        check(format!("package {name}"), &package.docs);
        for (world, id) in &package.worlds {
            check(format!("world {name}/{world}"), &wit.worlds[*id].docs);
        }
        for (interface, id) in &package.interfaces {
            let at = format!("{name}/{interface}");
            let interface = &wit.interfaces[*id];
            // The only interface of a package is what the package says it is.
            if package.interfaces.len() > 1 {
                check(format!("interface {at}"), &interface.docs);
            }
            for (function, signature) in &interface.functions {
                check(format!("func {at}.{function}"), &signature.docs);
            }
            for (ty, id) in &interface.types {
                let definition = &wit.types[*id];
                if let TypeDefKind::Type(_) = definition.kind {
                    continue; // `use`: documented where it is defined
                }
                check(format!("type {at}.{ty}"), &definition.docs);
                // What each error tells the host, or the guest, to do.
                if let TypeDefKind::Variant(variant) = &definition.kind {
                    for case in &variant.cases {
                        check(format!("case {at}.{ty}.{}", case.name), &case.docs);
                    }
                }
            }
        }
    }
    (seen, missing)
}

#[test]
fn every_part_of_the_contract_says_what_it_means() {
    let (seen, missing) = undocumented();
    assert!(seen > 50, "only {seen} parts found: does the scan still see wit/?");
    none("give it a `///` line: units, limits, what an error tells the host", missing);
}
