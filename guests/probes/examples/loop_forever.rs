//! Never ends: the fuel bound.
//!
//! - To it: it ends at its fuel, or at its wall time if that comes first.
//! - To nobody else: the bystander is answered, and the host's memory returns to its base line.
//! - Bounds: 100 million units of fuel, 30 s.

fn spin() -> ! {
    loop {
        std::hint::black_box(0);
    }
}

probes::connector! {
    name: "loop-forever",
    manifest: "",
    go: |_| spin(),
    hook: |_| spin(),
}
