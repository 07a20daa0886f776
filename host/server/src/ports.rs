//! Runs and the vault, as control names them.

use std::error::Error as _;
use std::sync::Arc;

use host_control::ports::{
    EventError, Events, PortError, RunPage, RunQuery, RunStory, Runs as RunsPort, Secrets as SecretsPort,
    Topics as TopicsPort,
};
use host_egress::{Vault, VaultError};
use host_model::digest::Digest;
use host_model::effects::BoxFuture;
use host_model::id::RunId;
use host_model::name::{SecretName, TenantId, TopicName};
use host_runs::{AcceptError, DeliverError, Idempotency, Runs};
use host_store::Commit;
use secrecy::SecretString;

use crate::guests::SandboxedGuests;

/// The most steps that one answer of the API shows, beyond the first page.
const MAX_SHOWN: usize = 1_000;

pub(crate) struct RunsView(pub(crate) Arc<Runs>);

impl RunsPort for RunsView {
    fn list<'a>(
        &'a self,
        tenant: &'a TenantId,
        query: RunQuery,
    ) -> BoxFuture<'a, Result<RunPage, PortError>> {
        Box::pin(async move {
            let RunQuery { filter, after, limit } = query;
            let page = self.0.list(tenant, &filter, after, limit.get()).await.map_err(internal)?;
            Ok(RunPage { runs: page.runs, next: page.next })
        })
    }

    fn show<'a>(
        &'a self,
        tenant: &'a TenantId,
        run: RunId,
    ) -> BoxFuture<'a, Result<Option<RunStory>, PortError>> {
        Box::pin(async move {
            let Some((shown, mut page)) = self.0.show(tenant, run).await.map_err(internal)? else {
                return Ok(None);
            };
            let mut steps = page.steps;
            while let Some(after) = page.next {
                if steps.len() >= MAX_SHOWN {
                    break;
                }
                page = self.0.steps(tenant, run, Some(after)).await.map_err(internal)?;
                steps.append(&mut page.steps);
            }
            Ok(Some(RunStory { run: shown, steps }))
        })
    }
}

impl Events for RunsView {
    fn send<'a>(
        &'a self,
        tenant: &'a TenantId,
        run: RunId,
        event: &'a str,
        data: String,
    ) -> BoxFuture<'a, Result<(), EventError>> {
        Box::pin(async move {
            self.0.deliver(tenant, run, event, data).await.map_err(|error| match error {
                DeliverError::Absent => EventError::Absent,
                DeliverError::Name(_) | DeliverError::Data(_) => EventError::Invalid(error.to_string()),
                DeliverError::Over(_) => EventError::Over(error.to_string()),
                DeliverError::Taken { .. } => EventError::Taken(error.to_string()),
                DeliverError::Crowded(_) => EventError::Crowded(error.to_string()),
                DeliverError::Contended | DeliverError::Store(_) | DeliverError::Interrupted => {
                    let cause = error.source().map(ToString::to_string).unwrap_or_default();
                    EventError::Internal(format!("{error}: {cause}"))
                }
            })
        })
    }
}

/// Topics, to which the API publishes.
pub(crate) struct Published {
    pub(crate) guests: Arc<SandboxedGuests>,
    pub(crate) runs: Arc<Runs>,
}

impl TopicsPort for Published {
    fn publish<'a>(
        &'a self,
        tenant: &'a TenantId,
        topic: &'a TopicName,
        data: String,
        key: Option<String>,
    ) -> BoxFuture<'a, Result<Vec<RunId>, PortError>> {
        Box::pin(async move {
            let input = Digest::of(data.as_bytes());
            let idempotency = key.map(|key| Idempotency {
                tenant: tenant.clone(),
                scope: format!("topics/{topic}"),
                key,
                input,
                answer: None,
            });
            if let Some(idempotency) = &idempotency
                && let Some(accepted) = self.runs.earlier(idempotency).await.map_err(not_accepted)?
            {
                return Ok(accepted.runs);
            }
            let place = self.guests.admit_tenant(tenant).await?;
            let runs = self.guests.to_topic(tenant, topic, data).await?;
            drop(place);
            let accepted = self.runs.accept(runs, idempotency).await.map_err(not_accepted)?;
            Ok(accepted.runs)
        })
    }
}

fn not_accepted(error: AcceptError) -> PortError {
    match error {
        AcceptError::Conflict | AcceptError::Store(_) | AcceptError::Interrupted => internal(error),
        AcceptError::NoRoom(why) => PortError::NoRoom(why.to_string(), why.retry_after()),
        other => {
            let cause = std::error::Error::source(&other).map(|cause| format!(": {cause}"));
            PortError::Refused(format!("{other}{}", cause.unwrap_or_default()))
        }
    }
}

pub(crate) struct Secrets(pub(crate) Arc<Vault>);

impl SecretsPort for Secrets {
    fn set<'a>(
        &'a self,
        tenant: &'a TenantId,
        name: &'a SecretName,
        value: SecretString,
        beside: Commit,
    ) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(async move { self.0.set_with(tenant, name, value, beside).await.map_err(vault) })
    }

    fn delete<'a>(
        &'a self,
        tenant: &'a TenantId,
        name: &'a SecretName,
        beside: Commit,
    ) -> BoxFuture<'a, Result<bool, PortError>> {
        Box::pin(async move { self.0.delete_with(tenant, name, beside).await.map_err(vault) })
    }

    fn names<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<Vec<SecretName>, PortError>> {
        Box::pin(async move { self.0.names(tenant).await.map_err(vault) })
    }
}

fn internal(error: impl std::error::Error) -> PortError {
    PortError::Internal(format!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default()))
}

/// What the caller can put right is told; the rest is the operator's to read.
fn vault(error: VaultError) -> PortError {
    match error {
        VaultError::TooLarge { .. } | VaultError::TooMany { .. } => PortError::Refused(error.to_string()),
        other => internal(other),
    }
}
