//! What a fresh instance costs can only be said against one that is used
//! again. Nothing but the benchmark does that: a used instance may remember.

use std::sync::Arc;

use host_model::http_types::InboundRequest;
use host_model::outcome::Outcome;
use host_model::resource::Connection;

use crate::call::{drive, finish};
use crate::connector::connector;
use crate::lend::{LentRequest, Receive, lend_headers};
use crate::{CallFailed, Sandbox};

impl Sandbox {
    /// Hands the same request to one instance many times, within the bounds of
    /// one call. For `make bench` only.
    pub async fn receive_again_and_again(
        &self,
        connection: &Arc<Connection>,
        request: InboundRequest,
        times: u32,
    ) -> Result<(), CallFailed> {
        let ready = self.prepared.ready(&connection.package).await?;
        let connector = connector(ready.prepared())?;
        let (_slot, mut store) = self.open_for(connection).await?;
        let headers = lend_headers(&request.headers);
        let request = LentRequest::of(&request, &headers);
        let driven = drive(connection.bounds.wall, async {
            let guest = connector.pre.instance_pre().instantiate_async(&mut store).await?;
            let receive: Receive<'_> = guest.get_typed_func(&mut store, connector.receive)?;
            for _ in 0..times {
                let (received,) = receive.call_async(&mut store, (&request,)).await?;
                received.map_err(|_| wasmtime::Error::msg("the connector declined"))?;
            }
            Ok(())
        })
        .await?;
        match finish(store, driven, |(), _| Outcome::Answered(()))?.outcome {
            Outcome::Answered(()) => Ok(()),
            other => Err(CallFailed::Engine(format!("{other:?}"))),
        }
    }
}
