//! From what the guest asks for to what is asked and what is done about it.
//! The guest wrote every text: names are parsed, JSON is read, sizes are those
//! that `wit/` says, and what is refused is kept cut.

use chrono::TimeDelta;
use host_model::clock::Timestamp;
use host_model::effects::Intent;
use host_model::name::{EventName, FieldName, MAX_NAME, TopicName, WorkflowName};
use host_model::outcome::CallError;
use host_model::retry::OwnTries;

use crate::ask::{Asked, Doing, QUOTED, check_json, cut, digest_of, plan};
use crate::record::{Did, Payload, Wiring};

/// The most bytes of a business key's value; said in `wit/`.
const MAX_KEY_VALUE: usize = 128;

/// What is asked and what is done about it; `now` is the run's clock, so that
/// a wait that a crash cut short does not start over.
pub(crate) fn planned(wiring: &Wiring, now: Timestamp, intent: Intent) -> (Asked, Doing) {
    match intent {
        Intent::Call { role, endpoint, input, tries } => {
            let (asked, mut doing) = plan(wiring, &role, &endpoint, input);
            if let Doing::Call(callee) = &mut doing {
                callee.tries = tries.map(OwnTries::within_bounds);
            }
            (asked, doing)
        }
        Intent::Sleep { ms } => {
            let digest = digest_of(&["sleep", &ms.to_string()]);
            (Asked { digest, did: Did::Sleep { ms } }, Doing::Sleep(later(now, ms)))
        }
        Intent::SleepUntil { time_ms } => {
            let digest = digest_of(&["sleep-until", &time_ms.to_string()]);
            let until = later(Timestamp::UNIX_EPOCH, time_ms);
            (Asked { digest, did: Did::SleepUntil { time_ms } }, Doing::Sleep(until))
        }
        Intent::Event { name, timeout_ms } => event(&name, timeout_ms, now),
        Intent::Workflow { workflow, input } => child(&workflow, input, now),
        Intent::Publish { topic, data } => publish(&topic, data),
        Intent::Reply { answer } => reply(answer),
        Intent::SetKey { name, value } => set_key(&name, &value),
        Intent::OnCancel { role, endpoint, input } => on_cancel(wiring, &role, &endpoint, input),
    }
}

fn event(name: &str, timeout_ms: Option<u64>, now: Timestamp) -> (Asked, Doing) {
    let timeout = timeout_ms.map(|ms| ms.to_string()).unwrap_or_default();
    let digest = digest_of(&["event", name, &timeout]);
    let until = timeout_ms.map(|ms| later(now, ms));
    let doing = match name.parse::<EventName>() {
        Ok(name) => Doing::Event { name, until },
        Err(bad) => Doing::Refuse(CallError::InvalidInput(bad.to_string())),
    };
    (Asked { digest, did: Did::Event { name: cut(name, MAX_NAME), timeout_ms } }, doing)
}

fn child(workflow: &str, input: String, at: Timestamp) -> (Asked, Doing) {
    let digest = digest_of(&["workflow", workflow, &input]);
    let doing = match (workflow.parse::<WorkflowName>(), check_json("the input", &input)) {
        (Err(bad), _) => Doing::Refuse(CallError::NotFound(bad.to_string())),
        (_, Err(why)) => Doing::Refuse(CallError::InvalidInput(why)),
        (Ok(workflow), Ok(())) => Doing::Child { workflow, input: input.clone(), at },
    };
    let input = kept(input, &doing);
    (Asked { digest, did: Did::Workflow { workflow: cut(workflow, MAX_NAME), run: None, input } }, doing)
}

fn publish(topic: &str, data: String) -> (Asked, Doing) {
    let digest = digest_of(&["publish", topic, &data]);
    let doing = match (topic.parse::<TopicName>(), check_json("the data", &data)) {
        (Err(bad), _) => Doing::Refuse(CallError::InvalidInput(bad.to_string())),
        (_, Err(why)) => Doing::Refuse(CallError::InvalidInput(why)),
        (Ok(topic), Ok(())) => Doing::Publish { topic, data: data.clone() },
    };
    let data = kept(data, &doing);
    (Asked { digest, did: Did::Publish { topic: cut(topic, MAX_NAME), data, runs: Vec::new() } }, doing)
}

/// A reply has no answer, so a bad one ends the run: better than a caller that
/// waits for what never comes.
fn reply(answer: String) -> (Asked, Doing) {
    let digest = digest_of(&["reply", &answer]);
    let doing = match check_json("the reply", &answer) {
        Ok(()) => Doing::Reply { answer: answer.clone() },
        Err(why) => Doing::Fail(why),
    };
    (Asked { digest, did: Did::Reply { answer: kept(answer, &doing) } }, doing)
}

fn set_key(name: &str, value: &str) -> (Asked, Doing) {
    let digest = digest_of(&["set-key", name, value]);
    let doing = match name.parse::<FieldName>() {
        Err(bad) => Doing::Refuse(CallError::InvalidInput(bad.to_string())),
        Ok(_) if value.is_empty() || value.len() > MAX_KEY_VALUE => {
            Doing::Refuse(CallError::InvalidInput(format!(
                "the value of a business key must have 1 to {MAX_KEY_VALUE} bytes, that of `{name}` has {}",
                value.len()
            )))
        }
        Ok(_) if value.chars().any(char::is_control) => Doing::Refuse(CallError::InvalidInput(format!(
            "the value of the business key `{name}` has control characters"
        ))),
        Ok(_) => Doing::SetKey { name: name.to_owned(), value: value.to_owned() },
    };
    let did = Did::SetKey { name: cut(name, MAX_NAME), value: cut(value, MAX_KEY_VALUE) };
    (Asked { digest, did }, doing)
}

/// What undoes a run must be callable: one that is not would be found out only
/// when it is too late, so it ends the run.
fn on_cancel(wiring: &Wiring, role: &str, endpoint: &str, input: String) -> (Asked, Doing) {
    let digest = digest_of(&["on-cancel", role, endpoint, &input]);
    let doing = match plan(wiring, role, endpoint, input.clone()).1 {
        Doing::Refuse(error) => Doing::Fail(format!("what undoes the run cannot be called: {error}")),
        _ => Doing::OnCancel,
    };
    let input = kept(input, &doing);
    let did = Did::OnCancel { role: cut(role, MAX_NAME), endpoint: cut(endpoint, MAX_NAME), input };
    (Asked { digest, did }, doing)
}

/// What is done is kept whole; of what is refused, enough to see why.
fn kept(text: String, doing: &Doing) -> Payload {
    match doing {
        Doing::Refuse(_) | Doing::Fail(_) => Payload::Here(cut(&text, QUOTED)),
        _ => Payload::Here(text),
    }
}

fn later(now: Timestamp, ms: u64) -> Timestamp {
    let by = i64::try_from(ms).ok().and_then(TimeDelta::try_milliseconds);
    by.and_then(|by| now.checked_add_signed(by)).unwrap_or(Timestamp::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(intent: Intent) -> String {
        match planned(&Wiring::new(), Timestamp::UNIX_EPOCH, intent).1 {
            Doing::Refuse(error) => error.to_string(),
            Doing::Fail(text) => format!("fails: {text}"),
            _ => "fine".to_owned(),
        }
    }

    #[test]
    fn what_the_guest_wrote_is_not_believed() {
        let event = |name: &str| done(Intent::Event { name: name.to_owned(), timeout_ms: Some(u64::MAX) });
        assert_eq!(event("approved"), "fine");
        assert!(event("../x").contains("is not a event name"));
        let publish = |topic: &str, data: &str| {
            done(Intent::Publish { topic: topic.to_owned(), data: data.to_owned() })
        };
        assert_eq!(publish("leads", "1"), "fine");
        assert!(publish("leads", "{").contains("the data is not JSON"));
        assert!(publish("Leads", "1").contains("is not a topic name"));
        let child = |workflow: &str, input: &str| {
            done(Intent::Workflow { workflow: workflow.to_owned(), input: input.to_owned() })
        };
        assert_eq!(child("report", "1"), "fine");
        assert!(child("Report", "1").contains("not found"));
        assert!(child("report", "").contains("the input is not JSON"));
        let key =
            |name: &str, value: &str| done(Intent::SetKey { name: name.to_owned(), value: value.to_owned() });
        assert_eq!(key("customer", &"7".repeat(128)), "fine");
        assert!(key("customer", &"7".repeat(129)).contains("1 to 128 bytes"));
        assert!(key("customer", "").contains("1 to 128 bytes"));
        assert!(key("customer", "a\0b").contains("control"));
        assert!(key(&"x".repeat(64), "1").contains("invalid input"));
        assert_eq!(done(Intent::Reply { answer: "1".to_owned() }), "fine");
        assert!(done(Intent::Reply { answer: "{".to_owned() }).starts_with("fails: the reply is not JSON"));
        let (role, endpoint, input) = ("crm".to_owned(), "drop".to_owned(), "1".to_owned());
        let undo = done(Intent::OnCancel { role, endpoint, input });
        assert!(undo.starts_with("fails: what undoes the run cannot be called: not found"), "{undo}");
    }
}
