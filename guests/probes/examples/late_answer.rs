//! Answers after a second by its own clock, whatever its bound on time is.
//!
//! - To it: it ends at its wall time, and what it wanted to say is not heard.
//! - To nobody else: the caller is told in time; the bystander is answered, and the
//!   host's memory returns to its base line.
//! - Bounds: the wall time of its connection.

use std::time::Duration;

use wharf_sdk::clock;

fn dawdle() -> String {
    let began = clock::monotonic();
    while clock::monotonic().saturating_sub(began) < Duration::from_secs(1) {}
    "\"too late\"".to_owned()
}

probes::connector! {
    name: "late-answer",
    manifest: "",
    go: |_| Ok(dawdle()),
    hook: |_| Ok(probes::answer(200, dawdle())),
}
