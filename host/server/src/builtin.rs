//! The packages that this host brings along, published at its start as any
//! other package.

use anyhow::Context;
use bytes::Bytes;
use host_model::digest::Digest;
use registry::{PublishError, Registry, Upload};

/// Who published them, where a token's id stands otherwise.
pub(crate) const BY: &str = "host";

/// Publishes what is not there yet. A version that is there with another
/// content stays: runs are pinned to it.
pub(crate) async fn publish(registry: &Registry) -> anyhow::Result<()> {
    for (name, component) in host_builtin::PACKAGES {
        let digest = Digest::of(component);
        if registry.versions(&name.parse()?).await?.iter().any(|record| record.digest == digest) {
            continue;
        }
        let upload = Upload::builtin(Bytes::from_static(component)).await?;
        let package = upload.package().package;
        match registry.keep(upload, BY).await {
            Ok(_) => tracing::info!(%package, %digest, "published {package}, which this host brings along"),
            Err(PublishError::Immutable { package, published }) => tracing::warn!(
                %package, %digest, %published,
                "{package} is there with another content, which is used: give it a new version in guests/builtin, or start with a new data folder"
            ),
            Err(error) => {
                return Err(error).context(format!("cannot publish {package}, which this host brings along"));
            }
        }
    }
    Ok(())
}
