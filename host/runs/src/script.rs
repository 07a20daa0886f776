//! The answers that a test is played with, instead of the outside. Pure.
//!
//! Asking is counted at every attempt from the start, so a test that is taken
//! up again after a crash hears the same.

use std::collections::BTreeMap;

use host_model::digest::Digest;
use host_model::outcome::{CallError, Outcome};
use host_model::retry::Retry;
use serde::{Deserialize, Serialize};

use crate::ask::{Asked, Doing};
use crate::record::Did;

/// What is stored of a test's answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Script {
    /// Errors by hand, as the other side says them: each once, in this order,
    /// before any answer; the last one again and again where there is none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) failing: BTreeMap<String, Failing>,
    /// Answers by hand: as often as it is asked.
    pub(crate) given: BTreeMap<String, Outcome<String>>,
    /// Of a run: each once, in the order in which that run asked.
    pub(crate) recorded: Vec<Line>,
}

/// What fails.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Failing {
    pub(crate) errors: Vec<CallError>,
    /// How many were told to this attempt.
    #[serde(skip)]
    pub(crate) told: usize,
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
    /// What is done instead, with no outside effect. Time passes at once. What
    /// may pass of the errors by hand is tried again, as `retry` or the call says.
    pub(crate) fn played(
        &mut self,
        asked: &Asked,
        place: Option<&str>,
        doing: Doing,
        retry: &Retry,
    ) -> Doing {
        let most = match &doing {
            Doing::Call(callee) => callee.tries.map_or(retry.tries, |own| own.times),
            _ => 1,
        };
        match doing {
            // What cannot be done at all is told as in any run.
            doing @ (Doing::Refuse(_) | Doing::Fail(_) | Doing::Told(..)) => return doing,
            Doing::OnCancel => return doing,
            // Nobody who looks for a customer finds a test; whoever waits for one waits for its end.
            Doing::Sleep(_) | Doing::SetKey { .. } | Doing::Reply { .. } => {
                return Doing::Told(Outcome::Answered("null".to_owned()), Vec::new());
            }
            Doing::Call(_) | Doing::Event { .. } | Doing::Child { .. } | Doing::Publish { .. } => {}
        }
        let Some(name) = name_of(&asked.did) else { return doing };
        let mut tries = Vec::new();
        let again =
            |error: &CallError, tries: &[CallError]| error.may_pass() && tries.len() + 1 < most as usize;
        let mut failing = self.failing.get_mut(&name);
        while let Some(error) = failing.as_mut().and_then(|failing| failing.next()) {
            if !again(&error, &tries) {
                return Doing::Told(Outcome::Declined(error), tries);
            }
            tries.push(error);
        }
        let last = failing.and_then(|failing| failing.errors.last().cloned());
        if let Some(outcome) = self.given.get(&name) {
            return Doing::Told(outcome.clone(), tries);
        }
        let lines = self.recorded.iter_mut().filter(|line| line.name == name && !line.told);
        // The same question in the same place first, then any of that name.
        let fit = |line: &&mut Line| (line.place.as_deref() != place, line.asked != asked.digest);
        match lines.min_by_key(fit) {
            Some(line) => {
                line.told = true;
                Doing::Told(line.outcome.clone(), tries)
            }
            None => match last {
                Some(error) => {
                    while again(&error, &tries) {
                        tries.push(error.clone());
                    }
                    Doing::Told(Outcome::Declined(error), tries)
                }
                None => Doing::Fail(format!(
                    "the test stopped: it has no answer for `{name}`, and nothing goes out in a test; give one, or test against the real connection (live)"
                )),
            },
        }
    }
}

impl Failing {
    /// The next that was not told.
    fn next(&mut self) -> Option<CallError> {
        let error = self.errors.get(self.told)?.clone();
        self.told += 1;
        Some(error)
    }
}

#[cfg(test)]
mod tests {
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
        let retry = Retry { tries: 3, ..Retry::default() };
        match script.played(&ask(endpoint, input), Some(place), call, &retry) {
            Doing::Told(Outcome::Answered(text), tries) => text + &"!".repeat(tries.len()),
            Doing::Told(Outcome::Declined(error), tries) => error.to_string() + &"!".repeat(tries.len()),
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
    fn errors_come_first_each_once_and_the_last_stays_where_there_is_no_answer() {
        let errors = |kind: fn(String) -> CallError| vec![kind("one".to_owned()), kind("two".to_owned())];
        let failing = [("find", errors(CallError::Conflict)), ("drop", errors(CallError::Retry))];
        let failing = failing.map(|(name, errors)| (format!("crm.{name}"), Failing { errors, told: 0 }));
        let mut script =
            Script { failing: failing.into(), recorded: vec![line("1", "a")], ..Script::default() };
        let found: Vec<_> = (0..4).map(|_| told(&mut script, "find", "1", "a")).collect();
        let want = ["conflict: one", "conflict: two", "a 1", "conflict: two"];
        assert_eq!(found, want, "the recorded answer counts once");
        // What may pass is tried three times in all before the workflow hears of it.
        let dropped: Vec<_> = (0..2).map(|_| told(&mut script, "drop", "1", "a")).collect();
        assert_eq!(dropped, ["temporary failure: two!!", "temporary failure: two!!"]);
        script.recorded.push(Line { name: "crm.drop".to_owned(), ..line("1", "a") });
        script.failing.get_mut("crm.drop").unwrap().told = 0;
        assert_eq!(told(&mut script, "drop", "1", "a"), "a 1!!");
    }

    #[test]
    fn what_is_given_by_hand_is_told_as_often_as_it_is_asked_and_before_what_is_recorded() {
        let failure = Outcome::Declined(CallError::Permanent("no".to_owned()));
        let given = BTreeMap::from([("crm.find".to_owned(), failure)]);
        let mut script = Script { given, recorded: vec![line("1", "a")], ..Script::default() };
        assert_eq!(told(&mut script, "find", "1", "a"), told(&mut script, "find", "2", "b"));
        assert!(told(&mut script, "drop", "1", "a").contains("no answer for `crm.drop`"));
    }
}
