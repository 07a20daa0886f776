//! Gives the component a stack of its own size.

fn main() {
    // Parsers call themselves: YAML 64 levels deep, jq 100. The workspace's 64 KiB are for guests that do not.
    println!("cargo::rustc-link-arg-cdylib=-zstack-size=1048576");
    println!("cargo::rerun-if-changed=build.rs");
}
