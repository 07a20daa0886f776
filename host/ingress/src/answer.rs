//! A guest's own answer, on its way out.

use axum::body::Body;
use axum::response::Response;
use host_model::http_types::Answer;
use http::{StatusCode, header};

use crate::{Refusal, headers};

/// A buffered answer. Its length is what it is, whatever the guest said.
pub(crate) fn buffered(answer: Answer) -> Result<Response, Refusal> {
    check_status(answer.status)?;
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response.headers_mut().remove(header::CONTENT_LENGTH);
    headers::from_guest(response.headers_mut());
    Ok(response)
}

/// A streamed answer. The server cuts what is longer than the length it
/// states, and closes the connection under what is shorter.
pub(crate) fn streamed(mut response: Response) -> Result<Response, Refusal> {
    check_status(response.status())?;
    headers::from_guest(response.headers_mut());
    Ok(response)
}

/// 200 to 599: others end no request, or are no status.
fn check_status(status: StatusCode) -> Result<(), Refusal> {
    match status.as_u16() {
        200..=599 => Ok(()),
        status => Err(Refusal::GuestFailed(format!("it answered with the status {status}"))),
    }
}
