//! What starts a workflow: filters and keys of its triggers, on the real host.

use reqwest::Method;
use serde_json::Value;
use tests_harness::LeadIntake;

/// How many runs a workflow has.
async fn runs_of(intake: &LeadIntake, workflow: &str) -> usize {
    let listed =
        intake.acme().api(Method::GET, &format!("/runs?workflow={workflow}"), "").await.expect(200).json();
    listed.as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn a_filter_keeps_messages_out_and_a_key_makes_one_run_of_those_that_are_the_same() {
    let intake = LeadIntake::start().await;
    let picky = "kind: workflow\nname: picky\ntriggers:\n  - webhook:\n      connection: website\n      message: lead\n      \
                 when: .email | startswith(\"ada\")\n      deduplicate: { key: .email, window-s: 3600 }\n\
                 steps:\n  - map: ${ .name }\n    id: name\nanswer: ${ $name }\n";
    intake.acme().apply(picky).await;
    for (name, runs) in [("Bob", 0), ("Ada", 1), ("Ada", 1), ("Adam", 2)] {
        let answer = intake.visitor(name).await.expect(202).json();
        assert!(!answer["runs"].as_array().unwrap().is_empty(), "the intake takes everybody: {answer}");
        assert_eq!(runs_of(&intake, "picky").await, runs, "{name}");
    }
    assert_eq!(runs_of(&intake, "lead-intake").await, 4);
}

#[tokio::test]
async fn a_message_on_which_a_filter_fails_starts_nothing_and_its_sender_hears_why() {
    let intake = LeadIntake::start().await;
    let odd = "kind: workflow\nname: odd\ntriggers:\n  - webhook: { connection: website, message: lead, when: .name + 1 }\n\
               steps:\n  - map: 1\n";
    intake.acme().apply(odd).await;
    let answer = intake.visitor("Ada").await;
    assert!((400..500).contains(&answer.status) && answer.text.contains("`odd`"), "{answer:?}");
    assert_eq!(runs_of(&intake, "odd").await + runs_of(&intake, "lead-intake").await, 0);
    let endless = "kind: workflow\nname: odd\ntriggers:\n  - webhook: { connection: website, message: lead, when: 'def f: 1 + f; f' }\n\
                   steps:\n  - map: 1\n";
    intake.acme().apply(endless).await;
    let answer = intake.visitor("Ada").await;
    assert!((400..500).contains(&answer.status), "the host is well, the expression is not: {answer:?}");
    let told: Value = intake.acme().api(Method::GET, "/runs", "").await.expect(200).json();
    assert_eq!(told.as_array().map_or(0, Vec::len), 0);
}
