//! The answers that a test is played with, instead of the outside. Pure.
//!
//! Asking is counted at every attempt from the start, so a test that is taken
//! up again after a crash hears the same.

use std::collections::BTreeMap;

use host_model::digest::Digest;
use host_model::outcome::Outcome;
use serde::{Deserialize, Serialize};

use crate::ask::{Asked, Doing};
use crate::record::Did;

/// What is stored of a test's answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Script {
    /// By hand: as often as it is asked.
    pub(crate) given: BTreeMap<String, Outcome<String>>,
    /// Of a run: each once, in the order in which that run asked.
    pub(crate) recorded: Vec<Line>,
}

/// A recorded answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) asked: Digest,
    pub(crate) place: Option<String>,
    pub(crate) outcome: Outcome<String>,
    /// It was told to this attempt.
    #[serde(skip)]
    pub(crate) told: bool,
}

/// By what name people give the answer of a step; `None` for what has no outside effect.
pub(crate) fn name_of(did: &Did) -> Option<String> {
    match did {
        Did::Call { role, endpoint, .. } => Some(format!("{role}.{endpoint}")),
        Did::Event { name, .. } => Some(format!("event:{name}")),
        Did::Workflow { workflow, .. } => Some(format!("workflow:{workflow}")),
        Did::Publish { topic, .. } => Some(format!("topic:{topic}")),
        Did::Sleep { .. }
        | Did::SleepUntil { .. }
        | Did::Reply { .. }
        | Did::SetKey { .. }
        | Did::OnCancel { .. } => None,
    }
}

impl Script {
    /// What is done instead, with no outside effect. Time passes at once.
    pub(crate) fn played(&mut self, asked: &Asked, place: Option<&str>, doing: Doing) -> Doing {
        match doing {
            // What cannot be done at all is told as in any run.
            doing @ (Doing::Refuse(_) | Doing::Fail(_) | Doing::Told(_)) => return doing,
            Doing::OnCancel => return doing,
            // Nobody who looks for a customer finds a test; whoever waits for one waits for its end.
            Doing::Sleep(_) | Doing::SetKey { .. } | Doing::Reply { .. } => {
                return Doing::Told(Outcome::Answered("null".to_owned()));
            }
            Doing::Call(_) | Doing::Event { .. } | Doing::Child { .. } | Doing::Publish { .. } => {}
        }
        let Some(name) = name_of(&asked.did) else { return doing };
        if let Some(outcome) = self.given.get(&name) {
            return Doing::Told(outcome.clone());
        }
        let lines = self.recorded.iter_mut().filter(|line| line.name == name && !line.told);
        // The same question in the same place first, then any of that name.
        let fit = |line: &&mut Line| (line.place.as_deref() != place, line.asked != asked.digest);
        match lines.min_by_key(fit) {
            Some(line) => {
                line.told = true;
                Doing::Told(line.outcome.clone())
            }
            None => Doing::Fail(format!(
                "the test stopped: it has no answer for `{name}`, and nothing goes out in a test; give one, or test against the real connection (live)"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use host_model::outcome::CallError;

    use super::*;
    use crate::ask::plan;
    use crate::record::{Payload, Wire};

    fn ask(endpoint: &str, input: &str) -> Asked {
        let did = Did::Call {
            role: "crm".to_owned(),
            connection: None,
            endpoint: endpoint.to_owned(),
            input: Payload::Here(input.to_owned()),
        };
        Asked { digest: Digest::of(input.as_bytes()), did }
    }

    fn line(input: &str, place: &str) -> Line {
        Line {
            name: "crm.find".to_owned(),
            asked: Digest::of(input.as_bytes()),
            place: Some(place.to_owned()),
            outcome: Outcome::Answered(format!("{place} {input}")),
            told: false,
        }
    }

    fn told(script: &mut Script, endpoint: &str, input: &str, place: &str) -> String {
        let wire = Wire {
            connection: "crm".parse().unwrap(),
            endpoints: std::iter::once(endpoint.parse().unwrap()).collect(),
        };
        let wiring = std::iter::once(("crm".parse().unwrap(), wire)).collect();
        let (_, call) = plan(&wiring, "crm", endpoint, input.to_owned());
        match script.played(&ask(endpoint, input), Some(place), call) {
            Doing::Told(Outcome::Answered(text)) => text,
            Doing::Told(Outcome::Declined(error)) => error.to_string(),
            Doing::Fail(why) => why,
            _ => panic!("it would go out"),
        }
    }

    #[test]
    fn a_recorded_answer_is_told_once_and_the_one_of_the_same_place_and_question_first() {
        let recorded = vec![line("1", "a"), line("2", "b"), line("3", "b")];
        let mut script = Script { recorded, ..Script::default() };
        assert_eq!(told(&mut script, "find", "3", "b"), "b 3");
        assert_eq!(told(&mut script, "find", "7", "b"), "b 2", "of the place, though it asks something else");
        assert_eq!(told(&mut script, "find", "7", "c"), "a 1");
        assert!(told(&mut script, "find", "7", "c").contains("no answer for `crm.find`"));
    }

    #[test]
    fn what_is_given_by_hand_is_told_as_often_as_it_is_asked_and_before_what_is_recorded() {
        let failure = Outcome::Declined(CallError::Permanent("no".to_owned()));
        let given = BTreeMap::from([("crm.find".to_owned(), failure)]);
        let mut script = Script { given, recorded: vec![line("1", "a")] };
        assert_eq!(told(&mut script, "find", "1", "a"), told(&mut script, "find", "2", "b"));
        assert!(told(&mut script, "drop", "1", "a").contains("no answer for `crm.drop`"));
    }
}
