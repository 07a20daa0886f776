//! An unmodified `wasi:http/proxy` component as an inbound endpoint: bodies
//! stream both ways, and the guest may go on after its answer has begun.

use std::sync::Arc;

use bytes::Bytes;
use host_capabilities::tidy;
use host_model::outcome::{Finished, Outcome};
use host_model::resource::Connection;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::sync::oneshot;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{Error, WasiHttpView};

use crate::call::{break_off_bodies, drive, finish, report};
use crate::prepare::{PrepareError, Prepared};
use crate::{CallFailed, Sandbox};

/// An answer whose body is still being made. It breaks off if the guest is ended.
pub type StreamedAnswer = http::Response<UnsyncBoxBody<Bytes, Error>>;

impl Sandbox {
    /// Serves one request, given with an origin-form URI and a `Host` header.
    /// Gives the answer as soon as its head is there, or what became of a guest
    /// that gave none. `held` is dropped when the guest is over: the caller's place.
    pub async fn serve<B>(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        request: http::Request<B>,
        held: impl Send + 'static,
    ) -> Result<Result<StreamedAnswer, Finished<()>>, CallFailed>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Error>,
    {
        let ready = self.prepared.ready(&connection.package).await?;
        let (slot, mut store) = self.open_for(connection).await?;

        let engine = |error: wasmtime::Error| CallFailed::Engine(format!("{error:#}"));
        let (head, answered) = oneshot::channel::<Result<http::Response<HyperOutgoingBody>, ErrorCode>>();
        let request = store.data_mut().http().new_incoming_request(Scheme::Http, request).map_err(engine)?;
        let out = store.data_mut().http().new_response_outparam(head).map_err(engine)?;

        let connection = Arc::clone(connection);
        let sandbox = Arc::clone(self);
        let tenant = connection.tenant.clone();
        let guest = self.tasks.spawn(async move {
            let call = Box::pin(async move {
                let _held = (held, slot);
                let mut store = store; // given back before its slot, however this ends
                let Some(Prepared::Proxy(pre)) = ready.prepared() else {
                    return Err(CallFailed::from(PrepareError::Link("it is not an http-proxy".to_owned())));
                };
                let driven = drive(connection.bounds.wall, async {
                    let guest = pre.instantiate_async(&mut store).await?;
                    guest.wasi_http_incoming_handler().call_handle(&mut store, request, out).await
                })
                .await;
                if driven.is_err() {
                    break_off_bodies(&mut store);
                }
                let finished = finish(store, driven?, |(), _| Outcome::Answered(()))?;
                report(&connection, &finished);
                Ok(finished)
            });
            sandbox.take_turns(Some(&tenant), call).await
        });
        match answered.await {
            Ok(Ok(response)) => Ok(Ok(response)),
            Ok(Err(code)) => Ok(Err(Finished {
                outcome: Outcome::BadAnswer(tidy(&format!("the guest answered with the error {code:?}"))),
                usage: Default::default(),
                log: Vec::new(),
            })),
            // The sender went with the store: see what became of the guest.
            Err(_) => match guest.await {
                Ok(finished) => {
                    let mut finished = finished?;
                    if finished.outcome == Outcome::Answered(()) {
                        finished.outcome =
                            Outcome::BadAnswer("the guest returned without an answer".to_owned());
                    }
                    Ok(Err(finished))
                }
                Err(_) => Err(CallFailed::Panicked),
            },
        }
    }
}
