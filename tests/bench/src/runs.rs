//! The main job, durable: a form becomes a run of three calls to stand-ins;
//! and accepted runs a second, fsync on.

use std::time::Duration;

use http::StatusCode;
use tests_harness::{HostBuilder, LeadIntake};

use crate::figures::{Figures, median};
use crate::load::{Shot, fire};

const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(3);

#[tokio::main]
pub(crate) async fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    println!("runs: the lead intake with three stand-ins, durable");
    let places = "[admission]\ncalls-per-tenant = 1000";
    let intake = LeadIntake::start_with(HostBuilder::default().full_size().config(places)).await;
    let body = "name=Ada&email=ada%40analytical.example&region=EMEA&message=Do+you+ship+to+London%3F";
    let shot = |path: &str, prefer: &str, expect| Shot {
        to: intake.host.address(),
        paths: vec![path.to_owned()].into(),
        headers: vec![
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
            ("prefer", prefer.to_owned()),
        ],
        body: body.into(),
        expect,
    };
    let waited = shot("/hooks/acme/website/inquiry", "wait=30", StatusCode::OK);
    let accepted = shot("/hooks/acme/website/inquiry", "respond-async", StatusCode::ACCEPTED);
    fire(&waited, 8, Duration::from_secs(1)).await?;

    let (mut jobs, mut accepts_32, mut accepts_256) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let job = fire(&waited, 32, ROUND).await?;
        println!("  round {round}: {:.0} whole jobs/s ({:.1} ms p50)", job.per_second, job.p50_ms);
        jobs.push(job.per_second);
        // What is accepted is run meanwhile, as it would be: the figure includes that work.
        accepts_32.push(fire(&accepted, 32, ROUND).await?.per_second);
        accepts_256.push(fire(&accepted, 256, ROUND).await?.per_second);
        settle(&intake).await;
    }
    figures.set("main_job_per_s", median(jobs));
    figures.set("accepts_per_s_32", median(accepts_32));
    figures.set("accepts_per_s_256", median(accepts_256));
    Ok(())
}

/// Waits until the backlog of accepted runs is done, so that rounds are alike.
async fn settle(intake: &LeadIntake) {
    loop {
        let path = "/runs?status=accepted&limit=1";
        let page = intake.acme().api(reqwest::Method::GET, path, "").await.expect(200).json();
        if page.as_array().is_none_or(Vec::is_empty) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
