//! Tenants' schemas: accepted once, and named by the manifests that use them.

use std::collections::BTreeMap;
use std::sync::Arc;

use host_model::manifest::Manifest;
use host_model::name::SchemaRef;
use host_model::resource::SchemaSpec;
use host_model::suggest::nearest;
use host_schemas::{Schema, is_shipped, shipped, shipped_names};

use super::Tenant;
use super::resolve::hint;
use super::stored::{Kept, Written};

/// The most schemas that a tenant may have: each change of the tenant's things
/// goes through all of them, and a host holds all tenants' in memory.
const MAX_SCHEMAS: usize = 500;

/// A tenant's schemas; for one that cannot be used, why.
pub(super) type Accepted = BTreeMap<SchemaRef, Result<Arc<Schema>, String>>;

/// Accepts what a tenant wrote. What was accepted before and is the same is not looked at again.
pub(super) fn accept(written: &Written, before: Option<&Tenant>) -> Accepted {
    let same = |spec: &SchemaSpec| {
        let before = before?;
        let written = before.written.schemas.get(&spec.name)?.as_ref().ok()?;
        if written == spec { before.resolved.schemas.get(&spec.name).cloned() } else { None }
    };
    let accept = |place: usize, kept: &Kept<SchemaSpec>| {
        let spec = kept.as_ref().map_err(Clone::clone)?;
        if is_shipped(&spec.name.name) {
            return Err(format!(
                "`{}` is a shipped schema, and its name is taken: choose another",
                spec.name.name
            ));
        }
        if place >= MAX_SCHEMAS {
            return Err(format!("a tenant has at most {MAX_SCHEMAS} schemas: delete some"));
        }
        match same(spec) {
            Some(schema) => Ok(schema),
            None => Schema::accept(spec.name.clone(), &spec.schema)
                .map(Arc::new)
                .map_err(|error| error.to_string()),
        }
    };
    let all = written.schemas.iter().enumerate();
    all.map(|(place, (name, kept))| (name.clone(), accept(place, kept))).collect()
}

/// Whether there is every schema that a manifest names. One that is broken is
/// told once, there.
pub(super) fn known<K>(manifest: &Manifest, own: &BTreeMap<SchemaRef, K>) -> Result<(), String> {
    for (at, schema) in manifest.schemas() {
        if shipped(schema).is_none() && !own.contains_key(schema) {
            let own = own.keys().map(ToString::to_string);
            let known: Vec<String> = shipped_names().map(ToString::to_string).chain(own).collect();
            let near = hint(nearest(&schema.to_string(), known.iter().map(String::as_str)));
            return Err(format!(
                "{at} `{schema}`, and there is no such schema{near}: apply it (`kind: schema`), package `{}` needs it",
                manifest.package()
            ));
        }
    }
    Ok(())
}

/// Why a change may not be made: it would make schemas say something else while
/// they are used, and a version means the same for ever to those who use it.
pub(super) fn changed_in_use(before: &Tenant, after: &Written) -> Vec<(SchemaRef, String)> {
    let changed = before.written.schemas.iter().filter_map(|(name, old)| {
        let (old, new) = (old.as_ref().ok()?, after.schemas.get(name)?.as_ref().ok()?);
        let user = if old == new { None } else { user(name, before) };
        Some((name, user?))
    });
    let told = |(name, user): (&SchemaRef, String)| {
        let next = name.version.saturating_add(1);
        let told = format!(
            "schema `{name}`: {user} uses it, so it stays as it is: apply the new one as version {next}"
        );
        (name.clone(), told)
    };
    changed.map(told).collect()
}

/// Something of a tenant whose package names a schema.
fn user(schema: &SchemaRef, tenant: &Tenant) -> Option<String> {
    let names = |manifest: &Manifest| manifest.schemas().any(|(_, named)| named == schema);
    let mut connections = tenant.resolved.connections.values();
    let mut workflows = tenant.resolved.workflows.iter();
    let connection =
        connections.find(|it| names(&it.package.manifest)).map(|it| format!("connection `{}`", it.name));
    connection.or_else(|| {
        workflows.find(|it| names(&it.package.manifest)).map(|it| format!("workflow `{}`", it.name))
    })
}
