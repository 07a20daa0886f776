//! The wasm features that the host's engine has on. What is off is refused at
//! upload, by name, instead of failing at the first call.

use wasmparser::{Error, Validator, WasmFeatures};

/// What `host/sandbox` switches on: WASM 2.0 with what guest toolchains use.
pub(crate) const ON: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::COMPONENT_MODEL)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::MULTI_MEMORY)
    .union(WasmFeatures::TAIL_CALL);

/// What no guest toolchain needs, and how a person calls it.
const OFF: &[(WasmFeatures, &str)] = &[
    (WasmFeatures::GC, "garbage collection (gc)"),
    (WasmFeatures::FUNCTION_REFERENCES, "typed function references"),
    (WasmFeatures::EXCEPTIONS, "exceptions"),
    (WasmFeatures::LEGACY_EXCEPTIONS, "exceptions (legacy)"),
    (WasmFeatures::THREADS, "threads and shared memory"),
    (WasmFeatures::SHARED_EVERYTHING_THREADS, "threads (shared-everything)"),
    (WasmFeatures::MEMORY64, "memory64"),
    (WasmFeatures::RELAXED_SIMD, "relaxed-simd"),
    (WasmFeatures::STACK_SWITCHING, "stack switching"),
    (WasmFeatures::WIDE_ARITHMETIC, "wide arithmetic"),
    (WasmFeatures::CUSTOM_PAGE_SIZES, "custom page sizes"),
    (WasmFeatures::CM_ASYNC, "component-model async"),
];

/// The name of the switched-off feature that made `bytes` fail, if that is
/// why. The validator does not always know, so the fallback asks it again with
/// everything on, and then with everything but each.
pub(crate) fn blame(bytes: &[u8], error: &Error) -> Option<&'static str> {
    if let Some(missing) = error.missing_wasm_feature()
        && let Some((_, name)) = OFF.iter().find(|(feature, _)| missing.intersects(*feature))
    {
        return Some(name);
    }
    let all = OFF.iter().fold(ON, |all, (feature, _)| all | *feature);
    let passes = |features| Validator::new_with_features(features).validate_all(bytes).is_ok();
    if !passes(all) {
        return None;
    }
    OFF.iter().find(|(feature, _)| !passes(all - *feature)).map(|(_, name)| *name)
}
