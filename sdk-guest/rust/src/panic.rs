//! A panic's message and place reach the log before the trap.
//!
//! `wasm32-unknown-unknown` has no standard error, so the default hook says
//! nothing; the trap alone would not tell what went wrong.

use std::cell::Cell;
use std::panic::PanicHookInfo;

use crate::log::{Level, write};

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
    write(Level::Error, &line(info));
}

fn line(info: &PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("a panic without a text");
    match info.location() {
        Some(place) => format!("panicked at {}:{}: {message}", place.file(), place.line()),
        None => format!("panicked: {message}"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_panic_says_what_and_where() {
        let (send, receive) = std::sync::mpsc::channel();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| send.send(super::line(info)).unwrap()));
        let _ = std::panic::catch_unwind(|| panic!("no {}", "bread"));
        std::panic::set_hook(before);
        let said = receive.recv().unwrap();
        assert!(said.starts_with("panicked at ") && said.contains("panic.rs:"), "{said}");
        assert!(said.ends_with(": no bread"), "{said}");
    }
}
