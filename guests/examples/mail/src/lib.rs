//! An outbound connector: sends e-mails through a mail API.
//!
//! The API wants its key in the query. The host adds it there.

use serde::{Deserialize, Serialize};
use wharf_sdk::{Context, Error, connection, connector, http, log};

/// What `send` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mail {
    to: String,
    subject: String,
    text: String,
}

/// What the mail API takes.
#[derive(Serialize)]
struct Message<'a> {
    from: &'a str,
    to: &'a str,
    subject: &'a str,
    text: &'a str,
}

/// What `send` gives; the API's answer says more.
#[derive(Deserialize, Serialize)]
struct Sent {
    id: String,
}

/// Which domains may send.
#[derive(Deserialize)]
struct Domains {
    domains: Vec<String>,
}

struct MailApi;

#[connector]
impl MailApi {
    #[outbound("send")]
    fn send(mail: Mail, context: &Context) -> Result<Sent, Error> {
        let from = connection::required("from-address")?;
        let Mail { to, subject, text } = &mail;
        let url = http::join(&connection::required("base-url")?, &["messages"])?;
        let sent: Sent = http::Request::post(url)
            // A mail cannot be called back: the API must see that a repetition is one.
            .header("idempotency-key", context.idempotency_key.as_str())
            .json(&Message { from: &from, to, subject, text })?
            .send()?
            .error_for_status()?
            .json()?;
        log::info!("sent mail {}", sent.id);
        Ok(sent)
    }

    /// Shows that address and key are right, and that we may send as who we say we are.
    #[check]
    fn check() -> Result<String, Error> {
        let url = http::join(&connection::required("base-url")?, &["domains"])?;
        let known: Domains = http::Request::get(url).send()?.error_for_status()?.json()?;
        let from = connection::required("from-address")?;
        let domain = from.rsplit('@').next().unwrap_or_default();
        if known.domains.iter().any(|one| one.eq_ignore_ascii_case(domain)) {
            Ok(format!("may send as {from}"))
        } else {
            Err(Error::permanent(format!(
                "the mail API does not send for `{domain}`: add the domain there, or correct `from-address`"
            )))
        }
    }
}
