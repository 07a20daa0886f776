//! `wharf publish` and `wharf packages`.

use std::path::Path;

use host_model::digest::Digest;
use host_model::manifest::World;
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
    world: World,
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
    let body = session.api.list("api/v1/packages").await?;
    let packages: Vec<Listed> = session.api.read(&body)?;
    session.show(&body, || {
        if packages.is_empty() {
            return "no packages yet: `wharf publish FILE.wasm`".to_owned();
        }
        let rows = packages.iter().map(|listed| {
            // Enough of a digest to tell two apart; `--json` has all of it.
            let digest = listed.digest.hex().chars().take(12).collect();
            let world = match listed.world {
                World::Connector => "connector",
                World::Workflow => "workflow",
                World::HttpProxy => "http-proxy",
            };
            [listed.package.to_string(), world.to_owned(), digest, listed.summary.clone()]
        });
        table(["package", "world", "digest", "summary"], &rows.collect::<Vec<_>>())
    })
}
