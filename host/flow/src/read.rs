//! From the text to the tree: what is written, not what it means.
//!
//! The text is the whole document of a workflow, so that lines are the file's;
//! what stands beside `steps` and `answer` is read by the host. Everything
//! that is wrong is told, not only the first.

mod fields;
mod steps;
mod values;

use self::fields::Fields;
pub(crate) use self::steps::BUILT_IN;
#[cfg(test)]
pub(crate) use self::steps::VERBS;
use self::values::Source;
use crate::problem::Problem;
use crate::suggest::hint;
use crate::tree::Flow;
use crate::yaml::{self, Place};

/// The most bytes of a text, empty lines before it aside: a thousand lines.
/// The host takes 48 KiB.
pub const MAX_TEXT: usize = 64 << 10;
/// The most steps of a workflow, all blocks together: more than a person reads.
pub const MAX_STEPS: usize = 1_000;
/// How deep steps may stand within steps; well below what YAML's depth allows.
const MAX_NESTED: usize = 12;
/// The most problems that are told at once: what a person might look at.
const MAX_PROBLEMS: usize = 100;

/// Reads a workflow's document, or says everything that is wrong with it, in
/// the order of the lines. `file` is its name, for messages.
pub fn read(text: &str, file: &str) -> Result<Flow, Vec<Problem>> {
    let length = text.trim_start_matches('\n').len();
    if length > MAX_TEXT {
        let message = format!(
            "the text has {length} bytes, the limit is {MAX_TEXT}: move a part into a workflow of its own and start it with `workflow`"
        );
        return Err(vec![Problem::new(1, 1, message)]);
    }
    let root = yaml::parse(text).map_err(|problem| vec![problem])?;
    let mut reader = Reader { source: Source::new(text), problems: Vec::new(), steps: 0, depth: 0 };
    let flow = reader.document(root, file);
    let mut problems = reader.problems;
    match flow {
        Some(flow) if problems.is_empty() => Ok(flow),
        _ => {
            tidy(&mut problems);
            Err(problems)
        }
    }
}

/// In the order of the lines, and not too many.
pub(crate) fn tidy(problems: &mut Vec<Problem>) {
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems.dedup();
    problems.truncate(MAX_PROBLEMS);
}

/// What is being read, and what was wrong so far.
struct Reader<'a> {
    source: Source<'a>,
    problems: Vec<Problem>,
    steps: usize,
    depth: usize,
}

impl Reader<'_> {
    fn document(&mut self, root: yaml::Node, file: &str) -> Option<Flow> {
        let at = root.at;
        let mut fields =
            Fields::of(root, "a workflow is a mapping: `kind: workflow`, `name:`, `steps:`", self)?;
        if let Some((_, kind)) = fields.take("kind")
            && !matches!(&kind.data, yaml::Data::Text(kind) if kind == "workflow")
        {
            self.wrong(kind.at, "this is no workflow: write `kind: workflow`");
        }
        let name = fields.take("name").and_then(|(_, name)| match name.data {
            yaml::Data::Text(name) => Some(name),
            _ => None, // the host says what is wrong with it
        });
        let answer = fields.take("answer").map(|(_, answer)| self.template(answer));
        let Some((_, steps)) = fields.take("steps") else {
            let near = fields.names().find(|key| !hint(key, ["steps"]).is_empty());
            let near = near.map(|key| format!(" (`{key}` is not read)")).unwrap_or_default();
            self.wrong(at, format!("there are no `steps`{near}: list what the workflow does under `steps:`"));
            return None;
        };
        let steps = self.steps(steps, "steps")?;
        Some(Flow { file: file.to_owned(), name, steps, answer, given: Vec::new() })
    }

    fn wrong(&mut self, at: Place, message: impl Into<String>) {
        self.problems.push(Problem::new(at.line, at.column, message));
    }
}
