//! The lead intake written as steps against the same in code: durable, every
//! commit fsynced, both started by `/run` and waited for, in turns.

use std::time::Duration;

use http::StatusCode;
use tests_harness::{HostBuilder, LeadIntake};

use crate::figures::{Figures, median};
use crate::load::{Shot, fire};
use crate::process::Used;

const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(4);
const CALLERS: usize = 32;

#[tokio::main]
pub(crate) async fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    println!("steps: {CALLERS} callers wait for their runs of three calls, fsync on");
    let config = "[admission]\ncalls-per-tenant = 1000";
    let intake = LeadIntake::start_with(HostBuilder::default().full_size().config(config)).await;
    intake.apply_steps().await;
    let shots = ["lead-intake", "lead-steps"].map(|workflow| shot(&intake, workflow));
    for shot in &shots {
        fire(shot, 8, Duration::from_secs(1)).await?;
    }
    let (mut per_second, mut cpu) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..ROUNDS {
        for (place, shot) in shots.iter().enumerate() {
            let before = Used::by(&intake.host).await?;
            let volley = fire(shot, CALLERS, ROUND).await?;
            let used = Used::by(&intake.host).await?.since(before);
            let each = used.cpu_seconds * 1e3 / volley.count as f64;
            println!(
                "  {}: {:.0}/s, {:.1} ms p50, {each:.2} ms of the host's CPU a run",
                ["code", "steps"][place],
                volley.per_second,
                volley.p50_ms,
            );
            per_second[place].push(volley.per_second);
            cpu[place].push(each);
        }
    }
    let [code, steps] = per_second.map(median);
    figures.set("yaml_over_code", steps / code);
    let [code, steps] = cpu.map(median);
    figures.set("yaml_over_code_cpu", steps / code);
    Ok(())
}

/// Starts a run of the workflow, and waits for it.
fn shot(intake: &LeadIntake, workflow: &str) -> Shot {
    let lead = serde_json::json!({
        "name": "Ada", "email": "ada@analytical.example", "company": "Analytical Engines", "region": "EMEA",
        "message": "Do you ship to London?", "source": "website",
    });
    Shot {
        to: intake.host.address(),
        paths: vec![format!("/run/acme/{workflow}")].into(),
        headers: vec![
            ("content-type", "application/json".to_owned()),
            ("authorization", format!("Bearer {}", intake.acme().token)),
            ("prefer", "wait=30".to_owned()),
        ],
        body: lead.to_string().into(),
        expect: StatusCode::OK,
    }
}
