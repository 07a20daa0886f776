//! A guest's message as one that mail servers take (RFC 5322, MIME).
//!
//! Everything is checked before it is written: what could end a line, or is
//! for the host to say, is refused and not repaired.

use std::time::SystemTime;

use host_model::digest::Digest;
use host_model::resource::Connection;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MessageBuilder, MultiPart, SinglePart};

use super::MailError;

/// The most recipients of one message: what servers commonly take (RFC 5321, 4.5.3.1.8).
const MAX_RECIPIENTS: usize = 100;
/// The most headers of a guest's own.
const MAX_HEADERS: usize = 20;
/// The most attachments.
const MAX_ATTACHMENTS: usize = 20;
/// The longest header value, subject, address, file name or key, in bytes:
/// what fits into one line (RFC 5322, 2.1.1).
const MAX_LINE: usize = 998;

/// A message, as a guest writes it.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The sender: `Ada <ada@example.com>`.
    pub from: String,
    /// Whom an answer goes to, if not to the sender.
    pub reply_to: Option<String>,
    /// Recipients.
    pub to: Vec<String>,
    /// Recipients of a copy.
    pub cc: Vec<String>,
    /// Recipients that the others are not told of.
    pub bcc: Vec<String>,
    /// The subject.
    pub subject: String,
    /// The text.
    pub text: Option<String>,
    /// The same as HTML.
    pub html: Option<String>,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// Attachments.
    pub attachments: Vec<Attachment>,
    /// What tells this message from others: the call's idempotency key.
    pub key: Option<String>,
    /// When it is sent.
    pub date: SystemTime,
}

/// One attachment.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// The file's name.
    pub name: String,
    /// `text/csv`.
    pub content_type: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// A message that is ready to be sent.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) id: String,
    pub(super) envelope: Envelope,
    pub(super) bytes: Vec<u8>,
}

/// Writes it; or says what is wrong with it.
pub(super) fn build(connection: &Connection, mail: Mail, body_bytes: u64) -> Result<Built, MailError> {
    let wrong = |why: String| MailError::InvalidMessage(why);
    let recipients = mail.to.len() + mail.cc.len() + mail.bcc.len();
    bounded("recipients", recipients, 1, MAX_RECIPIENTS)?;
    bounded("headers", mail.headers.len(), 0, MAX_HEADERS)?;
    bounded("attachments", mail.attachments.len(), 0, MAX_ATTACHMENTS)?;
    let content = mail.attachments.iter().map(|it| it.content.len()).sum::<usize>()
        + mail.text.as_ref().map_or(0, String::len)
        + mail.html.as_ref().map_or(0, String::len);
    if content as u64 > body_bytes {
        return Err(wrong(format!(
            "the message has {content} bytes, the limit is {body_bytes} (bounds: body-bytes; egress: request-bytes)"
        )));
    }
    one_line("the subject", &mail.subject)?;

    let from = mailbox("from", &mail.from)?;
    let id = id(connection, &mail, from.email.domain())?;
    let mut message = Message::builder().message_id(Some(id.clone())).date(mail.date).from(from);
    if let Some(reply_to) = &mail.reply_to {
        message = message.reply_to(mailbox("reply-to", reply_to)?);
    }
    for (what, list, add) in [
        ("to", &mail.to, MessageBuilder::to as fn(MessageBuilder, Mailbox) -> MessageBuilder),
        ("cc", &mail.cc, MessageBuilder::cc),
        ("bcc", &mail.bcc, MessageBuilder::bcc),
    ] {
        for text in list {
            message = add(message, mailbox(what, text)?);
        }
    }
    message = message.subject(mail.subject);
    for (name, value) in mail.headers {
        message = message.raw_header(header(name, value)?);
    }
    let message = body(message, mail.text, mail.html, mail.attachments)?;
    Ok(Built { id, envelope: message.envelope().clone(), bytes: message.formatted() })
}

fn bounded(what: &str, got: usize, least: usize, most: usize) -> Result<(), MailError> {
    if (least..=most).contains(&got) {
        return Ok(());
    }
    Err(MailError::InvalidMessage(format!("the message has {got} {what}, it takes {least} to {most}")))
}

fn one_line(what: &str, text: &str) -> Result<(), MailError> {
    let why = match text {
        _ if text.len() > MAX_LINE => format!("is longer than {MAX_LINE} bytes"),
        _ if text.chars().any(char::is_control) => "has a line end or another control character".to_owned(),
        _ => return Ok(()),
    };
    Err(MailError::InvalidMessage(format!("{what} {why}")))
}

fn mailbox(what: &str, text: &str) -> Result<Mailbox, MailError> {
    one_line(&format!("an address in `{what}`"), text)?;
    let got = || text.chars().take(200).collect::<String>();
    text.parse().map_err(|error| {
        MailError::InvalidMessage(format!(
            "`{}` in `{what}` is no address: {error}; write `Ada <ada@example.com>`",
            got()
        ))
    })
}

/// A header of the guest's own: `x-…`, `list-…`, `in-reply-to`, `references`,
/// `importance`, `auto-submitted`. All others are the host's.
fn header(name: String, value: String) -> Result<HeaderValue, MailError> {
    let lower = name.to_ascii_lowercase();
    let free = lower.starts_with("x-")
        || lower.starts_with("list-")
        || matches!(lower.as_str(), "in-reply-to" | "references" | "importance" | "auto-submitted");
    let token = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') && name.len() <= 76;
    if !free || !token {
        let name: String = name.chars().take(76).collect();
        return Err(MailError::InvalidMessage(format!(
            "the header `{}` is not the message's to set: `x-…`, `list-…`, `in-reply-to`, `references`, `importance` and `auto-submitted` are",
            name.escape_debug()
        )));
    }
    one_line(&format!("the header `{name}`"), &value)?;
    let name = HeaderName::new_from_ascii(name)
        .map_err(|_| MailError::InvalidMessage("a header's name is not one".to_owned()))?;
    Ok(HeaderValue::new(name, value))
}

fn body(
    message: MessageBuilder,
    text: Option<String>,
    html: Option<String>,
    attachments: Vec<Attachment>,
) -> Result<Message, MailError> {
    let content = match (text, html) {
        (Some(text), Some(html)) => Ok(MultiPart::alternative_plain_html(text, html)),
        (None, Some(html)) => Err(SinglePart::html(html)),
        (text, None) => Err(SinglePart::plain(text.unwrap_or_default())),
    };
    let message = if attachments.is_empty() {
        match content {
            Ok(both) => message.multipart(both),
            Err(one) => message.singlepart(one),
        }
    } else {
        let mut mixed = match content {
            Ok(both) => MultiPart::mixed().multipart(both),
            Err(one) => MultiPart::mixed().singlepart(one),
        };
        for Attachment { name, content_type, content } in attachments {
            one_line("an attachment's name", &name)?;
            one_line("an attachment's content type", &content_type)?;
            let kind = ContentType::parse(&content_type).map_err(|_| {
                let got: String = content_type.chars().take(100).collect();
                MailError::InvalidMessage(format!("`{got}` is no content type: write `text/csv`"))
            })?;
            mixed = mixed.singlepart(lettre::message::Attachment::new(name).body(content, kind));
        }
        message.multipart(mixed)
    };
    message.map_err(|error| MailError::InvalidMessage(format!("the message cannot be written: {error}")))
}

/// The message's id. With a key it is the same each time that this message is
/// sent, so that servers and readers can take the repetition for what it is;
/// it says nothing of the key.
fn id(connection: &Connection, mail: &Mail, domain: &str) -> Result<String, MailError> {
    let unique = match &mail.key {
        Some(key) => {
            one_line("the key", key)?;
            let parts =
                [connection.tenant.as_str(), connection.name.as_str(), key, &mail.from, &mail.subject];
            let lists = [&mail.to, &mail.cc, &mail.bcc];
            let parts = parts.into_iter().chain(lists.into_iter().flatten().map(String::as_str));
            // None of them has a line end.
            Digest::of(parts.collect::<Vec<_>>().join("\n").as_bytes()).hex()
        }
        None => {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(|error| {
                MailError::Other(format!("no random bytes for the message's id: {error}"))
            })?;
            Digest::of(&bytes).hex()
        }
    };
    Ok(format!("<{unique}.wharf@{domain}>"))
}
