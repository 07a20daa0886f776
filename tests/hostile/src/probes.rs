//! Which probe of the suite is told in which stories.

/// Every probe that the suite must have, and the stories, tests of this crate,
/// in which it is handed to the real host beside a bystander.
pub const PROBES: &[(&str, &[&str])] = &[
    (
        "endless loop",
        &[
            "a_loop_ends_at_its_fuel_and_says_so_to_caller_and_stranger",
            "a_loop_with_a_short_wall_time_ends_at_that",
            "a_run_that_loops_fails_and_says_which_bound",
        ],
    ),
    ("endless loop in a start function", &["a_loop_before_the_first_call_ends_its_own_upload_at_its_fuel"]),
    ("endless loop in `describe`", &["a_describe_that_never_ends_costs_its_own_upload_only"]),
    ("endless loop in a destructor", &["a_loop_in_a_destructor_ends_at_its_fuel"]),
    ("endless bulk memory operations", &["memory_that_is_filled_by_one_instruction_is_paid_by_the_byte"]),
    ("recursion", &["recursion_ends_at_the_stack_and_leaves_the_host_its_own"]),
    ("memory growth: one memory", &["memory_is_bounded_for_the_whole_instance"]),
    (
        "memory growth: many memories, tables",
        &["many_memories_are_one_for_the_bound_and_tables_grow_to_a_limit"],
    ),
    (
        "memory growth: strings to the host",
        &[
            "texts_to_the_host_end_at_the_host_call_bytes",
            "a_guest_that_never_comes_to_its_end_ends_at_a_bound_with_nothing_kept",
        ],
    ),
    (
        "memory growth: returned lists",
        &[
            "a_list_without_measure_starts_nothing_and_costs_its_own_call",
            "an_answer_of_two_mib_is_refused_with_its_size",
            "a_describe_that_gives_too_much_costs_its_own_upload_only",
        ],
    ),
    ("memory growth: many instances", &["the_memory_of_many_instances_at_once_is_given_back"]),
    ("thousands of handles, of pollables", &["thousands_of_handles_and_of_timers_end_at_the_handles"]),
    ("thousands of futures", &["thousands_of_futures_end_at_the_outbound_calls_and_leave_no_socket"]),
    ("huge and many headers", &["heads_without_measure_are_refused_both_ways"]),
    ("header injection", &["a_header_cannot_end_itself_or_frame_the_request"]),
    (
        "absolute-form paths",
        &[
            "an_absolute_form_names_a_path_here_and_leads_nowhere_else",
            "a_guest_of_wasi_sends_one_request_or_none",
        ],
    ),
    (
        "request smuggling by conflicting lengths",
        &[
            "two_lengths_of_a_request_never_make_two_requests",
            "a_body_that_breaks_off_is_no_body",
            "lengths_that_contradict_each_other_are_no_answer",
        ],
    ),
    (
        "slow bodies both ways",
        &[
            "callers_who_send_a_byte_at_a_time_hold_no_place_that_others_need",
            "an_answer_that_comes_a_byte_at_a_time_ends_at_the_callers_time",
        ],
    ),
    (
        "endless bodies",
        &[
            "a_body_without_an_end_is_cut_off_and_costs_nobody_else",
            "heads_and_bodies_without_an_end_end_at_their_bound",
            "an_answer_without_an_end_is_cut_by_its_wall_time",
            "a_body_over_the_limit_is_413_and_names_the_limit_whether_it_says_its_length_or_not",
        ],
    ),
    ("compressed bombs", &["what_is_compressed_stays_as_small_as_it_was_sent"]),
    ("zero-length writes without end", &["writes_of_nothing_without_end_end_at_a_bound_and_look_broken_off"]),
    ("log flood", &["a_flood_of_log_lines_ends_at_the_log_bytes_and_keeps_what_fitted"]),
    ("terminal escapes in logs", &["what_a_guest_logs_cannot_paint_a_terminal_or_forge_a_line"]),
    ("metrics label explosion", &["nothing_that_a_guest_says_becomes_a_line_of_the_metrics"]),
    ("kv key traversal, another tenant's names", &["no_spelling_of_a_key_leads_to_another_tenants_value"]),
    ("counter overflow", &["a_counter_does_not_go_round"]),
    ("list without end", &["a_list_without_end_ends_at_a_bound"]),
    (
        "quota races",
        &[
            "a_storm_of_runs_ends_at_the_quota_which_a_restart_does_not_forget",
            "a_tenant_that_fills_the_store_is_stopped_and_goes_on_when_there_is_room",
            "requests_over_the_minutes_quota_are_denied_to_the_guest_and_not_to_others",
        ],
    ),
    (
        "DNS rebinding",
        &[
            "a_name_that_turns_inward_is_refused_at_the_next_dial",
            "one_bad_address_of_a_name_spoils_the_good_one",
        ],
    ),
    (
        "loopback and metadata in every disguise",
        &["loopback_is_refused_in_every_disguise_though_it_was_granted"],
    ),
    ("redirects inward", &["a_redirect_inward_is_an_answer_and_following_it_is_denied"]),
    (
        "redirects across origins with credentials",
        &["a_redirect_that_is_followed_leads_neither_inward_nor_takes_a_credential_along"],
    ),
    (
        "ports, schemes, hosts not granted; IDN look-alikes",
        &[
            "other_ports_schemes_and_names_that_look_alike_are_other_origins",
            "a_host_that_was_not_granted_is_denied_and_the_rule_is_named",
            "no_method_and_no_path_but_the_granted_ones_is_reached_by_any_spelling",
        ],
    ),
    ("userinfo in URLs", &["user_information_never_hides_a_host"]),
    (
        "every string in search of a credential; an echo of it",
        &[
            "nothing_that_a_guest_can_read_or_say_has_a_credential_in_it_and_nor_has_the_disk",
            "an_echo_that_is_encoded_and_comes_in_pieces_is_scrubbed_all_the_same",
        ],
    ),
    ("timing a secret comparison", &["a_guess_that_is_nearly_right_is_told_nothing_more_than_a_wrong_one"]),
    (
        "forged signatures of every scheme",
        &[
            "a_forgery_in_any_scheme_reaches_no_guest",
            "a_flood_of_forgeries_of_the_largest_size_fills_no_log_and_delays_nobody",
        ],
    ),
    ("replayed webhooks", &["a_webhook_that_is_replayed_starts_one_run"]),
    ("expired and future timestamps", &["a_time_that_is_over_or_yet_to_come_is_refused_whoever_signed_it"]),
    (
        "manifest larger than the component; thousands of types",
        &["thousands_of_types_and_a_manifest_larger_than_its_component_are_refused_with_their_bound"],
    ),
    (
        "compiler bombs: nesting, giant functions, br_table",
        &["a_bomb_for_the_compiler_costs_its_own_upload_only"],
    ),
    (
        "uploads that are no package",
        &[
            "what_is_no_component_is_refused_with_what_it_is_and_what_to_do",
            "a_package_whose_code_is_not_what_its_manifest_says_is_refused",
            "a_package_of_33_mib_is_413_also_if_it_does_not_say_so",
        ],
    ),
    (
        "forged package signatures",
        &["a_package_that_no_trusted_publisher_signed_is_refused_before_anybody_looks_into_it"],
    ),
    ("poisoned artefact cache", &["a_poisoned_artefact_is_never_mapped_but_compiled_anew"]),
    (
        "traps in every export",
        &[
            "a_trap_in_any_export_is_told_to_its_tenant_alone",
            "a_trap_is_told_to_its_tenant_and_kept_from_strangers",
            "an_answer_that_crashes_half_way_breaks_off_and_does_not_look_whole",
        ],
    ),
    ("answers after the deadline", &["an_answer_after_the_deadline_is_not_heard"]),
    (
        "answers that violate the schema",
        &[
            "data_that_violate_the_schema_are_refused_at_the_border",
            "a_hook_that_answers_garbage_is_502_starts_nothing_and_the_operator_reads_why",
        ],
    ),
    ("run storm", &["a_storm_of_runs_ends_at_the_quota_which_a_restart_does_not_forget"]),
    ("self-triggering workflow", &["a_workflow_that_starts_itself_ends_at_its_depth"]),
    ("cron flood", &["a_flood_of_schedules_starts_a_run_an_instant_each_and_stops_at_the_quota"]),
    ("regex and JSON-Schema bombs", &["bombs_of_schemas_and_patterns_are_refused_before_they_are_used"]),
    ("YAML alias bombs", &["a_bomb_of_yaml_is_refused_by_file_and_line_and_nobody_else_notices"]),
    ("jq bombs", &["bombs_of_jq_end_their_own_run_by_file_and_line"]),
    ("multipart bombs", &["a_form_of_too_many_parts_is_refused_and_starts_nothing"]),
    ("path traversal in uploads", &["an_uploads_file_name_is_a_text_and_no_path"]),
    (
        "oversized identifiers, invalid UTF-8",
        &[
            "what_is_no_name_is_refused_wherever_a_name_goes",
            "what_is_no_name_is_refused_in_files_headers_and_tokens_too",
        ],
    ),
    (
        "a hundred tenants with one attacker",
        &[
            "an_attacker_among_a_hundred_tenants_gets_its_share_and_no_more",
            "a_crowd_gets_429_with_a_time_to_come_again_and_others_notice_nothing",
        ],
    ),
];

/// What the suite must have too, but which no story hands to a whole host,
/// with the test that shows it and why it is not here.
pub const ELSEWHERE: &[(&str, &str, &str)] = &[
    (
        "timing a secret comparison",
        "what_holds_a_secret_cannot_be_compared_by_an_operator",
        "time is no test: what holds a secret has no `==`, as tests/tidy reads in the code",
    ),
    (
        "timing a secret comparison",
        "nothing_that_is_called_a_secret_stands_beside_an_equals_sign",
        "the same for what has no type of its own",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::{ELSEWHERE, PROBES};

    /// Probes that do as a story tells them: what is hostile is in the story.
    const TOOLS: &[&str] = &[
        "desk-crm",
        "desk-form",
        "echo",
        "emit-n",
        "fetch",
        "fetch-signed",
        "kv",
        "log-lines",
        "workflow-call",
        "workflow-publish",
        "workflow-random",
    ];

    /// What a probe's header says besides what it does.
    const SAYS: [&str; 3] = ["//! - To it: ", "//! - To nobody else: ", "//! - Bounds: "];

    #[test]
    fn every_hostile_probe_says_what_must_happen_what_must_not_and_its_bounds() {
        let mut stories = String::new();
        text_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/stories"), &mut stories);
        let mut silent = Vec::new();
        for entry in fs::read_dir(tests_harness::root().join("guests/probes/examples")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().replace('_', "-");
            let told =
                stories.contains(&format!("\"{name}\"")) || stories.contains(&format!("probe/{name}@"));
            let text = fs::read_to_string(&path).unwrap();
            if told && !TOOLS.contains(&name.as_str()) && !SAYS.iter().all(|says| text.contains(says)) {
                silent.push(name);
            }
        }
        assert!(silent.is_empty(), "add `To it`, `To nobody else` and `Bounds` to the headers of {silent:?}");
    }

    fn text_below(folder: &Path, found: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                text_below(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }

    #[test]
    fn every_story_of_a_probe_is_a_test_of_this_crate() {
        let mut here = String::new();
        text_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/stories"), &mut here);
        let told: BTreeSet<_> = PROBES.iter().flat_map(|(_, stories)| *stories).collect();
        let missing: Vec<_> =
            told.into_iter().filter(|story| !here.contains(&format!("async fn {story}()"))).collect();
        assert!(missing.is_empty(), "no such stories: {missing:?}");
        let mut elsewhere = String::new();
        for folder in ["host", "tests/tidy"] {
            text_below(&tests_harness::root().join(folder), &mut elsewhere);
        }
        let missing: Vec<_> =
            ELSEWHERE.iter().filter(|(_, test, _)| !elsewhere.contains(&format!("fn {test}()"))).collect();
        assert!(missing.is_empty(), "no such tests: {missing:?}");
    }
}
