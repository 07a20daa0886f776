//! A stranger's upload is taken or refused with an error that says what to do.

mod made;

use made::*;
use registry::{MAX_PACKAGE, PackageError, verify};

#[track_caller]
fn refused(bytes: &[u8], want: &str) {
    let Err(error) = verify(bytes) else { panic!("it must be refused") };
    let error = error.to_string();
    assert!(error.contains(want), "`{error}` does not say `{want}`");
}

#[test]
fn a_connector_of_each_world_is_taken_and_says_what_it_imports() {
    let crm = component(
        "import wharf:log/log@0.1.0; import wharf:kv/store@0.1.0; import wharf:http/outgoing@0.1.0;
         import wasi:clocks/wall-clock@0.2.12; import wasi:sockets/tcp@0.2.12;
         export wharf:endpoints/endpoints@0.1.0;",
        Some(CONNECTOR_WITH_GRANTS),
    );
    let verified = verify(&crm).unwrap();
    assert_eq!(verified.manifest.package().to_string(), "example/crm@0.1.0");
    assert_eq!(verified.manifest_text, CONNECTOR_WITH_GRANTS);
    assert_eq!(verified.size, crm.len());
    assert!(verified.imports.contains(&"wharf:kv/store@0.1.0".to_owned()), "{:?}", verified.imports);

    let intake = "import wharf:workflow/calls@0.1.0; export wharf:workflow/run@0.1.0;";
    verify(&component(intake, Some(WORKFLOW))).unwrap();
    verify(&component("include wasi:http/proxy@0.2.12;", Some(PROXY))).unwrap();
}

#[test]
fn a_guest_built_against_another_minor_of_wasi_is_taken() {
    let import = |version| format!(r#"(component (import "wasi:clocks/wall-clock@{version}" (instance)))"#);
    for taken in ["0.2.0", "0.2.99"] {
        // It is the missing export that is complained of, not the import.
        refused(&from_text(&import(taken), PROXY), "does not export `wasi:http/incoming-handler@0.2.12`");
    }
    refused(
        &from_text(&import("0.3.0"), PROXY),
        "imports `wasi:clocks/wall-clock@0.3.0`, which no http-proxy",
    );
}

#[test]
fn a_proxy_exports_any_minor_of_its_handler() {
    let handler = r#"(component (component $c) (instance $i (instantiate $c))
        (export "wasi:http/incoming-handler@0.2.3" (instance $i)))"#;
    refused(&from_text(handler, PROXY), "does not export `wasi:http/incoming-handler@0.2.3#handle`");
}

#[test]
fn what_is_not_a_component_is_refused() {
    refused(b"", "not WebAssembly");
    refused(b"#!/bin/sh\necho hi", "not WebAssembly");
    refused(&wat::parse_str("(module)").unwrap(), "a core module, not a component");
    refused(&vec![0; MAX_PACKAGE + 1], "the limit is 33554432");
    refused(b"\0asm", "ends in the middle");
}

#[test]
fn a_truncated_component_is_refused_wherever_it_is_cut() {
    let mut whole = component("export wharf:endpoints/endpoints@0.1.0;", None);
    add_section(&mut whole, CONNECTOR);
    verify(&whole).unwrap();
    // A cut between two sections leaves a valid component, but without its manifest.
    for cut in 1..whole.len() {
        assert!(verify(&whole[..cut]).is_err(), "cut at {cut}");
    }
    assert!(matches!(verify(&whole[..whole.len() / 2]), Err(PackageError::Truncated(_))));
}

#[test]
fn a_flipped_byte_never_panics() {
    let whole = connector();
    for place in 0..whole.len() {
        let mut bad = whole.clone();
        bad[place] ^= [0x01, 0x80, 0xff][place % 3];
        let _ = verify(&bad);
    }
    let mut bad = whole.clone();
    bad.extend([0x63, 0x00]);
    refused(&bad, "not a valid component");
}

#[test]
fn a_feature_that_the_host_switched_off_is_named() {
    let module = |body: &str| from_text(&format!("(component (core module {body}))"), CONNECTOR);
    refused(&module("(memory i64 1)"), "memory64");
    refused(&module("(memory 1 1 shared)"), "threads and shared memory");
    refused(&module("(type (struct (field i32)))"), "garbage collection (gc)");
    refused(&module("(tag)"), "exceptions");
    refused(
        &module(
            "(func (param v128 v128 v128) (result v128) local.get 0 local.get 1 local.get 2 i32x4.relaxed_laneselect)",
        ),
        "relaxed-simd",
    );
    refused(&module("(type $f (func)) (func (param (ref $f)))"), "typed function references");
    refused(
        &from_text("(component (core func (canon backpressure.inc)))", CONNECTOR),
        "component-model async",
    );
}

#[test]
fn more_of_anything_than_a_toolchain_makes_is_refused_with_its_bound() {
    let check = |body: &str, want: &str| refused(&from_text(&format!("(component {body})"), CONNECTOR), want);
    check("(core module (table 10001 funcref))", "it has 10001 elements in one table, the limit is 10000");
    check(&"(core module (memory 1))".repeat(4), "it has 4 memories");
    check(&"(core module (table 1 funcref))".repeat(4), "it has 4 tables");
    check("(core module (memory 4097))", "bytes of initial memory");
    let many = "(core instance (instantiate $m))".repeat(41);
    check(&format!("(core module $m) {many}"), "it has 41 core instances, the limit is 40");
    let many = "(instance (instantiate $c))".repeat(65);
    check(&format!("(component $c) {many}"), "it has 65 component instances");
    check(&format!("{}{}", "(component ".repeat(6), ")".repeat(6)), "inside each other, the limit is 6");
}

#[test]
fn a_package_carries_exactly_one_manifest() {
    let bare = component("export wharf:endpoints/endpoints@0.1.0;", None);
    refused(&bare, "it carries no manifest: build it with the SDK or `wharf build`");
    let mut outside = bare.clone();
    add_section(&mut outside, CONNECTOR);
    assert!(verify(&outside).is_ok(), "beside the core module is as good as inside it");
    add_section(&mut outside, CONNECTOR);
    refused(&outside, "it carries 2 custom sections");

    let with = |text: &str| component("export wharf:endpoints/endpoints@0.1.0;", Some(text));
    refused(
        &with(&CONNECTOR.replace("direction", "direktion")),
        "wharf.toml line 6: unknown field `direktion`",
    );
    refused(&with(&format!("{CONNECTOR}#{}", "x".repeat(70_000))), "the limit is 65536");
}

#[test]
fn an_import_that_no_world_offers_is_named_with_the_nearest() {
    let check = |import: &str, manifest: &str, want: &str| {
        let text = format!(r#"(component (import "{import}" (instance (export "gett" (func)))))"#);
        refused(&from_text(&text, manifest), want);
    };
    check(
        "wharf:kv/stor@0.1.0",
        CONNECTOR,
        "imports `wharf:kv/stor@0.1.0`, which no connector may import (did you mean `wharf:kv/store@0.1.0`?)",
    );
    check("wharf:kv/store@0.2.0", CONNECTOR, "did you mean `wharf:kv/store@0.1.0`?");
    check("wharf:workflow/calls@0.1.0", CONNECTOR, "(only a workflow may)");
    check("wharf:kv/store@0.1.0", WORKFLOW, "which no workflow may import (only a connector may)");
    check("wasi:clocks/wall-clock@0.2.0", WORKFLOW, "build it without WASI");
    check("wharf:log/log@0.1.0", PROXY, "which no http-proxy may import");
    check("acme:gpu/cuda@1.0.0", CONNECTOR, "imports `acme:gpu/cuda@1.0.0`, which no connector may import");
    check(
        "wharf:kv/store@0.1.0",
        CONNECTOR_WITH_GRANTS,
        "`wharf:kv/store@0.1.0#gett`, which no connector may import (did you mean `get`?)",
    );
    refused(&from_text(r#"(component (import "run" (func)))"#, CONNECTOR), "imports `run`");
}

#[test]
fn an_import_that_the_manifest_does_not_ask_for_is_named_with_its_grant() {
    let check = |import: &str, want: &str| {
        let world = format!("import {import}; export wharf:endpoints/endpoints@0.1.0;");
        refused(&component(&world, Some(CONNECTOR)), want);
        verify(&component(&world, Some(CONNECTOR_WITH_GRANTS))).unwrap();
    };
    check(
        "wharf:kv/store@0.1.0",
        "imports `wharf:kv/store@0.1.0`, but its manifest does not ask for it: add `kv = true`",
    );
    check("wharf:http/outgoing@0.1.0", "add `http = [");
    check("wasi:http/outgoing-handler@0.2.12", "imports `wasi:http/outgoing-handler@0.2.12`, but");
}

#[test]
fn an_export_that_the_world_requires_is_named() {
    let log = "import wharf:log/log@0.1.0;";
    refused(
        &component(log, Some(CONNECTOR)),
        "does not export `wharf:endpoints/endpoints@0.1.0`, which every connector must",
    );
    refused(&component(log, Some(WORKFLOW)), "does not export `wharf:workflow/run@0.1.0`");
    let empty = r#"(component (component $c) (instance $i (instantiate $c))
        (export "wharf:endpoints/endpoints@0.1.0" (instance $i)))"#;
    refused(&from_text(empty, CONNECTOR), "does not export `wharf:endpoints/endpoints@0.1.0#call`");
}
