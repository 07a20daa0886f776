//! Requests as handlers read them: every way to be wrong is a [`Refusal`], so
//! that nothing but problem+json leaves this API.

use std::str::FromStr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Query, RawPathParams};
use host_model::suggest::explain_unknown;
use http::request::Parts;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use crate::Control;
use crate::refusal::Refusal;

/// The most bytes of a JSON body: one resource, one input of a call.
pub(crate) const MAX_JSON: usize = 1 << 20;
/// How long a body may take to arrive: 32 MiB over a slow line.
const BODY_TIME: Duration = Duration::from_secs(120);
/// The most items of one page, also when nothing was asked.
const MAX_PAGE: usize = 1_000;

/// A whole body of at most `limit` bytes. One that never ends is given up.
pub(crate) async fn whole(body: Body, limit: usize) -> Result<Bytes, Refusal> {
    let read = tokio::time::timeout(BODY_TIME, Limited::new(body, limit).collect()).await;
    let read = read.map_err(|_| {
        Refusal::Wrong(
            StatusCode::REQUEST_TIMEOUT,
            "body-too-slow",
            "the body did not arrive in time".to_owned(),
        )
    })?;
    match read {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::too_large(limit)),
        Err(error) => Err(Refusal::bad_request(format!("the body broke off: {error}"))),
    }
}

/// A JSON body, read as `T`.
pub(crate) async fn json<T: DeserializeOwned>(body: Body) -> Result<T, Refusal> {
    read(&whole(body, MAX_JSON).await?)
}

/// JSON, read as `T`.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes).map_err(|error| {
        let detail = format!("the body is not what this takes: {}", explain_unknown(&error.to_string()));
        if error.is_data() { Refusal::invalid(detail) } else { Refusal::bad_request(detail) }
    })
}

/// The query, read as `T`.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Control> for Params<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Control) -> Result<Self, Refusal> {
        read_query(&parts.uri).map(Self)
    }
}

fn read_query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Refusal> {
    match Query::try_from_uri(uri) {
        Ok(Query(params)) => Ok(params),
        Err(error) => Err(Refusal::bad_request(explain_unknown(&error.body_text()))),
    }
}

/// A query, read as `T`.
pub(crate) fn query<T: DeserializeOwned>(text: &str) -> Result<T, Refusal> {
    let uri = Uri::from_str(&format!("/?{text}"));
    read_query(&uri.map_err(|error| Refusal::bad_request(format!("the query cannot be read: {error}")))?)
}

/// The path's `{name}`. What cannot be a name is not there.
pub(crate) struct Named<T>(pub(crate) T);

impl<T: FromStr> FromRequestParts<Control> for Named<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, control: &Control) -> Result<Self, Refusal> {
        let params = RawPathParams::from_request_parts(parts, control).await.map_err(|_| Refusal::Absent)?;
        let named = params.iter().find(|(key, _)| *key == "name").map(|(_, value)| value);
        named.and_then(|name| name.parse().ok()).map(Self).ok_or(Refusal::Absent)
    }
}

/// Which part of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Only what comes after this one: the last of the page before.
    pub(crate) after: Option<String>,
    /// At most so many; 1,000 is the most.
    pub(crate) limit: Option<usize>,
}

impl Page {
    pub(crate) fn limit(&self) -> usize {
        self.limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE)
    }

    /// `after`, read as `T`.
    pub(crate) fn after<T: FromStr>(&self) -> Result<Option<T>, Refusal> {
        let bad = |_| Refusal::bad_request("`after` names nothing that this list could have");
        self.after.as_deref().map(str::parse).transpose().map_err(bad)
    }
}
