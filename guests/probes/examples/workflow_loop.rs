//! Never ends: the fuel bound of a run.
//!
//! - To it: its run fails and says which bound.
//! - To nobody else: no other run does; the bystander is answered, and the host's
//!   memory returns to its base line.
//! - Bounds: 100 million units of fuel.

probes::workflow! {
    name: "workflow-loop",
    run: |_| loop {
        std::hint::black_box(0);
    },
}
