//! Nothing in the contract and no probe without a case.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tests_harness::{Function, functions, root};

/// Each function of the contract, and the test that would notice if it broke.
const COVERED: &[(&str, &str, &str)] = &[
    ("clock/clock", "monotonic-ns", "a_connector_reads_the_clock_of_the_machine"),
    ("clock/clock", "now-ms", "a_connector_reads_the_clock_of_the_machine"),
    ("connection/connection", "all", "a_guest_reads_its_name_and_each_field_as_text_or_json"),
    ("connection/connection", "field", "what_is_not_set_has_its_default_or_is_absent"),
    ("connection/connection", "name", "two_connections_of_one_package_have_their_own_config"),
    ("endpoints/endpoints", "call", "each_case_of_a_call_error_is_its_own_answer_of_the_api"),
    ("endpoints/endpoints", "check", "a_check_reaches_the_outside_system_and_tells_what_it_said"),
    ("endpoints/endpoints", "describe", "a_package_is_published_only_if_its_code_describes_what_it_declares"),
    ("endpoints/endpoints", "receive", "each_case_of_a_call_error_is_its_own_answer_of_a_webhook"),
    ("http/outgoing", "send", "a_request_arrives_as_it_was_made_and_the_answer_comes_back_whole"),
    ("kv/store", "compare-and-set", "a_compare_and_set_changes_only_what_is_at_its_version"),
    ("kv/store", "delete", "a_value_is_kept_replaced_and_deleted"),
    ("kv/store", "get", "a_value_is_kept_replaced_and_deleted"),
    ("kv/store", "increment", "increments_at_the_same_time_all_count"),
    ("kv/store", "list-keys", "keys_come_in_byte_order_page_by_page"),
    ("kv/store", "set", "a_value_with_a_time_to_live_goes_and_others_stay"),
    ("log/log", "write", "a_line_keeps_its_level_and_its_place"),
    ("panic/panic", "report", "a_panics_text_is_one_line_of_the_log_whatever_its_length"),
    ("random/random", "bytes", "a_connectors_randomness_is_never_the_same_and_comes_in_4_kib_at_most"),
    ("random/random", "number", "a_workflows_randomness_differs_from_run_to_run"),
    ("smtp/submission", "send", "a_message_reaches_its_recipients_with_the_hosts_credential_and_one_id"),
    ("workflow/calls", "call", "a_role_or_endpoint_that_does_not_exist_is_not_found_and_the_run_goes_on"),
    ("workflow/calls", "definition", "a_workflow_in_code_was_set_up_with_no_text"),
    ("workflow/calls", "expect-event", "the_address_of_an_event_works_once_and_with_its_own_secret_only"),
    ("workflow/calls", "mark", "each_step_says_which_place_of_the_source_asked_for_it"),
    ("workflow/calls", "on-cancel", "what_undoes_a_cancelled_run_is_called_last_first"),
    (
        "workflow/calls",
        "pending.wait",
        "the_sixty_fifth_call_at_once_is_permanent_and_the_others_are_answered",
    ),
    ("workflow/calls", "publish", "every_subscriber_of_a_topic_gets_a_run_of_its_own"),
    ("workflow/calls", "reply", "the_first_reply_answers_the_caller_and_the_run_goes_on"),
    ("workflow/calls", "set-key", "four_business_keys_are_kept_and_a_fifth_is_refused"),
    ("workflow/calls", "sleep-ms", "a_sleep_is_a_step_of_the_run"),
    ("workflow/calls", "sleep-until", "a_pause_is_a_limit_on_a_call_and_a_sleep_lasts_until_its_instant"),
    ("workflow/calls", "start", "the_sixty_fifth_call_at_once_is_permanent_and_the_others_are_answered"),
    ("workflow/calls", "start-sleep", "a_pause_is_a_limit_on_a_call_and_a_sleep_lasts_until_its_instant"),
    ("workflow/calls", "start-tried", "a_call_with_tries_of_its_own_is_tried_as_often_as_they_say"),
    (
        "workflow/calls",
        "start-workflow",
        "a_child_that_fails_is_permanent_and_one_that_is_not_there_not_found",
    ),
    ("workflow/calls", "wait-all", "the_answers_of_several_runs_come_in_the_order_of_the_list"),
    ("workflow/calls", "wait-any", "calls_go_on_at_once_and_the_first_that_is_done_is_told"),
    ("workflow/run", "run", "a_run_is_given_its_message_and_gives_one_json_text"),
];

/// Functions behind a grant: what is given, and its denied twin.
const DENIED: &[(&str, &str)] = &[
    ("http/outgoing", "without_the_connections_grant_the_request_is_denied_and_says_what_would_open_it"),
    ("smtp/submission", "without_the_connections_grant_no_mail_goes_out_and_it_says_what_would_open_it"),
    ("kv/store", "without_the_connections_grant_every_operation_is_denied"),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn text_below(folder: &str) -> String {
    let mut found = Vec::new();
    sources(&root().join(folder), &mut found);
    found.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn no_function_of_the_contract_lacks_a_case() {
    let offered = functions();
    assert!(
        offered.len() > 20 && offered.contains(&("kv/store".to_owned(), "get".to_owned())),
        "{offered:?}"
    );
    let covered: BTreeSet<Function> =
        COVERED.iter().map(|(interface, name, _)| ((*interface).to_owned(), (*name).to_owned())).collect();
    let missing: Vec<_> = offered.difference(&covered).collect();
    assert!(missing.is_empty(), "add a case to tests/conformance for {missing:?}");
    let gone: Vec<_> = covered.difference(&offered).collect();
    assert!(gone.is_empty(), "the contract no longer has {gone:?}");
}

#[test]
fn every_case_is_a_test_of_this_crate() {
    let text = text_below("tests/conformance/src");
    let cases = COVERED.iter().map(|(.., case)| case).chain(DENIED.iter().map(|(_, case)| case));
    let missing: Vec<_> = cases.filter(|case| !text.contains(&format!("async fn {case}()"))).collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

/// The manifest's `[grants]` are read from the model: a new one needs a twin.
#[test]
fn no_grant_lacks_its_denied_twin() {
    let model = fs::read_to_string(root().join("host/model/src/manifest.rs")).unwrap();
    let wanted = model.split("pub struct Wanted {").nth(1).unwrap().split("\n}").next().unwrap();
    let grants = wanted.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split(':').next());
    let missing: Vec<_> = grants
        .filter(|grant| !DENIED.iter().any(|(interface, _)| interface.starts_with(&format!("{grant}/"))))
        .collect();
    assert!(missing.is_empty(), "add a denied twin for {missing:?}");
}

#[test]
fn every_probe_is_used_by_a_case() {
    let text = text_below("tests");
    let mut probes: Vec<String> = fs::read_dir(root().join("guests/probes/examples"))
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".rs")?.to_owned()))
        .collect();
    probes.sort();
    let used = |probe: &String| {
        let names = [probe.clone(), probe.replace('_', "-")];
        names.iter().any(|name| text.contains(&format!("\"{name}\"")))
    };
    let unused: Vec<_> = probes.iter().filter(|probe| !used(probe)).collect();
    assert!(unused.is_empty(), "no test under tests/ names the probes {unused:?}");
}
