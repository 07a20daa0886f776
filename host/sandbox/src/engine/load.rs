//! Mapping machine code that this host compiled: the host's only `unsafe`.

use std::path::Path;

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::artefacts::Authentic;

/// Maps a compiled component. The argument proves that its HMAC was checked.
#[expect(unsafe_code, reason = "mapping machine code is unsafe unless we know who made it, and here we do")]
pub(crate) fn load(engine: &Engine, artefact: &Authentic) -> wasmtime::Result<Component> {
    let path: &Path = artefact.path();
    // SAFETY: `Authentic` is made only by `Artefacts`, after the file's HMAC
    // under the host-local key matched. Only this host's compiler writes files
    // with a valid HMAC; they are mode 0400 in a folder of mode 0700, and are
    // replaced by rename, never written in place.
    unsafe { Component::deserialize_file(engine, path) }
}
