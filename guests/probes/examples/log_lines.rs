//! Logs one line at each level, with the input in it.

use wharf_sdk::log;

fn write(text: &str) {
    log::debug!("debug {text}");
    log::info!("info {text}");
    log::warn!("warn {text}");
    log::error!("error {text}");
}

probes::connector! {
    name: "log-lines",
    manifest: "",
    go: |request| { write(&request.input); Ok(request.input) },
    hook: |_| Ok(probes::messages(0)),
}
