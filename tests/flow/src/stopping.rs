//! Stopping: what goes on comes to its end, what was accepted survives.

use std::time::Duration;

use tests_harness::LeadIntake;
use tests_upstreams::Fault;

#[tokio::test]
async fn a_host_told_to_stop_finishes_what_runs_and_exits_clean() {
    let mut intake = LeadIntake::start().await;
    intake.upstreams.break_crm(Fault { status: None, delay_ms: 500, ..Fault::status(200, 1) });
    LeadIntake::run_of(&intake.visitor("Ada").await.expect(202));
    tokio::time::sleep(Duration::from_millis(100)).await; // the CRM has the request and thinks

    assert_eq!(intake.host.terminate().await, Some(0));
    assert_eq!(intake.upstreams.effects().leads.len(), 1);
}

#[tokio::test]
async fn calls_that_outlive_the_grace_are_cut_said_so_and_done_after_the_restart() {
    let builder = tests_harness::HostBuilder::default().config("[server]\ngrace-ms = 300");
    let mut intake = LeadIntake::start_with(builder).await;
    intake.upstreams.break_crm(Fault { status: None, delay_ms: 5_000, ..Fault::status(200, 1) });
    let run = LeadIntake::run_of(&intake.visitor("Ada").await.expect(202));
    tokio::time::sleep(Duration::from_millis(100)).await;

    assert_eq!(intake.host.terminate().await, Some(75));
    intake.host.restart();
    let shown = intake.acme().ended(&run).await;
    assert_eq!(shown["run"]["status"], "succeeded", "{shown}");
}
