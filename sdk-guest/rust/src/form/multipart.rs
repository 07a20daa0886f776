//! `multipart/form-data` (RFC 7578), read by `multer`. It is made for bodies
//! that trickle in; here the whole body is there, so nothing ever waits.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures::stream;

use super::{Form, cut};
use crate::Error;

pub(super) fn parse(content_type: &str, body: &[u8]) -> Result<Form, Error> {
    let boundary = multer::parse_boundary(content_type).map_err(|error| wrong(&error.to_string()))?;
    let body = Bytes::copy_from_slice(body);
    let whole = stream::iter([Ok::<_, Infallible>(body)]);
    let mut parts = multer::Multipart::new(whole, boundary);
    at_once(async {
        let mut form = Form::default();
        let mut seen = 0_usize;
        while let Some(part) = parts.next_field().await.map_err(|error| after(seen, &error))? {
            seen += 1;
            let name =
                part.name().map(str::to_owned).ok_or_else(|| wrong(&format!("part {seen} has no name")))?;
            let file = part.file_name().is_some();
            let bytes = part.bytes().await.map_err(|error| wrong(&format!("{error}, in part {seen}")))?;
            if file {
                continue; // a file is no text field; an empty one is in every form with a file input
            }
            let text = String::from_utf8(bytes.into())
                .map_err(|_| wrong(&format!("the field `{}` is not UTF-8", cut(&name))))?;
            form.push(name, text)?;
        }
        Ok(form)
    })
}

/// Runs what never has to wait.
fn at_once<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(wrong("it ends in the middle")),
    }
}

fn after(seen: usize, error: &multer::Error) -> Error {
    wrong(&format!("{error}, after {seen} parts"))
}

fn wrong(what: &str) -> Error {
    Error::InvalidInput(format!("the body is no multipart/form-data: {what}"))
}
