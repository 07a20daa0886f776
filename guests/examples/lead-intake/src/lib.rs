//! A workflow: puts a lead into the CRM, then greets the visitor and tells the
//! regional sales channel, both at once.
//!
//! Each call is a step of the run. A workflow has no way out but its calls.

use serde::{Deserialize, Serialize};
use wharf_sdk::workflow::{Message, call, start};
use wharf_sdk::{Error, workflow};

/// The standard `lead` message.
#[derive(Deserialize, Serialize)]
struct Lead {
    name: String,
    email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    company: Option<String>,
    region: String,
    message: String,
    source: String,
}

/// What `crm/create-lead` gives.
#[derive(Deserialize)]
struct Created {
    id: String,
    url: String,
}

/// What `mail/send` takes.
#[derive(Serialize)]
struct Mail {
    to: String,
    subject: String,
    text: String,
}

/// What `chat/post` takes.
#[derive(Serialize)]
struct Post {
    channel: String,
    text: String,
}

/// What `mail/send` and `chat/post` give.
#[derive(Deserialize)]
struct Sent {
    id: String,
}

/// What the run gives.
#[derive(Serialize)]
struct Done {
    lead_id: String,
    lead_url: String,
    mail_id: String,
    chat_id: String,
}

#[workflow]
fn run(message: Message) -> Result<Done, Error> {
    let lead: Lead = message.data()?;
    // The CRM first: the sales team follows the link to it.
    let created: Created = call("crm", "create-lead", &lead)?;
    let mail = start("mail", "send", &greeting(&lead))?;
    let chat = start("chat", "post", &note(&lead, &created))?;
    // Wait for both before looking at either: if one failed, the run still shows how the other ended.
    let (mail, chat) = (mail.wait::<Sent>(), chat.wait::<Sent>());
    Ok(Done { lead_id: created.id, lead_url: created.url, mail_id: mail?.id, chat_id: chat?.id })
}

fn greeting(lead: &Lead) -> Mail {
    Mail {
        to: lead.email.clone(),
        subject: "Thank you for your inquiry".to_owned(),
        text: format!(
            "Hello {},\n\nthank you for your message. We will answer within two working days.\n\nYou wrote:\n\n{}\n",
            lead.name, lead.message
        ),
    }
}

fn note(lead: &Lead, created: &Created) -> Post {
    let company = lead.company.as_ref().map(|company| format!(" ({company})")).unwrap_or_default();
    Post {
        channel: format!("sales-{}", slug(&lead.region)),
        text: format!("New lead: {}{company} <{}> {}\n{}", lead.name, lead.email, created.url, lead.message),
    }
}

/// A region as a part of a channel's name: `North America` is `north-america`.
fn slug(region: &str) -> String {
    let lower = region.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "other".to_owned() } else { words.join("-") }
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn a_region_becomes_a_channels_name() {
        for (region, want) in
            [("EMEA", "emea"), (" North  America/West ", "north-america-west"), ("?!", "other")]
        {
            assert_eq!(slug(region), want);
        }
    }
}
