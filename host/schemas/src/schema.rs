//! A schema that the guard let pass.

use std::sync::Arc;

use host_model::digest::Digest;
use host_model::name::SchemaRef;
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use crate::guard::{self, BadSchema, Cost};

/// The most bytes that the engine may use for one pattern: the guard has
/// refused what is large, the engine keeps a few forms of what is left.
const PATTERN_BYTES: usize = 8 * guard::MAX_PATTERN;

/// A schema that can be checked against with bounded work. It is the document
/// only; [`crate::Schemas`] keeps compiled ones.
#[derive(Clone, Debug)]
pub struct Schema {
    name: SchemaRef,
    document: Arc<Value>,
    pub(crate) digest: Digest,
    pub(crate) cost: Cost,
}

impl Schema {
    /// Takes a schema that a stranger wrote, if its work is bounded and it is
    /// JSON Schema 2020-12.
    pub fn accept(name: SchemaRef, document: &Value) -> Result<Self, BadSchema> {
        let cost = guard::guard(document)?;
        let mut document = document.clone();
        if let Value::Object(fields) = &mut document {
            // References stay in the document, whatever it calls itself.
            fields.remove("$id");
            fields.remove("$schema");
        }
        let digest = Digest::of(document.to_string().as_bytes());
        let schema = Self { name, document: Arc::new(document), digest, cost };
        schema.compile()?;
        Ok(schema)
    }

    /// Its name and version.
    pub fn name(&self) -> &SchemaRef {
        &self.name
    }

    /// The JSON Schema, without `$id` and `$schema`.
    pub fn document(&self) -> &Value {
        &self.document
    }

    pub(crate) fn compile(&self) -> Result<Validator, BadSchema> {
        jsonschema::options()
            .with_draft(Draft::Draft202012)
            .offline()
            .should_validate_formats(false) // annotations, as 2020-12 has them by default
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES))
            .build(&self.document)
            .map_err(|error| BadSchema::Invalid {
                at: error.instance_path().as_str().chars().take(200).collect(),
                message: error.masked_with("it").to_string().chars().take(400).collect(),
            })
    }
}
