//! The border between a tenant's guests: what crosses it fits the schemas that
//! both sides name. An endpoint or workflow that names none costs nothing here.
//! A connection that somebody must authorize first is not called.

use std::sync::Arc;

use host_egress::Egress;
use host_ingress::Refusal;
use host_model::message::Draft;
use host_model::name::{SchemaRef, TenantId};
use host_model::outcome::{CallError, Finished, Outcome, Usage};
use host_model::resource::Connection;
use host_routing::Routes;
use host_runs::NewRun;
use host_sandbox::{CallFailed, Sandbox};
use host_schemas::Schemas;

/// Longer texts are checked beside the threads that serve: up to here a check
/// takes milliseconds for any schema that people write.
const LARGE: usize = 16 << 10;

/// Checks what crosses.
pub(crate) struct Border {
    routes: Arc<Routes>,
    schemas: Arc<Schemas>,
    egress: Arc<Egress>,
}

impl Border {
    pub(crate) fn new(routes: Arc<Routes>, egress: Arc<Egress>) -> Self {
        Self { routes, schemas: Arc::default(), egress }
    }

    /// A call of an outbound endpoint. Input that does not fit is declined
    /// before the guest, and is permanent: the same will never fit.
    pub(crate) async fn call(
        &self,
        sandbox: &Sandbox,
        connection: &Arc<Connection>,
        endpoint: &str,
        input: &str,
        key: &str,
    ) -> Result<Finished<String>, CallFailed> {
        // No guest can do anything about it, so none is started. If this cannot
        // be read now, the guest's own request is told.
        if let Ok(Some(why)) = self.egress.unauthorized(connection).await {
            let why = format!(
                "connection `{0}` needs authorization ({why}): run `wharf connection authorize {0}`",
                connection.name
            );
            let outcome = Outcome::Declined(CallError::Unauthorized(why));
            return Ok(Finished { outcome, usage: Usage::default(), log: Vec::new() });
        }
        let declared = connection.package.manifest.endpoints.get(endpoint);
        let takes = declared.and_then(|declared| declared.takes.as_ref());
        if let Err(why) = self.fits(&connection.tenant, takes, input).await {
            let outcome =
                Outcome::Declined(CallError::InvalidInput(format!("what `{endpoint}` takes: {why}")));
            return Ok(Finished { outcome, usage: Usage::default(), log: Vec::new() });
        }
        let mut finished = sandbox.call(connection, endpoint, input, key).await?;
        if let (Some(gives), Outcome::Answered(answer)) =
            (declared.and_then(|declared| declared.gives.as_ref()), &finished.outcome)
            && let Err(why) = self.fits(&connection.tenant, Some(gives), answer).await
        {
            finished.outcome = Outcome::BadAnswer(format!("what `{endpoint}` gives: {why}"));
        }
        Ok(finished)
    }

    /// What an inbound endpoint emits: messages of the kind and schema that it
    /// declares. If not, the connector is at fault, and nothing is accepted.
    pub(crate) async fn emitted(
        &self,
        connection: &Connection,
        gives: Option<&SchemaRef>,
        messages: &[Draft],
    ) -> Result<(), Refusal> {
        let Some(gives) = gives else { return Ok(()) };
        for draft in messages {
            if draft.kind != gives.name.as_str() {
                let kind: String = draft.kind.chars().take(80).collect();
                return Err(Refusal::GuestFailed(format!(
                    "it declares `{gives}` and gave a message of kind `{kind}`"
                )));
            }
            self.fits(&connection.tenant, Some(gives), &draft.data)
                .await
                .map_err(|why| Refusal::GuestFailed(format!("what it gave: {why}")))?;
        }
        Ok(())
    }

    /// What a run is started with.
    pub(crate) async fn handed_over(&self, run: &NewRun) -> Result<(), CallError> {
        let NewRun { workflow, draft, .. } = run;
        let takes = workflow.package.manifest.takes.as_ref();
        self.fits(&workflow.tenant, takes, &draft.data)
            .await
            .map_err(|why| CallError::InvalidInput(format!("what workflow `{}` takes: {why}", workflow.name)))
    }

    /// Whether a text fits the schema that is declared for it, if one is.
    pub(crate) async fn fits(
        &self,
        tenant: &TenantId,
        name: Option<&SchemaRef>,
        text: &str,
    ) -> Result<(), String> {
        let Some(name) = name else { return Ok(()) };
        let schema = self
            .routes
            .schema(tenant, name)
            .ok_or_else(|| format!("schema `{name}` does not exist any more: apply it again"))?;
        let checked = if text.len() > LARGE {
            let (schemas, text) = (Arc::clone(&self.schemas), text.to_owned());
            tokio::task::spawn_blocking(move || schemas.check(&schema, &text))
                .await
                .map_err(|_| "the check was cut short".to_owned())?
        } else {
            self.schemas.check(&schema, text)
        };
        checked.map_err(|violations| violations.to_string())
    }
}
