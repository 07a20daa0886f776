//! What a workflow does: calls endpoints and waits. Each is a step of the run,
//! answered from the journal when the run is taken up again; so a workflow
//! must do the same things in the same order, given the same answers.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::bindings::connector::wharf::types::types as wit;
use crate::bindings::workflow::wharf::workflow::calls;

/// The message that a run was started with.
#[derive(Clone, Debug)]
pub struct Message {
    /// Unique within the tenant.
    pub id: String,
    /// The connection that emitted it, as `/connections/{name}`.
    pub source: String,
    /// What kind of thing it tells: `lead`.
    pub kind: String,
    /// The business object it is about.
    pub subject: Option<String>,
    /// When it was accepted: milliseconds since 1970-01-01T00:00:00Z.
    pub time_ms: u64,
    /// The data, one JSON text.
    pub data: String,
}

impl Message {
    /// The data as a type of yours; data that does not fit is `invalid-input`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.data)
            .map_err(|error| Error::InvalidInput(format!("the data of the `{}` message: {error}", self.kind)))
    }
}

impl From<wit::Message> for Message {
    fn from(raw: wit::Message) -> Self {
        let wit::Message { id, source, kind, subject, time_ms, data } = raw;
        Self { id, source, kind, subject, time_ms, data }
    }
}

/// Calls an outbound endpoint of the connection in this role and waits.
pub fn call<I: Serialize + ?Sized, O: DeserializeOwned>(
    role: &str,
    endpoint: &str,
    input: &I,
) -> Result<O, Error> {
    let answer = calls::call(role, endpoint, &to_json(role, endpoint, input)?)?;
    from_json(&format!("{role}/{endpoint}"), &answer)
}

/// Starts a call without waiting. At most 64 may be pending at once.
pub fn start<I: Serialize + ?Sized>(role: &str, endpoint: &str, input: &I) -> Result<Pending, Error> {
    let raw = calls::start(role, endpoint, &to_json(role, endpoint, input)?);
    Ok(Pending { raw, what: format!("{role}/{endpoint}") })
}

/// A call that was started. Dropping it does not cancel it.
#[derive(Debug)]
pub struct Pending {
    raw: calls::Pending,
    what: String,
}

impl Pending {
    /// Waits for it. Asking again gives the same answer.
    pub fn wait<O: DeserializeOwned>(&self) -> Result<O, Error> {
        from_json(&self.what, &self.raw.wait()?)
    }
}

/// Waits until one of them is done; gives its place in the list, or `None` for an empty list.
pub fn wait_any(pending: &[&Pending]) -> Option<usize> {
    if pending.is_empty() {
        return None;
    }
    let raw: Vec<&calls::Pending> = pending.iter().map(|one| &one.raw).collect();
    usize::try_from(calls::wait_any(&raw)).ok()
}

/// Sleeps. It costs no fuel and counts as wall time of the run.
pub fn sleep(time: Duration) {
    calls::sleep_ms(crate::clock::whole_ms(time));
}

fn to_json<I: Serialize + ?Sized>(role: &str, endpoint: &str, input: &I) -> Result<String, Error> {
    serde_json::to_string(input)
        .map_err(|error| Error::Permanent(format!("the input of {role}/{endpoint} is not JSON: {error}")))
}

fn from_json<O: DeserializeOwned>(what: &str, answer: &str) -> Result<O, Error> {
    serde_json::from_str(answer)
        .map_err(|error| Error::Permanent(format!("the answer of {what} is not the JSON expected: {error}")))
}
