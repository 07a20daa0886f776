//! What a command reads besides its arguments: files, the standard input,
//! JSON, a secret's value.

use std::path::{Path, PathBuf};

use serde_json::value::RawValue;

use crate::terminal::Terminal;

/// Why an input could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("cannot read `{}`: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{what} is not UTF-8 text")]
    NotText { what: String },
    #[error("{what} is not JSON: {source}; write JSON, `@file` or `-`")]
    NotJson { what: String, source: serde_json::Error },
    #[error("the value is empty: nothing was stored")]
    EmptySecret,
}

/// What `-` reads, for messages.
const STDIN: &str = "the standard input";

/// A file's bytes; `-` is the standard input.
pub(crate) fn bytes(path: &Path, terminal: &mut Terminal) -> Result<Vec<u8>, InputError> {
    let read = if path.as_os_str() == "-" { terminal.read_input() } else { std::fs::read(path) };
    read.map_err(|source| InputError::Read { path: path.to_owned(), source })
}

/// `--data`: JSON as it stands, so that numbers keep their digits. `null` if left out.
pub(crate) fn data(argument: Option<&str>, terminal: &mut Terminal) -> Result<Box<RawValue>, InputError> {
    let (what, text) = match argument {
        None => return Ok(RawValue::NULL.to_owned()),
        Some("-") => (STDIN.to_owned(), text(STDIN, bytes("-".as_ref(), terminal)?)?),
        Some(argument) => match argument.strip_prefix('@') {
            Some(path) => (format!("`{path}`"), text(path, bytes(path.as_ref(), terminal)?)?),
            None => ("`--data`".to_owned(), argument.to_owned()),
        },
    };
    serde_json::from_str(&text).map_err(|source| InputError::NotJson { what, source })
}

/// A secret's value: from the file, from a person, or from a pipe.
pub(crate) fn secret(
    question: &str,
    file: Option<&Path>,
    terminal: &mut Terminal,
) -> Result<String, InputError> {
    let asked = match file {
        Some(_) => None,
        None => terminal
            .ask_secret(question)
            .map_err(|source| InputError::Read { path: "the terminal".into(), source })?,
    };
    let value = match asked {
        Some(value) => value,
        None => {
            let text = text("the value", bytes(file.unwrap_or("-".as_ref()), terminal)?)?;
            // Editors and `echo` end a file with a newline that no API wants.
            let end = text.strip_suffix('\n').unwrap_or(&text);
            end.strip_suffix('\r').unwrap_or(end).to_owned()
        }
    };
    if value.is_empty() { Err(InputError::EmptySecret) } else { Ok(value) }
}

fn text(what: &str, bytes: Vec<u8>) -> Result<String, InputError> {
    String::from_utf8(bytes).map_err(|_| InputError::NotText { what: what.to_owned() })
}
