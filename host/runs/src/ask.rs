//! What a workflow asked for: what is done about it, and how it is compared
//! with what its journal says.

use std::fmt;

use host_model::clock::Timestamp;
use host_model::digest::Digest;
use host_model::name::{ConnectionName, EndpointName, EventName, MAX_NAME, TopicName, WorkflowName};
use host_model::outcome::{CallError, Outcome};
use host_model::retry::OwnTries;
use serde::de::IgnoredAny;

use crate::record::{Did, Payload, Wiring};

/// The most bytes of a call's input; said in `wit/`.
pub(crate) const MAX_INPUT: usize = 1 << 20;

/// How many characters of an input a message about it quotes.
pub(crate) const QUOTED: usize = 500;

/// What was asked: the digest of all of it, and as much as is kept.
pub(crate) struct Asked {
    pub(crate) digest: Digest,
    pub(crate) did: Did,
}

/// What is called, and with what.
pub(crate) struct Callee {
    pub(crate) connection: ConnectionName,
    pub(crate) endpoint: EndpointName,
    pub(crate) input: String,
    /// How it is tried, if not as the run's steps are.
    pub(crate) tries: Option<OwnTries>,
}

/// What is done about it.
pub(crate) enum Doing {
    /// A call.
    Call(Callee),
    /// A pause until then.
    Sleep(Timestamp),
    /// Waiting for an event, at most until then.
    Event { name: EventName, until: Option<Timestamp> },
    /// A run of another workflow, asked for at this time of the run's clock.
    Child { workflow: WorkflowName, input: String, at: Timestamp },
    /// A message for whoever subscribes.
    Publish { topic: TopicName, data: String },
    /// An early answer.
    Reply { answer: String },
    /// A business key.
    SetKey { name: String, value: String },
    /// A call for when the run is cancelled.
    OnCancel,
    /// Nothing: this is the answer.
    Refuse(CallError),
    /// Nothing: a test tells this instead, after tries that ended so.
    Told(Outcome<String>, Vec<CallError>),
    /// Nothing, and the guest cannot be told: the run fails.
    Fail(String),
}

impl Doing {
    /// Whether it is done at once, so that it never counts as pending.
    pub(crate) fn is_instant(&self) -> bool {
        match self {
            Self::Publish { .. }
            | Self::Reply { .. }
            | Self::SetKey { .. }
            | Self::OnCancel
            | Self::Refuse(_)
            | Self::Told(..)
            | Self::Fail(_) => true,
            Self::Call(_) | Self::Sleep(_) | Self::Event { .. } | Self::Child { .. } => false,
        }
    }
}

/// Fits a call to what the workflow's manifest and set-up allow. The guest
/// wrote all three texts: nothing about them is believed.
pub(crate) fn plan(wiring: &Wiring, role: &str, endpoint: &str, input: String) -> (Asked, Doing) {
    let digest = digest_of(&["call", role, endpoint, &input]);
    let wire = wiring.get(role);
    let doing = match wire.map(|wire| (wire, wire.endpoints.get(endpoint))) {
        None => Doing::Refuse(CallError::NotFound(format!(
            "the workflow has no role `{}`; its roles: {}",
            cut(role, MAX_NAME),
            list(wiring.keys()),
        ))),
        Some((wire, None)) => Doing::Refuse(CallError::NotFound(format!(
            "the workflow's manifest does not name endpoint `{}` for role `{role}`; it names: {}",
            cut(endpoint, MAX_NAME),
            list(wire.endpoints.iter()),
        ))),
        Some((wire, Some(endpoint))) => match check_json("the input", &input) {
            Ok(()) => Doing::Call(Callee {
                connection: wire.connection.clone(),
                endpoint: endpoint.clone(),
                input: input.clone(),
                tries: None,
            }),
            Err(why) => Doing::Refuse(CallError::InvalidInput(why)),
        },
    };
    // What is called is kept whole; of what is refused, enough to see why.
    let kept = if matches!(doing, Doing::Call(_)) { input } else { cut(&input, QUOTED) };
    let did = Did::Call {
        role: cut(role, MAX_NAME),
        connection: wire.map(|wire| wire.connection.clone()),
        endpoint: cut(endpoint, MAX_NAME),
        input: Payload::Here(kept),
    };
    (Asked { digest, did }, doing)
}

/// Whether a guest's text is one JSON text of a size that the host takes.
pub(crate) fn check_json(what: &str, text: &str) -> Result<(), String> {
    if text.len() > MAX_INPUT {
        return Err(format!("{what} has {} bytes, the most is {MAX_INPUT}", text.len()));
    }
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{what} is not JSON: {error}")),
    }
}

/// What is said of a step for people, with its input cut.
pub(crate) struct Said<'a>(pub(crate) &'a Did);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Did::Sleep { ms } => write!(f, "sleep of {ms} ms"),
            Did::SleepUntil { time_ms } => write!(f, "sleep until {time_ms}"),
            Did::Event { name, .. } => write!(f, "event {name}"),
            Did::Workflow { workflow, input, .. } => write!(f, "run of {workflow} with {}", quoted(input)),
            Did::Publish { topic, data, .. } => write!(f, "publication to {topic} of {}", quoted(data)),
            Did::Reply { answer } => write!(f, "reply of {}", quoted(answer)),
            Did::SetKey { name, value } => write!(f, "key {name} = {value}"),
            Did::OnCancel { role, endpoint, input } => {
                write!(f, "on cancel, call of {role}.{endpoint} with {}", quoted(input))
            }
            Did::Call { role, endpoint, input, .. } => {
                write!(f, "call of {role}.{endpoint} with {}", quoted(input))
            }
        }
    }
}

fn quoted(text: &Payload) -> String {
    match text {
        Payload::Here(text) => cut(text, QUOTED),
        Payload::Blob(digest) => format!("the text {digest}"),
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Said(&self.did).fmt(f)
    }
}

/// Each text's length goes in front of it, so that no two asks look alike.
pub(crate) fn digest_of(texts: &[&str]) -> Digest {
    let mut all = Vec::with_capacity(texts.iter().map(|text| text.len() + 8).sum());
    for text in texts {
        all.extend_from_slice(&(text.len() as u64).to_be_bytes());
        all.extend_from_slice(text.as_bytes());
    }
    Digest::of(&all)
}

/// The text, or its first characters and how long it was.
pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… ({} bytes)", text.get(..end).unwrap_or_default(), text.len()),
    }
}

fn list(names: impl Iterator<Item = impl fmt::Display>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_owned() } else { cut(&names.join(", "), QUOTED) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Wire;

    fn wiring() -> Wiring {
        let wire = Wire {
            connection: "acme-crm".parse().unwrap(),
            endpoints: ["create-lead".parse().unwrap()].into(),
        };
        [("crm".parse().unwrap(), wire)].into()
    }

    #[test]
    fn only_what_the_manifest_names_is_called() {
        let check = |role: &str, endpoint: &str, input: &str, want: &str| {
            let got = match plan(&wiring(), role, endpoint, input.to_owned()).1 {
                Doing::Refuse(error) => error.to_string(),
                Doing::Call(Callee { connection, endpoint, .. }) => format!("{connection}/{endpoint}"),
                _ => "something else".to_owned(),
            };
            assert!(got.contains(want), "{got}");
        };
        check("crm", "create-lead", "{}", "acme-crm/create-lead");
        check("crn", "create-lead", "{}", "not found: the workflow has no role `crn`; its roles: `crm`");
        check("crm", "drop-table", "{}", "does not name endpoint `drop-table` for role `crm`");
        check("crm", "create-lead", "{", "invalid input: the input is not JSON");
        check("crm", "create-lead", &"1".repeat(MAX_INPUT + 1), "invalid input: the input has 1048577 bytes");
        check(&"ä".repeat(9_999), "x", "1", "… (19998 bytes)");
    }

    #[test]
    fn asks_that_are_cut_alike_are_still_told_apart() {
        let asked = |tail: &str| {
            let role = format!("{}{tail}", "x".repeat(1_000));
            plan(&wiring(), &role, "e", "1".to_owned()).0
        };
        assert_ne!(asked("a").digest, asked("b").digest);
        assert_eq!(asked("a").to_string(), asked("b").to_string());
    }
}
