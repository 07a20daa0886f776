//! Packages: published by the operator, for every tenant to set up.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use host_model::manifest::{Manifest, World};
use host_model::name::PackageRef;
use http::{HeaderMap, StatusCode};
use registry::{MAX_PACKAGE, Record, Registry};
use serde::Serialize;
use utoipa::ToSchema;

use super::resources::paged;
use crate::Control;
use crate::access::{May, power};
use crate::input::{Page, Params, whole};
use crate::refusal::Refusal;

/// Where a signature is sent: the file that minisign makes, in base64.
const SIGNATURE: &str = "wharf-signature";

/// A package in the registry.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Listed {
    /// `namespace/name@1.2.3`.
    #[schema(value_type = String)]
    package: PackageRef,
    /// Its content.
    digest: String,
    /// `connector`, `workflow` or `http-proxy`.
    #[schema(value_type = String)]
    world: World,
    /// One line for people.
    summary: String,
    /// Bytes of its content.
    size: usize,
    /// The id of the token that published it.
    published_by: String,
    /// The minisign public key of who signed it, one that the host trusted then.
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by: Option<String>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    published_at: host_model::clock::Timestamp,
    /// All that it says of itself; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    manifest: Option<Manifest>,
}

/// A package that was published.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Published {
    #[schema(value_type = String)]
    package: PackageRef,
    digest: String,
    /// `false`: the same bytes were there already.
    created: bool,
    /// The minisign public key of who signed it; absent if this host trusts
    /// nobody by name, and so checks no signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by: Option<String>,
}

/// The packages, in order of their names.
#[utoipa::path(get, path = "/packages", tag = "packages", params(Page),
    responses((status = 200, body = [Listed])))]
pub(super) async fn list_packages(
    _: May<power::Browse>,
    State(control): State<Control>,
    Params(page): Params<Page>,
) -> Result<Response, Refusal> {
    let limit = page.limit();
    let records = control.registry.list(page.after::<PackageRef>()?.as_ref(), limit).await?;
    let last = records.last().map(|record| record.package.to_string());
    let mut listed = Vec::new();
    for record in records {
        listed.extend(show(&control.registry, record, false).await?);
    }
    Ok(paged(listed, limit, last))
}

/// One version of a package.
#[utoipa::path(get, path = "/packages/{namespace}/{name}/{version}", tag = "packages",
    params(("namespace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    responses((status = 200, body = Listed)))]
pub(super) async fn get_package(
    _: May<power::Browse>,
    State(control): State<Control>,
    Path((namespace, name, version)): Path<(String, String, String)>,
) -> Result<Json<Listed>, Refusal> {
    let package: PackageRef = format!("{namespace}/{name}@{version}").parse().map_err(|_| Refusal::Absent)?;
    let record = control.registry.record(&package).await?.ok_or(Refusal::Absent)?;
    show(&control.registry, record, true).await?.map(Json).ok_or(Refusal::Absent)
}

/// Publishes a component. Name and version are those of the manifest inside it.
/// A host whose operator names publishers to trust wants one's signature.
#[utoipa::path(post, path = "/packages", tag = "packages",
    params(("wharf-signature" = Option<String>, Header, description = "The file that `minisign -S` makes of the component, in base64")),
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "A component of at most 32 MiB"),
    responses((status = 201, body = Published), (status = 200, description = "The same bytes were there already", body = Published)))]
pub(super) async fn publish_package(
    May { caller, .. }: May<power::Host>,
    State(control): State<Control>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let signature = signature(&headers)?;
    let bytes = whole(body, MAX_PACKAGE).await?;
    let upload = control.registry.examine(bytes, signature).await?;
    control
        .catalog
        .forbids(&upload.package())
        .map_err(|error| Refusal::Wrong(StatusCode::FORBIDDEN, "package-forbidden", error.to_string()))?;
    control.calls.examine(upload.package(), upload.component()).await?;
    let registry::Published { package, digest, created, signed_by } =
        control.registry.keep(upload, &caller.id().to_string()).await?;
    caller.act.name(&package.to_string());
    tracing::info!(token.id = %caller.id(), %package, %digest, created, signed_by, "published {package}");
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(Published { package, digest: digest.to_string(), created, signed_by })).into_response())
}

/// The signature that came along. How long it is and what is in it, the registry says.
fn signature(headers: &HeaderMap) -> Result<Option<Bytes>, Refusal> {
    let Some(text) = headers.get(SIGNATURE) else { return Ok(None) };
    let bytes = STANDARD.decode(text.as_bytes()).map_err(|_| {
        Refusal::bad_request(format!(
            "the header `{SIGNATURE}` is not base64: send the file that `minisign -S` makes in it"
        ))
    })?;
    Ok(Some(bytes.into()))
}

async fn show(registry: &Registry, record: Record, whole: bool) -> Result<Option<Listed>, Refusal> {
    let Some(package) = registry.get(&record.package).await? else { return Ok(None) };
    Ok(Some(Listed {
        package: record.package,
        digest: record.digest.to_string(),
        world: package.manifest.world,
        summary: package.manifest.summary.clone(),
        size: record.size,
        published_by: record.published_by,
        signed_by: record.signed_by,
        published_at: record.published_at,
        manifest: whole.then(|| (*package.manifest).clone()),
    }))
}
