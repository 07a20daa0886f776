//! Nothing in the contract without an isolation case, or a reason why it needs none.

use std::collections::BTreeSet;

use tests_harness::{functions, root};

/// Each interface that a guest may import or export, and the test that shows
/// that two tenants do not meet in it.
const CASES: &[(&str, &str)] = &[
    ("connection/connection", "the_same_connection_of_two_tenants_has_the_config_of_each"),
    ("endpoints/endpoints", "a_webhook_starts_runs_of_its_own_tenant_only"),
    ("http/outgoing", "no_socket_carries_the_requests_of_two_connections"),
    ("kv/store", "the_same_key_of_two_tenants_is_two_values"),
    ("log/log", "each_tenants_lines_are_in_its_own_runs"),
    ("panic/panic", "each_tenants_panic_is_told_in_its_own_call"),
    ("smtp/submission", "each_tenants_mail_goes_with_its_own_login"),
    ("workflow/calls", "each_tenants_lines_are_in_its_own_runs"),
    ("workflow/run", "the_same_idempotency_key_of_two_tenants_is_two_keys"),
];

/// Interfaces that keep nothing and say nothing of anybody.
const STATELESS: &[&str] = &["clock/clock", "random/random"];

#[test]
fn no_import_lacks_an_isolation_case() {
    let offered: BTreeSet<String> = functions().into_iter().map(|(interface, _)| interface).collect();
    let covered: BTreeSet<String> = CASES
        .iter()
        .map(|(interface, _)| *interface)
        .chain(STATELESS.iter().copied())
        .map(str::to_owned)
        .collect();
    let missing: Vec<_> = offered.symmetric_difference(&covered).collect();
    assert!(missing.is_empty(), "add a case to tests/isolation for {missing:?}, or take it out");
}

#[test]
fn every_case_is_a_test_of_this_crate() {
    let folder = root().join("tests/isolation/src");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let text: String = files.map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let missing: Vec<_> =
        CASES.iter().filter(|(_, case)| !text.contains(&format!("async fn {case}()"))).collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}
