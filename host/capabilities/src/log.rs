//! `wharf:log`: lines for the people who run and read this run.

use host_egress::Exchange;
use host_model::outcome::{Level, LogLine};

use crate::Call;
use crate::bindings::connector::wharf::log::log;

/// The longest a line may be before it is cut: a stack trace fits, a dumped body does not.
pub(crate) const MAX_LINE: usize = 4 << 10;
/// What a line costs besides its text, so that a flood of empty lines ends too.
const LINE_OVERHEAD: usize = 32;

impl log::Host for Call {
    fn write(&mut self, level: log::Level, text: String) -> wasmtime::Result<()> {
        self.meter.host_call(text.len())?;
        let level = match level {
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        self.write_line(level, &text)
    }
}

impl Call {
    /// What it has logged, at its end.
    pub fn take_log(&mut self) -> Vec<LogLine> {
        for (at, exchange) in self.streams.drain(..) {
            if let Some(line) = self.log.get_mut(at) {
                line.text = tidy(&exchange.info().to_string());
            }
        }
        std::mem::take(&mut self.log)
    }

    /// Leaves a line for an exchange where it begins; what came of it, also
    /// of one that nobody waited for, is told when the call has ended.
    pub(crate) fn note_stream(&mut self, exchange: &Exchange) {
        self.streams.push((self.log.len(), exchange.clone()));
        self.log.push(self.line(Level::Debug, ""));
    }

    /// Adds a line of the guest's, if its bound allows one more.
    pub(crate) fn write_line(&mut self, level: Level, text: &str) -> wasmtime::Result<()> {
        let line = self.line(level, text);
        self.meter.log(line.text.len() + LINE_OVERHEAD)?;
        self.log.push(line);
        Ok(())
    }
}

/// A stranger's text as a line: cut at 4 KiB, and escaped where a terminal might obey.
pub fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len().min(MAX_LINE));
    for letter in text.chars() {
        if tidy.len() + letter.len_utf8() > MAX_LINE {
            tidy.push('…');
            break;
        }
        if letter.is_control() { tidy.extend(letter.escape_default()) } else { tidy.push(letter) }
    }
    tidy
}

#[test]
fn a_line_cannot_command_a_terminal_or_grow_without_end() {
    assert_eq!(tidy("a\u{1b}[31mb\nc"), "a\\u{1b}[31mb\\nc");
    assert_eq!(tidy("grüß dich"), "grüß dich");
    assert!(tidy(&"x".repeat(10_000)).len() <= MAX_LINE + '…'.len_utf8());
}
