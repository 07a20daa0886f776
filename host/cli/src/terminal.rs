//! The only way in and out: two streams to write, one to read, and a
//! question whose answer is not echoed.
//!
//! Text goes out with control characters escaped, line breaks excepted: much
//! of it was written by strangers, and a terminal obeys.

use std::io::{self, BufRead as _, IsTerminal as _, Read, Write};

/// The streams that a command talks to.
pub struct Terminal {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    input: Box<dyn Read + Send>,
    /// Whether a person sits at the input and can be asked.
    interactive: bool,
}

impl Terminal {
    /// This process's own.
    pub fn of_process() -> Self {
        Self {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            input: Box::new(io::stdin()),
            interactive: io::stdin().is_terminal(),
        }
    }

    /// Other streams, with nobody to ask.
    pub fn new(
        out: impl Write + Send + 'static,
        err: impl Write + Send + 'static,
        input: impl Read + Send + 'static,
    ) -> Self {
        Self { out: Box::new(out), err: Box::new(err), input: Box::new(input), interactive: false }
    }

    /// The same, with somebody to ask, whose answers come by the input.
    #[must_use]
    pub fn with_somebody(self) -> Self {
        Self { interactive: true, ..self }
    }

    /// Whether there is a person who can be asked and shown things.
    pub(crate) fn has_somebody(&self) -> bool {
        self.interactive
    }

    pub(crate) fn say(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", harmless(text))?;
        self.out.flush()
    }

    pub(crate) fn warn(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.err, "{}", harmless(text))
    }

    pub(crate) fn read_input(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.input.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Asks a person yes or no, no if they say nothing; `None` if there is none to ask.
    pub(crate) fn ask(&mut self, question: &str) -> io::Result<Option<bool>> {
        if !self.interactive {
            return Ok(None);
        }
        write!(self.err, "{} [y/N] ", harmless(question))?;
        self.err.flush()?;
        let mut answer = String::new();
        io::BufReader::with_capacity(1, &mut self.input).read_line(&mut answer)?;
        Ok(Some(matches!(answer.trim(), "y" | "Y" | "yes")))
    }

    /// Asks a person without echo; `None` if there is none to ask.
    pub(crate) fn ask_secret(&self, question: &str) -> io::Result<Option<String>> {
        if !self.interactive {
            return Ok(None);
        }
        rpassword::prompt_password(question).map(Some)
    }
}

/// The text with everything escaped that a terminal would act on, and with
/// what turns the direction of reading. Line breaks stay.
fn harmless(text: &str) -> String {
    let acts = |c: char| c.is_control() && c != '\n';
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) || turns(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    safe
}

#[test]
fn a_stranger_cannot_command_the_terminal() {
    assert_eq!(harmless("a\u{1b}[2Jb\r\u{9b}c\u{202e}d\n"), "a\\u{1b}[2Jb\\u{d}\\u{9b}c\\u{202e}d\n");
    assert_eq!(harmless("größer → 大"), "größer → 大");
}
