//! A workflow that asks people: it tells the regional sales channel of a lead,
//! waits for an answer, days if need be, and then has the workflow
//! `lead-intake` take the lead in.
//!
//! While it waits it is in the store alone: the host may stop, crash and start
//! meanwhile. The address that the channel gets is good for one answer.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wharf_sdk::workflow::{Message, call, expect_event, set_key, start_workflow};
use wharf_sdk::{Error, workflow};

/// How long an answer is waited for; then the run fails, and can be replayed.
const PATIENCE: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// What is looked at here of the standard `lead` message.
#[derive(Deserialize)]
struct Lead {
    name: String,
    email: String,
    region: String,
    message: String,
}

/// What `chat/post` takes.
#[derive(Serialize)]
struct Post {
    channel: String,
    text: String,
}

/// What whoever decides sends.
#[derive(Deserialize)]
struct Approval {
    approved: bool,
}

/// What the run gives.
#[derive(Serialize)]
struct Done {
    approved: bool,
    /// What the intake gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    intake: Option<Value>,
}

#[workflow]
fn run(message: Message) -> Result<Done, Error> {
    let lead: Lead = message.data()?;
    set_key("customer", &lead.email)?;
    let approval = expect_event("approval", Some(PATIENCE));
    let _: Value = call("chat", "post", &question(&lead, &approval.url))?;
    let Approval { approved } = approval.event.wait()?;
    let intake = if approved {
        // The whole message, not only what is looked at here.
        Some(start_workflow("lead-intake", &message.data::<Value>()?)?.wait()?)
    } else {
        None
    };
    Ok(Done { approved, intake })
}

fn question(lead: &Lead, url: &str) -> Post {
    let Lead { name, region, message, .. } = lead;
    Post {
        channel: format!("sales-{}", region.to_lowercase()),
        text: format!("{name} asks: {message} Approve it: curl -d '{{\"approved\":true}}' {url}"),
    }
}
