//! Packages made by hand: components with the right names in them. Their types
//! are the sandbox's to check.

use wasm_encoder::{CustomSection, Encode, Section};

pub const CRM: &str = r#"
name = "example/crm"
version = "0.1.0"
world = "connector"
summary = "A CRM"
[endpoints.create-lead]
direction = "outbound"
[config.base-url]
kind = "url"
[credentials.key]
place = { header = "x-api-key" }
hosts = ["{base-url}"]
[grants]
http = ["{base-url}"]
"#;
pub const WEB_FORM: &str = r#"
name = "example/web-form"
version = "0.1.0"
world = "connector"
[endpoints.submit]
direction = "inbound"
"#;
pub const INTAKE: &str = r#"
name = "example/intake"
version = "0.1.0"
world = "workflow"
[roles.crm]
endpoints = ["create-lead"]
"#;

/// A component that carries this manifest.
pub fn package(manifest: &str) -> Vec<u8> {
    let (interface, functions) = match manifest.contains("workflow") {
        true => ("wharf:workflow/run@0.1.0", &["run"][..]),
        false => ("wharf:endpoints/endpoints@0.1.0", &["describe", "check", "call", "receive"][..]),
    };
    let exports: String = functions.iter().map(|name| format!(r#"(export "{name}" (func $f))"#)).collect();
    let mut wasm = wat::parse_str(format!(
        r#"(component
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (instance $e {exports})
            (export "{interface}" (instance $e)))"#
    ))
    .unwrap();
    let section = CustomSection { name: "wharf:manifest".into(), data: manifest.as_bytes().into() };
    wasm.push(section.id());
    section.encode(&mut wasm);
    wasm
}

pub const EXPRESSION: &str = r#"
name = "wharf/expression"
version = "0.1.0"
world = "connector"
[endpoints.check]
direction = "outbound"
[endpoints.evaluate]
direction = "outbound"
"#;
pub const FLOW: &str = r#"
name = "wharf/flow"
version = "0.1.0"
world = "workflow"
"#;
