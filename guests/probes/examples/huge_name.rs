//! Asks for a config field whose name has 20 MiB, again and again.
//!
//! - To it: it ends at the bytes that may cross in host calls.
//! - To nobody else: the host keeps none of the texts; the bystander is answered, and
//!   the host's memory returns to its base line.
//! - Bounds: 64 MiB of host calls.

fn ask() -> ! {
    let name = "x".repeat(20 << 20);
    loop {
        std::hint::black_box(wharf_sdk::connection::field(&name));
    }
}

probes::connector! {
    name: "huge-name",
    manifest: "",
    go: |_| ask(),
    hook: |_| ask(),
}
