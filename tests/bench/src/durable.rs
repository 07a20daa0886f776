//! Durable runs, every commit fsynced: a run of one call (`durable_…`), and
//! the lead intake's run of three calls (`lead_run_…`). The callers wait for
//! the end of their run; load generator and stand-ins share the machine.

use std::time::Duration;

use http::StatusCode;
use tests_harness::{Connection, HostBuilder, LeadIntake, probe};

use crate::figures::{Figures, median};
use crate::load::{Shot, Volley, fire};
use crate::process::Used;

const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(4);
const CALLERS: usize = 32;

#[tokio::main]
pub(crate) async fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    println!("durable: {CALLERS} callers wait for their runs, fsync on");
    let intake = start().await;
    let one = one_call(&intake);
    let three = three_calls(&intake, "wait=30", StatusCode::OK);
    fire(&one, 8, Duration::from_secs(1)).await?;
    fire(&three, 8, Duration::from_secs(1)).await?;

    let (mut ones, mut threes) = (Rounds::default(), Rounds::default());
    for _ in 0..ROUNDS {
        ones.add("one call", &one, &intake).await?;
        threes.add("lead intake", &three, &intake).await?;
    }
    figures.set("durable_runs_per_s_32", median(ones.per_second));
    figures.set("durable_p50_ms_32", median(ones.p50_ms));
    figures.set("durable_p99_ms_32", median(ones.p99_ms));
    figures.set("durable_cpu_s_per_1000", median(ones.cpu));
    figures.set("durable_bytes_per_run", median(ones.bytes));
    figures.set("commits_per_fsync", median(ones.shared));
    figures.set("lead_run_per_s_32", median(threes.per_second));
    figures.set("lead_run_p50_ms_32", median(threes.p50_ms));
    figures.set("lead_run_p99_ms_32", median(threes.p99_ms));
    figures.set("lead_run_cpu_s_per_1000", median(threes.cpu));
    figures.set("lead_run_bytes_per_run", median(threes.bytes));
    figures.set("lead_run_commits_per_fsync", median(threes.shared));
    Ok(())
}

/// The lead intake, and beside it a workflow that makes one call.
pub(crate) async fn start() -> LeadIntake {
    let config = "[admission]\ncalls-per-tenant = 1000";
    let intake = LeadIntake::start_with(HostBuilder::default().full_size().config(config)).await;
    for package in ["workflow-call", "fetch"] {
        intake.host.publish(probe(package)).await.expect(201);
    }
    let lab = format!("http://{}", intake.upstreams.lab);
    let documents = [
        Connection::probe("fetch").config("base-url", &lab).grant_http(&lab).yaml(),
        "kind: workflow\nname: one-call\npackage: probe/workflow-call@0.1.0\n\
         roles: { target: fetch, other: fetch }\n"
            .to_owned(),
    ];
    intake.acme().apply(&documents.join("---\n")).await;
    intake
}

/// Starts a run of one call, and waits for it.
fn one_call(intake: &LeadIntake) -> Shot {
    let lead = r#"{"name":"Ada","email":"ada@analytical.example","message":"Do you ship to London?"}"#;
    let wish = serde_json::json!({
        "url": format!("http://{}/echo", intake.upstreams.lab), "method": "POST", "body": lead,
    });
    let body = serde_json::json!([{ "role": "target", "endpoint": "go", "input": wish }]);
    Shot {
        to: intake.host.address(),
        paths: vec!["/run/acme/one-call".to_owned()].into(),
        headers: vec![
            ("content-type", "application/json".to_owned()),
            ("authorization", format!("Bearer {}", intake.acme().token)),
            ("prefer", "wait=30".to_owned()),
        ],
        body: body.to_string().into(),
        expect: StatusCode::OK,
    }
}

/// Sends the website's form.
pub(crate) fn three_calls(intake: &LeadIntake, prefer: &str, expect: StatusCode) -> Shot {
    let body = "name=Ada&email=ada%40analytical.example&region=EMEA&message=Do+you+ship+to+London%3F";
    Shot {
        to: intake.host.address(),
        paths: vec!["/hooks/acme/website/inquiry".to_owned()].into(),
        headers: vec![
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
            ("prefer", prefer.to_owned()),
        ],
        body: body.into(),
        expect,
    }
}

/// What the rounds of one job gave.
#[derive(Default)]
struct Rounds {
    per_second: Vec<f64>,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
    cpu: Vec<f64>,
    bytes: Vec<f64>,
    shared: Vec<f64>,
}

impl Rounds {
    async fn add(&mut self, what: &str, shot: &Shot, intake: &LeadIntake) -> anyhow::Result<()> {
        let before = Used::by(&intake.host).await?;
        let Volley { per_second, p50_ms, p99_ms, count } = fire(shot, CALLERS, ROUND).await?;
        let used = Used::by(&intake.host).await?.since(before);
        println!(
            "  {what}: {per_second:.0}/s, {p50_ms:.1} ms p50, {p99_ms:.1} ms p99, {:.2} ms of the host's CPU a run, \
             {:.1} commits a run",
            used.cpu_seconds * 1e3 / count as f64,
            used.commits / count as f64,
        );
        self.per_second.push(per_second);
        self.p50_ms.push(p50_ms);
        self.p99_ms.push(p99_ms);
        self.cpu.push(used.cpu_seconds * 1e3 / count as f64);
        self.bytes.push(used.written / count as f64);
        self.shared.push(used.commits / used.fsyncs);
        Ok(())
    }
}
