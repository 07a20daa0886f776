//! Each kind of step.

use super::*;

#[test]
fn a_call_gives_its_answer_and_is_marked_with_its_place() {
    let (answer, log) = echo(
        "- id: created\n  call: crm.create\n  with: { name: \"${ .name }\" }\n- call: chat.post\n  with: \"${ $created.name }!\"\nanswer: ${ $created }\n",
        json!({ "name": "Ada" }),
    );
    assert_eq!(answer, json!({ "name": "Ada" }));
    let want = [
        "mark lead.yaml:1 message",
        "mark lead.yaml:6 created", // its expression
        "mark lead.yaml:4 created",
        r#"crm.create {"name":"Ada"}"#,
        "mark lead.yaml:8 chat.post",
        "mark lead.yaml:7 chat.post",
        r#"chat.post "Ada!""#,
        "mark lead.yaml:9 answer",
    ];
    assert_eq!(log, want);
}

#[test]
fn what_undoes_a_call_may_use_its_answer() {
    let (_, log) = echo(
        "- id: created\n  call: crm.create\n  with: { id: 7 }\n  undo:\n    call: crm.delete\n    with: ${ $created.id }\n",
        json!(null),
    );
    assert_eq!(log.last().unwrap(), "on-cancel crm.delete 7");
}

#[test]
fn without_an_answer_a_run_gives_null() {
    assert_eq!(echo("- map: 5\n", json!(null)), (json!(null), vec!["mark lead.yaml:1 message".to_owned()]));
}

#[test]
fn expressions_see_the_message() {
    let (answer, _) = echo("- id: m\n  map: ${ $message }\nanswer: ${ $m }\n", json!({ "a": 1 }));
    let want = json!({
        "id": "msg_1", "source": "/connections/form", "kind": "lead", "subject": null,
        "time": "2026-01-01T00:00:00.5Z", "data": { "a": 1 },
    });
    assert_eq!(answer, want);
}

#[test]
fn one_of_two_ways_is_taken() {
    let steps =
        "- id: way\n  if: ${ .n > 1 }\n  then:\n  - map: many\n  else:\n  - map: few\nanswer: ${ $way }\n";
    assert_eq!(echo(steps, json!({ "n": 2 })).0, json!("many"));
    assert_eq!(echo(steps, json!({ "n": 1 })).0, json!("few"));
}

#[test]
fn what_was_passed_over_is_null() {
    let steps = "- if: ${ .n }\n  then:\n  - id: made\n    map: 1\nanswer: ${ $made // \"none\" }\n";
    assert_eq!(echo(steps, json!({ "n": null })).0, json!("none"));
    assert_eq!(echo(steps, json!({ "n": 0 })).0, json!(1), "0 is true, as in jq");
}

#[test]
fn one_of_several_ways_is_taken_by_its_text() {
    let steps = "- id: way\n  switch: ${ .x }\n  cases:\n    EMEA: [ { map: 1 } ]\n    \"5\": [ { map: 2 } ]\n  else: [ { map: 3 } ]\nanswer: ${ $way }\n";
    for (x, want) in [(json!("EMEA"), 1), (json!(5), 2), (json!("emea"), 3)] {
        assert_eq!(echo(steps, json!({ "x": x })).0, json!(want));
    }
}

#[test]
fn sleeping_until_meets_the_instant() {
    let (_, log) = echo("- sleep: 1m30s\n- sleep: { until: 1500 }\n- sleep: { until: 5 }\n", json!(null));
    // The run's time is 1,000,000 ms at first.
    assert_eq!(
        log.iter().filter(|line| !line.starts_with("mark")).collect::<Vec<_>>(),
        ["sleep 90000", "sleep 410000", "sleep 0"]
    );
}

#[test]
fn an_event_is_waited_for_and_somebody_is_told_where_to_send_it() {
    let steps = "- id: ok\n  wait-for: approval\n  timeout: 3d\n  notify:\n  - call: chat.post\n    with: ${ $url }\nanswer: ${ $ok.by }\n";
    let host = Fake::new(|_, _| Ok(json!(null))).event("approval", json!({ "by": "Bo" }));
    assert_eq!(run(steps, json!(null), &host).unwrap(), json!("Bo"));
    assert_eq!(host.effects(), ["expect approval Some(259200000)", r#"chat.post "http://host/approval""#]);
}

#[test]
fn an_event_that_does_not_come_is_an_error_or_has_steps() {
    let steps = "- id: ok\n  wait-for: approval\n  timeout: 90s\n";
    assert_eq!(
        fails(steps, json!(null)),
        "not-found: lead.yaml:4: step `ok`: the event `approval` did not come within 90 s"
    );
    let late = format!("{steps}  on-timeout:\n  - map: late\nanswer: ${{ $ok }}\n");
    assert_eq!(echo(&late, json!(null)).0, json!("late"));
}

#[test]
fn other_workflows_and_topics_are_reached() {
    let (answer, log) = echo(
        "- id: child\n  workflow: invoice\n  with: ${ .n }\n- workflow: report\n  wait: false\n- id: told\n  publish: leads\n  with: { n: 1 }\nanswer: [\"${ $child }\", \"${ $told }\"]\n",
        json!({ "n": 3 }),
    );
    assert_eq!(answer, json!(["child", 2]));
    let effects: Vec<_> = log.iter().filter(|line| !line.starts_with("mark")).collect();
    assert_eq!(effects, ["workflow invoice 3", "workflow report null", r#"publish leads {"n":1}"#]);
}

#[test]
fn variables_keys_and_the_reply_are_set() {
    let (answer, log) = echo(
        "- set: { a: 1 }\n- set: { a: \"${ $a + 1 }\", b: \"${ $a }\" }\n  keys: { customer: \"${ .id }\" }\n- reply: { taken: true }\nanswer: [\"${ $a }\", \"${ $b }\"]\n",
        json!({ "id": 4711 }),
    );
    assert_eq!(answer, json!([2, 2]));
    let want = [
        "mark lead.yaml:1 message",
        "mark lead.yaml:5 set", // both of its expressions
        "mark lead.yaml:6 set",
        "mark lead.yaml:5 set",
        "key customer=4711",
        "mark lead.yaml:7 reply",
        r#"reply {"taken":true}"#,
        "mark lead.yaml:8 answer",
    ];
    assert_eq!(log, want);
}

#[test]
fn stop_ends_the_run_well() {
    let (answer, log) =
        echo("- if: true\n  then:\n  - stop: { n: \"${ .n }\" }\n- call: a.b\n", json!({ "n": 1 }));
    assert_eq!(answer, json!({ "n": 1 }));
    assert_eq!(log, ["mark lead.yaml:1 message", "mark lead.yaml:6 stop"]);
    assert_eq!(echo("- stop\n- call: a.b\nanswer: 5\n", json!(1)).0, json!(null));
}

#[test]
fn one_step_is_tried_alone_with_what_earlier_ones_would_have_set() {
    let whole = flow(
        "- id: a\n  call: crm.a\n- id: b\n  call: crm.b\n  with: ${ $a.id }\n- id: c\n  map: ${ $b }\nanswer: ${ $c }\n",
    );
    let given = || vec![("a".to_owned(), json!({ "id": 5 }))];
    let host = Fake::new(|_, input| Ok(input.clone()));
    assert_eq!(run_flow(&whole.only("b", given()).unwrap(), json!(null), &host).unwrap(), json!(5));
    assert_eq!(run_flow(&whole.from_step("b", given()).unwrap(), json!(null), &host).unwrap(), json!(5));
    assert_eq!(host.effects(), ["crm.b 5", "crm.b 5"]);
}
