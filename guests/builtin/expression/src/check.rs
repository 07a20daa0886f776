//! `check`: what is wrong with a workflow, or its tree.

use host_flow::{Flow, Level, Problem, Start, Surroundings, Use};
use serde::{Deserialize, Serialize};

/// A workflow's text and what is around it.
#[derive(Deserialize)]
pub(crate) struct Question {
    text: String,
    #[serde(default)]
    file: String,
    #[serde(default)]
    surroundings: Surroundings,
}

/// What was found. There is a tree unless there is an error.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Answer {
    problems: Vec<Problem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flow: Option<Flow>,
    uses: Vec<Use>,
    starts: Vec<Start>,
}

pub(crate) fn answer(question: &Question) -> Answer {
    let flow = match host_flow::read(&question.text, &question.file) {
        Ok(flow) => flow,
        Err(problems) => return Answer { problems, ..Answer::default() },
    };
    let problems = host_flow::check(&flow, &question.surroundings);
    let (uses, starts) = (flow.uses(), flow.starts());
    let works = problems.iter().all(|problem| problem.level != Level::Error);
    Answer { problems, flow: works.then_some(flow), uses, starts }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    fn told(text: &str) -> Value {
        let surroundings = json!({ "connections": { "crm": { "find": {} } }, "workflows": [] });
        let question = json!({ "text": text, "file": "lead.yaml", "surroundings": surroundings });
        serde_json::to_value(super::answer(&serde_json::from_value(question).unwrap())).unwrap()
    }

    #[test]
    fn a_workflow_that_works_has_a_tree_and_uses() {
        let told = told("steps:\n- call: crm.find\n");
        assert_eq!(told["problems"], json!([]));
        assert_eq!(told["uses"], json!([{ "connection": "crm", "endpoint": "find", "line": 2 }]));
        assert_eq!(told["starts"], json!([]));
        assert_eq!(told["flow"]["file"], "lead.yaml");
        assert_eq!(told["flow"]["steps"][0]["line"], 2);
    }

    #[test]
    fn a_warning_leaves_the_tree() {
        let told = told("steps:\n- if: true\n  then: [stop]\n");
        assert_eq!(told["problems"][0]["level"], "warning");
        assert!(told["flow"].is_object());
    }

    #[test]
    fn a_mistake_leaves_none() {
        for text in ["steps:\n- cal: crm.find\n", "steps:\n- call: crm.fnid\n"] {
            let told = told(text);
            let problem = &told["problems"][0];
            assert_eq!((&problem["line"], &problem["level"]), (&json!(2), &json!("error")));
            assert!(problem["message"].as_str().unwrap().contains("did you mean"), "{problem}");
            assert!(told.get("flow").is_none());
        }
    }
}
