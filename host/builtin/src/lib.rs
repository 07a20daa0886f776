//! The guests that every host brings along, inside its binary.
//!
//! `build.rs` builds them for wasm, so that a plain `cargo build` makes a whole
//! host; their sources are in `guests/builtin`. A host publishes them at its
//! start as any package is published, and runs them in the sandbox as any other.

/// Name and component of each package: `wharf/expression` reads workflows and
/// evaluates expressions, `wharf/flow` runs workflows that are written as steps.
pub const PACKAGES: [(&str, &[u8]); 2] = [
    ("wharf/expression", include_bytes!(concat!(env!("OUT_DIR"), "/builtin_expression.wasm"))),
    ("wharf/flow", include_bytes!(concat!(env!("OUT_DIR"), "/builtin_flow.wasm"))),
];

#[cfg(test)]
mod tests {
    use super::PACKAGES;

    #[test]
    fn each_is_a_package_of_the_name_that_it_is_listed_under() {
        for (name, component) in PACKAGES {
            let verified = registry::verify(component).unwrap();
            assert_eq!(verified.manifest.package().name.as_str(), name);
        }
    }
}
