//! Which other workflows a workflow's steps start.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::template::Template;
use crate::tree::{Flow, Step, What};

/// By what a workflow is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// Its name.
    Workflow,
    /// A topic.
    Topic,
}

/// A step that starts other workflows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// How it says which.
    pub by: By,
    /// The name of the workflow, or of the topic.
    pub name: String,
    /// The step's line in the text, from 1.
    pub line: u32,
    /// Whether every run that goes well does it; otherwise something decides.
    pub certain: bool,
}

impl Flow {
    /// What its steps start, in the order of the text. A topic that an
    /// expression makes is not known.
    pub fn starts(&self) -> Vec<Start> {
        let mut starts = Vec::new();
        walk(&self.steps, true, &mut starts);
        starts
    }
}

fn walk(steps: &[Step], mut certain: bool, starts: &mut Vec<Start>) {
    for step in steps {
        let (by, name) = match &step.what {
            What::Workflow { workflow, .. } => (By::Workflow, Some(workflow)),
            What::Publish { topic: Template::Literal(Value::String(topic)), .. } => (By::Topic, Some(topic)),
            _ => (By::Topic, None),
        };
        starts.extend(name.map(|name| Start { by, name: name.clone(), line: step.line, certain }));
        let decides = match &step.what {
            What::If { .. } | What::Switch { .. } | What::ForEach { .. } | What::Try { .. } => true,
            What::WaitFor { on_timeout, .. } => on_timeout.is_some(),
            _ => false,
        };
        for block in step.what.blocks() {
            walk(block, certain && !decides, starts);
        }
        certain &= !may_end(step);
    }
}

/// Whether it, or something in it, ends the run.
fn may_end(step: &Step) -> bool {
    matches!(step.what, What::Stop(_) | What::Fail { .. })
        || step.what.blocks().into_iter().flatten().any(may_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(steps: &str) -> Vec<String> {
        let flow = crate::read(&format!("kind: workflow\nname: a\nsteps:\n{steps}"), "a.yaml").unwrap();
        let said = |it: Start| format!("{:?} {} {} {}", it.by, it.name, it.line, it.certain);
        flow.starts().into_iter().map(said).collect()
    }

    #[test]
    fn what_is_started_is_certain_unless_something_decides() {
        let certain = "- workflow: b\n- parallel:\n    x: [ { retry: [ { publish: t, with: 1 } ] } ]\n- publish: ${ . }\n";
        assert_eq!(told(certain), ["Workflow b 4 true", "Topic t 6 true"]);
        for steps in [
            "- if: ${ . }\n  then: [ { workflow: b } ]\n",
            "- for-each: ${ . }\n  steps: [ { workflow: b } ]\n",
            "- switch: ${ . }\n  cases: { x: [ { workflow: b } ] }\n",
            "- try: [ { workflow: b } ]\n  catch: [ { map: 1 } ]\n",
            "- if: ${ . }\n  then: [ stop ]\n- workflow: b\n",
            "- parallel:\n    x: [ { if: \"${ . }\", then: [ { fail: no } ] } ]\n- workflow: b\n",
        ] {
            let told = told(steps);
            assert!(told.len() == 1 && told[0].ends_with(" false"), "{steps}: {told:?}");
        }
    }
}
