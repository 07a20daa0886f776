//! An API over a store in memory, with two tenants and one setting-up that works.
#![allow(dead_code, unreachable_pub, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests may panic")]

mod fakes;
mod made;
mod repairs;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use host_audit::{Act, Audit};
use host_control::{Catalog, Ceilings, Control, NewToken, Outlet, Reader, Role, Scope, Tokens, router};
use host_model::clock::{SimClock, Timestamp};
use host_model::http_types::Peer;
use host_model::id::TokenId;
use host_routing::{Routes, Snapshot};
use host_schedules::Schedule;
use host_store::{Blobs, MemoryStore};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use registry::{Registry, Upload};
use serde_json::Value;
use tower::ServiceExt;

pub use fakes::*;
pub use made::*;
pub use repairs::*;

/// A connection, a workflow and a schedule that fit the packages in [`World::new`].
pub const LEAD: &str = "\
kind: workflow
name: intake
package: example/intake@0.1.0
roles: { crm: crm }
triggers:
  - webhook: { connection: web-form, message: lead }
---
kind: schedule
name: nightly
cron: 0 3 * * *
workflow: intake
---
kind: connection
name: crm
package: example/crm@0.1.0
config: { base-url: 'http://127.0.0.1:9101' }
credentials: { key: { secret: crm-key } }
grants: { http: ['http://127.0.0.1:9101'] }
---
kind: connection
name: web-form
package: example/web-form@0.1.0
";

pub struct World {
    pub control: Control,
    pub store: Arc<MemoryStore>,
    pub blobs: Blobs,
    pub routes: Arc<Served>,
    pub calls: Arc<FakeCalls>,
    pub api: Router,
    /// Tokens: the operator's, and one of each tenant.
    pub operator: String,
    pub acme: String,
    pub globex: String,
}

/// What the outlet was given.
#[derive(Default)]
pub struct Served {
    pub routes: Routes,
    pub schedules: std::sync::Mutex<Vec<Schedule>>,
}

struct Into(Arc<Served>);

impl Outlet for Into {
    fn replace(&self, routes: Snapshot, schedules: Vec<Schedule>) {
        self.0.routes.replace(routes);
        *self.0.schedules.lock().unwrap() = schedules;
    }
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// The code and detail of a refusal, which must be problem+json.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{}", self.text);
        assert_eq!(problem["status"], status);
        problem["detail"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn ok(&self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }
}

/// A host's control over this store.
pub async fn control(store: &Arc<MemoryStore>, blobs: &Blobs) -> (Control, Arc<Served>, Arc<FakeCalls>) {
    control_with(store, blobs, Ceilings::default()).await
}

/// The same, with what its operator allows.
pub async fn control_with(
    store: &Arc<MemoryStore>,
    blobs: &Blobs,
    ceilings: Ceilings,
) -> (Control, Arc<Served>, Arc<FakeCalls>) {
    let clock = Arc::new(SimClock::at(Timestamp::UNIX_EPOCH));
    let registry = Registry::new(store.clone(), blobs.clone(), clock.clone());
    let (routes, calls) = (Arc::new(Served::default()), Arc::new(FakeCalls::default()));
    let step_tests = Arc::new(FakeStepTests(calls.clone()));
    let outlet = Box::new(Into(routes.clone()));
    let reader = Reader { calls: calls.clone(), registry: registry.clone(), blobs: blobs.clone() };
    let audit = Arc::new(Audit::new(store.clone(), clock.clone(), host_audit::Settings::default()));
    let log = audit.clone();
    let catalog =
        Catalog::open(store.clone(), log, registry.clone(), ceilings, outlet, reader).await.unwrap();
    let control = Control {
        tokens: Tokens::new(store.clone(), clock, audit.clone()),
        audit,
        logins: Arc::new(host_control::Logins::new(Vec::new(), "http://127.0.0.1:7070")),
        catalog,
        registry,
        calls: calls.clone(),
        runs: Arc::new(FakeRuns::default()),
        events: Arc::new(FakeRuns::default()),
        repair: Arc::new(FakeRepair::default()),
        step_tests: step_tests.clone(),
        topics: Arc::new(FakeTopics),
        usage: Arc::new(FakeUsage),
        secrets: Arc::new(FakeSecrets { store: store.clone(), names: Mutex::default() }),
        authorizations: Arc::new(FakeAuthorizations),
        keys: Arc::new(FakeKeys),
    };
    (control, routes, calls)
}

impl World {
    /// Tenants `acme` and `globex`, three packages, nothing set up.
    pub async fn new() -> Self {
        let (store, blobs) = (Arc::new(MemoryStore::new()), Blobs::in_memory());
        let (control, routes, calls) = control(&store, &blobs).await;
        let operator = control.tokens.bootstrap().await.unwrap().unwrap().reveal_once().to_owned();
        for manifest in [CRM, WEB_FORM, INTAKE] {
            control.registry.publish(package(manifest).into(), "test").await.unwrap();
        }
        let api = router(control.clone());
        let (acme, globex) = (String::new(), String::new());
        let mut world = Self { control, store, blobs, routes, calls, api, operator, acme, globex };
        world.apply("kind: tenant\nname: acme\n---\nkind: tenant\nname: globex\n", "").await.ok();
        world.acme = world.token("acme").await;
        world.globex = world.token("globex").await;
        world
    }

    /// The same, with [`LEAD`] set up for acme.
    pub async fn with_lead() -> Self {
        let world = Self::new().await;
        world.apply(LEAD, "tenant=acme").await.ok();
        world
    }

    /// The same, on a host with the builtin packages.
    pub async fn with_reader() -> Self {
        let world = Self::with_lead().await;
        for manifest in [EXPRESSION, FLOW] {
            let upload = Upload::builtin(package(manifest).into()).await.unwrap();
            world.control.registry.keep(upload, "host").await.unwrap();
        }
        world
    }

    /// A token of the tenant's admin.
    pub async fn token(&self, tenant: &str) -> String {
        self.token_as(tenant, Role::Admin).await.1
    }

    /// A token of the tenant in this role, and its id.
    pub async fn token_as(&self, tenant: &str, role: Role) -> (TokenId, String) {
        let scope = Scope::of(tenant.parse().unwrap(), role);
        let (token, text) =
            self.control.tokens.create(NewToken::lasting(scope, ""), &Act::of_host("test")).await.unwrap();
        (token.id, text.reveal_once().to_owned())
    }

    /// The text of a token that a login of this scope gave.
    pub async fn login(&self, scope: Scope) -> String {
        let wanted =
            NewToken { subject: Some("oidc:corp:ada".to_owned()), ..NewToken::lasting(scope, "ada") };
        let (_, text) = self.control.tokens.create(wanted, &Act::of_host("test")).await.unwrap();
        text.reveal_once().to_owned()
    }

    /// From an address of its own each time: most tests are not about who fails too often.
    pub async fn send(&self, method: &str, path: &str, token: Option<&str>, body: Body) -> Answer {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let from = Ipv4Addr::from_bits(NEXT.fetch_add(1, Relaxed));
        self.send_from(from.into(), method, path, token, body).await
    }

    pub async fn send_from(
        &self,
        from: IpAddr,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Body,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.extension(Peer(from)).body(body).unwrap();
        let response: Response = self.api.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, Some(&self.operator), Body::empty()).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send("PUT", path, Some(&self.operator), body.to_string().into()).await
    }

    pub async fn post(&self, path: &str, body: impl std::convert::Into<Body>) -> Answer {
        self.send("POST", path, Some(&self.operator), body.into()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, Some(&self.operator), Body::empty()).await
    }

    pub async fn apply(&self, yaml: &str, query: &str) -> Answer {
        self.post(&format!("/apply?file=lead.yaml&{query}"), yaml.to_owned()).await
    }

    /// Everything that is stored but the audit log, to see that nothing changed.
    pub async fn stored(&self) -> Vec<host_store::Entry> {
        use host_store::Store;
        let mut stored = self.store.scan(b"", None, 1_000).await.unwrap();
        stored.retain(|entry| !entry.key.starts_with(b"!\0audit"));
        stored
    }
}
