//! `wharf publish` and `wharf packages`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use host_model::digest::Digest;
use host_model::manifest::World;
use host_model::name::PackageRef;
use serde::Deserialize;

use super::Session;
use crate::args::Publish;
use crate::error::{CommandError, Exit};
use crate::input;
use crate::table::table;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Published {
    package: PackageRef,
    digest: Digest,
    /// `false`: the same bytes were there already.
    created: bool,
    #[serde(default)]
    signed_by: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Listed {
    package: PackageRef,
    digest: Digest,
    world: World,
    #[serde(default)]
    signed_by: Option<String>,
    #[serde(default)]
    summary: String,
}

pub(super) async fn publish(session: &mut Session<'_>, what: &Publish) -> Result<Exit, CommandError> {
    let component = input::bytes(&what.file, session.terminal)?;
    let mut ask = session.api.post("api/v1/packages").body("application/wasm", component);
    if let Some(file) = &what.signature {
        let signature = input::bytes(file, session.terminal)?;
        ask = ask.header("wharf-signature", &STANDARD.encode(signature));
    }
    let body = ask.value().await?;
    let Published { package, digest, created, signed_by } = session.api.read(&body)?;
    session.show(&body, || {
        let how = if created { "published" } else { "unchanged" };
        let signed = match (&signed_by, &what.signature) {
            (Some(key), _) => format!(", signed by {key}"),
            (None, Some(_)) => ", its signature not checked: this host names no trusted keys".to_owned(),
            (None, None) => String::new(),
        };
        format!("package {package}: {how}, {digest}{signed}")
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
            // Enough of a digest, or of a key, to tell two apart; `--json` has all of it.
            let digest = listed.digest.hex().chars().take(12).collect();
            let signer = listed.signed_by.as_deref().unwrap_or("-").chars().take(16).collect();
            let world = match listed.world {
                World::Connector => "connector",
                World::Workflow => "workflow",
                World::HttpProxy => "http-proxy",
            };
            [listed.package.to_string(), world.to_owned(), digest, signer, listed.summary.clone()]
        });
        table(["package", "world", "digest", "signed by", "summary"], &rows.collect::<Vec<_>>())
    })
}
