//! An outbound connector: wraps a CRM with a JSON API.
//!
//! Note what is missing: the API key. The host adds it to the requests.

use serde::{Deserialize, Serialize};
use wharf_sdk::{Context, Error, connection, connector, http, log};

/// A lead, as the standard message carries it and as this CRM takes it.
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

/// What we read of the CRM's answer; it says more.
#[derive(Deserialize)]
struct Answer {
    id: String,
}

/// What `create-lead` gives.
#[derive(Serialize)]
struct Created {
    id: String,
    url: String,
}

/// Who the CRM thinks we are.
#[derive(Deserialize)]
struct Me {
    account: String,
}

struct Crm;

#[connector]
impl Crm {
    /// A lead that exists already is a `conflict`: `error_for_status` makes it of the CRM's 409.
    #[outbound("create-lead")]
    fn create_lead(lead: Lead, context: &Context) -> Result<Created, Error> {
        let base = connection::required("base-url")?;
        let answer: Answer = http::Request::post(http::join(&base, &["leads"])?)
            // The CRM does the work once, however often a crash makes us repeat it.
            .header("idempotency-key", context.idempotency_key.as_str())
            .json(&lead)?
            .send()?
            .error_for_status()?
            .json()?;
        log::info!("created lead {}", answer.id);
        Ok(Created { url: http::join(&base, &["leads", &answer.id])?, id: answer.id })
    }

    /// Reads who we are: it shows that the address and the key are right, and changes nothing.
    #[check]
    fn check() -> Result<String, Error> {
        let url = http::join(&connection::required("base-url")?, &["me"])?;
        let me: Me = http::Request::get(url).send()?.error_for_status()?.json()?;
        Ok(format!("connected to the CRM account {}", me.account))
    }
}
