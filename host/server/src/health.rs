//! `/healthz`, `/readyz` and `/metrics`: is it alive, does it take work, how
//! much goes on. No tenant's name is in any of them, unless the operator says
//! so (`[egress] metrics-by-connection`), since anybody may read them.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use host_admission::Admission;
use host_egress::Egress;
use host_ingress::Tls;
use host_model::clock::Clock;
use host_sandbox::Sandbox;
use host_store::SledStore;
use http::{StatusCode, header};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::tls;
use crate::vitals::Vitals;

/// What health is told from.
pub(crate) struct Health {
    pub(crate) admission: Arc<Admission>,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) store: Arc<SledStore>,
    pub(crate) egress: Arc<Egress>,
    /// Whether tenants and connections are named in metrics.
    pub(crate) metrics_by_connection: bool,
    pub(crate) vitals: Arc<Vitals>,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stopping: CancellationToken,
}

pub(crate) fn router(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(health))
}

/// Ready means that new work is taken: the store answers, there is memory and
/// disk enough, and the host is not about to stop. While it starts, nobody answers.
async fn ready(State(health): State<Arc<Health>>) -> (StatusCode, Json<Value>) {
    let mut because = Vec::new();
    if health.stopping.is_cancelled() {
        because.push("the host is about to stop".to_owned());
    }
    if host_store::Store::get(&*health.store, b"ready").await.is_err() {
        because.push("the store does not answer: the host's log says why".to_owned());
    }
    because.extend(health.vitals.short().map(|what| format!("the host is short of {what}")));
    let status = if because.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut told = json!({ "ready": because.is_empty(), "because": because });
    // Whoever is asked for a certificate sees that it is over; until then it serves.
    let warning = health.tls.as_ref().and_then(|tls| tls::warning(tls.expires(), health.clock.now()));
    if let (Some(warning), Some(told)) = (warning, told.as_object_mut()) {
        told.insert("warnings".into(), json!([warning]));
    }
    (status, Json(told))
}

/// Prometheus text format 0.0.4.
async fn metrics(State(health): State<Arc<Health>>) -> ([(header::HeaderName, &'static str); 1], String) {
    let (counts, stats) = (health.admission.counts(), health.store.stats());
    let mut text = String::new();
    let mut line = |name: &str, kind: &str, value: u64| {
        let _ = writeln!(text, "# TYPE {name} {kind}\n{name} {value}");
    };
    line("wharf_calls_running", "gauge", counts.calls as u64);
    line("wharf_calls_waiting", "gauge", counts.waiting as u64);
    line("wharf_runs_running", "gauge", counts.runs as u64);
    line("wharf_tenants_active", "gauge", counts.tenants as u64);
    line("wharf_components_loaded", "gauge", health.sandbox.loaded() as u64);
    line("wharf_store_commits_total", "counter", stats.commits);
    line("wharf_store_fsyncs_total", "counter", stats.fsyncs);
    let left = health.vitals.left();
    line("wharf_memory_left_bytes", "gauge", left.memory.unwrap_or(0));
    line("wharf_disk_left_bytes", "gauge", left.disk.unwrap_or(0));
    if let Some(tls) = &health.tls {
        let expires = u64::try_from(tls.expires().timestamp()).unwrap_or(0);
        line("wharf_tls_certificate_expires_seconds", "gauge", expires);
    }
    text.push_str(&health.egress.metrics(health.metrics_by_connection));
    let _ = writeln!(text, "# TYPE wharf_build_info gauge");
    let _ = writeln!(
        text,
        "wharf_build_info{{version=\"{}\",wasmtime=\"{}\"}} 1",
        env!("CARGO_PKG_VERSION"),
        host_sandbox::WASMTIME
    );
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}
