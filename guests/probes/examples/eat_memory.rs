//! Takes memory, a MiB at a time, until somebody stops it.
//!
//! - To it: it ends at its memory.
//! - To nobody else: the bystander is answered, and the host's memory returns to its base line.
//! - Bounds: 64 MiB of memory, or what its connection says.

fn eat() -> ! {
    loop {
        std::mem::forget(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

probes::connector! {
    name: "eat-memory",
    manifest: "",
    go: |_| eat(),
    hook: |_| eat(),
}
