//! The one pass over an upload's bytes: bounds are counted, everything is
//! validated, and what the checks need is picked up.

use std::collections::BTreeSet;

use host_model::manifest::SECTION;
use wasmparser::types::Types;
use wasmparser::{Encoding, FuncValidatorAllocations, Parser, Payload, ValidPayload, Validator};

use crate::bounds::{Counted, MAX_PACKAGE};
use crate::error::PackageError;
use crate::features;

/// A valid component, and what was found in it.
pub(crate) struct Parsed<'a> {
    /// Manifests at any depth: an SDK's link section is in the core module.
    pub(crate) manifests: Vec<&'a [u8]>,
    /// What the component itself, not one inside it, imports.
    pub(crate) imports: BTreeSet<String>,
    /// What the component itself exports.
    pub(crate) exports: BTreeSet<String>,
    /// The types of both.
    pub(crate) types: Types,
}

/// Parses and validates a component.
pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed<'_>, PackageError> {
    if bytes.len() > MAX_PACKAGE {
        return Err(PackageError::TooLarge(bytes.len()));
    }
    if !bytes.starts_with(b"\0asm") {
        return Err(PackageError::NotWasm);
    }
    let judge = |error: wasmparser::Error| match features::blame(bytes, &error) {
        Some(feature) => PackageError::SwitchedOff(feature),
        None => PackageError::of(error),
    };
    let mut counted = Counted::default();
    let (mut manifests, mut imports, mut exports) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let (mut bodies, mut types) = (Vec::new(), None);

    let mut validator = Validator::new_with_features(features::ON);
    let mut parser = Parser::new(0);
    parser.set_features(features::ON);
    for payload in parser.parse_all(bytes) {
        let payload = payload.map_err(judge)?;
        counted.add(&payload)?;
        match &payload {
            Payload::Version { encoding: Encoding::Module, .. } if counted.at_top() => {
                return Err(PackageError::CoreModule);
            }
            Payload::CustomSection(section) if section.name() == SECTION => manifests.push(section.data()),
            Payload::ComponentImportSection(section) if counted.at_top() => {
                for import in section.clone() {
                    imports.insert(import.map_err(judge)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if counted.at_top() => {
                for export in section.clone() {
                    exports.insert(export.map_err(judge)?.name.name.to_owned());
                }
            }
            _ => {}
        }
        match validator.payload(&payload).map_err(judge)? {
            ValidPayload::Func(function, body) => bodies.push((function, body)),
            ValidPayload::End(of_level) => types = Some(of_level),
            _ => {}
        }
    }
    let mut allocations = FuncValidatorAllocations::default();
    for (function, body) in bodies {
        let mut function = function.into_validator(allocations);
        function.validate(&body).map_err(judge)?;
        allocations = function.into_allocations();
    }
    let types = types.ok_or(PackageError::Truncated(bytes.len()))?;
    Ok(Parsed { manifests, imports, exports, types })
}
