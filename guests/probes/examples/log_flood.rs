//! Logs lines of 1 KiB without end.
//!
//! - To it: it ends at its log bytes, and what fitted is kept.
//! - To nobody else: the bystander is answered, and the host's memory returns to its base line.
//! - Bounds: 64 KiB of log.

fn flood() -> ! {
    let line = "x".repeat(1_024);
    loop {
        wharf_sdk::log::info!("{line}");
    }
}

probes::connector! {
    name: "log-flood",
    manifest: "",
    go: |_| flood(),
    hook: |_| flood(),
}
