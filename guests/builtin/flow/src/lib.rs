//! Runs a workflow that is written as steps: walks its tree and asks the host
//! for the effects, as any other workflow does.
//!
//! The tree comes from the host (`calls.definition`), checked when the
//! workflow was applied; [`host_flow`] says what it means. Branches that run
//! at once are plain futures on [`tasks`], which wakes them in the order that
//! the journal has.
//!
//! Invariants
//! - The same tree, message and answers give the same effects in the same
//!   order: nothing depends on a hash, an address or the clock.
//! - Each effect is marked with its step's place right before it is asked for,
//!   each expression with its own right before it is evaluated.
//! - Never more than [`tasks::MOST_PENDING`] things are going on; more queue.

mod effects;
mod failure;
mod host;
mod run;
mod tasks;

#[cfg(test)]
mod tests;

use serde_json::value::RawValue;
use wharf_sdk::workflow::Message;
use wharf_sdk::{Error, workflow};

use crate::effects::Effects as _;

#[workflow]
fn run(message: Message) -> Result<Box<RawValue>, Error> {
    let host = host::Host;
    let flow =
        host_flow::Flow::from_json(&host.definition()).map_err(|bad| Error::permanent(bad.to_string()))?;
    let answer = run::interpret(&flow, &message, host).map_err(|failure| {
        wharf_sdk::log::error!("{failure}");
        Error::from(failure)
    })?;
    Ok(RawValue::from_string(answer)?)
}
