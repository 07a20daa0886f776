//! `wharf:panic`: what a guest says of its end, in numbers.

use host_model::outcome::Level;

use crate::Call;
use crate::bindings::connector::wharf::panic::panic;
use crate::log::MAX_LINE;

/// The bytes in a call's words.
const PIECE: usize = 64;

impl panic::Host for Call {
    fn report(&mut self, length: u32, text: panic::Words) -> wasmtime::Result<()> {
        self.meter.host_call(PIECE)?;
        let (a, b, c, d, e, f, g, h) = text;
        let bytes = [a, b, c, d, e, f, g, h].into_iter().flat_map(u64::to_le_bytes);
        // What is over a line's length is cut, so it is not kept until then either.
        if self.panic.len() <= MAX_LINE {
            self.panic.extend(bytes.take(length as usize));
        }
        if (length as usize) < PIECE {
            let text = std::mem::take(&mut self.panic);
            self.write_line(Level::Error, &String::from_utf8_lossy(&text))?;
        }
        Ok(())
    }
}
