//! `wharf:smtp`: mail by the tenant's own server, through the egress gate.

use std::sync::Arc;

use host_egress::{Attachment, Mail, MailError, SendLimits};

use crate::Call;
use crate::bindings::connector::wharf::smtp::submission;

type Answer = Result<String, submission::Error>;

impl submission::Host for Call {
    async fn send(&mut self, server: String, message: submission::Message) -> wasmtime::Result<Answer> {
        let mail = self.mail(message);
        let content = content(&mail);
        self.meter.host_call(server.len() + headers(&mail))?;
        self.meter.bytes(content)?;
        self.meter.body(content)?;
        self.meter.outbound_call()?;
        let Some(connection) = self.connection().cloned() else {
            return Ok(Err(submission::Error::Denied("there is no connection here to send for".to_owned())));
        };
        let bounds = self.meter.bounds();
        let limits = SendLimits { timeout: bounds.wall, body_bytes: bounds.body_bytes };
        let egress = Arc::clone(&self.host.egress);
        let (sent, exchange) = egress.send_mail(&connection, &server, mail, limits).await;
        self.note(&exchange.info());
        Ok(sent.map_err(Into::into))
    }
}

impl Call {
    fn mail(&self, message: submission::Message) -> Mail {
        let submission::Message { from, reply_to, to, cc, bcc, subject, text, html, headers, .. } = message;
        let attachments = message.attachments.into_iter().map(|it| {
            let submission::Attachment { name, content_type, content } = it;
            Attachment { name, content_type, content }
        });
        let (attachments, key) = (attachments.collect(), message.idempotency_key);
        let date = self.host.clock.now().into();
        Mail { from, reply_to, to, cc, bcc, subject, text, html, headers, attachments, key, date }
    }
}

/// Bytes of texts and attachments.
fn content(mail: &Mail) -> usize {
    let texts = [&mail.text, &mail.html].into_iter().flatten().map(String::len);
    texts.chain(mail.attachments.iter().map(|it| it.content.len())).sum()
}

/// Bytes of everything else.
fn headers(mail: &Mail) -> usize {
    let lists = [&mail.to, &mail.cc, &mail.bcc].into_iter().flatten().map(String::len);
    let headers = mail.headers.iter().map(|(name, value)| name.len() + value.len());
    let files = mail.attachments.iter().map(|it| it.name.len() + it.content_type.len());
    let options = [&mail.reply_to, &mail.key].into_iter().flatten().map(String::len);
    mail.from.len() + mail.subject.len() + lists.chain(headers).chain(files).chain(options).sum::<usize>()
}

impl From<MailError> for submission::Error {
    fn from(error: MailError) -> Self {
        let text = error.to_string();
        match error {
            MailError::Denied(_) => Self::Denied(text),
            MailError::InvalidMessage(_) => Self::InvalidMessage(text),
            MailError::Unauthorized(_) => Self::Unauthorized(text),
            MailError::Rejected(_) => Self::Rejected(text),
            MailError::Busy(_) => Self::Busy(text),
            MailError::Timeout => Self::Timeout,
            MailError::ConnectionFailed(_) => Self::ConnectionFailed(text),
            MailError::Other(_) => Self::Other(text),
        }
    }
}
