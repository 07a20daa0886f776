//! The stack of the finished component.

fn main() {
    // The workspace's 64 KiB are for connectors. Here steps stand within steps, each a future that polls
    // the next, and jq's terms within terms; what is deeper than even this traps, and ends that run alone.
    println!("cargo::rustc-link-arg-cdylib=-zstack-size=524288");
}
