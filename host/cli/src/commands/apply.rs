//! `wharf apply`: files in, what became of each document out.
//!
//! Several files go as one, so that they are applied as a whole and may refer
//! to each other; what the server says of a line is then said of its file.

use std::path::PathBuf;

use http::Method;
use serde::Serialize;
use serde_json::Value;

use super::{Done, Session};
use crate::api::ApiError;
use crate::error::{CommandError, Exit};
use crate::input;

/// The longest list of files that is put into a query; without it the server
/// counts the lines of a run's steps from the first file on.
const MAX_PARTS: usize = 8 << 10;
/// What the server is told that several files together are called.
const TOGETHER: &str = "the files";

pub(super) async fn run(
    session: &mut Session<'_>,
    files: &[PathBuf],
    dry_run: bool,
) -> Result<Exit, CommandError> {
    let (_, sent) = send(session, files, dry_run).await?;
    let body = sent?;
    let done: Vec<Done> = session.api.read(&body)?;
    let would = if dry_run { " (dry run)" } else { "" };
    session.show(&body, || match done.as_slice() {
        [] => "nothing to apply".to_owned(),
        done => done.iter().map(|done| done.told(would)).collect::<Vec<_>>().join("\n"),
    })
}

/// What is wrong with the files, or may be, told on the output: it is what was asked for.
#[derive(Serialize)]
struct Checked<'a> {
    problems: Vec<Problem<'a>>,
    warnings: Vec<String>,
    /// What would wait for consent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waiting: Vec<Done>,
}

#[derive(Serialize)]
struct Problem<'a> {
    /// None if it is about no file alone.
    file: Option<&'a str>,
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u64>,
    message: &'a str,
}

/// `wharf check`: a dry run whose answer is what is wrong.
pub(super) async fn check(session: &mut Session<'_>, files: &[PathBuf]) -> Result<Exit, CommandError> {
    let (bundle, sent) = send(session, files, true).await?;
    let (detail, warnings, waiting) = match sent {
        Ok(body) => {
            let mut done: Vec<Done> = session.api.read(&body)?;
            let warnings = done.iter_mut().flat_map(|done| std::mem::take(&mut done.warnings)).collect();
            done.retain(|done| done.waits.is_some());
            (String::new(), warnings, done)
        }
        // Only what is wrong with the files; a token that is refused is another matter.
        Err(ApiError::Refused { problem, .. }) if problem.code == "invalid" => {
            (problem.detail, Vec::new(), Vec::new())
        }
        Err(other) => return Err(other.into()),
    };
    let problems: Vec<_> = detail.lines().map(|line| bundle.problem(line)).collect();
    let exit = if problems.is_empty() { Exit::Done } else { Exit::Failed };
    let told = Checked { problems, warnings, waiting };
    session.show(&told, || {
        let warnings = told.warnings.iter().map(|warning| format!("warning: {warning}"));
        let waiting = told.waiting.iter().map(|done| done.told(" (dry run)"));
        let lines: Vec<_> = detail.lines().map(str::to_owned).chain(warnings).chain(waiting).collect();
        if lines.is_empty() { "nothing is wrong".to_owned() } else { lines.join("\n") }
    })?;
    Ok(exit)
}

/// Sends the files as one; a refusal names the files that its lines are of.
async fn send(
    session: &mut Session<'_>,
    files: &[PathBuf],
    dry_run: bool,
) -> Result<(Bundle, Result<Value, ApiError>), CommandError> {
    let mut bundle = Bundle::default();
    for file in files {
        bundle.add(file.display().to_string(), &input::bytes(file, session.terminal)?);
    }
    let mut query = vec![("file", bundle.name())];
    if let Some(parts) = bundle.parts() {
        query.push(("parts", parts));
    }
    // Without one it is the token's own; the operator may apply tenants, which belong to none.
    query.extend(session.tenant.iter().map(|tenant| ("tenant", tenant.to_string())));
    if dry_run {
        query.push(("dry-run", "true".to_owned()));
    }
    let ask = session.api.ask(Method::POST, "api/v1/apply", &query);
    let sent = match ask.body("application/yaml", bundle.text.clone()).value().await {
        Err(ApiError::Refused { mut problem, mut body, retry_after, had_token }) => {
            problem.detail = bundle.relocated(&problem.detail);
            if let Some(detail) = body.get_mut("detail") {
                *detail = problem.detail.as_str().into();
            }
            Err(ApiError::Refused { problem, body, retry_after, had_token })
        }
        answer => answer,
    };
    Ok((bundle, sent))
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

    /// Which files it is made of, for the server; none if it is one.
    fn parts(&self) -> Option<String> {
        let parts = (self.parts.len() > 1).then(|| serde_json::to_string(&self.parts).ok())?;
        parts.filter(|parts| parts.len() <= MAX_PARTS)
    }

    /// A line of what the server said, taken apart.
    fn problem<'a>(&'a self, told: &'a str) -> Problem<'a> {
        let whole = Problem { file: None, line: None, column: None, message: told };
        for (file, _) in &self.parts {
            let Some(rest) = told.strip_prefix(file.as_str()) else { continue };
            if let Some(message) = rest.strip_prefix(": ") {
                return Problem { file: Some(file), line: None, column: None, message };
            }
            let placed = rest.strip_prefix(" line ").and_then(|rest| rest.split_once(": "));
            let Some((place, message)) = placed else { continue };
            let (line, column) =
                place.split_once(':').map_or((place, None), |(line, it)| (line, it.parse().ok()));
            if let Ok(line) = line.parse() {
                return Problem { file: Some(file), line: Some(line), column, message };
            }
        }
        whole
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
    let told = "the files line 2: x\nthe files line 5:9: y: z\nthe files: w\n... and 3 more";
    assert_eq!(
        bundle.relocated(told),
        "a.yaml line 2: x\nb.yaml line 2:9: y: z\nthe files: w\n... and 3 more"
    );
    let Problem { file, line, column, message } = bundle.problem("b.yaml line 2:9: y: z");
    assert_eq!((file, line, column, message), (Some("b.yaml"), Some(2), Some(9), "y: z"));
}
