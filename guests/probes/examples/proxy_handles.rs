//! A web server that makes headers and never lets go of them.
//!
//! - To it: it ends at its handles, and its caller gets a 502.
//! - To nobody else: the bystander is answered, and the host's memory returns to its base line.
//! - Bounds: 1,000 handles at once.

use probes::proxy::Fields;

fn hold() -> ! {
    let mut held = Vec::new();
    loop {
        held.push(Fields::new());
    }
}

probes::proxy! {
    name: "proxy-handles",
    handle: |_, _| hold(),
}
