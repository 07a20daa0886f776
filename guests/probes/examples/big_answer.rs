//! Answers 2 MiB, twice what an answer may have.
//!
//! - To it: its answer is refused with its size.
//! - To nobody else: the caller gets no part of it; the bystander is answered, and the
//!   host's memory returns to its base line.
//! - Bounds: 1 MiB of answer.

fn big() -> String {
    format!("\"{}\"", "x".repeat(2 << 20))
}

probes::connector! {
    name: "big-answer",
    manifest: "",
    go: |_| Ok(big()),
    hook: |_| Ok(probes::answer(200, big())),
}
