//! `wharf publish` and `wharf packages`.

use std::path::Path;

use host_model::digest::Digest;
use host_model::name::PackageRef;
use serde::Deserialize;

use super::Session;
use crate::error::{CommandError, Exit};
use crate::input;
use crate::table::table;

#[derive(Deserialize)]
struct Published {
    package: PackageRef,
    digest: Digest,
    /// `false`: the same bytes were there already.
    created: bool,
}

#[derive(Deserialize)]
struct Listed {
    package: PackageRef,
    digest: Digest,
    #[serde(default)]
    summary: String,
}

pub(super) async fn publish(session: &mut Session<'_>, file: &Path) -> Result<Exit, CommandError> {
    let component = input::bytes(file, session.terminal)?;
    let body = session.api.post("api/v1/packages").body("application/wasm", component).value().await?;
    let Published { package, digest, created } = session.api.read(&body)?;
    session.show(&body, || {
        let how = if created { "published" } else { "unchanged" };
        format!("package {package}: {how}, {digest}")
    })
}

pub(super) async fn list(session: &mut Session<'_>) -> Result<Exit, CommandError> {
    let body = session.api.get("api/v1/packages").value().await?;
    let packages: Vec<Listed> = session.api.read(&body)?;
    session.show(&body, || {
        if packages.is_empty() {
            return "no packages yet: `wharf publish FILE.wasm`".to_owned();
        }
        let rows = packages.iter().map(|listed| {
            // Enough of a digest to tell two apart; `--json` has all of it.
            let digest = listed.digest.hex().chars().take(12).collect();
            [listed.package.to_string(), digest, listed.summary.clone()]
        });
        table(["package", "digest", "summary"], &rows.collect::<Vec<_>>())
    })
}
