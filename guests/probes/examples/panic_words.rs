//! Tells the text it was given as a panic, and goes on; given none, it tells
//! words without end that are no UTF-8.
//!
//! - To it: it ends at the bytes that may cross in host calls, with nothing kept of
//!   words without end.
//! - To nobody else: no line of the log is its making alone; the bystander is answered,
//!   and the host's memory returns to its base line.
//! - Bounds: 4 KiB of a panic's text, 64 MiB of host calls.

use std::io::Read;

use wharf_sdk::bindings::connector::wharf::panic::panic::report;

fn tell(mut piece: impl FnMut(&mut [u8; 64]) -> usize) {
    loop {
        let mut bytes = [0; 64];
        let length = piece(&mut bytes);
        let (words, _) = bytes.as_chunks();
        let [a, b, c, d, e, f, g, h] = std::array::from_fn(|n| u64::from_le_bytes(words[n]));
        report(length as u32, (a, b, c, d, e, f, g, h));
        if length < 64 {
            return;
        }
    }
}

probes::connector! {
    name: "panic-words",
    manifest: "",
    go: |request| {
        match probes::parse(&request.input).as_str() {
            Some(text) => {
                let mut left = text.as_bytes();
                tell(|piece| left.read(piece).unwrap());
            }
            None => tell(|piece| { piece.fill(0xff); 64 }),
        }
        Ok(request.input)
    },
    hook: |_| Ok(probes::messages(0)),
}
