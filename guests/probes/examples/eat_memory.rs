//! Takes memory, a MiB at a time, until somebody stops it.

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
