//! Never ends: the fuel bound of a run.

probes::workflow! {
    name: "workflow-loop",
    run: |_| loop {
        std::hint::black_box(0);
    },
}
