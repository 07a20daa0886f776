//! Answers 2 MiB, twice what an answer may have.

fn big() -> String {
    format!("\"{}\"", "x".repeat(2 << 20))
}

probes::connector! {
    name: "big-answer",
    manifest: "",
    go: |_| Ok(big()),
    hook: |_| Ok(probes::answer(200, big())),
}
