//! Components made by hand, so that no test needs a wasm toolchain.
#![allow(dead_code, unreachable_pub, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

use std::path::Path;

use host_model::manifest::SECTION;
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve, WorldId};

pub const CONNECTOR: &str = r#"
name = "example/crm"
version = "0.1.0"
world = "connector"
[endpoints.create-lead]
direction = "outbound"
"#;
pub const CONNECTOR_WITH_GRANTS: &str = r#"
name = "example/crm"
version = "0.1.0"
world = "connector"
[endpoints.create-lead]
direction = "outbound"
[grants]
kv = true
http = ["https://crm.example.com"]
"#;
pub const WORKFLOW: &str = "name = \"example/intake\"\nversion = \"0.1.0\"\nworld = \"workflow\"\n";
pub const PROXY: &str = "name = \"example/hello\"\nversion = \"0.1.0\"\nworld = \"http-proxy\"\n[grants]\nhttp = [\"https://a.example.com\"]\n";

/// A component that imports and exports these, as `wit-component` makes it of
/// a core module that does nothing.
pub fn component(world: &str, manifest: Option<&str>) -> Vec<u8> {
    let mut resolve = Resolve::new();
    resolve.push_dir(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../wit"))).unwrap();
    let text = format!("package test:made;\nworld made {{ {world} }}");
    let package = resolve.push_source("made.wit", &text).unwrap();
    let world = resolve.packages[package].worlds["made"];
    encode(&resolve, world, manifest)
}

fn encode(resolve: &Resolve, world: WorldId, manifest: Option<&str>) -> Vec<u8> {
    let mut module = dummy_module(resolve, world, ManglingAndAbi::Legacy(wit_parser::LiftLowerAbi::Sync));
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8).unwrap();
    if let Some(text) = manifest {
        add_section(&mut module, text);
    }
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

/// Appends a manifest to a module or a component.
pub fn add_section(wasm: &mut Vec<u8>, text: &str) {
    use wasm_encoder::{CustomSection, Encode, Section};
    let section = CustomSection { name: SECTION.into(), data: text.as_bytes().into() };
    wasm.push(section.id());
    section.encode(wasm);
}

/// A component from text, with a manifest.
pub fn from_text(text: &str, manifest: &str) -> Vec<u8> {
    let mut wasm = wat::parse_str(text).unwrap();
    add_section(&mut wasm, manifest);
    wasm
}

/// The smallest connector.
pub fn connector() -> Vec<u8> {
    component("export wharf:endpoints/endpoints@0.1.0;", Some(CONNECTOR))
}
