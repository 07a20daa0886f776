//! Mail by the tenant's own server. The manifest asks for the server under
//! `[grants] smtp`, and says in `[credentials]` who logs in there, with
//! `place = { basic-user = "…" }`.

use crate::bindings::connector::wharf::smtp::submission as wit;

pub use wit::{Attachment, Error as SendError};

/// A message to be sent.
#[derive(Clone, Debug)]
pub struct Message(wit::Message);

impl Message {
    /// A message without text. Addresses are `ada@example.com` or `Ada <ada@example.com>`.
    pub fn new(from: impl Into<String>, to: impl Into<String>, subject: impl Into<String>) -> Self {
        Self(wit::Message {
            from: from.into(),
            reply_to: None,
            to: vec![to.into()],
            cc: Vec::new(),
            bcc: Vec::new(),
            subject: subject.into(),
            text: None,
            html: None,
            headers: Vec::new(),
            attachments: Vec::new(),
            idempotency_key: None,
        })
    }

    /// One more recipient.
    #[must_use]
    pub fn to(mut self, address: impl Into<String>) -> Self {
        self.0.to.push(address.into());
        self
    }

    /// One more recipient of a copy.
    #[must_use]
    pub fn cc(mut self, address: impl Into<String>) -> Self {
        self.0.cc.push(address.into());
        self
    }

    /// One more recipient that the others are not told of.
    #[must_use]
    pub fn bcc(mut self, address: impl Into<String>) -> Self {
        self.0.bcc.push(address.into());
        self
    }

    /// Whom an answer goes to, if not to the sender.
    #[must_use]
    pub fn reply_to(mut self, address: impl Into<String>) -> Self {
        self.0.reply_to = Some(address.into());
        self
    }

    /// The text.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.0.text = Some(text.into());
        self
    }

    /// The same as HTML.
    #[must_use]
    pub fn html(mut self, html: impl Into<String>) -> Self {
        self.0.html = Some(html.into());
        self
    }

    /// A further header: `x-…`, `list-…`, `in-reply-to` and a few more.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.headers.push((name.into(), value.into()));
        self
    }

    /// A file.
    #[must_use]
    pub fn attach(
        mut self,
        name: impl Into<String>,
        content_type: impl Into<String>,
        content: impl Into<Vec<u8>>,
    ) -> Self {
        let (name, content_type, content) = (name.into(), content_type.into(), content.into());
        self.0.attachments.push(Attachment { name, content_type, content });
        self
    }

    /// The call's idempotency key, so that a repetition has the same `Message-ID`.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.0.idempotency_key = Some(key.into());
        self
    }

    /// Hands it to `smtp://mail.example.com:587` or `smtps://mail.example.com:465`.
    /// Gives its `Message-ID`.
    pub fn send(&self, server: &str) -> Result<String, SendError> {
        wit::send(server, &self.0)
    }
}

impl From<SendError> for crate::Error {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Denied(text) => Self::Permanent(text),
            SendError::InvalidMessage(text) => Self::InvalidInput(text),
            SendError::Unauthorized(text) => Self::Unauthorized(text),
            SendError::Rejected(text) => Self::Permanent(text),
            SendError::Busy(text) | SendError::ConnectionFailed(text) => Self::Retry(text),
            SendError::Timeout => Self::Retry("the mail server did not take the message in time".to_owned()),
            SendError::Other(text) => Self::Other(text),
        }
    }
}
