//! The life of a request, top to bottom. Each line of [`Stages::hook`] and
//! [`Stages::start_run`] is a stage, and each stage a crate.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use host_admission::{Admission, Refused};
use host_control::{MayNot, NoEntry, Tokens};
use host_ingress::{Address, Bearer, Inbound, Prefer, Refusal, Reply};
use host_model::digest::Digest;
use host_model::http_types::{Answer, InboundRequest};
use host_model::id::{RunId, TokenId};
use host_model::message::Draft;
use host_model::name::{EndpointName, TenantId};
use host_model::outcome::CallError;
use host_model::resource::Connection;
use host_model::run::StartedBy;
use host_routing::{Routed, Routes, Target};
use host_runs::{AcceptError, Accepted, DeliverError, Idempotency, NewRun, NoRoom, Runs};
use host_sandbox::Sandbox;
use host_webhooks::Verified;
use http::{HeaderValue, StatusCode, Uri, header};

use crate::border::Border;
use crate::guests::SandboxedGuests;
use crate::triggers::TriggerError;
use crate::verification::Verification;
use crate::vitals::Vitals;

/// How long `/run` waits for the result if the caller does not say.
const DEFAULT_WAIT: Duration = Duration::from_secs(30);
/// The kind of the message that a run by hand gets.
const MANUAL: &str = "manual";

/// Everything that a request passes through. What most hooks do not come to is
/// boxed: a request's future is moved around whole, and so stays small.
pub(crate) struct Stages {
    pub(crate) routes: Arc<Routes>,
    pub(crate) verification: Verification,
    pub(crate) admission: Arc<Admission>,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) guests: Arc<SandboxedGuests>,
    pub(crate) runs: Arc<Runs>,
    pub(crate) tokens: Tokens,
    pub(crate) border: Arc<Border>,
    pub(crate) vitals: Arc<Vitals>,
}

impl host_ingress::Stages for Stages {
    async fn serve(&self, inbound: Inbound) -> Result<Reply, Refusal> {
        match inbound.address()? {
            Address::Hook { tenant, connection, rest } => {
                let routed =
                    self.routes.resolve_hook(tenant, connection, rest).map_err(|_| Refusal::NoRoute)?;
                self.hook(routed, inbound).await
            }
            Address::Run { tenant, workflow } => {
                let token = self.token(inbound.token.as_ref(), inbound.peer, tenant, workflow);
                let token = Box::pin(token).await?;
                let routed = self.routes.resolve_run(tenant, workflow).map_err(|_| Refusal::NoRoute)?;
                Box::pin(self.start_run(routed, token, inbound)).await
            }
            Address::Event { tenant, run, event, secret } => {
                let absent = |_| Refusal::NoRoute;
                let (tenant, run) =
                    (tenant.parse().map_err(absent)?, run.parse().map_err(|_| Refusal::NoRoute)?);
                let (event, secret) = (event.to_owned(), secret.to_owned());
                Box::pin(self.event(tenant, run, &event, &secret, inbound)).await
            }
        }
    }
}

impl Stages {
    /// A webhook: the connector turns it into messages, and each becomes runs,
    /// durable before the caller hears of them.
    async fn hook(&self, routed: Routed, mut inbound: Inbound) -> Result<Reply, Refusal> {
        let connection = match &routed.target {
            Target::Endpoint { connection, .. } | Target::Proxy { connection, .. } => Arc::clone(connection),
            Target::Workflow(_) => return Err(Refusal::NoRoute),
        };
        let verified = self.verification.verify(&connection, &mut inbound).await?;
        if let Some(what) = self.vitals.short_of_memory() {
            return Err(Refusal::Short { what });
        }
        let endpoint = match &routed.target {
            Target::Endpoint { endpoint, .. } => endpoint,
            Target::Proxy { path, .. } => {
                let path = path.clone();
                return Box::pin(self.proxy(routed, connection, &path, inbound)).await;
            }
            Target::Workflow(_) => return Err(Refusal::NoRoute),
        };
        let prefer = inbound.prefer;
        let body = inbound.buffer().await?; // before a place is taken: a slow caller holds none
        let idempotency = hook_key(&inbound, &verified, &connection, endpoint, &body);
        if let Some(accepted) = self.earlier(idempotency.as_ref()).await? {
            return match accepted.answer.and_then(|status| StatusCode::from_u16(status).ok()) {
                Some(status) => Ok(Reply::Answer(Answer::empty(status))),
                None => Box::pin(self.told(&routed.tenant, accepted.runs, prefer, None)).await,
            };
        }
        let (routed, place) = self.admission.admit(routed).await.map_err(refused)?.split();
        let Target::Endpoint { endpoint, path, .. } = routed.target else { return Err(Refusal::NoRoute) };
        let gives = connection.package.manifest.endpoints.get(&endpoint).and_then(|it| it.gives.clone());
        let request = InboundRequest {
            endpoint,
            method: inbound.method.clone(),
            path,
            query: inbound.uri.query().map(str::to_owned),
            headers: inbound.take_guest_headers(),
            body,
        };
        let finished = self.sandbox.receive(&connection, request).await.map_err(Refusal::internal)?;
        let received = Refusal::unless_answered(finished.outcome)?;
        if received.messages.is_empty() {
            return Ok(received
                .answer
                .map_or(Reply::Accepted { tenant: routed.tenant, runs: Vec::new() }, Reply::Answer));
        }
        // Boxed with what comes after it: next to a fsync an allocation is nothing.
        Box::pin(async {
            self.border.emitted(&connection, gives.as_ref(), &received.messages).await?;
            let runs = self.triggered(&connection, received.messages).await?;
            drop(place); // no guest runs any more; accepting waits for the disk only
            let status = received.answer.as_ref().map(|it| it.status).filter(StatusCode::is_success);
            let answer = status.map(|status| status.as_u16());
            let idempotency = idempotency.map(|it| Idempotency { answer, ..it });
            let accepted = self.runs.accept(runs, idempotency).await.map_err(not_accepted)?;
            match received.answer {
                Some(answer) => Ok(Reply::Answer(answer)),
                None => self.told(&routed.tenant, accepted.runs, prefer, None).await,
            }
        })
        .await
    }

    /// An unmodified `wasi:http` component: bodies stream both ways, and its
    /// place is held until the last byte.
    async fn proxy(
        &self,
        routed: Routed,
        connection: Arc<Connection>,
        path: &str,
        inbound: Inbound,
    ) -> Result<Reply, Refusal> {
        let admitted = self.admission.admit(routed).await.map_err(refused)?;
        let mut request = inbound.into_guest_request();
        // The component serves from its own root.
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        *request.uri_mut() = format!("/{path}{query}").parse::<Uri>().map_err(|_| Refusal::NoRoute)?;
        request.headers_mut().entry(header::HOST).or_insert(HeaderValue::from_static("localhost"));
        let request = request.map(sandbox_body);
        let (_, place) = admitted.split();
        match self.sandbox.serve(&connection, request, place).await.map_err(Refusal::internal)? {
            Ok(response) => Ok(Reply::Stream(response.map(axum::body::Body::new))),
            Err(finished) => {
                Err(Refusal::unless_answered(finished.outcome).err().unwrap_or(Refusal::NoRoute))
            }
        }
    }

    /// A run by hand, by whoever holds a token of the tenant.
    async fn start_run(
        &self,
        routed: Routed,
        token: TokenId,
        mut inbound: Inbound,
    ) -> Result<Reply, Refusal> {
        let Target::Workflow(workflow) = routed.target else { return Err(Refusal::NoRoute) };
        let prefer = inbound.prefer;
        let body = inbound.buffer().await?;
        let input = Digest::of(&body);
        let data = String::from_utf8(body.into())
            .map_err(|_| Refusal::BadRequest("the body is not UTF-8".into()))?;
        let data = if data.is_empty() { "null".to_owned() } else { data };
        let idempotency = inbound.idempotency_key.map(|key| Idempotency {
            tenant: routed.tenant.clone(),
            scope: format!("run/{}", workflow.name),
            key,
            input,
            answer: None,
        });
        let draft = Draft { kind: MANUAL.to_owned(), subject: None, data };
        let run = NewRun { workflow, started_by: StartedBy::Manual(Some(token)), draft, once: None };
        self.border.handed_over(&run).await.map_err(Refusal::Declined)?;
        let accepted = self.runs.accept(vec![run], idempotency).await.map_err(not_accepted)?;
        self.told(&routed.tenant, accepted.runs, prefer, Some(DEFAULT_WAIT)).await
    }

    /// An event for a run, by whoever knows its address: durable before the
    /// sender hears of it. Whatever is not there or not theirs looks the same.
    async fn event(
        &self,
        tenant: TenantId,
        run: RunId,
        event: &str,
        secret: &str,
        mut inbound: Inbound,
    ) -> Result<Reply, Refusal> {
        let data = String::from_utf8(inbound.buffer().await?.into())
            .map_err(|_| Refusal::BadRequest("the body is not UTF-8".into()))?;
        match self.runs.deliver_by_secret(&tenant, run, event, secret, data).await {
            Ok(()) => Ok(Reply::Taken),
            Err(DeliverError::Absent | DeliverError::Name(_)) => Err(Refusal::NoRoute),
            Err(DeliverError::Over(_)) => Err(Refusal::RunOver),
            Err(DeliverError::Taken { .. }) => Err(Refusal::EventTaken),
            Err(DeliverError::Data(why)) => Err(Refusal::BadRequest(why)),
            Err(DeliverError::Crowded(_)) => Err(Refusal::Full),
            Err(error @ (DeliverError::Contended | DeliverError::Store(_) | DeliverError::Interrupted)) => {
                Err(Refusal::internal(error))
            }
        }
    }

    /// Which runs the messages of a connection start. A message that no
    /// workflow wants would be accepted and lost, so it is refused and can be
    /// sent again; one that every trigger filters out starts nothing, as asked.
    async fn triggered(&self, connection: &Connection, messages: Vec<Draft>) -> Result<Vec<NewRun>, Refusal> {
        let started_by = StartedBy::Webhook(connection.name.clone());
        let mut runs = Vec::new();
        for draft in messages {
            let wanted = self.routes.workflows_for(&connection.tenant, &connection.name, &draft.kind);
            if wanted.is_empty() {
                return Err(Refusal::NoWorkflow { connection: connection.name.clone() });
            }
            let started = self.guests.started(&connection.tenant, wanted, &started_by, &draft).await;
            runs.extend(started.map_err(|error| match error {
                TriggerError::Message(why) => Refusal::Declined(CallError::InvalidInput(why)),
                TriggerError::Host(_) => Refusal::internal(error),
            })?);
        }
        Ok(runs)
    }

    /// What a caller is told of accepted runs: their ids, or the result of a
    /// single one that it waits for.
    async fn told(
        &self,
        tenant: &TenantId,
        runs: Vec<RunId>,
        prefer: Prefer,
        default_wait: Option<Duration>,
    ) -> Result<Reply, Refusal> {
        let wait = if prefer.respond_async { None } else { prefer.wait.or(default_wait) };
        if let (Some(wait), [run]) = (wait, runs.as_slice()) {
            let ended = tokio::select! {
                ended = self.runs.wait(tenant, *run, wait) => ended.map_err(Refusal::internal)?,
                () = self.admission.draining() => None, // it may not come to its turn any more
            };
            if let Some(run) = ended {
                return Ok(Reply::Finished(Box::new(run)));
            }
        }
        Ok(Reply::Accepted { tenant: tenant.clone(), runs })
    }

    async fn earlier(&self, idempotency: Option<&Idempotency>) -> Result<Option<Accepted>, Refusal> {
        match idempotency {
            Some(idempotency) => Box::pin(self.runs.earlier(idempotency)).await.map_err(not_accepted),
            None => Ok(None),
        }
    }

    /// The token of somebody who may start the workflow.
    async fn token(
        &self,
        bearer: Option<&Bearer>,
        peer: Option<IpAddr>,
        tenant: &str,
        workflow: &str,
    ) -> Result<TokenId, Refusal> {
        let bearer = bearer.ok_or(Refusal::Unauthorized)?;
        let token = self.tokens.enter(bearer.reveal_to_check(), peer).await.map_err(|no| match no {
            NoEntry::Unknown => Refusal::Unauthorized,
            NoEntry::TooMany(retry_after) => Refusal::TooManyFailures { retry_after },
            NoEntry::Failed(error) => Refusal::internal(error),
        })?;
        let (Ok(tenant), Ok(workflow)) = (tenant.parse(), workflow.parse()) else {
            return Err(Refusal::NoRoute);
        };
        token.may_start(&tenant, &workflow).map_err(|not| match not {
            MayNot::Absent => Refusal::NoRoute,
            MayNot::Forbidden(why) => Refusal::Forbidden(why),
        })?;
        Ok(token.id)
    }
}

/// An event is started once. Its id counts for more than a key that whoever
/// replays the request may add; senders change the body of an event that they
/// send again, so there the id is all.
fn hook_key(
    inbound: &Inbound,
    verified: &Verified,
    connection: &Connection,
    endpoint: &EndpointName,
    body: &[u8],
) -> Option<Idempotency> {
    let (kind, key, input) = match (&verified.event, &inbound.idempotency_key) {
        (Some(event), _) => ("events", event.to_string(), Digest::of(b"")),
        (None, Some(key)) => ("hooks", key.clone(), Digest::of(body)),
        (None, None) => return None,
    };
    let scope = format!("{kind}/{}/{endpoint}", connection.name);
    Some(Idempotency { tenant: connection.tenant.clone(), scope, key, input, answer: None })
}

/// The caller's body, its errors told in the sandbox's words.
fn sandbox_body(
    body: axum::body::Body,
) -> impl http_body::Body<Data = bytes::Bytes, Error = host_sandbox::BodyError> {
    http_body_util::BodyExt::map_err(body, |_| host_sandbox::BodyError::HttpRequestBodySize(None))
}

fn refused(refused: Refused) -> Refusal {
    match refused {
        Refused::Busy { retry_after } => Refusal::Busy { retry_after },
        Refused::Draining => Refusal::Draining,
    }
}

fn not_accepted(error: AcceptError) -> Refusal {
    match error {
        AcceptError::KeyReused => Refusal::KeyReused,
        AcceptError::Stopping => Refusal::Draining,
        AcceptError::Draft { .. } | AcceptError::TooMany { .. } | AcceptError::KeyLength(_) => {
            let cause =
                std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            Refusal::Declined(CallError::InvalidInput(format!("{error}{cause}")))
        }
        AcceptError::NoRoom(NoRoom::Host(what)) => Refusal::Short { what },
        AcceptError::NoRoom(why) => {
            Refusal::OverQuota { why: why.to_string(), retry_after: why.retry_after() }
        }
        AcceptError::Conflict | AcceptError::Store(_) | AcceptError::Interrupted => Refusal::internal(error),
    }
}
