//! A workflow that panics with a text that names its message.
//!
//! - To it: its run fails and shows message and place.
//! - To nobody else: no other run does; the bystander is answered, and the host's
//!   memory returns to its base line.
//! - Bounds: none is reached.

fn fail(data: &str) -> ! {
    panic!("the workflow panics, given {data}");
}

probes::workflow! {
    name: "workflow-trap",
    run: |message| fail(&message.data),
}
