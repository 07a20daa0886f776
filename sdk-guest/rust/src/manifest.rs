//! The manifest's way into the component.

/// Puts a manifest's bytes into the component as the custom section
/// `wharf:manifest`. The attribute macros do it with the `wharf.toml` beside
/// `Cargo.toml`; by hand:
///
/// ```ignore
/// wharf_sdk::embed_manifest!(include_bytes!("../wharf.toml"));
/// ```
#[macro_export]
macro_rules! embed_manifest {
    ($bytes:expr) => {
        const _: () = {
            const BYTES: &[u8] = $bytes;
            #[cfg(target_arch = "wasm32")]
            #[used]
            #[allow(unsafe_code)] // a section of our own name: nothing else is in it
            #[unsafe(link_section = "wharf:manifest")]
            static SECTION: [u8; BYTES.len()] = {
                let mut copy = [0; BYTES.len()];
                copy.copy_from_slice(BYTES);
                copy
            };
        };
    };
}
