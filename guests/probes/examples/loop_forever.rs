//! Never ends: the fuel bound.

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
