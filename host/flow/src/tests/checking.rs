//! What is found before a run.

use super::{document, flow, said};
use crate::{Surroundings, check, read};

/// Each of these steps is told exactly this; an empty text is nothing.
fn all_say(table: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (steps, want) in table {
        let told = said(steps);
        let fits = if want.is_empty() { told.is_empty() } else { told.starts_with(want) };
        if !fits || told.lines().count() > 1 {
            wrong.push(format!("{steps}\n  told: {told}\n  want: {want}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_reference_to_a_step_that_cannot_have_run_is_found() {
    all_say(&[
        ("- { id: a, map: 1 }\n- map: ${ $a }", ""),
        ("- map: ${ $message.id }", ""),
        (
            "- map: ${ $a }\n- { id: a, map: 1 }",
            "3:11: `$a` is not there yet: it is the output of the step of line 4, which comes later",
        ),
        (
            "- { id: a, map: \"${ $a }\" }",
            "3:21: `$a` is what this step makes: it is there in the steps after it",
        ),
        (
            "- { id: lead, map: 1 }\n- map: ${ . + $laed }",
            "4:15: no step before sets `$laed` (did you mean `lead`?)",
        ),
        ("- map: ${ $create-lead }", "3:11: no step before sets `$create`"),
        ("- map: ${ . as $x | $x }", ""),
        ("- map: ${ $ENV.HOME }", "3:11: `$ENV` is not there"),
        // Ways that exclude each other.
        (
            "- if: ${ .x }\n  then: [{ id: a, map: 1 }]\n  else: [{ map: \"${ $a }\" }]",
            "5:21: `$a` cannot be there: the step of line 4 stands in another way, branch or loop",
        ),
        ("- if: ${ .x }\n  then: [{ id: a, map: 1 }]\n- map: ${ $a }", ""),
        ("- if: ${ .x }\n  then: [{ id: a, map: 1 }]\n  else: [{ id: a, map: 2 }]\n- map: ${ $a }", ""),
        (
            "- switch: ${ .x }\n  cases:\n    a: [{ id: a, map: 1 }]\n    b: [{ map: \"${ $a }\" }]",
            "6:20: `$a` cannot be there",
        ),
        (
            "- parallel:\n    a: [{ id: a, map: 1 }]\n    b: [{ map: \"${ $a }\" }]",
            "5:20: `$a` cannot be there",
        ),
        ("- parallel:\n    a: [{ id: a, map: 1 }]\n    b: [{ map: 1 }]\n- map: ${ $a }", ""),
        // Loops.
        ("- for-each: ${ . }\n  steps: [{ id: a, map: \"${ $item + $index }\" }]\n  gives: ${ $a }", ""),
        ("- for-each: ${ . }\n  steps: [{ id: a, map: 1 }]\n- map: ${ $a }", "5:11: `$a` cannot be there"),
        ("- map: ${ $item }", "3:11: `$item` is only there within `for-each`"),
        ("- for-each: ${ $item }\n  steps: [stop]", "3:16: `$item` is only there within `for-each`"),
        // What failed.
        (
            "- try: [{ id: a, map: 1 }]\n  catch: [{ map: \"${ [$a, $error.kind] }\" }]\n  finally: [{ map: \"${ $a }\" }]\n- map: ${ $a }",
            "",
        ),
        ("- try: [{ id: a, map: 1 }]\n  catch: [{ id: a, map: 2 }]\n- map: ${ $a }", ""),
        (
            "- try: [{ map: 1 }]\n  catch: [{ map: 1 }]\n- map: ${ $error }",
            "5:11: `$error` is only there within `catch`",
        ),
        (
            "- try: [{ map: 1 }]\n  finally: [{ map: \"${ $error }\" }]",
            "4:24: `$error` is only there within `catch`",
        ),
        // Waiting.
        ("- wait-for: ok\n  notify: [{ id: n, map: \"${ $url }\" }]\n- map: ${ $n }", ""),
        (
            "- wait-for: ok\n  timeout: 1s\n  on-timeout: [{ map: \"${ $url }\" }]",
            "5:27: `$url` is only there within the `notify`",
        ),
        ("- map: ${ $url }", "3:11: `$url` is only there within"),
        // Variables.
        ("- set: { a: 1, b: \"${ $a }\" }\n  keys: { k: \"${ $b }\" }", ""),
        ("- set: { a: \"${ $b }\", b: 1 }", "3:17: `$b` is what this step makes"),
        ("- set: { a: 1 }\n- set: { a: \"${ $a + 1 }\" }", ""),
        ("- call: crm.find\n  id: a\n  undo: { call: crm.find, with: \"${ $a }\" }", ""),
        ("- call: crm.find\n  id: a\n  with: ${ $a }", "5:12: `$a` is what this step makes"),
    ]);
}

#[test]
fn an_id_is_taken_once_where_both_steps_may_run() {
    all_say(&[
        (
            "- { id: a, map: 1 }\n- { id: a, map: 2 }",
            "4:3: the id `a` is that of the step of line 3 already: choose another",
        ),
        (
            "- parallel:\n    x: [{ id: a, map: 1 }]\n    y: [{ id: a, map: 1 }]",
            "5:1: the id `a` is that of the step of line 4 already, in another branch",
        ),
        (
            "- { id: a, map: 1 }\n- if: ${ .x }\n  then: [{ id: a, map: 2 }]",
            "5:10: the id `a` is that of the step of line 3",
        ),
        ("- { id: a, map: 1 }\n- set: { a: 2 }", "4:3: `a` is the id of the step of line 3"),
        (
            "- set: { a: 2 }\n- for-each: ${ . }\n  steps: [{ set: { a: \"${ $a + $item }\" } }]",
            "4:3: warning: `$a` is set for each item by itself",
        ),
        (
            "- for-each: ${ . }\n  steps: [{ id: x, map: 1 }]\n- for-each: ${ . }\n  steps: [{ id: x, map: 1 }]",
            "",
        ),
    ]);
}

#[test]
fn steps_that_are_never_reached_are_found() {
    let never = |line: u32, ender: u32| {
        format!("{line}:3: this step is never reached: the step of line {ender} ends before it")
    };
    all_say(&[
        ("- stop\n- map: 1\n- map: 2", &never(4, 3)),
        ("- fail: x\n- map: 1", &never(4, 3)),
        ("- if: ${ . }\n  then: [stop]\n- map: 1", ""),
        ("- if: ${ . }\n  then: [stop]\n  else: [{ fail: x }]\n- map: 1", &never(6, 3)),
        ("- switch: ${ . }\n  cases: { a: [stop] }\n- map: 1", ""),
        ("- switch: ${ . }\n  cases: { a: [stop], b: [stop] }\n  else: [stop]\n- map: 1", &never(6, 3)),
        ("- for-each: ${ . }\n  steps: [stop]\n- map: 1", ""),
        ("- parallel: { a: [stop], b: [{ map: 1 }] }\n- map: 1", &never(4, 3)),
        ("- try: [{ fail: x }]\n  catch: [{ map: 1 }]\n- map: 1", ""),
        ("- try: [{ fail: x }]\n  catch: [stop]\n- map: 1", &never(5, 3)),
        ("- try: [{ fail: x }]\n  finally: [{ map: 1 }]\n- map: 1", &never(5, 3)),
        ("- try: [{ map: 1 }]\n  finally: [stop]\n- map: 1", &never(5, 3)),
        ("- retry: [{ fail: x }]\n- map: 1", &never(4, 3)),
        ("- wait-for: a\n  timeout: 1s\n  on-timeout: [stop]\n- map: 1", ""),
        (
            "- for-each: ${ . }\n  steps:\n  - stop\n  - map: 1",
            "6:5: this step is never reached: the step of line 5",
        ),
    ]);
    let flow = read("steps: [stop]\nanswer: ${ . }", "f.yaml").unwrap();
    let told = check(&flow, &super::around());
    assert_eq!(
        told[0].to_string(),
        "2:12: warning: `answer` is never given: the step of line 1 ends the run"
    );
}

#[test]
fn unknown_connections_endpoints_and_workflows_are_found() {
    all_say(&[
        ("- call: crm.find", ""),
        ("- call: broken.anything", ""),
        ("- call: cmr.find", "3:9: there is no connection `cmr` (did you mean `crm`?)"),
        ("- call: crm.fnid", "3:9: connection `crm` has no outbound endpoint `fnid` (did you mean `find`?)"),
        (
            "- call: crm.find\n  undo: { call: crm.forget }",
            "4:17: connection `crm` has no outbound endpoint `forget`",
        ),
        ("- workflow: invoice", ""),
        ("- workflow: invocie", "3:3: there is no workflow `invocie` (did you mean `invoice`?)"),
    ]);
    let alone = check(&flow("- call: crm.find"), &Surroundings::default());
    assert_eq!(alone[0].message, "there is no connection `crm`");
}

#[test]
fn data_that_cannot_fit_the_endpoint_is_found() {
    all_say(&[
        ("- call: mail.send\n  with: { to: a, text: \"Hello ${ .name }\" }", ""),
        ("- call: mail.send\n  with: ${ . }", ""),
        (
            "- call: mail.send\n  with: { to: a }",
            "3:9: `mail.send` takes `notification@1`, which this cannot be: `with` lacks `text`",
        ),
        (
            "- call: mail.send\n  with: { to: 5, text: a }",
            "3:9: `mail.send` takes `notification@1`, which this cannot be: `with.to` is a whole number, not a text",
        ),
        (
            "- call: mail.send",
            "3:9: `mail.send` takes `notification@1`, which this cannot be: `with` is nothing, not a mapping",
        ),
        // Without the schema's text, its name says something still.
        (
            "- call: crm.create-lead",
            "3:9: warning: `crm.create-lead` takes `lead@1`, but is given nothing: add `with:`",
        ),
        (
            "- { id: made, call: crm.create-lead, with: 1 }\n- call: mail.send\n  with: ${ $made }",
            "5:12: warning: `mail.send` takes `notification@1`, but `$made` of line 3 is `contact@1`: make one of the other with `map`",
        ),
        ("- { id: made, call: crm.create-lead, with: 1 }\n- call: mail.send\n  with: ${ $made.note }", ""),
        ("- { id: found, call: crm.find }\n- call: crm.create-lead\n  with: ${ $found }", ""),
    ]);
}

#[test]
fn bad_jq_is_found_where_it_stands() {
    all_say(&[
        ("- map: ${ .a + }", "3:15: `.a +` is no jq: expected term, found the end"),
        ("- map: ${ frob(1) }", "3:11: `frob(1)` is no jq: there is no filter `frob/1`"),
        ("- map: ${ now }", "3:11: `now` is no jq: `now` is not there"),
        (
            "- map: |\n    x\n    ${ .a |\n       frob }",
            "6:1: `.a | frob` is no jq: there is no filter `frob/0`",
        ),
        ("- map: ${ input }", "3:11: `input` is no jq: `input` is not there"),
    ]);
    assert!(said(&format!("- map: ${{ {} }}", "(".repeat(500))).starts_with("3:8: `${` is never closed"));
    let deep = format!("- map: ${{ {}1{} }}", "(".repeat(500), ")".repeat(500));
    assert!(
        said(&deep).contains("is no jq: brackets stand in each other more than 100 deep"),
        "{}",
        said(&deep)
    );
}

#[test]
fn a_condition_that_is_no_condition_is_warned_of() {
    all_say(&[
        (
            "- if: .amount > 100\n  then: [stop]",
            "3:3: warning: this is always the same, so only `then` is ever done",
        ),
        ("- if: false\n  then: [stop]", "3:3: warning: this is always the same, so only `else` is ever done"),
    ]);
}

#[test]
fn uses_name_each_endpoint_once_with_its_first_line() {
    let flow = flow(
        "- call: mail.send\n  undo: { call: crm.find }\n- if: ${ . }\n  then: [{ call: crm.find }]\n- call: crm.find",
    );
    let uses: Vec<_> =
        flow.uses().into_iter().map(|it| format!("{}.{} {}", it.connection, it.endpoint, it.line)).collect();
    assert_eq!(uses, ["crm.find 4", "mail.send 3"]);
}

#[test]
fn lines_are_the_files_when_empty_ones_stand_before() {
    let text = format!("{}{}", "\n".repeat(40), document("- cal: 1"));
    assert_eq!(read(&text, "f.yaml").unwrap_err()[0].line, 43);
    let text = format!("{}{}", "\n".repeat(40), document("- map: ${ $x }"));
    let told = check(&read(&text, "f.yaml").unwrap(), &super::around());
    assert_eq!((told[0].line, told[0].column), (43, 11));
    let text = format!("{}a: [", "\n".repeat(40));
    assert!(read(&text, "f.yaml").unwrap_err()[0].line >= 41);
}
