//! An inbound connector: turns the inquiry form of a website into a `lead`.
//!
//! It takes the form as a browser sends it (urlencoded or multipart) and as
//! JSON. The visitor wrote it, so nothing about it is believed.

mod email;

use serde::Serialize;
use wharf_sdk::form::{self, Form};
use wharf_sdk::{Answer, Draft, Error, Received, Request, connection, connector, log};

/// More than anyone types into a line of a form.
const MAX_LINE: usize = 200;
/// More than anyone types into a message.
const MAX_MESSAGE: usize = 10_000;
/// A field that the page hides from people: only a robot fills it in.
const HONEYPOT: &str = "website";

/// The standard `lead` message.
#[derive(Serialize)]
struct Lead<'a> {
    name: &'a str,
    email: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    company: Option<&'a str>,
    region: &'a str,
    message: &'a str,
    source: &'a str,
}

struct WebForm;

#[connector]
impl WebForm {
    #[inbound("inquiry")]
    fn inquiry(request: &Request) -> Result<Received, Error> {
        if request.method != "POST" {
            let answer = Answer::new(405).header("allow", "POST").text("send the form with POST\n");
            return Ok(Received::answer(answer));
        }
        let form = form::parse(request)?;
        if form.text(HONEYPOT).is_some() {
            log::info!("dropped a form that a robot filled in");
            return Ok(Received::answer(Answer::new(204))); // it learns nothing
        }
        let connection = connection::name();
        let lead = read(&form, &connection)?;
        Ok(Received::message(Draft::new("lead", &lead)?.subject(lead.email)))
    }
}

fn read<'a>(form: &'a Form, connection: &'a str) -> Result<Lead<'a>, Error> {
    let email = line(form.required("email")?, "email")?;
    if !email::is_plausible(email) {
        return Err(Error::invalid("the field `email` is no e-mail address: write name@example.com"));
    }
    let message = form.required("message")?;
    if message.len() > MAX_MESSAGE {
        return Err(Error::invalid(format!("the field `message` has more than {MAX_MESSAGE} bytes")));
    }
    Ok(Lead {
        name: line(form.required("name")?, "name")?,
        email,
        phone: form.text("phone").map(|text| line(text, "phone")).transpose()?,
        company: form.text("company").map(|text| line(text, "company")).transpose()?,
        region: line(form.required("region")?, "region")?,
        message,
        // A page may say which of the website's forms it is in a hidden field.
        source: form.text("source").map_or(Ok(connection), |text| line(text, "source"))?,
    })
}

/// One line of text: no line break gets into a subject or a header further on.
fn line<'a>(text: &'a str, field: &str) -> Result<&'a str, Error> {
    if text.len() > MAX_LINE {
        return Err(Error::invalid(format!("the field `{field}` has more than {MAX_LINE} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::invalid(format!("the field `{field}` has more than one line")));
    }
    Ok(text)
}
