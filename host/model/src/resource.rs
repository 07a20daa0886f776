//! What a tenant sets up: as written (`…Spec`, from YAML or JSON, unknown keys
//! are errors) and as used (resolved once against the package's manifest).

mod credential;
pub mod egress;
pub mod verify;
mod workflow;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::asks::MAX_ASKS;
use crate::bounds::{Bounds, BoundsSpec};
use crate::digest::Digest;
use crate::grants::{Grants, GrantsSpec, Origin, OriginPattern};
use crate::manifest::{Direction, FieldKind, Manifest, OriginWish, World};
use crate::name::{
    ConnectionName, EndpointName, FieldName, PackageRef, ScheduleName, SchemaName, SchemaRef, SecretName,
    TenantId, WorkflowName,
};
use crate::quota::QuotasSpec;
use crate::retention::RetentionSpec;
use crate::suggest::nearest;

pub use self::credential::{Credential, CredentialPlace, Oauth2};
pub use self::egress::{EgressSettings, EgressSpec};
pub use self::verify::Verify;
pub use self::workflow::{
    BadWorkflow, Checked, Deduplicate, MAX_EXPRESSION, MAX_SOURCE, MAX_WINDOW_S, ReadElsewhere, Source,
    Start, StartBy, Trigger, Use, Workflow, WorkflowSpec,
};

/// One resource, as written. `kind` says which.
#[expect(clippy::large_enum_variant, reason = "as many at a time as an applied file has documents")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Resource {
    /// Who pays.
    Tenant(TenantSpec),
    /// A connector set up.
    Connection(ConnectionSpec),
    /// What composes endpoints.
    Workflow(WorkflowSpec),
    /// When to run one.
    Schedule(ScheduleSpec),
    /// What a message's data must look like.
    Schema(SchemaSpec),
}

/// `kind: tenant`. Only the operator applies these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TenantSpec {
    /// Its id, for ever.
    pub name: TenantId,
    /// How many calls and runs may go on at once. The host's default if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<NonZeroU32>,
    /// Its part of the CPU when tenants compete: twice as much as another of
    /// half its weight. 100 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<NonZeroU32>,
    /// Bounds of each call, lower than the host's.
    #[serde(default)]
    pub bounds: BoundsSpec,
    /// What it may use in all, lower or higher than the host's.
    #[serde(default, skip_serializing_if = "QuotasSpec::is_empty")]
    pub quotas: QuotasSpec,
    /// How long its runs are kept.
    #[serde(default, skip_serializing_if = "RetentionSpec::is_usual")]
    pub retention: RetentionSpec,
}

/// Where a credential's value is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CredentialSpec {
    /// The stored secret's name.
    pub secret: SecretName,
}

/// `kind: connection`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ConnectionSpec {
    /// Its name within the tenant.
    pub name: ConnectionName,
    /// The connector, pinned.
    pub package: PackageRef,
    /// Values of the manifest's config fields.
    #[serde(default)]
    pub config: BTreeMap<FieldName, Value>,
    /// Values of the manifest's credentials.
    #[serde(default)]
    pub credentials: BTreeMap<FieldName, CredentialSpec>,
    /// What it may reach: the tenant's consent.
    #[serde(default)]
    pub grants: GrantsSpec,
    /// Bounds of each call, lower than the tenant's.
    #[serde(default)]
    pub bounds: BoundsSpec,
    /// How its requests behave towards the outside.
    #[serde(default, skip_serializing_if = "EgressSpec::is_empty")]
    pub egress: EgressSpec,
    /// How requests to its hooks are verified. They are refused if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
}

/// What to do with a local time that the clock skips in spring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapPolicy {
    /// Fire at the first instant after the gap.
    #[default]
    RunAtFirstValid,
    /// Do not fire that day.
    Skip,
}

/// What to do with a local time that the clock repeats in autumn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OverlapPolicy {
    /// Fire at the first of the two only.
    #[default]
    Once,
    /// Fire at both.
    Twice,
}

/// What to do with instants that passed while no host was up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MisfirePolicy {
    /// Fire once, for the latest of them.
    #[default]
    Once,
    /// Forget them.
    Skip,
}

/// `kind: schedule`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ScheduleSpec {
    /// Its name within the tenant.
    pub name: ScheduleName,
    /// Five crontab fields, six with seconds first, or `@daily` and its kin.
    pub cron: String,
    /// An IANA zone, `Europe/Berlin`. UTC if left out.
    #[serde(default = "utc")]
    pub zone: String,
    /// For the hour that spring skips.
    #[serde(default)]
    pub gap: GapPolicy,
    /// For the hour that autumn repeats.
    #[serde(default)]
    pub overlap_hour: OverlapPolicy,
    /// For instants that were missed.
    #[serde(default)]
    pub misfire: MisfirePolicy,
    /// What to run.
    pub workflow: WorkflowName,
    /// The data of the message that it runs for.
    #[serde(default)]
    pub input: Value,
    /// No fires while this is set.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// `kind: schema`: a version of a JSON Schema (2020-12), named `name@version`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "SchemaFile", into = "SchemaFile")]
pub struct SchemaSpec {
    /// Its name and version.
    pub name: SchemaRef,
    /// The JSON Schema.
    pub schema: Value,
}

/// [`SchemaSpec`] as it is written: the version is a key of its own.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SchemaFile {
    name: SchemaName,
    version: NonZeroU32,
    schema: Value,
}

impl From<SchemaFile> for SchemaSpec {
    fn from(file: SchemaFile) -> Self {
        let SchemaFile { name, version, schema } = file;
        Self { name: SchemaRef { name, version }, schema }
    }
}

impl From<SchemaSpec> for SchemaFile {
    fn from(spec: SchemaSpec) -> Self {
        Self { name: spec.name.name, version: spec.name.version, schema: spec.schema }
    }
}

fn utc() -> String {
    "UTC".to_owned()
}

/// A package in the registry, as used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Name and version.
    pub package: PackageRef,
    /// Its content.
    pub digest: Digest,
    /// Its manifest.
    pub manifest: Arc<Manifest>,
}

/// A connection, as used: a connector set up for one tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name.
    pub name: ConnectionName,
    /// The connector.
    pub package: Package,
    /// Every field that is set, defaults filled in.
    pub config: BTreeMap<FieldName, Value>,
    /// What the host adds to its requests.
    pub credentials: Vec<Credential>,
    /// What it may reach.
    pub grants: Grants,
    /// What each of its calls may use.
    pub bounds: Bounds,
    /// How its requests behave towards the outside.
    pub egress: EgressSettings,
    /// How requests to its hooks are verified. Without it they are refused.
    pub verify: Option<Verify>,
}

/// Why a resource does not fit its package.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The package is of another world.
    #[error("package `{package}` is not a {want}")]
    World {
        /// The package.
        package: PackageRef,
        /// What was wanted.
        want: &'static str,
    },
    /// Something that the manifest does not declare.
    #[error("{at} `{name}` is not declared by package `{package}`{}", hint(.near))]
    Unknown {
        /// `config`, `credentials` or `roles`.
        at: &'static str,
        /// What was written.
        name: FieldName,
        /// The package.
        package: PackageRef,
        /// The nearest that is declared.
        near: Option<String>,
    },
    /// Something that the manifest requires.
    #[error("{at} `{name}` is missing: package `{package}` requires it")]
    Missing {
        /// `config`, `credentials` or `roles`.
        at: &'static str,
        /// What is missing.
        name: FieldName,
        /// The package.
        package: PackageRef,
    },
    /// A value of the wrong kind.
    #[error("config `{name}` must be {want}")]
    Kind {
        /// The field.
        name: FieldName,
        /// What it takes.
        want: &'static str,
    },
    /// A credential whose place is none, with this config.
    #[error("credentials `{name}`: {why}; the connection's config says it")]
    Credential {
        /// The credential.
        name: FieldName,
        /// What is wrong.
        why: String,
    },
    /// Webhooks cannot be verified like that.
    #[error(transparent)]
    Verify(#[from] verify::BadVerify),
    /// It allows more than anybody reads.
    #[error(
        "grants: they come to {0} permissions, methods times paths counted, and {MAX_ASKS} is the most: write fewer and wider ones"
    )]
    Grants(usize),
    /// Requests cannot behave like that.
    #[error(transparent)]
    Egress(#[from] egress::BadEgress),
}

fn hint(near: &Option<String>) -> String {
    near.as_ref().map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default()
}

impl Connection {
    /// A connection to a package that needs no setting up: no config, no
    /// credentials, nothing that it may reach.
    pub fn bare(
        tenant: TenantId,
        name: ConnectionName,
        package: Package,
        ceiling: &Bounds,
    ) -> Result<Self, ResolveError> {
        let spec = ConnectionSpec {
            name,
            package: package.package.clone(),
            config: BTreeMap::new(),
            credentials: BTreeMap::new(),
            grants: GrantsSpec::default(),
            bounds: BoundsSpec::default(),
            egress: EgressSpec::default(),
            verify: None,
        };
        Self::resolve(tenant, spec, package, ceiling)
    }

    /// Fits what the tenant wrote to what the manifest declares.
    pub fn resolve(
        tenant: TenantId,
        spec: ConnectionSpec,
        package: Package,
        ceiling: &Bounds,
    ) -> Result<Self, ResolveError> {
        let manifest = Arc::clone(&package.manifest);
        if manifest.world == World::Workflow {
            return Err(ResolveError::World { package: package.package, want: "connector or http-proxy" });
        }
        known("config", spec.config.keys(), &manifest.config, &package)?;
        known("credentials", spec.credentials.keys(), &manifest.credentials, &package)?;
        spec.verify.as_ref().map_or(Ok(()), Verify::check)?;
        if spec.grants.width() > MAX_ASKS {
            return Err(ResolveError::Grants(spec.grants.width()));
        }

        let mut config = spec.config;
        for (name, field) in &manifest.config {
            match (config.get(name), &field.default) {
                (Some(value), _) => check_kind(name, field.kind, value)?,
                (None, Some(default)) => {
                    check_kind(name, field.kind, default)?;
                    config.insert(name.clone(), default.clone());
                }
                (None, None) if field.optional => {}
                (None, None) => return Err(missing("config", name, &package)),
            }
        }

        let origins = |wishes: &[OriginWish]| -> Vec<OriginPattern> {
            wishes.iter().filter_map(|wish| resolve_wish(wish, &config)).collect()
        };
        let mut credentials = Vec::new();
        for (name, wanted) in &manifest.credentials {
            let given = spec.credentials.get(name).ok_or_else(|| missing("credentials", name, &package))?;
            credentials.push(Credential {
                name: name.clone(),
                secret: given.secret.clone(),
                place: CredentialPlace::resolve(&wanted.place, &config)
                    .map_err(|why| ResolveError::Credential { name: name.clone(), why })?,
                hosts: origins(&wanted.hosts),
            });
        }
        let asked = manifest.grants.http.iter();
        let asked = asked.filter_map(|rule| rule.map(|wish| resolve_wish(wish, &config))).collect();
        let grants =
            Grants::new(asked, manifest.grants.kv, &spec.grants).asking_mail(origins(&manifest.grants.smtp));
        let bounds = ceiling.lowered_by(&manifest.bounds).lowered_by(&spec.bounds);
        let egress = spec.egress.settings()?;
        let verify = spec.verify;
        Ok(Self { tenant, name: spec.name, package, config, credentials, grants, bounds, egress, verify })
    }

    /// Whether it takes requests from outside: it has hooks.
    pub fn has_hooks(&self) -> bool {
        let manifest = &self.package.manifest;
        manifest.world == World::HttpProxy
            || manifest.endpoints.values().any(|endpoint| endpoint.direction == Direction::Inbound)
    }

    /// What whoever looks at it should know: that its hooks are open, or closed.
    pub fn warnings(&self) -> Vec<String> {
        match &self.verify {
            Some(Verify::None) => vec![open_hooks(&self.name)],
            None if self.has_hooks() => vec![format!(
                "connection `{}`: its hooks are closed, for nothing says how requests to them are verified: write `verify:` with a scheme, or `verify: none` to take what anybody sends",
                self.name
            )],
            _ => Vec::new(),
        }
    }

    /// The inbound endpoint that a webhook's path names.
    pub fn inbound(&self, endpoint: &str) -> Option<&EndpointName> {
        self.package.manifest.endpoint(endpoint, Direction::Inbound).map(|(name, _)| name)
    }

    /// One config field as a guest sees it: a string as it is, anything else as JSON.
    pub fn field(&self, name: &str) -> Option<String> {
        self.config.get(name).map(plain_text)
    }
}

/// What is said of `verify: none`, wherever a connection is looked at.
pub fn open_hooks(connection: &ConnectionName) -> String {
    format!("connection `{connection}`: `verify: none` takes what anybody sends to its hooks, forged or not")
}

fn known<'a, V>(
    at: &'static str,
    names: impl Iterator<Item = &'a FieldName>,
    declared: &BTreeMap<FieldName, V>,
    package: &Package,
) -> Result<(), ResolveError> {
    for name in names {
        if !declared.contains_key(name) {
            let near = nearest(name.as_str(), declared.keys().map(FieldName::as_str)).map(str::to_owned);
            return Err(ResolveError::Unknown {
                at,
                name: name.clone(),
                package: package.package.clone(),
                near,
            });
        }
    }
    Ok(())
}

fn missing(at: &'static str, name: &FieldName, package: &Package) -> ResolveError {
    ResolveError::Missing { at, name: name.clone(), package: package.package.clone() }
}

fn check_kind(name: &FieldName, kind: FieldKind, value: &Value) -> Result<(), ResolveError> {
    let (fits, want) = match kind {
        FieldKind::Text => (value.is_string(), "a text"),
        FieldKind::Number => (value.is_number(), "a number"),
        FieldKind::Boolean => (value.is_boolean(), "true or false"),
        FieldKind::Url => (
            origin_of(value).is_some(),
            "an http or https URL without user information, or a mail server, `smtp://mail.example.com:587`",
        ),
    };
    if fits { Ok(()) } else { Err(ResolveError::Kind { name: name.clone(), want }) }
}

fn origin_of(value: &Value) -> Option<Origin> {
    let text = value.as_str()?;
    Origin::of_mail(text).or_else(|| Origin::of(&url::Url::parse(text).ok()?))
}

/// An address that requests can go to.
fn is_web(url: &url::Url) -> bool {
    Origin::of(url).is_some()
}

pub(crate) fn resolve_wish(wish: &OriginWish, config: &BTreeMap<FieldName, Value>) -> Option<OriginPattern> {
    match wish {
        OriginWish::Pattern(pattern) => Some(pattern.clone()),
        OriginWish::Field(field) => config.get(field).and_then(origin_of).map(OriginPattern::exactly),
    }
}

pub(crate) fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grants::Asking;
    use serde_json::json;

    fn package() -> Package {
        let manifest = Manifest::parse(
            br#"
name = "example/crm"
version = "0.1.0"
world = "connector"
[endpoints.create-lead]
direction = "outbound"
[config.base-url]
kind = "url"
[config.team]
default = "sales"
[credentials.key]
place = { header = "x-api-key" }
hosts = ["{base-url}"]
[grants]
http = ["{base-url}"]
"#,
        )
        .unwrap();
        Package { package: manifest.package(), digest: Digest::of(b""), manifest: Arc::new(manifest) }
    }

    fn resolve(spec: Value) -> Result<Connection, ResolveError> {
        let spec = serde_json::from_value(spec).unwrap();
        Connection::resolve("acme".parse().unwrap(), spec, package(), &Bounds::default())
    }

    #[test]
    fn a_connection_fills_in_what_its_manifest_leaves_open() {
        let connection = resolve(json!({
            "name": "crm", "package": "example/crm@0.1.0",
            "config": { "base-url": "http://127.0.0.1:9101/v1" },
            "credentials": { "key": { "secret": "crm-key" } },
            "grants": { "http": ["http://127.0.0.1:9101"] },
        }))
        .unwrap();
        let origin = Origin::of(&"http://127.0.0.1:9101/x".parse().unwrap()).unwrap();
        let asking = Asking { origin: &origin, path: "/x", methods: &[http::Method::GET], elsewhere: false };
        assert_eq!(connection.grants.allows(asking), Ok(()));
        assert_eq!(connection.field("team").as_deref(), Some("sales"));
        assert!(connection.credentials[0].hosts[0].allows(&origin));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let check = |config: Value, want: &str| {
            let error = resolve(json!({
                "name": "crm", "package": "example/crm@0.1.0", "config": config,
                "credentials": { "key": { "secret": "k" } },
            }))
            .unwrap_err();
            assert!(error.to_string().contains(want), "{error}");
        };
        check(json!({}), "config `base-url` is missing");
        check(json!({ "bas-url": "x" }), "did you mean `base-url`?");
        check(json!({ "base-url": "ftp://x" }), "must be an http or https URL");
        check(json!({ "base-url": "http://a", "team": 7 }), "config `team` must be a text");
    }
}
