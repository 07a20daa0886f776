//! Steps that fail, and what is done about it.

use std::collections::VecDeque;
use std::time::Duration;

use wharf_sdk::Error;

use super::*;

/// A host whose calls answer these, one after the other, then 1.
fn answering(answers: Vec<Result<Value, Error>>) -> Fake {
    let mut answers = VecDeque::from(answers);
    Fake::new(move |_, _| answers.pop_front().unwrap_or(Ok(json!(1))))
}

#[test]
fn a_failing_call_is_an_error_of_its_kind_with_file_line_and_step() {
    for (error, kind) in [
        (Error::invalid("no name"), "invalid-input"),
        (Error::Unauthorized("no name".into()), "unauthorized"),
        (Error::NotFound("no name".into()), "not-found"),
        (Error::Conflict("no name".into()), "conflict"),
        (Error::Retry("no name".into()), "retry"),
        (Error::permanent("no name"), "permanent"),
        (Error::Other("no name".into()), "other"),
    ] {
        let host = answering(vec![Err(error.clone())]);
        let failure = run("- map: 1\n- id: made\n  call: crm.create\n", json!(null), &host).unwrap_err();
        assert_eq!(failure.kind.as_str(), kind);
        assert_eq!(failure.to_string(), "lead.yaml:5: step `made`: no name");
        let told = Error::from(failure);
        assert_eq!(std::mem::discriminant(&told), std::mem::discriminant(&error));
        assert!(told.to_string().ends_with("lead.yaml:5: step `made`: no name"), "{told}");
    }
}

#[test]
fn a_rate_limit_keeps_its_time() {
    let host = answering(vec![Err(Error::RateLimited(Some(Duration::from_secs(7))))]);
    let failure = run("- call: a.b\n", json!(null), &host).unwrap_err();
    assert_eq!(Error::from(failure), Error::RateLimited(Some(Duration::from_secs(7))));
}

#[test]
fn jq_that_fails_is_told_with_its_own_line() {
    let steps = "- call: a.b\n  with:\n    name: ${ .name }\n    first: ${ .name.first }\n";
    assert_eq!(
        fails(steps, json!({ "name": "Ada" })),
        "permanent: lead.yaml:7: step `a.b`: `.name.first`: cannot index \"Ada\" with \"first\""
    );
    let answer = fails("- map: 1\nanswer:\n  a: ${ .x | keys }\n", json!({ "x": 1 }));
    assert!(answer.starts_with("permanent: lead.yaml:6: step `answer`: `.x | keys`: "), "{answer}");
}

#[test]
fn caught_errors_are_described() {
    let host = answering(vec![Err(Error::Conflict("there".into()))]);
    let steps =
        "- id: t\n  try:\n  - id: c\n    call: a.b\n  catch:\n  - map: ${ $error }\nanswer: ${ $t }\n";
    let want = json!({ "kind": "conflict", "message": "there", "step": "c", "file": "lead.yaml", "line": 6 });
    assert_eq!(run(steps, json!(null), &host).unwrap(), want);
}

#[test]
fn only_the_errors_that_are_named_are_caught() {
    let steps =
        "- id: t\n  try:\n  - call: a.b\n  on: conflict\n  catch:\n  - map: caught\nanswer: ${ $t }\n";
    let caught = run(steps, json!(null), &answering(vec![Err(Error::Conflict("x".into()))]));
    assert_eq!(caught.unwrap(), json!("caught"));
    let other = run(steps, json!(null), &answering(vec![Err(Error::permanent("x"))]));
    assert_eq!(other.unwrap_err().kind, host_flow::Kind::Permanent);
}

#[test]
fn finally_is_done_in_any_case() {
    let steps =
        |first: &str, catch: &str| format!("- try:\n  - {first}\n{catch}  finally:\n  - call: a.last\n");
    let refuse =
        || Fake::new(|what, _| if what == "a.no" { Err(Error::permanent("no")) } else { Ok(json!(1)) });
    let rethrow = "  catch:\n  - fail: again\n    kind: conflict\n";
    for (first, catch, ended) in [
        ("call: a.yes", "", None),
        ("call: a.no", "", Some("lead.yaml:5: step `a.no`: no")),
        ("call: a.no", "  catch:\n  - map: 1\n", None),
        ("call: a.no", rethrow, Some("lead.yaml:7: step `fail`: again")),
        ("stop: 1", "", None),
    ] {
        let host = refuse();
        let answer = run(&steps(first, catch), json!(null), &host);
        assert_eq!(answer.err().map(|failure| failure.to_string()).as_deref(), ended, "{first}{catch}");
        assert_eq!(host.effects().last().unwrap(), "a.last null", "{first}{catch}");
    }
}

#[test]
fn what_fails_in_finally_is_told_if_nothing_else_failed() {
    let host = || Fake::new(|what, _| Err(Error::permanent(what)));
    let first = run("- try:\n  - call: a.first\n  finally:\n  - call: a.last\n", json!(null), &host());
    assert_eq!(first.unwrap_err().message, "a.first");
    let last = run("- try:\n  - map: 1\n  finally:\n  - call: a.last\n", json!(null), &host());
    assert_eq!(last.unwrap_err().message, "a.last");
}

#[test]
fn one_call_is_tried_by_the_host_as_often_as_its_retry_says() {
    let no = || Err(Error::Retry("later".into()));
    let steps = "- id: r\n  retry:\n  - call: a.b\n  times: 4\n  wait: 1s\n  at-most: 3s\n- call: a.c\nanswer: ${ $r }\n";
    let host = answering(vec![]);
    assert_eq!(run(steps, json!(null), &host).unwrap(), json!(1));
    assert_eq!(host.effects(), ["a.b null x4 1000..3000", "a.c null"], "and only this one call");
    let host = answering(vec![no()]);
    assert_eq!(run(steps, json!(null), &host).unwrap_err().to_string(), "lead.yaml:6: step `a.b`: later");
    assert_eq!(host.effects().len(), 1, "the host did try it four times");

    let steps = "- retry:\n  - call: a.b\n  on: [retry, rate-limited]\n  at-most: 500ms\n";
    let host = answering(vec![]);
    run(steps, json!(null), &host).unwrap();
    assert_eq!(host.effects(), ["a.b null x3 500..500"]);
}

#[test]
fn what_the_host_would_try_otherwise_it_tries_once_each_time() {
    let no = || Err(Error::Retry("later".into()));
    for on in [
        "  on: [retry]\n  times: 3\n",
        "  on: [retry, rate-limited, conflict]\n  times: 3\n",
        "  times: 21\n",
    ] {
        let host = answering(vec![no()]);
        run(&format!("- retry:\n  - call: a.b\n{on}"), json!(null), &host).unwrap();
        let once = "a.b null x1 1000..60000";
        assert_eq!(host.effects(), [once, "sleep 501", once], "{on}");
    }
}

#[test]
fn several_steps_are_tried_again_with_growing_pauses() {
    let no = || Err(Error::Retry("later".into()));
    let steps = "- id: r\n  retry:\n  - map: 0\n  - call: a.b\n  times: 4\n  wait: 1s\n  at-most: 3s\nanswer: ${ $r }\n";
    let host = answering(vec![no(), no(), no()]);
    assert_eq!(run(steps, json!(null), &host).unwrap(), json!(1));
    // The played randomness is 1, 2, 3: half of the pause, and that.
    let want = ["a.b null", "sleep 501", "a.b null", "sleep 1002", "a.b null", "sleep 1503", "a.b null"];
    assert_eq!(host.effects(), want);

    let host = answering(vec![no(), no(), no(), no()]);
    assert_eq!(run(steps, json!(null), &host).unwrap_err().to_string(), "lead.yaml:7: step `a.b`: later");
}

#[test]
fn retry_tries_only_what_may_pass() {
    let there = || Err(Error::Conflict("there".into()));
    let host = answering(vec![there()]);
    assert!(run("- retry:\n  - map: 0\n  - call: a.b\n", json!(null), &host).is_err());
    assert_eq!(host.effects(), ["a.b null"]);
    assert!(
        run("- retry:\n  - call: a.b\n  on: [conflict]\n", json!(null), &answering(vec![there()])).is_ok()
    );
}

#[test]
fn a_rate_limits_time_is_waited_for() {
    let host = answering(vec![Err(Error::RateLimited(Some(Duration::from_secs(90))))]);
    assert!(run("- retry:\n  - map: 0\n  - call: a.b\n  at-most: 1s\n", json!(null), &host).is_ok());
    assert_eq!(host.effects(), ["a.b null", "sleep 90000", "a.b null"]);
}

#[test]
fn a_workflow_fails_as_its_author_says() {
    assert_eq!(
        fails("- fail: no customer ${ .id }\n  kind: not-found\n", json!({ "id": 5 })),
        "not-found: lead.yaml:4: step `fail`: no customer 5"
    );
    assert!(fails("- fail: x\n", json!(1)).starts_with("permanent: "));
}

#[test]
fn values_that_do_not_fit_a_step_are_told() {
    let soon = json!({ "t": "soon" });
    assert!(fails("- sleep: ${ .t }\n", soon.clone()).ends_with("or seconds, not \"soon\""));
    assert!(fails("- sleep: { until: \"${ .t }\" }\n", soon).contains("not \"soon\""));
    assert!(fails("- map: ${ empty }\n", json!(1)).contains("gave nothing"));
    let long = fails("- keys: { k: \"${ .k }\" }\n", json!({ "k": "x".repeat(129) }));
    assert_eq!(long, "invalid-input: lead.yaml:4: step `set`: too long");
}

#[test]
fn a_message_that_is_no_json_is_told() {
    let mut broken = message(&json!(null));
    broken.data = "{".to_owned();
    let failure = interpret(&flow("- map: 1\n"), &broken, answering(vec![])).unwrap_err();
    assert!(failure.message.starts_with("the message's data: "), "{failure}");
}
