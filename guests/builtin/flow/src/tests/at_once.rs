//! Branches that run at once.

use super::*;
use crate::failure::Failure;
use crate::run::MOST_ITEMS;

const THREE: &str = "- id: all\n  for-each: ${ . }\n  at-once: 3\n  steps:\n  - call: a.b\n    with: ${ $item }\nanswer: ${ $all }\n";

/// Whoever came last is done first.
fn last(open: &[usize]) -> usize {
    open.len() - 1
}

#[test]
fn results_are_in_the_lists_order_whoever_is_first() {
    let host = Fake::new(|_, input| Ok(json!(input.as_u64().unwrap() * 2))).order(last);
    assert_eq!(run(THREE, json!([1, 2, 3, 4, 5]), &host).unwrap(), json!([2, 4, 6, 8, 10]));
    assert_eq!(host.most_open(), 3, "three at a time");
    assert_eq!(host.effects(), ["a.b 1", "a.b 2", "a.b 3", "a.b 4", "a.b 5"]);
}

#[test]
fn without_at_once_items_are_worked_on_in_order() {
    let host = Fake::new(|_, input| Ok(input.clone()));
    let steps = "- id: all\n  for-each: ${ .list }\n  steps:\n  - id: x\n    call: a.b\n    with: [\"${ $index }\", \"${ $item }\"]\n  gives: ${ $x[1] }\nanswer: ${ $all }\n";
    assert_eq!(run(steps, json!({ "list": ["p", "q"] }), &host).unwrap(), json!(["p", "q"]));
    assert_eq!(
        (host.most_open(), host.effects()),
        (1, vec![r#"a.b [0,"p"]"#.into(), r#"a.b [1,"q"]"#.into()])
    );
}

#[test]
fn loops_nest_and_keep_their_own_variables() {
    let host = Fake::new(|_, input| Ok(input.clone())).order(last);
    let steps = "- id: all\n  for-each: ${ . }\n  at-once: 8\n  steps:\n  - id: row\n    map: ${ $item }\n  - for-each: ${ $row }\n    at-once: 64\n    steps:\n    - call: a.b\n      with: ${ [$row[0], $item, $index] }\nanswer: ${ [$all, $row] }\n";
    let answer = run(steps, json!([[1, 2], [3]]), &host).unwrap();
    assert_eq!(answer, json!([[[[1, 1, 0], [1, 2, 1]], [[3, 3, 0]]], null]));
}

#[test]
fn more_than_the_host_takes_queue() {
    let host = Fake::new(|_, input| Ok(input.clone())).order(last);
    let rows: Vec<Vec<usize>> =
        (0..10).map(|row| (0..20).map(|column| row * 20 + column).collect()).collect();
    let steps = "- id: all\n  for-each: ${ . }\n  at-once: 10\n  steps:\n  - for-each: ${ $item }\n    at-once: 20\n    steps:\n    - call: a.b\n      with: ${ $item }\nanswer: ${ $all }\n";
    assert_eq!(run(steps, json!(rows), &host).unwrap(), json!(rows));
    assert_eq!(host.most_open(), 64);
}

#[test]
fn runs_that_nobody_waits_for_hold_their_places() {
    let host = Fake::new(|_, input| Ok(input.clone()));
    let steps =
        "- for-each: ${ [range(200)] }\n  steps:\n  - workflow: child\n    wait: false\n- call: a.b\n";
    run(steps, json!(null), &host).unwrap();
    assert_eq!((host.most_open(), host.effects().len()), (64, 201));
}

#[test]
fn all_events_at_once_leave_a_place_for_telling_of_them() {
    let mut host = Fake::new(|_, _| Ok(json!(null)));
    for number in 0..100 {
        host = host.event(&format!("e-{number}"), json!(number));
    }
    // An event is there only once somebody was told of it.
    let host = host.order(|open| open.len() - 1);
    let steps = "- id: all\n  for-each: ${ [range(100)] }\n  at-once: 64\n  steps:\n  - wait-for: e-${ $item }\n    notify:\n    - call: a.b\n      with: ${ $url }\nanswer: ${ $all }\n";
    assert_eq!(run(steps, json!(null), &host).unwrap(), json!((0..100).collect::<Vec<_>>()));
    assert_eq!(host.most_open(), 64);
}

#[test]
fn branches_give_their_outputs_by_name_and_keep_what_they_set() {
    let host = Fake::new(|_, input| Ok(input.clone())).order(last);
    let steps = "- id: both\n  parallel:\n    mail:\n    - id: sent\n      call: mail.send\n      with: 1\n    chat:\n    - call: chat.post\n      with: 2\n    - map: done\nanswer: ${ [$both, $sent] }\n";
    assert_eq!(run(steps, json!(null), &host).unwrap(), json!([{ "mail": 1, "chat": "done" }, 1]));
    let want = [
        "mark lead.yaml:1 message",
        "mark lead.yaml:7 sent",
        "mail.send 1",
        "mark lead.yaml:11 chat.post",
        "chat.post 2",
        "mark lead.yaml:14 answer",
    ];
    assert_eq!(host.log(), want);
}

#[test]
fn a_failing_branch_lets_the_others_finish_and_the_first_in_order_is_told() {
    let host = Fake::new(|what, _| match what {
        "a.ok" => Ok(json!(1)),
        other => Err(wharf_sdk::Error::Conflict(other.to_owned())),
    })
    .order(last);
    let steps = "- parallel:\n    one: [ { call: a.ok }, { call: a.ok } ]\n    two: [ { call: a.first } ]\n    three: [ { call: a.second } ]\n- call: a.never\n";
    let failure = run(steps, json!(null), &host).unwrap_err();
    assert_eq!(failure.to_string(), "lead.yaml:6: step `a.first`: a.first");
    assert_eq!(host.effects(), ["a.ok null", "a.first null", "a.second null", "a.ok null"]);
}

#[test]
fn after_a_failing_item_no_other_begins() {
    let host = Fake::new(|_, input| match input.as_u64() {
        Some(2) => Err(wharf_sdk::Error::permanent("two")),
        _ => Ok(input.clone()),
    });
    let failure: Failure = run(THREE, json!([1, 2, 3, 4, 5, 6]), &host).unwrap_err();
    assert_eq!(failure.to_string(), "lead.yaml:8: step `a.b`: two");
    assert_eq!(host.effects().len(), 4, "the fourth took the first one's place");
}

#[test]
fn stop_in_a_branch_ends_the_others_but_not_their_finally() {
    let host = Fake::new(|_, input| Ok(input.clone())).order(|open| usize::from(open.len() > 1));
    let steps = "- try:\n  - parallel:\n      long:\n      - try:\n        - sleep: 3d\n        - call: a.never\n        finally:\n        - call: a.undo\n        - call: a.undone\n      short:\n      - call: a.b\n      - stop: early\n  catch:\n  - call: a.never\n  finally:\n  - call: a.last\n- call: a.never\n";
    assert_eq!(run(steps, json!(null), &host).unwrap(), json!("early"));
    let want = ["sleep 259200000", "a.b null", "a.undo null", "a.undone null", "a.last null"];
    assert_eq!(host.effects(), want);
}

#[test]
fn a_million_items_are_refused_with_their_place() {
    let steps = "- for-each: ${ [range(1000000)] }\n  steps:\n  - map: 1\n";
    let said = fails(steps, json!(null));
    assert_eq!(
        said,
        format!(
            "permanent: lead.yaml:4: step `for-each`: the list has 1000000 items, the limit is {MOST_ITEMS}: split it, and run a workflow for each part"
        )
    );
}

#[test]
fn what_is_no_list_is_refused() {
    for (data, what) in [(json!(5), "a number"), (json!({}), "a mapping"), (json!(null), "null")] {
        let said = fails("- for-each: ${ . }\n  steps:\n  - map: 1\n", data);
        assert!(said.contains(&format!("takes a list, not {what}")), "{said}");
    }
}
