//! Workflows that are written as steps, on the real host.

use reqwest::Method;
use serde_json::{Value, json};
use tests_harness::{HostBuilder, LeadIntake, eventually, form};
use tests_upstreams::Fault;

use crate::made::{made, run, said, start};

/// The lead intake as steps; `lead.yaml` of the example, which webhooks start.
async fn with_steps() -> LeadIntake {
    let intake = LeadIntake::start().await;
    intake.apply_steps().await;
    intake
}

#[tokio::test]
async fn a_lead_goes_through_steps_as_through_code() {
    let intake = with_steps().await;
    let go = async |workflow: &str| {
        let lead: serde_json::Map<_, _> =
            form("Ada").into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        let mut lead = Value::from(lead);
        lead["source"] = json!("website");
        lead["company"] = json!("Analytical Engines");
        intake.acme().ended(&start(&intake, workflow, lead).await).await
    };
    let (code, steps) = (go("lead-intake").await, go("lead-steps").await);
    assert_eq!(steps["run"]["status"], "succeeded", "{steps}");
    let effects = intake.upstreams.effects();
    // What a system numbers is another at each time.
    let same = |all: &[Value]| {
        let texts: Vec<String> =
            all.iter().map(|it| it.to_string().replace(|c: char| c.is_ascii_digit(), "")).collect();
        assert_eq!(texts.len(), 2);
        assert_eq!(texts[0], texts[1]);
    };
    same(&effects.leads);
    same(&effects.messages);
    same(&effects.posts);
    let places: Vec<_> =
        steps["steps"].as_array().unwrap().iter().map(|step| step["place"].as_str().unwrap()).collect();
    assert_eq!(places, ["lead.yaml:6 created", "lead.yaml:11 mail", "lead.yaml:25 chat"]);
    // Far from the bound of a run, though it is interpreted.
    let fuel = |shown: &Value| shown["run"]["usage"]["fuel"].as_u64().unwrap();
    eprintln!("fuel: code {}, steps {}", fuel(&code), fuel(&steps));
    assert!(fuel(&steps) < 20_000_000, "{}", fuel(&steps));
}

#[tokio::test]
async fn a_webhook_starts_steps_and_a_failing_one_says_file_line_and_step() {
    let intake = LeadIntake::start().await;
    intake.acme().api(Method::DELETE, "/workflows/lead-intake", "").await;
    let steps = "triggers:\n- webhook: { connection: website, message: lead, when: .region == \"EMEA\" }\nsteps:\n- id: created\n  call: crm.create-lead\n  with: ${ . }\n";
    made(&intake, steps).await;
    intake.upstreams.break_crm(Fault::status(409, 1));
    let shown = intake.acme().ended(&LeadIntake::run_of(&intake.visitor("Ada").await.expect(202))).await;
    assert!(said(&shown).contains("test.yaml:6: step `created`: "), "{shown}");
    assert_eq!(shown["steps"][0]["place"], "test.yaml:6 created");
}

#[tokio::test]
async fn kill_9_while_an_approval_is_waited_for_loses_nothing() {
    // The restarted host listens at another port.
    let config = "[server]\npublic-url = \"https://wharf.example\"";
    let mut intake = LeadIntake::start_with(HostBuilder::default().config(config)).await;
    let steps = "\
steps:
- id: created
  call: crm.create-lead
  with: ${ . }
- id: approval
  wait-for: approved
  timeout: 3d
  notify:
  - call: chat.post
    with: { channel: sales-emea, text: \"${ $url }\" }
- parallel:
    mail:
    - call: mail.send
      with: { to: \"${ .email }\", subject: Hello, text: \"${ $approval.by }\" }
    chat:
    - call: chat.post
      with: { channel: sales-emea, text: done }
answer: ${ $approval.by }
";
    made(&intake, steps).await;
    let lead = json!({ "name": "Ada", "email": "ada@x.example", "region": "EMEA", "message": "Hi", "source": "web" });
    let id = start(&intake, "made", lead).await;
    let told = async || Some(intake.upstreams.effects().posts.first()?["text"].as_str()?.to_owned());
    let url = eventually("the address of the approval", told).await;
    let path = url.get(url.find("/events/").unwrap()..).unwrap().to_owned();
    intake.host.kill();
    intake.host.restart();
    let event = intake.host.request(Method::POST, &path).header("content-type", "application/json");
    let answer = intake.host.ask(event.body(r#"{"by":"Bo"}"#)).await;
    assert!((200..300).contains(&answer.status), "{answer:?}");
    let shown = intake.acme().ended(&id).await;
    assert_eq!(shown["run"]["status"], "succeeded", "{shown}");
    let effects = intake.upstreams.effects();
    assert_eq!((effects.leads.len(), effects.messages.len(), effects.posts.len()), (1, 1, 2));
    assert_eq!(effects.messages[0]["text"], "Bo");
}

#[tokio::test]
async fn items_are_worked_on_at_once_and_given_in_order() {
    let intake = LeadIntake::start().await;
    made(&intake, "steps:\n- id: all\n  for-each: ${ . }\n  at-once: 10\n  steps:\n  - call: chat.post\n    with: { channel: sales-emea, text: \"${ $item }\" }\n  gives: ${ $item }\nanswer: ${ $all }\n").await;
    let items: Vec<String> = (0..100).map(|number| format!("item {number}")).collect();
    let shown = run(&intake, json!(items)).await;
    assert_eq!(shown["run"]["status"], "succeeded", "{shown}");
    assert_eq!(intake.upstreams.effects().posts.len(), 100);
    let answer: Value = serde_json::from_str(shown["run"]["outcome"]["value"].as_str().unwrap()).unwrap();
    assert_eq!(answer, json!(items));
}

#[tokio::test]
async fn the_deepest_steps_and_brackets_that_are_taken_can_be_run() {
    let intake = LeadIntake::start().await;
    let brackets = |open: &str, close: &str| format!("{}. + 1{}", open.repeat(95), close.repeat(95));
    for jq in [brackets("(", ")"), format!("{} | flatten | .[0]", brackets("[", "]"))] {
        // Each level is two: `parallel` in `try`.
        let mut steps = format!("- id: x\n  map: ${{ {jq} }}\n");
        for level in 0..5 {
            let inner = |by: &str| steps.lines().map(|line| format!("{by}{line}\n")).collect::<String>();
            steps = if level % 2 == 0 {
                format!("- try:\n{}  finally: [ {{ map: 1 }} ]\n", inner("  "))
            } else {
                format!("- parallel:\n    a{level}:\n{}", inner("    "))
            };
            let inner = |by: &str| steps.lines().map(|line| format!("{by}{line}\n")).collect::<String>();
            steps = format!("- retry:\n{}", inner("  "));
        }
        made(&intake, &format!("steps:\n{steps}answer: ${{ $x }}\n")).await;
        let shown = run(&intake, json!(1)).await;
        assert_eq!(shown["run"]["status"], "succeeded", "{shown}");
        assert_eq!(shown["run"]["outcome"]["value"], "2", "{shown}");
    }
}

#[tokio::test]
async fn jq_that_never_ends_or_builds_gigabytes_ends_that_run_alone_and_is_told_by_file_and_line() {
    let intake = LeadIntake::start().await;
    for (jq, bound) in [
        ("def f: f; f", "fuel"),
        ("[range(infinite)]", "fuel"),
        ("[limit(3; repeat(empty))]", "fuel"),
        ("\"x\" * 1000000000", "memory"),
        ("def f: 1 + f; f", "trapped"),
        ("reduce range(1000000000) as $x (\"\"; . + \"xxxxxxxxxxxxxxxx\")", "fuel"),
    ] {
        let steps =
            format!("steps:\n- map: 1\n- id: odd\n  map:\n    a: ${{ . }}\n    b: |\n      ${{ {jq} }}\n");
        made(&intake, &steps).await;
        let shown = run(&intake, json!(1)).await;
        let failure = &shown["run"]["failure"];
        assert_eq!(
            (&failure["kind"], &failure["place"]),
            (&json!(bound), &json!("test.yaml:9 odd")),
            "{jq}: {shown}"
        );
    }
    let letters = intake.acme().api(Method::GET, "/dead-letters", "").await.expect(200).json();
    assert_eq!(letters[0]["run"]["failure"]["place"], "test.yaml:9 odd", "{letters}");
    let waited = intake.host.request(Method::POST, "/run/acme/made").bearer_auth(intake.acme().token);
    let told = intake.host.ask(waited.json(&1)).await;
    assert!(
        told.text.contains("failed at test.yaml:9 odd: the workflow passed its bound on fuel"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_list_of_too_many_items_is_refused_by_file_and_line() {
    let intake = LeadIntake::start().await;
    made(&intake, "steps:\n- for-each: ${ . }\n  steps:\n  - map: 1\n").await;
    let shown = run(&intake, json!(vec![0; 100_000])).await;
    assert!(
        said(&shown).contains("test.yaml:4: step `for-each`: the list has 100000 items, the limit is 10000"),
        "{shown}"
    );
    // So many that to make them, or to read them, is more than a run may do.
    let failure = async |data: Value| run(&intake, data).await["run"]["failure"].clone();
    let of_message = failure(json!(vec![0; 500_000])).await;
    made(&intake, "steps:\n- map: 1\n- for-each: ${ [range(1000000)] }\n  steps:\n  - map: 1\n").await;
    let of_jq = failure(json!(1)).await;
    for (failure, place) in [(of_message, "test.yaml:1 message"), (of_jq, "test.yaml:5 for-each")] {
        assert_eq!((&failure["kind"], &failure["place"]), (&json!("fuel"), &json!(place)));
    }
}
