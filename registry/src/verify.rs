//! A stranger's upload, looked at without running any of it: is it a component
//! that the host can run, and does it ask for what its manifest says?

use std::collections::BTreeSet;

use host_model::digest::Digest;
use host_model::manifest::{Manifest, Wanted};
use host_model::suggest::nearest;
use wasmparser::component_types::ComponentEntityType;
use wasmparser::types::Types;

use crate::error::PackageError;
use crate::parse::{Parsed, parse};
use crate::world::{Contract, contract, find, offered_elsewhere};

/// A component that the host can run and whose manifest is true of it.
#[derive(Debug)]
pub struct VerifiedPackage {
    /// What it says of itself.
    pub manifest: Manifest,
    /// The manifest as its author wrote it.
    pub manifest_text: String,
    /// Its content.
    pub digest: Digest,
    /// The interfaces that it imports, in order of their names.
    pub imports: Vec<String>,
    /// Its bytes.
    pub size: usize,
}

/// Checks an upload. Its work is bounded by its size; a few hundred
/// milliseconds for the largest, so not on a thread that serves requests.
pub fn verify(bytes: &[u8]) -> Result<VerifiedPackage, PackageError> {
    let parsed = parse(bytes)?;
    let text = match parsed.manifests.as_slice() {
        [text] => *text,
        [] => return Err(PackageError::NoManifest),
        many => return Err(PackageError::ManyManifests(many.len())),
    };
    let manifest = Manifest::parse(text)?;
    check_against_world(&manifest, &parsed)?;
    Ok(VerifiedPackage {
        manifest,
        manifest_text: String::from_utf8_lossy(text).into_owned(),
        digest: Digest::of(bytes),
        imports: parsed.imports.into_iter().collect(),
        size: bytes.len(),
    })
}

fn check_against_world(manifest: &Manifest, parsed: &Parsed<'_>) -> Result<(), PackageError> {
    let (contract, types) = (contract(manifest.world), &parsed.types);
    for import in &parsed.imports {
        let offered = find(&contract.imports, import).ok_or_else(|| not_offered(import, contract))?;
        let used = functions(types.component_item_for_import(import).map(|item| item.ty), types);
        if let Some(function) = used.iter().find(|used| !offered.functions.contains(*used)) {
            let near = nearest(function, offered.functions.iter().map(String::as_str));
            return Err(PackageError::NotOffered {
                import: format!("{import}#{function}"),
                world: contract.world,
                near: near.map(|near| format!("did you mean `{near}`?")),
            });
        }
        if let Some(grant) = grant_for(import).filter(|grant| !asked(&manifest.grants, grant)) {
            return Err(PackageError::NotAsked { import: import.clone(), grant });
        }
    }
    for required in contract.exports.values() {
        let missing = |export: String| PackageError::NotExported { export, world: contract.world };
        let (path, _) = required.name.split_once('@').unwrap_or((&required.name, ""));
        let export = parsed
            .exports
            .iter()
            .find(|export| export.starts_with(path) && find(&contract.exports, export).is_some())
            .ok_or_else(|| missing(required.name.clone()))?;
        let offers = functions(types.component_item_for_export(export).map(|item| item.ty), types);
        if let Some(function) = required.functions.iter().find(|name| !offers.contains(*name)) {
            return Err(missing(format!("{export}#{function}")));
        }
    }
    Ok(())
}

fn functions(item: Option<ComponentEntityType>, types: &Types) -> BTreeSet<String> {
    let Some(ComponentEntityType::Instance(instance)) = item else { return BTreeSet::new() };
    let Some(instance) = types.as_ref().get(instance) else { return BTreeSet::new() };
    let is_function = |ty: &ComponentEntityType| matches!(ty, ComponentEntityType::Func(_));
    instance.exports.iter().filter(|(_, item)| is_function(&item.ty)).map(|(name, _)| name.clone()).collect()
}

fn not_offered(import: &str, contract: &Contract) -> PackageError {
    let offered = contract.imports.values().map(|interface| interface.name.as_str());
    let near = match offered_elsewhere(import) {
        Some(_) if import.starts_with("wasi:") => {
            Some("build it without WASI, for the target wasm32-unknown-unknown".to_owned())
        }
        Some(world) => Some(format!("only a {world} may")),
        None => nearest(import, offered).map(|near| format!("did you mean `{near}`?")),
    };
    let import = import.chars().take(200).collect();
    PackageError::NotOffered { import, world: contract.world, near }
}

const KV: &str = "kv = true";
const HTTP: &str = "http = [\"https://…\"]";
const SMTP: &str = "smtp = [\"smtp://…\"]";

/// What a manifest must ask for before its code may import this.
fn grant_for(import: &str) -> Option<&'static str> {
    match import.split('@').next() {
        Some("wharf:kv/store") => Some(KV),
        Some("wharf:smtp/submission") => Some(SMTP),
        Some("wharf:http/outgoing" | "wasi:http/outgoing-handler") => Some(HTTP),
        _ => None,
    }
}

fn asked(grants: &Wanted, grant: &str) -> bool {
    match grant {
        KV => grants.kv,
        SMTP => !grants.smtp.is_empty(),
        _ => !grants.http.is_empty(),
    }
}
