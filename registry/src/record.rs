//! What the store keeps of a package: everything but its bytes.

use host_model::clock::Timestamp;
use host_model::digest::Digest;
use host_model::name::PackageRef;
use host_store::key::{self, Key};
use serde::{Deserialize, Serialize};

/// A published package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    /// Name and version.
    pub package: PackageRef,
    /// Its content, a blob.
    pub digest: Digest,
    /// Its manifest as JSON, a blob: it may be larger than the store takes.
    pub manifest: Digest,
    /// Bytes of its content.
    pub size: usize,
    /// Who published it: a token's id.
    pub published_by: String,
    /// The public key of who signed it, one that was trusted then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// When.
    pub published_at: Timestamp,
}

/// Where all packages are, in order of their names.
pub(crate) fn space() -> Key {
    key::host().kind("package")
}

/// Where the versions of one package are. Versions sort as text, not by precedence.
pub(crate) fn versions(name: &str) -> Key {
    space().name(name)
}

/// Where one version is.
pub(crate) fn slot(package: &PackageRef) -> Key {
    versions(package.name.as_str()).name(&package.version.to_string())
}
