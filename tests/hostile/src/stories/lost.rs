//! What was accepted survives everything that a neighbour does.

use reqwest::Method;
use serde_json::json;
use tests_harness::{Connection, LeadIntake, probe};
use tests_upstreams::Fault;

use crate::wire;

const PROBES: [&str; 6] = ["loop-forever", "eat-memory", "recursion", "log-flood", "trap", "big-answer"];

#[tokio::test]
async fn no_lead_is_lost_while_a_neighbour_does_its_worst() {
    let intake = LeadIntake::start().await;
    let host = &intake.host;
    let mallory = host.tenant("mallory").await;
    for name in PROBES {
        host.publish(probe(name)).await.expect(201);
        mallory.apply(&Connection::probe(name).yaml()).await;
    }
    // The CRM thinks about each lead, so the first ones are under way all the time.
    intake.upstreams.break_crm(Fault { status: None, delay_ms: 300, ..Fault::status(200, u32::MAX) });

    let mut leads = Vec::new();
    for (number, name) in PROBES.iter().enumerate() {
        let visitor = intake.visitor(&format!("Visitor{number}")).await.expect(202);
        leads.push(LeadIntake::run_of(&visitor));
        let hook = host.ask(mallory.hook(&format!("{name}/hook")));
        let (called, knocked) = tokio::join!(mallory.call(name, "go", json!(null)), hook);
        assert_eq!((called.status, knocked.status), (502, 502), "{name}: {called:?} {knocked:?}");
    }
    host.operate(Method::POST, "/packages", "\0asm and nothing else").await.expect(422);
    let (said, _) = wire::pour(host.address(), "/hooks/mallory/trap/hook", "").await;
    assert!(said.starts_with("HTTP/1.1 413 "), "{said}");

    for run in &leads {
        let shown = intake.acme().ended(run).await;
        assert_eq!(shown["run"]["status"], "succeeded", "{shown}");
    }
    let effects = intake.upstreams.effects();
    assert_eq!(
        (effects.leads.len(), effects.messages.len(), effects.posts.len()),
        (6, 6, 6),
        "each lead once everywhere"
    );
}
