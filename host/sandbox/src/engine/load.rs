//! Mapping machine code that this host compiled: the host's only `unsafe`.

use std::path::Path;

use rustix::mm::{Advice, madvise};
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
    let component = unsafe { Component::deserialize_file(engine, path)? };
    page_out(&component);
    Ok(component)
}

/// Loading touched most of the file; a component that is never called should
/// not stay resident for it. A thousand idle ones cost a third so.
#[expect(unsafe_code, reason = "madvise takes a pointer")]
fn page_out(component: &Component) {
    let image = component.image_range();
    let length = (image.end as usize).saturating_sub(image.start as usize);
    // SAFETY: the range is the component's own mapping, alive as long as
    // `component`. MADV_PAGEOUT changes no content: pages come back as they
    // were when they are touched. A kernel that refuses costs memory only.
    let _ = unsafe { madvise(image.start.cast_mut().cast(), length, Advice::LinuxPageOut) };
}
