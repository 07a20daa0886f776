//! Overwrites 32 MiB again and again: one instruction each time, much work for the machine.
//!
//! - To it: it ends at its fuel, which is paid by the byte.
//! - To nobody else: the bystander is answered, and the host's memory returns to its base line.
//! - Bounds: 100 million units of fuel.

fn fill() -> ! {
    let mut block = vec![0_u8; 32 << 20];
    for byte in (0..=u8::MAX).cycle() {
        std::hint::black_box(&mut block).fill(byte);
    }
    unreachable!("a cycle has no end")
}

probes::connector! {
    name: "fill-memory",
    manifest: "",
    go: |_| fill(),
    hook: |_| fill(),
}
