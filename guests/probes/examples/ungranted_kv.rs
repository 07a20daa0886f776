//! Imports kv although its manifest does not ask for it.

fn set() -> String {
    format!("{:?}", wharf_sdk::kv::set("key", b"value"))
}

probes::connector! {
    name: "ungranted-kv",
    manifest: "",
    go: |_| Ok(probes::json!(set()).to_string()),
    hook: |_| Ok(probes::answer(200, set())),
}
