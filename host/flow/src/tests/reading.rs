//! Every step as it is written, and every way to write it wrong.

use serde_json::json;

use super::{document, flow, lines, said};
use crate::{Kind, Template, What, read};

#[test]
fn every_step_is_read() {
    let flow = flow(
        r#"
- id: lead
  call: crm.create-lead
  with: { name: "${ .name }" }
  undo: { call: crm.delete-lead, with: "${ $lead.id }" }
- map: ${ .a }
- if: ${ .a > 1 }
  then: [stop]
  else:
    - stop: done
- switch: ${ .region }
  cases:
    emea: [{ reply: 1 }]
    1: [{ reply: 2 }]
    true: [{ reply: 3 }]
  else: [{ reply: 4 }]
- for-each: ${ .items }
  at-once: 4
  steps: [{ map: "${ $item }" }]
  gives: ${ $index }
- parallel:
    mail: [{ map: 1 }]
    chat: [{ map: 2 }]
- try: [{ map: 1 }]
  on: [not-found, conflict]
  catch: [{ map: "${ $error }" }]
  finally: [{ map: 3 }]
- retry: [{ map: 1 }]
  times: 5
  wait: 500ms
  at-most: 2m
  on: retry
- sleep: 1h30m
- sleep: { until: "2026-01-31T08:00:00Z" }
- wait-for: approval
  timeout: 3d
  notify: [{ map: "${ $url }" }]
  on-timeout: [{ fail: too late }]
- workflow: invoice
  with: { a: 1 }
  wait: false
- publish: lead-created
  with: ${ $lead }
- set: { total: 1 }
  keys: { customer: "${ .customer }" }
- keys: { order: 7 }
- reply: { id: "${ $lead.id }" }
- fail: "no ${ .name }"
  kind: not-found
"#,
    );
    let read = serde_json::to_value(&flow).unwrap();
    let steps: Vec<_> = read["steps"].as_array().unwrap().iter().map(|step| step["do"].clone()).collect();
    let jq = |line: u32, column: u32, jq: &str| json!({ "jq": { "line": line, "column": column, "jq": jq } });
    let lit = |value: serde_json::Value| json!({ "literal": value });
    assert_eq!((flow.steps[0].line, flow.steps[0].column, flow.steps[0].id.as_deref()), (4, 3, Some("lead")));
    assert_eq!(
        steps[0]["call"],
        json!({
            "call": { "at": [5, 9], "connection": "crm", "endpoint": "create-lead", "input": { "map": [["name", jq(6, 21, ".name")]] } },
            "undo": { "at": [7, 17], "connection": "crm", "endpoint": "delete-lead", "input": jq(7, 44, "$lead.id") },
        })
    );
    assert_eq!(steps[1], json!({ "map": jq(8, 11, ".a") }));
    assert_eq!(steps[2]["if"]["then"][0]["do"], json!({ "stop": null }));
    assert_eq!(steps[2]["if"]["otherwise"][0]["do"], json!({ "stop": lit(json!("done")) }));
    let cases: Vec<_> =
        steps[3]["switch"]["cases"].as_array().unwrap().iter().map(|case| case[0].clone()).collect();
    assert_eq!(cases, ["emea", "1", "true"]);
    assert_eq!(steps[4]["for-each"]["at_once"], 4);
    assert_eq!(steps[4]["for-each"]["gives"], jq(22, 13, "$index"));
    assert_eq!(steps[5]["parallel"][1][0], "chat");
    assert_eq!(steps[6]["try"]["on"], json!(["not-found", "conflict"]));
    let What::Retry { times, wait_ms, at_most_ms, on, .. } = &flow.steps[7].what else { panic!() };
    assert_eq!((*times, *wait_ms, *at_most_ms, on.as_slice()), (5, 500, 120_000, [Kind::Retry].as_slice()));
    assert_eq!(steps[8], json!({ "sleep-for": lit(json!("1h30m")) }));
    assert_eq!(steps[9], json!({ "sleep-until": lit(json!("2026-01-31T08:00:00Z")) }));
    assert_eq!(steps[10]["wait-for"]["timeout"], lit(json!("3d")));
    assert_eq!(steps[10]["wait-for"]["on_timeout"][0]["do"]["fail"]["kind"], "permanent");
    assert_eq!(
        steps[11]["workflow"],
        json!({ "workflow": "invoice", "input": { "map": [["a", lit(json!(1))]] }, "wait": false })
    );
    assert_eq!(
        steps[12]["publish"],
        json!({ "topic": lit(json!("lead-created")), "data": jq(45, 12, "$lead") })
    );
    assert_eq!(steps[13]["set"]["vars"], json!([["total", lit(json!(1))]]));
    assert_eq!(steps[13]["set"]["keys"][0][0], "customer");
    assert_eq!(steps[14]["set"], json!({ "vars": [], "keys": [["order", lit(json!(7))]] }));
    assert_eq!(steps[15]["reply"]["map"][0][0], "id");
    assert_eq!(steps[16]["fail"]["kind"], "not-found");
    assert_eq!(steps.len(), 17);
    assert_eq!(flow.names(), ["lead", "total"]);
}

#[test]
fn what_is_left_out_has_a_default() {
    let flow = flow(
        "- retry: [{ call: crm.find }]\n- for-each: ${ .a }\n  steps: [stop]\n- workflow: invoice\n- fail: no\n- stop:\n- wait-for: yes-or-no\n",
    );
    let What::Retry { times, wait_ms, at_most_ms, on, steps } = &flow.steps[0].what else { panic!() };
    assert_eq!((*times, *wait_ms, *at_most_ms), (3, 1_000, 60_000));
    assert_eq!(on.as_slice(), [Kind::RateLimited, Kind::Retry]);
    let What::Call { call, undo: None } = &steps[0].what else { panic!() };
    assert_eq!(call.input, Template::Literal(json!(null)));
    assert!(matches!(&flow.steps[1].what, What::ForEach { at_once: 1, gives: None, .. }));
    assert!(matches!(&flow.steps[2].what, What::Workflow { wait: true, .. }));
    assert!(matches!(&flow.steps[3].what, What::Fail { kind: Kind::Permanent, .. }));
    assert!(matches!(&flow.steps[4].what, What::Stop(None)));
    assert!(matches!(&flow.steps[5].what, What::WaitFor { timeout: None, on_timeout: None, .. }));
}

#[test]
fn the_rest_of_the_document_is_the_hosts() {
    let text = "\n\nkind: workflow\nname: lead-intake\ntriggers:\n  - manual: {}\nbounds: { fuel: 3 }\nanswer: ${ $a }\nsteps:\n  - { id: a, map: 1 }\n";
    let flow = read(text, "lead.yaml").unwrap();
    assert_eq!((flow.file.as_str(), flow.name.as_deref()), ("lead.yaml", Some("lead-intake")));
    assert_eq!(flow.answer, Some(Template::variable("a", 8, 12)));
    assert_eq!((flow.steps[0].line, flow.steps[0].column), (10, 5));
}

#[test]
fn an_expressions_place_is_its_own_however_the_text_is_written() {
    let flow = flow(
        r#"
- map:
    plain: a ${ .a } ${.b}
    quoted: "\t\"x\" ${
      .c }"
    folded: >-
      one
      two ${ .d }

      three ${ .e }
    kept: |
      one
        two ${ .f }
      $${ no } ${ .g }
    alias: &shared "${ .h }"
    again: *shared
    list: [ "${ .i }", 'it''s ${ .j }' ]
    umlaut: "äöü ${ .k }"
"#,
    );
    let What::Map(template) = &flow.steps[0].what else { panic!() };
    let places: Vec<String> =
        template.expressions().iter().map(|it| format!("{} {}:{}", it.jq, it.line, it.column)).collect();
    let want = [
        ".a 5:17", ".b 5:24", ".c 7:7", ".d 10:14", ".e 12:16", ".f 15:16", ".g 16:19", ".h 17:24",
        ".h 18:12", ".i 19:17", ".j 19:34", ".k 20:21",
    ];
    assert_eq!(places, want);
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_column() {
    for (steps, want) in [
        // Steps.
        ("- cal: crm.find", "3:3: unknown step `cal` (did you mean `call`?); a step is one of `call`,"),
        ("- foreach: ${ . }", "3:3: unknown step `foreach` (did you mean `for-each`?)"),
        ("- uses: crm.find", "3:3: unknown step `uses` (did you mean `call`?)"),
        ("- frobnicate: 1", "3:3: unknown step `frobnicate`; a step is one of"),
        ("- id: x", "3:3: a step that does nothing; a step is one of"),
        ("- {}", "3:3: a step that does nothing; a step is one of"),
        ("- pause", "3:3: a step is a mapping, like `- call: crm.create-lead`; this is a text"),
        (
            "- call: crm.find\n  map: 1",
            "4:3: a step does one thing: `call` and `map` are two; write a step for each",
        ),
        (
            "- call: crm.find\n  wiht: 1",
            "4:3: unknown key `wiht` of `call` (did you mean `with`?); known: `id`, `with`, `undo`",
        ),
        ("- call: crm.find\n  input: 1", "4:3: unknown key `input` of `call` (did you mean `with`?)"),
        ("- map: 1\n  name: x", "4:3: unknown key `name` of `map` (did you mean `id`?); known: `id`"),
        (
            "- keys: { a: 1 }\n  set: { b: 1 }\n  map: 1",
            "5:3: a step does one thing: `set` and `map` are two",
        ),
        // Ids and variables.
        (
            "- id: create-lead\n  map: 1",
            "3:7: `create-lead` cannot be an id: expressions call it `$…`, so it has letters, digits and `_` only, at most 63, a letter first, like `create_lead`",
        ),
        ("- id: 1a\n  map: 1", "3:7: `1a` cannot be an id"),
        ("- id: 7\n  map: 1", "3:7: an `id` is a text; this is a number"),
        ("- id: item\n  map: 1", "3:7: `$item` is there already: choose another name"),
        ("- set: { a-b: 1 }", "3:10: `a-b` cannot be a variable"),
        ("- set: 1", "3:8: `set` takes variables and their values"),
        ("- keys: [a]", "3:9: `keys` takes names and values by which the run is found"),
        ("- keys: { a: 1, b: 1, c: 1, d: 1, e: 1 }", "3:9: a run has at most 4 business keys; these are 5"),
        // Calls.
        (
            "- call: crm",
            "3:9: `call` takes a connection and its endpoint, with a dot between: `crm.create-lead`; this is `crm`",
        ),
        ("- call: Crm.Find", "3:9: `call` takes a connection and its endpoint"),
        (
            "- call: crm.${ .x }",
            "3:9: `call` takes a connection and its endpoint, with a dot between: `crm.create-lead`; it must be known before the run",
        ),
        (
            "- call: [crm, find]",
            "3:9: `call` takes a connection and its endpoint, with a dot between: `crm.create-lead`; this is a list",
        ),
        (
            "- call: crm.find\n  undo: crm.find",
            "4:9: `undo` is a call: `undo: { call: crm.delete-lead, with: … }`; this is a text",
        ),
        ("- call: crm.find\n  undo: { with: 1 }", "4:9: `undo` needs a `call`"),
        (
            "- call: crm.find\n  undo: { call: a.b, retry: 1 }",
            "4:22: unknown key `retry` of `undo`; known: `call`, `with`",
        ),
        // Blocks.
        ("- if: ${ . }", "3:7: `if` needs `then`: a list of steps"),
        (
            "- if: ${ . }\n  then: { map: 1 }",
            "4:9: `then` is a list of steps, each after a `- `; this is a mapping",
        ),
        ("- if: ${ . }\n  then: []", "4:9: `then` has no steps: write one, or leave it out"),
        ("- switch: ${ . }", "3:11: `switch` needs names with a list of steps each under `cases:`"),
        (
            "- switch: ${ . }\n  cases: []",
            "4:10: `switch` needs names with a list of steps each under `cases:`",
        ),
        ("- for-each: 5\n  steps: [stop]", "3:13: `for-each` takes a list"),
        ("- for-each: ${ . }", "3:13: `for-each` needs `steps`"),
        (
            "- for-each: ${ . }\n  steps: [stop]\n  at-once: 0",
            "5:12: `at-once` is a whole number from 1 to 64",
        ),
        ("- for-each: ${ . }\n  do: [stop]", "4:3: unknown key `do` of `for-each` (did you mean `steps`?)"),
        ("- parallel: [[stop]]", "3:13: `parallel` needs names with a list of steps each under `parallel:`"),
        ("- parallel: { A: [stop] }", "3:13: `A` cannot name a branch"),
        ("- try: [stop]", "3:8: a `try` needs a `catch` or a `finally`"),
        (
            "- try: [stop]\n  on: conflict\n  finally: [{ map: 1 }]",
            "4:3: `on` says which errors are caught, but there is no `catch`",
        ),
        (
            "- try: [stop]\n  on: conflit\n  catch: [stop]",
            "4:7: unknown kind of errors `conflit` (did you mean `conflict`?); known: `invalid-input`,",
        ),
        ("- retry: [stop]\n  times: 1.5", "4:10: `times` is a whole number from 1 to 100"),
        ("- retry: [stop]\n  wait: soon", "4:9: `wait` takes a time, like `500ms`"),
        // Waiting.
        (
            "- sleep: 10 minutes",
            "3:10: `sleep` takes a time, like `90s`, `10m`, `1h30m` or `3d`, or a number of seconds",
        ),
        ("- sleep: -1", "3:10: `sleep` takes a time"),
        ("- sleep: { until: tomorrow }", "3:19: `until` takes an instant with its zone"),
        ("- sleep: { unitl: 1 }", "3:10: `sleep` takes a time, `10m`, or an instant"),
        ("- wait-for: An Approval", "3:13: this cannot name an event: use 1 to 63 lower-case letters"),
        ("- wait-for: a\n  timeout: later", "4:12: `timeout` takes a time"),
        ("- wait-for: a\n  on-timeout: [stop]", "4:3: `on-timeout` needs a `timeout`: `timeout: 3d`"),
        // Others.
        ("- workflow: A", "3:13: `A` cannot name a workflow: use 1 to 63"),
        ("- workflow: a\n  wait: 5m", "4:9: `wait` is `true` or `false`"),
        ("- publish: New Lead", "3:12: this cannot name a topic"),
        ("- fail:", "3:7: `fail` takes the message"),
        ("- fail: x\n  kind: bad", "4:9: unknown kind of errors `bad`"),
        // Expressions.
        ("- map: ${ .a", "3:8: `${` is never closed"),
        ("- map: a ${ } b", "3:8: `${ }` is empty"),
    ] {
        let told = said(steps);
        assert!(told.lines().any(|line| line.starts_with(want)), "{steps}\n  told: {told}\n  want: {want}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once_in_order() {
    let told = said("- cal: x\n- if: ${ . }\n  then:\n    - mpa: 1\n- call: crm.find\n  wiht: 1\n");
    let places: Vec<_> = told.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(places, ["3:3:", "6:7:", "8:3:"], "{told}");
}

#[test]
fn a_text_that_is_no_workflow_is_told_so() {
    for (text, want) in [
        ("", "1:1: a workflow is a mapping: `kind: workflow`, `name:`, `steps:`; this is nothing"),
        ("just words", "1:1: a workflow is a mapping"),
        ("- a\n- b", "1:1: a workflow is a mapping"),
        ("kind: connection\nsteps: [stop]", "1:7: this is no workflow: write `kind: workflow`"),
        ("kind: workflow", "1:1: there are no `steps`: list what the workflow does"),
        ("kind: workflow\nstep: []", "1:1: there are no `steps` (`step` is not read)"),
        ("kind: workflow\nsteps: []", "2:8: `steps` has no steps"),
        ("kind: workflow\nsteps: 5", "2:8: `steps` is a list of steps, each after a `- `; this is a number"),
        ("a: [1, 2", "1:"),
        ("\n\na: b: c", "3:"),
        ("kind: workflow\nkind: workflow\nsteps: [stop]", "2:1: the key `kind` is there twice"),
        ("steps:\n\t- stop", "2:2: tabs disallowed"),
        ("steps: [stop]\n---\nsteps: [stop]", "3:1: a second document begins here"),
    ] {
        let told = lines(&read(text, "f.yaml").unwrap_err());
        assert!(told.starts_with(want), "{text:?}\n  told: {told}\n  want: {want}");
    }
    assert!(read(&document("- stop"), "f.yaml").is_ok());
}
