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
    let answer = calls::call(role, endpoint, &to_json(&format!("{role}/{endpoint}"), input)?)?;
    from_json(&format!("{role}/{endpoint}"), &answer)
}

/// Starts a call without waiting. At most 64 may be pending at once.
pub fn start<I: Serialize + ?Sized>(role: &str, endpoint: &str, input: &I) -> Result<Pending, Error> {
    let raw = calls::start(role, endpoint, &to_json(&format!("{role}/{endpoint}"), input)?);
    Ok(Pending { raw, what: format!("{role}/{endpoint}") })
}

/// An event that is waited for: an approval, the webhook of a slow system.
#[derive(Debug)]
pub struct Expected {
    /// Where the outside sends it, once: a `POST` of one JSON text.
    pub url: String,
    /// Gives the event's data; `not-found` if it did not come in time.
    pub event: Pending,
}

/// Expects an event from outside, at most this long or until the run's
/// deadline. The run is parked while it waits; it may wait for days.
pub fn expect_event(name: &str, at_most: Option<Duration>) -> Expected {
    let calls::Expected { url, event } = calls::expect_event(name, at_most.map(crate::clock::whole_ms));
    Expected { url, event: Pending { raw: event, what: format!("the event {name}") } }
}

/// Starts a run of another workflow of the tenant; it answers as that run ends.
pub fn start_workflow<I: Serialize + ?Sized>(workflow: &str, input: &I) -> Result<Pending, Error> {
    let input = to_json(&format!("workflow {workflow}"), input)?;
    let raw = calls::start_workflow(workflow, &input);
    Ok(Pending { raw, what: format!("workflow {workflow}") })
}

/// Gives one message to every workflow that subscribes to a topic; answers how many there are.
pub fn publish<D: Serialize + ?Sized>(topic: &str, data: &D) -> Result<u32, Error> {
    Ok(calls::publish(topic, &to_json(&format!("topic {topic}"), data)?)?)
}

/// Answers whoever waits for the run, now; the run goes on. Only the first one counts.
pub fn reply<A: Serialize + ?Sized>(answer: &A) -> Result<(), Error> {
    calls::reply(&to_json("the reply", answer)?);
    Ok(())
}

/// Sets a business key by which the run is found: at most four a run.
pub fn set_key(name: &str, value: &str) -> Result<(), Error> {
    Ok(calls::set_key(name, value)?)
}

/// Names a call that undoes what the run did so far, should it be cancelled.
pub fn on_cancel<I: Serialize + ?Sized>(role: &str, endpoint: &str, input: &I) -> Result<(), Error> {
    calls::on_cancel(role, endpoint, &to_json(&format!("{role}/{endpoint}"), input)?);
    Ok(())
}

/// A call, a run or an event that was started. Dropping it does not cancel it.
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

/// Starts a pause without waiting, as a limit on something else by [`wait_any`]; its answer is `()`.
pub fn start_sleep(time: Duration) -> Pending {
    Pending { raw: calls::start_sleep(crate::clock::whole_ms(time)), what: "a pause".to_owned() }
}

/// Sleeps until an instant: milliseconds since 1970-01-01T00:00:00Z.
pub fn sleep_until(time_ms: u64) {
    calls::sleep_until(time_ms);
}

/// Sleeps. It costs no fuel; a long sleep parks the run and is no wall time of it.
pub fn sleep(time: Duration) {
    calls::sleep_ms(crate::clock::whole_ms(time));
}

fn to_json<I: Serialize + ?Sized>(what: &str, value: &I) -> Result<String, Error> {
    serde_json::to_string(value)
        .map_err(|error| Error::Permanent(format!("what is given to {what} is not JSON: {error}")))
}

fn from_json<O: DeserializeOwned>(what: &str, answer: &str) -> Result<O, Error> {
    serde_json::from_str(answer)
        .map_err(|error| Error::Permanent(format!("the answer of {what} is not the JSON expected: {error}")))
}
