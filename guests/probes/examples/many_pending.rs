//! Starts 65 calls of `target/go`, one more than may be pending. Gives
//! `{"ok", "errors": [text]}`.

use probes::json;
use wharf_sdk::bindings::workflow::wharf::workflow::calls;

fn run() -> String {
    let started: Vec<_> =
        (0..65).map(|n| calls::start("target", "go", &json!({ "n": n }).to_string())).collect();
    let (mut ok, mut errors) = (0, Vec::new());
    for pending in &started {
        match pending.wait() {
            Ok(_) => ok += 1,
            Err(error) => errors.push(format!("{error:?}")),
        }
    }
    json!({ "ok": ok, "errors": errors }).to_string()
}

probes::workflow! {
    name: "many-pending",
    run: |_| Ok(run()),
}
