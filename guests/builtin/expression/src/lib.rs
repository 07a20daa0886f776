//! Reads what people write for a workflow: its steps and its expressions.
//!
//! A stranger's text is parsed here only, within the bounds of a call: jq that
//! never ends runs out of fuel, jq that builds gigabytes runs out of memory.

mod check;
mod evaluate;
mod part;

use wharf_sdk::{Context, Error, connector};

struct Expression;

#[connector]
impl Expression {
    /// A workflow with mistakes is a proper answer: it says what they are.
    #[outbound("check")]
    fn check(question: check::Question, _: &Context) -> Result<check::Answer, Error> {
        Ok(check::answer(&question))
    }

    /// So is an expression that fails, beside the others' values.
    #[outbound("evaluate")]
    fn evaluate(question: evaluate::Question, _: &Context) -> Result<Vec<evaluate::Evaluated>, Error> {
        evaluate::answer(&question)
    }

    /// A step that does not exist is `not-found`.
    #[outbound("part")]
    fn part(question: part::Question, _: &Context) -> Result<host_flow::Flow, Error> {
        part::answer(question)
    }
}
