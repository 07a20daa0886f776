//! A web server that answers twice, through a copy of a handle that it may use once.
//!
//! - To it: its second answer reaches nobody and ends it.
//! - To nobody else: the caller gets the first answer whole; the bystander is answered,
//!   and the host's memory returns to its base line.
//! - Bounds: one answer a call.
#![allow(unsafe_code)]

use probes::proxy::{ResponseOutparam, say};

probes::proxy! {
    name: "proxy-twice",
    handle: |_, out| {
        // SAFETY: there is none: that is the probe. The host must see that the handle is used up.
        let copy = unsafe { ResponseOutparam::from_handle(out.handle()) };
        say(out, "first\n");
        say(copy, "second\n");
    },
}
