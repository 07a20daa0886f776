//! Logs lines of 1 KiB without end.

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
