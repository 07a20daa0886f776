//! Connectors written by hand in WebAssembly text, for what no toolchain would
//! make. Only `call` does something: what the test gives.

use std::path::Path;
use std::sync::LazyLock;

use bytes::Bytes;
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::{PackageId, Resolve};

/// The contract and WASI.
static CONTRACT: LazyLock<(Resolve, PackageId)> = LazyLock::new(|| {
    let mut resolve = Resolve::default();
    resolve.push_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit")).unwrap();
    let worlds = "package test:worlds;
        world connector { include wharf:worlds/connector@0.1.0; include wasi:http/imports@0.2.12; import wasi:random/insecure@0.2.12;
            import wasi:sockets/instance-network@0.2.12; import wasi:sockets/ip-name-lookup@0.2.12; }
        world workflow { include wharf:worlds/workflow@0.1.0; import wasi:random/random@0.2.12; }";
    let package = resolve.push_str("test.wit", worlds).unwrap();
    (resolve, package)
});

fn component(world: &str, core: &str) -> Bytes {
    let (resolve, package) = &*CONTRACT;
    let world = resolve.select_world(&[*package], Some(world)).unwrap();
    let mut module = wat::parse_str(core).unwrap_or_else(|error| panic!("{error}\n{core}"));
    wit_component::embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8).unwrap();
    let encoder = ComponentEncoder::default().module(&module).unwrap();
    encoder.reject_legacy_names(false).validate(true).encode().unwrap().into()
}

/// A connector whose `call` runs `body`, which leaves a result: `(call $answer
/// PTR LEN)` or `(unreachable)`. Memory from 4,096 on is the test's; from
/// 65,536 on lies what the host gives, each time at the same place.
pub(crate) fn connector(imports: &str, more: &str, body: &str) -> Bytes {
    let endpoints = "wharf:endpoints/endpoints@0.1.0";
    component(
        "connector",
        &format!(
            r#"(module
                {imports}
                (memory (export "memory") 16)
                (data (i32.const 64) "1")
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
                {more}
                (func $answer (param $at i32) (param $size i32) (result i32)
                    (i32.store8 (i32.const 16) (i32.const 0))
                    (i32.store (i32.const 24) (local.get $at))
                    (i32.store (i32.const 28) (local.get $size))
                    (i32.const 16))
                (func $one (result i32) (call $answer (i32.const 64) (i32.const 1)))
                (func (export "{endpoints}#describe") (result i32) (unreachable))
                (func (export "{endpoints}#check") (result i32) (unreachable))
                (func (export "{endpoints}#call") (param i32 i32 i32 i32 i32 i32) (result i32) {body})
                (func (export "{endpoints}#receive")
                    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (unreachable)))"#
        ),
    )
}

/// A connector that does this for ever.
pub(crate) fn forever(imports: &str, step: &str) -> Bytes {
    connector(imports, "", &format!("(loop $again {step} (br $again)) (unreachable)"))
}

/// The same component with one more core module in it, instantiated: a module
/// has one memory, so this is how a component gets several.
pub(crate) fn and(component: &Bytes, module: &str) -> Bytes {
    let module = wat::parse_str(module).unwrap();
    let (mut at, mut modules) = (8, 0_u8); // after the header come sections: id, length, content
    while at < component.len() {
        modules += u8::from(component[at] == CORE_MODULE);
        let (length, width) = read_leb(&component[at + 1..]);
        at += 1 + width + length;
    }
    let instance = [CORE_INSTANCE, 4, 1, 0, modules, 0]; // one: that module, given nothing
    [component, &[CORE_MODULE][..], &leb(module.len()), &module, &instance].concat().into()
}

const CORE_MODULE: u8 = 1;
const CORE_INSTANCE: u8 = 2;

/// Unsigned LEB128, as wasm writes numbers: in three bytes, which is allowed.
fn leb(number: usize) -> [u8; 3] {
    [number as u8 & 0x7f | 0x80, (number >> 7) as u8 & 0x7f | 0x80, (number >> 14) as u8]
}

fn read_leb(bytes: &[u8]) -> (usize, usize) {
    let width = 1 + bytes.iter().position(|byte| byte & 0x80 == 0).unwrap();
    let number = bytes[..width].iter().rev().fold(0, |sum, byte| sum << 7 | usize::from(byte & 0x7f));
    (number, width)
}

/// A workflow that draws its randomness from WASI.
pub(crate) fn workflow_with_wasi() -> Bytes {
    component(
        "workflow",
        r#"(module
            (import "wasi:random/random@0.2.12" "get-random-u64" (func $random (result i64)))
            (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
            (func (export "wharf:workflow/run@0.1.0#run")
                (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32 i32) (result i32)
                (drop (call $random)) (unreachable)))"#,
    )
}
