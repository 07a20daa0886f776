//! Logs what would paint on a terminal and forge a line.
//!
//! - To it: its lines are kept with what commands a terminal escaped.
//! - To nobody else: nobody's terminal or log obeys it; the bystander is answered, and
//!   the host's memory returns to its base line.
//! - Bounds: 64 KiB of log.

fn paint() {
    wharf_sdk::log::warn!("\u{1b}[31mred\u{1b}[0m\r\n2026-01-01 ERROR forged\u{7}\u{0}\u{9b}2J");
}

probes::connector! {
    name: "log-escapes",
    manifest: "",
    go: |request| { paint(); Ok(request.input) },
    hook: |request| { paint(); Ok(probes::answer(200, request.body)) },
}
