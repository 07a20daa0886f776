//! `wharf apply`: files in, what became of each document out.
//!
//! Several files go as one, so that they are applied as a whole and may refer
//! to each other; what the server says of a line is then said of its file.

use std::path::PathBuf;

use http::Method;

use super::{Done, Session};
use crate::api::ApiError;
use crate::error::{CommandError, Exit};
use crate::input;

/// What the server is told that several files together are called.
const TOGETHER: &str = "the files";

pub(super) async fn run(
    session: &mut Session<'_>,
    files: &[PathBuf],
    dry_run: bool,
) -> Result<Exit, CommandError> {
    let mut bundle = Bundle::default();
    for file in files {
        bundle.add(file.display().to_string(), &input::bytes(file, session.terminal)?);
    }
    let mut query = vec![("file", bundle.name())];
    // Without one it is the token's own; the operator may apply tenants, which belong to none.
    query.extend(session.tenant.iter().map(|tenant| ("tenant", tenant.to_string())));
    if dry_run {
        query.push(("dry-run", "true".to_owned()));
    }
    let ask = session.api.ask(Method::POST, "api/v1/apply", &query);
    let body = match ask.body("application/yaml", bundle.text.clone()).value().await {
        Err(ApiError::Refused { mut problem, mut body, retry_after, had_token }) => {
            problem.detail = bundle.relocated(&problem.detail);
            if let Some(detail) = body.get_mut("detail") {
                *detail = problem.detail.as_str().into();
            }
            return Err(ApiError::Refused { problem, body, retry_after, had_token }.into());
        }
        answer => answer?,
    };
    let done: Vec<Done> = session.api.read(&body)?;
    let would = if dry_run { " (dry run)" } else { "" };
    session.show(&body, || match done.as_slice() {
        [] => "nothing to apply".to_owned(),
        done => done.iter().map(|done| format!("{done}{would}")).collect::<Vec<_>>().join("\n"),
    })
}

/// Files as one text.
#[derive(Default)]
struct Bundle {
    text: Vec<u8>,
    /// Each file's name and how many lines come before it.
    parts: Vec<(String, usize)>,
}

impl Bundle {
    fn add(&mut self, name: String, bytes: &[u8]) {
        if !self.parts.is_empty() {
            if !self.text.ends_with(b"\n") {
                self.text.push(b'\n');
            }
            self.text.extend_from_slice(b"---\n");
        }
        let before = self.text.iter().filter(|byte| **byte == b'\n').count();
        self.parts.push((name, before));
        self.text.extend_from_slice(bytes);
    }

    fn name(&self) -> String {
        match self.parts.as_slice() {
            [(only, _)] => only.clone(),
            _ => TOGETHER.to_owned(),
        }
    }

    /// The text with `the files line 12:` turned into the file and its own line.
    fn relocated(&self, detail: &str) -> String {
        let line = |text: &str| self.relocated_line(text).unwrap_or_else(|| text.to_owned());
        detail.split('\n').map(line).collect::<Vec<_>>().join("\n")
    }

    fn relocated_line(&self, text: &str) -> Option<String> {
        let (number, message) = text.strip_prefix(TOGETHER)?.strip_prefix(" line ")?.split_once(':')?;
        let number: usize = number.parse().ok()?;
        let (name, before) = self.parts.iter().rev().find(|(_, before)| *before < number)?;
        Some(format!("{name} line {}:{message}", number - before))
    }
}

#[test]
fn a_line_of_the_whole_is_told_as_one_of_its_file() {
    let mut bundle = Bundle::default();
    bundle.add("a.yaml".to_owned(), b"kind: connection\nname: a");
    bundle.add("b.yaml".to_owned(), b"kind: workflow\nname: b\n");
    assert_eq!(bundle.text, b"kind: connection\nname: a\n---\nkind: workflow\nname: b\n");
    let told = "the files line 2: x\nthe files line 5: y: z\nthe files: w\n... and 3 more";
    assert_eq!(bundle.relocated(told), "a.yaml line 2: x\nb.yaml line 2: y: z\nthe files: w\n... and 3 more");
}
