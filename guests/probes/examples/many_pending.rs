//! Starts 65 calls of `target/go` with its message's data, one more than may
//! be pending, and waits for all of them. Gives `{"ok", "errors": [text]}`.

use probes::json;
use wharf_sdk::bindings::workflow::wharf::workflow::calls;

fn run(data: &str) -> String {
    let started: Vec<_> = (0..65).map(|_| calls::start("target", "go", data)).collect();
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
    run: |message| Ok(run(&message.data)),
}
