//! A panic's message and place reach the log before the trap.
//!
//! `wasm32-unknown-unknown` has no standard error, so the default hook says
//! nothing; the trap alone would not tell what went wrong. Told in numbers, a
//! panic costs a connector that imports nothing else no memory for its imports.

use std::cell::Cell;
use std::fmt::{self, Write};
use std::panic::PanicHookInfo;

use crate::bindings::connector::wharf::panic::panic::report;

thread_local! {
    static INSTALLED: Cell<bool> = const { Cell::new(false) };
}

/// Installs the hook. Every export calls it first; only the first call does anything.
pub(crate) fn install() {
    // Natively the tests' own hook stays.
    if cfg!(target_arch = "wasm32") && !INSTALLED.replace(true) {
        std::panic::set_hook(Box::new(hook));
    }
}

fn hook(info: &PanicHookInfo<'_>) {
    let mut text = Text::new(|length, words| report(length, words.into()));
    // Nothing could be done about an error, and `Text` has none.
    let _ = tell(info, &mut text);
    text.end();
}

fn tell(info: &PanicHookInfo<'_>, to: &mut impl Write) -> fmt::Result {
    let message = info.payload_as_str().unwrap_or("a panic without a text");
    match info.location() {
        Some(place) => write!(to, "panicked at {}:{}: {message}", place.file(), place.line()),
        None => write!(to, "panicked: {message}"),
    }
}

/// The bytes that one call of the host takes.
const PIECE: usize = 64;

/// Gives a text away piece by piece, as `wharf:panic` wants it.
struct Text<F> {
    piece: [u8; PIECE],
    filled: usize,
    give: F,
}

impl<F: FnMut(u32, [u64; PIECE / 8])> Text<F> {
    fn new(give: F) -> Self {
        Self { piece: [0; PIECE], filled: 0, give }
    }

    fn give(&mut self) {
        let (words, _) = self.piece.as_chunks();
        let mut words = words.iter().copied().map(u64::from_le_bytes);
        (self.give)(self.filled as u32, [(); PIECE / 8].map(|()| words.next().unwrap_or_default()));
        self.filled = 0;
    }

    /// Gives the last piece, which may be empty.
    fn end(mut self) {
        self.give();
    }
}

impl<F: FnMut(u32, [u64; PIECE / 8])> Write for Text<F> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if let Some(place) = self.piece.get_mut(self.filled) {
                *place = byte;
                self.filled += 1;
            }
            if self.filled == PIECE {
                self.give();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::Text;

    #[test]
    fn a_panic_says_what_and_where() {
        let (send, receive) = std::sync::mpsc::channel();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let mut said = String::new();
            super::tell(info, &mut said).unwrap();
            send.send(said).unwrap();
        }));
        let _ = std::panic::catch_unwind(|| panic!("no {}", "bread"));
        std::panic::set_hook(before);
        let said = receive.recv().unwrap();
        assert!(said.starts_with("panicked at ") && said.contains("panic.rs:"), "{said}");
        assert!(said.ends_with(": no bread"), "{said}");
    }

    #[test]
    fn a_text_of_any_length_ends_with_a_piece_that_is_not_full() {
        for length in [0, 1, 63, 64, 65, 128, 1_000] {
            let want: String = "abcdefg".chars().cycle().take(length).collect();
            let (mut said, mut lengths) = (Vec::new(), Vec::new());
            let mut text = Text::new(|length, words: [u64; 8]| {
                said.extend(words.into_iter().flat_map(u64::to_le_bytes).take(length as usize));
                lengths.push(length);
            });
            write!(text, "{want}").unwrap();
            text.end();
            assert_eq!(String::from_utf8(said).unwrap(), want);
            let last = lengths.pop().unwrap();
            assert!(last < 64 && lengths.iter().all(|length| *length == 64), "{lengths:?} {last}");
        }
    }
}
