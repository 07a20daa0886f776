//! `/fetch?url=`: an outgoing request, its answer's body passed on as it comes.

use crate::bindings::wasi::http::outgoing_handler;
use crate::bindings::wasi::http::types::{
    ErrorCode, Fields, IncomingResponse, OutgoingRequest, ResponseOutparam, Scheme,
};
use crate::{answer, copy, text};

pub(crate) fn fetch(query: &str, out: ResponseOutparam) {
    let Some((_, url)) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "url") else {
        return text(out, 400, "say what: /fetch?url=http://…\n");
    };
    let Some(request) = get(&url) else {
        return text(out, 400, &format!("`{url}` is no http or https URL\n"));
    };
    match wait(request) {
        Ok(response) => match response.consume() {
            Ok(body) => {
                let content_type = response.headers().get("content-type").into_iter().next();
                answer(out, response.status(), content_type, |to| copy(body, to));
            }
            Err(()) => text(out, 502, "the answer has no body\n"),
        },
        Err(error) => text(out, 502, &format!("{error:?}\n")),
    }
}

fn get(url: &str) -> Option<OutgoingRequest> {
    let (scheme, rest) = match url.split_once("://")? {
        ("http", rest) => (Scheme::Http, rest),
        ("https", rest) => (Scheme::Https, rest),
        _ => return None,
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&scheme)).ok()?;
    request.set_authority(Some(authority)).ok()?;
    request.set_path_with_query(Some(&path)).ok()?;
    Some(request)
}

fn wait(request: OutgoingRequest) -> Result<IncomingResponse, ErrorCode> {
    let future = outgoing_handler::handle(request, None)?;
    future.subscribe().block();
    // Ready, and asked for the first time: so there is one answer.
    let nothing = || ErrorCode::InternalError(Some("the future had no answer".to_owned()));
    future.get().ok_or_else(nothing)?.map_err(|()| nothing())?
}
