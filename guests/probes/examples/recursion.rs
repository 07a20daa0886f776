//! Calls itself until the engine's stack is used up. The frames hold nothing
//! in memory, so the guest's own stack never overflows first.
//!
//! - To it: it ends at its stack.
//! - To nobody else: the host keeps its own stack; the bystander is answered, and the
//!   host's memory returns to its base line.
//! - Bounds: 512 KiB of stack.

#[inline(never)]
fn down(depth: u64) -> u64 {
    if depth == u64::MAX { 1 } else { down(depth + 1).rotate_left(3).wrapping_mul(depth | 1) }
}

fn fall(bytes: usize) -> String {
    down(bytes as u64).to_string()
}

probes::connector! {
    name: "recursion",
    manifest: "",
    go: |request| Ok(fall(request.input.len())),
    hook: |request| Ok(probes::answer(200, fall(request.body.len()))),
}
