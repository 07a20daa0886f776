//! Ingress as the outside sees it.

mod replies;
mod requests;
mod sockets;
mod tls;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use host_model::http_types::Answer;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;

use super::*;

/// Stages that do what a test says.
struct Scripted(Box<Script>);
type Script = dyn Fn(Inbound) -> Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send>> + Send + Sync;

impl Stages for Scripted {
    fn serve(&self, inbound: Inbound) -> impl Future<Output = Result<Reply, Refusal>> + Send {
        (self.0)(inbound)
    }
}

fn routes<F>(limits: Limits, stages: impl Fn(Inbound) -> F + Send + Sync + 'static) -> Front<Scripted>
where
    F: Future<Output = Result<Reply, Refusal>> + Send + 'static,
{
    let stages = Arc::new(Scripted(Box::new(move |inbound| Box::pin(stages(inbound)))));
    Front::new(stages, limits, axum::Router::new())
}

/// Stages that read the body and answer with it.
fn echo(limits: Limits) -> Front<Scripted> {
    routes(limits, |mut inbound| async move {
        let body = inbound.buffer().await?;
        Ok(Reply::Answer(Answer { status: StatusCode::OK, headers: HeaderMap::new(), body }))
    })
}

async fn send(front: &Front<Scripted>, request: Request<Body>) -> Response {
    front.answer(request, front::Caller::default(), &alarm::Alarm::default()).await
}

async fn body_of(response: Response) -> bytes::Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

/// The status and code of a refusal, checked to be a problem document.
async fn problem(response: Response) -> (u16, String, String) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    let problem: Value = serde_json::from_slice(&body_of(response).await).unwrap();
    assert_eq!(problem["status"], status);
    let text = |key: &str| problem[key].as_str().unwrap().to_owned();
    (status, text("code"), text("detail"))
}
