//! Why an upload is not a package: each says what, and what its author does next.

use host_model::manifest::{ManifestError, SECTION};

use crate::bounds::MAX_PACKAGE;

/// Why an upload is not a package.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// Too long.
    #[error(
        "the package has {0} bytes, the limit is {MAX_PACKAGE}: strip debug information, or use a smaller runtime"
    )]
    TooLarge(usize),
    /// No wasm at all.
    #[error("this is not WebAssembly: upload the `.wasm` file that `wharf build` makes")]
    NotWasm,
    /// A module.
    #[error(
        "this is a core module, not a component: link it with wasm-component-ld, or run `wasm-tools component new` on it"
    )]
    CoreModule,
    /// It stops in the middle.
    #[error("the file ends in the middle of something that starts at byte {0}: upload it again, whole")]
    Truncated(usize),
    /// Not a valid component.
    #[error("not a valid component: {message} (at byte {offset})")]
    Malformed {
        /// What the validator says.
        message: String,
        /// Where.
        offset: usize,
    },
    /// A wasm feature that the host has switched off.
    #[error("it uses {0}, which this host has switched off: build it without")]
    SwitchedOff(&'static str),
    /// Too much of something.
    #[error("it has {found} {what}, the limit is {limit}")]
    Bound {
        /// Of what.
        what: &'static str,
        /// How much it has.
        found: u64,
        /// How much it may have.
        limit: u64,
    },
    /// No manifest.
    #[error(
        "it carries no manifest: build it with the SDK or `wharf build`, which put wharf.toml into the custom section `{SECTION}`"
    )]
    NoManifest,
    /// More than one manifest.
    #[error(
        "it carries {0} custom sections `{SECTION}`, it must carry one: is a connector among its dependencies?"
    )]
    ManyManifests(usize),
    /// A bad manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// An import that the world does not offer.
    #[error("it imports `{import}`, which no {world} may import{}", hint(.near))]
    NotOffered {
        /// The import.
        import: String,
        /// The world in the manifest.
        world: &'static str,
        /// What it might have meant, in words.
        near: Option<String>,
    },
    /// An import that the manifest does not ask for.
    #[error(
        "it imports `{import}`, but its manifest does not ask for it: add `{grant}` under [grants] in wharf.toml, or remove the import"
    )]
    NotAsked {
        /// The import.
        import: String,
        /// What asks for it.
        grant: &'static str,
    },
    /// An export that the world requires.
    #[error("it does not export `{export}`, which every {world} must")]
    NotExported {
        /// The export.
        export: String,
        /// The world in the manifest.
        world: &'static str,
    },
}

fn hint(near: &Option<String>) -> String {
    near.as_ref().map(|near| format!(" ({near})")).unwrap_or_default()
}

impl PackageError {
    pub(crate) fn of(error: wasmparser::Error) -> Self {
        let (message, offset) = (error.message(), error.offset());
        if message.contains("unexpected end") {
            Self::Truncated(offset)
        } else {
            // The validator quotes names from the upload, as long as they are there.
            Self::Malformed { message: message.chars().take(300).collect(), offset }
        }
    }
}
