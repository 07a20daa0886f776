//! `part`: one step, or all from one to the end, for a test of it.

use host_flow::Flow;
use serde::Deserialize;
use serde_json::Value;
use wharf_sdk::Error;

/// A tree, and the part of it that is wanted.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Question {
    flow: Flow,
    /// The step's id.
    step: String,
    /// Whether the steps after it are wanted too.
    #[serde(default)]
    to_end: bool,
    /// What earlier steps would have set.
    #[serde(default)]
    given: Vec<(String, Value)>,
}

pub(crate) fn answer(question: Question) -> Result<Flow, Error> {
    let Question { flow, step, to_end, given } = question;
    let part = if to_end { flow.from_step(&step, given) } else { flow.only(&step, given) };
    part.ok_or_else(|| {
        let step = step.escape_debug();
        Error::NotFound(if to_end && flow.step(&step.to_string()).is_some() {
            format!("the step `{step}` stands within another, so there is no way from it to the end: test it alone")
        } else {
            format!("the workflow has no step with the id `{step}`")
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wharf_sdk::Error;

    fn part(step: &str, to_end: bool) -> Result<Value, Error> {
        let text = "steps:\n- { id: a, map: 1 }\n- if: ${ $a }\n  then: [{ id: b, map: 2 }]\n- { id: c, map: 3 }\n- stop\n";
        let flow = host_flow::read(text, "f.yaml").unwrap();
        let question = json!({ "flow": flow, "step": step, "to-end": to_end, "given": [["a", 7]] });
        let flow = super::answer(serde_json::from_value(question).unwrap())?;
        Ok(serde_json::to_value(flow).unwrap())
    }

    #[test]
    fn a_part_has_its_steps_and_what_is_given() {
        let one = part("b", false).unwrap();
        assert_eq!((&one["steps"].as_array().unwrap().len(), &one["given"]), (&1, &json!([["a", 7]])));
        assert_eq!(part("c", true).unwrap()["steps"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_step_that_is_not_there_is_told() {
        assert!(
            matches!(part("x", false), Err(Error::NotFound(why)) if why.contains("no step with the id `x`"))
        );
        assert!(matches!(part("b", true), Err(Error::NotFound(why)) if why.contains("test it alone")));
    }
}
