//! The sandbox as runs and control see it: a place from admission first, then
//! the guest, and nothing of the host's own failures in what they get back.

use std::sync::Arc;

use bytes::Bytes;
use host_admission::{Admission, Place, Quotas, Refused};
use host_control::ports::{Calls, PortError};
use host_model::bounds::Bounds;
use host_model::clock::Clock;
use host_model::digest::Digest;
use host_model::effects::{BoxFuture, Effects};
use host_model::forbidden::Forbidden;
use host_model::id::MessageId;
use host_model::manifest::{Direction, Manifest, World};
use host_model::name::{EndpointName, PackageRef, TenantId, TopicName, WorkflowName};
use host_model::outcome::{CallError, Finished, Outcome, Usage};
use host_model::resource::{Connection, Package, Workflow};
use host_model::retention::RetentionSpec;
use host_model::run::Run;
use host_routing::Routes;
use host_runs::{EndpointCall, Guests, HostFailure, NewRun, NoRoom, Room};
use host_sandbox::compile::CompileError;
use host_sandbox::{CallFailed, PrepareError, Sandbox};
use registry::Registry;
use tokio::sync::OnceCell;

use crate::border::Border;
use crate::quotas::Booked;
use crate::triggers::TriggerError;
use crate::vitals::Vitals;

/// What runs and control need to call guests.
pub(crate) struct SandboxedGuests {
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) routes: Arc<Routes>,
    pub(crate) registry: Registry,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) border: Arc<Border>,
    pub(crate) quotas: Quotas,
    pub(crate) vitals: Arc<Vitals>,
    /// What the operator forbids: also to runs that were accepted before.
    pub(crate) forbidden: Forbidden,
    /// The guest that evaluates the triggers' expressions, once it was needed.
    pub(crate) evaluator: OnceCell<Package>,
}

impl Guests for SandboxedGuests {
    fn run_workflow<'a>(
        &'a self,
        run: &'a Run,
        bounds: &'a Bounds,
        effects: Arc<dyn Effects>,
    ) -> BoxFuture<'a, Result<Finished<String>, HostFailure>> {
        Box::pin(async move {
            let failed = |why: &dyn std::fmt::Display| HostFailure(why.to_string());
            let concurrency = self.routes.tenant(&run.tenant).and_then(|tenant| tenant.concurrency);
            let _place =
                self.admission.place(&run.tenant, concurrency).await.map_err(|error| failed(&error))?;
            let package = self.registry.get(&run.package).await.map_err(|error| failed(&error))?;
            let package = package
                .filter(|package| package.digest == run.digest)
                .ok_or_else(|| HostFailure(format!("package `{}` ({}) is gone", run.package, run.digest)))?;
            if let Err(why) = self.forbidden.package(&run.package) {
                return Ok(declined(CallError::Permanent(why.to_string())));
            }
            self.sandbox
                .run(&run.tenant, &package, bounds, &run.input, effects)
                .await
                .map_err(|error| failed(&error))
        })
    }

    fn room(&self, tenant: &TenantId, runs: u64, bytes: u64) -> Result<Box<dyn Room>, NoRoom> {
        if let Some(what) = self.vitals.short() {
            return Err(NoRoom::Host(what));
        }
        Ok(Box::new(Booked(self.quotas.book(tenant, runs, bytes)?)))
    }

    fn retention(&self) -> Vec<(TenantId, RetentionSpec)> {
        let tenants = self.routes.tenants();
        tenants.iter().map(|tenant| (tenant.name.clone(), tenant.retention)).collect()
    }

    fn has_package<'a>(
        &'a self,
        package: &'a PackageRef,
        digest: &'a Digest,
    ) -> BoxFuture<'a, Result<bool, HostFailure>> {
        Box::pin(async move {
            let found = self.registry.get(package).await.map_err(|error| HostFailure(error.to_string()))?;
            Ok(found.is_some_and(|found| found.digest == *digest))
        })
    }

    fn fits<'a>(
        &'a self,
        tenant: &'a TenantId,
        package: &'a PackageRef,
        data: &'a str,
    ) -> BoxFuture<'a, Result<Result<(), String>, HostFailure>> {
        Box::pin(async move {
            let package = self.registry.get(package).await.map_err(|error| HostFailure(error.to_string()))?;
            let takes = package.as_ref().and_then(|package| package.manifest.takes.as_ref());
            Ok(self.border.fits(tenant, takes, data).await)
        })
    }

    fn workflow(&self, tenant: &TenantId, name: &WorkflowName) -> Option<Arc<Workflow>> {
        self.routes.workflow(tenant, name)
    }

    /// A step runs under its run's place: asking for another could wait for itself.
    fn call_endpoint(&self, call: EndpointCall) -> BoxFuture<'_, Result<Finished<String>, HostFailure>> {
        Box::pin(async move {
            let Some(connection) = self.routes.connection(&call.tenant, &call.connection) else {
                let name = &call.connection;
                let why = format!(
                    "connection `{name}` is not there, or cannot be used: `wharf get connection {name}` says why"
                );
                return Ok(declined(CallError::NotFound(why)));
            };
            let (endpoint, key) = (call.endpoint.as_str(), &call.idempotency_key);
            let called = self.border.call(&self.sandbox, &connection, endpoint, &call.input, key).await;
            called.map_err(|error| HostFailure(error.to_string()))
        })
    }

    /// As a call, within the run's place.
    fn subscribers<'a>(
        &'a self,
        tenant: &'a TenantId,
        topic: &'a TopicName,
        data: &'a str,
    ) -> BoxFuture<'a, Result<Result<Vec<NewRun>, String>, HostFailure>> {
        Box::pin(async move {
            match self.to_topic(tenant, topic, data.to_owned()).await {
                Ok(runs) => Ok(Ok(runs)),
                Err(TriggerError::Message(why)) => Ok(Err(why)),
                Err(TriggerError::Host(why)) => Err(HostFailure(why)),
            }
        })
    }
}

/// A call that was not made.
fn declined(why: CallError) -> Finished<String> {
    Finished { outcome: Outcome::Declined(why), usage: Usage::default(), log: Vec::new() }
}

impl SandboxedGuests {
    /// The API's calls take the same places as webhooks.
    async fn admit(&self, connection: &Connection) -> Result<Place, PortError> {
        self.admit_tenant(&connection.tenant).await
    }

    pub(crate) async fn admit_tenant(&self, tenant: &TenantId) -> Result<Place, PortError> {
        if let Some(what) = self.vitals.short_of_memory() {
            let why = NoRoom::Host(what);
            return Err(PortError::NoRoom(why.to_string(), why.retry_after()));
        }
        let concurrency = self.routes.tenant(tenant).and_then(|tenant| tenant.concurrency);
        self.admission.call(tenant, concurrency).await.map_err(|refused| match refused {
            Refused::Busy { retry_after } => PortError::Busy(retry_after),
            Refused::Draining => PortError::Refused(refused.to_string()),
        })
    }
}

impl Calls for SandboxedGuests {
    fn examine(&self, package: Package, component: Bytes) -> BoxFuture<'_, Result<(), PortError>> {
        Box::pin(async move {
            let described = self.sandbox.describe(&package, component, &Bounds::default()).await;
            let finished = described.map_err(|error| match error {
                // The upload is to blame, and its author can read why.
                CallFailed::Prepare(
                    why @ (PrepareError::Compile(CompileError::Refused(_) | CompileError::TooMuch)
                    | PrepareError::Link(_)),
                ) => PortError::Refused(why.to_string()),
                error => internal(&error),
            })?;
            let served = match finished.outcome {
                Outcome::Answered(served) => served,
                other => {
                    let what = match package.manifest.world {
                        World::Connector => "`describe` did not answer",
                        World::Workflow | World::HttpProxy => "the component cannot be instantiated",
                    };
                    return Err(PortError::Refused(format!("{what}: {}", ended(&other))));
                }
            };
            compare(&package.manifest, &served).map_err(PortError::Refused)
        })
    }

    fn check(&self, connection: Arc<Connection>) -> BoxFuture<'_, Result<Finished<String>, PortError>> {
        Box::pin(async move {
            let _place = self.admit(&connection).await?;
            self.sandbox.check(&connection).await.map_err(|error| internal(&error))
        })
    }

    fn call(
        &self,
        connection: Arc<Connection>,
        endpoint: EndpointName,
        input: String,
    ) -> BoxFuture<'_, Result<Finished<String>, PortError>> {
        Box::pin(async move {
            let _place = self.admit(&connection).await?;
            let key = MessageId::new(self.clock.now(), random()?).to_string();
            let called = self.border.call(&self.sandbox, &connection, endpoint.as_str(), &input, &key).await;
            called.map_err(|error| internal(&error))
        })
    }
}

/// The code must serve exactly what the manifest declares.
fn compare(manifest: &Manifest, served: &[(String, Direction)]) -> Result<(), String> {
    for (name, direction) in served {
        if manifest.endpoint(name, *direction).is_none() {
            return Err(format!(
                "the code serves the {direction} endpoint `{name}`, which wharf.toml does not declare"
            ));
        }
    }
    for (name, endpoint) in &manifest.endpoints {
        let direction = endpoint.direction;
        if !served.iter().any(|served| served.0 == name.as_str() && served.1 == direction) {
            return Err(format!(
                "wharf.toml declares the {direction} endpoint `{name}`, which the code does not serve"
            ));
        }
    }
    Ok(())
}

fn ended<T>(outcome: &Outcome<T>) -> String {
    match outcome {
        Outcome::Answered(_) => "it answered".to_owned(),
        Outcome::Declined(error) => error.to_string(),
        Outcome::Exceeded(exceeded) => format!("it {exceeded}"),
        Outcome::Trapped(trap) => format!("it crashed: {trap}"),
        Outcome::BadAnswer(why) => format!("it gave a bad answer: {why}"),
    }
}

/// A call by hand is an effect of its own, so its idempotency key is new.
fn random() -> Result<[u8; 10], PortError> {
    let mut bytes = [0; 10];
    getrandom::fill(&mut bytes).map_err(|error| PortError::Internal(error.to_string()))?;
    Ok(bytes)
}

fn internal(error: &CallFailed) -> PortError {
    PortError::Internal(error.to_string())
}
