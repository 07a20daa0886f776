//! Imports kv although its manifest does not ask for it.
//!
//! - To it: its upload is refused, with the grant that is missing.
//! - To nobody else: no package is kept; the bystander is answered, and the host's
//!   memory returns to its base line.
//! - Bounds: none is reached.

fn set() -> String {
    format!("{:?}", wharf_sdk::kv::set("key", b"value"))
}

probes::connector! {
    name: "ungranted-kv",
    manifest: "",
    go: |_| Ok(probes::json!(set()).to_string()),
    hook: |_| Ok(probes::answer(200, set())),
}
