//! `/healthz`, `/readyz` and `/metrics`: is it alive, does it take work, how
//! much goes on. No tenant's name is in any of them, unless the operator says
//! so (`[egress] metrics-by-connection`), since anybody may read them.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use host_admission::Admission;
use host_egress::Egress;
use host_sandbox::Sandbox;
use host_store::SledStore;
use http::{StatusCode, header};

/// What health is told from.
pub(crate) struct Health {
    pub(crate) admission: Arc<Admission>,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) store: Arc<SledStore>,
    pub(crate) egress: Arc<Egress>,
    /// Whether tenants and connections are named in metrics.
    pub(crate) metrics_by_connection: bool,
}

pub(crate) fn router(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(health))
}

/// Ready means: the store answers.
async fn ready(State(health): State<Arc<Health>>) -> (StatusCode, &'static str) {
    match host_store::Store::get(&*health.store, b"ready").await {
        Ok(_) => (StatusCode::OK, "ready\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n"),
    }
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
