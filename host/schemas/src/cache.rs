//! Checking, with compiled schemas at hand.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use host_model::digest::Digest;
use jsonschema::Validator;
use parking_lot::Mutex;
use serde_json::Value;

use crate::instance::{MAX_DATA_DEPTH, MAX_REPORT, MAX_WORK, Size};
use crate::schema::Schema;
use crate::violations::Violations;

/// How many compiled schemas are kept if the host does not say: some megabytes
/// for usual ones, which take about a millisecond to compile again.
const KEPT: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// Checks data against schemas. Keeps the compiled ones that were used last.
#[derive(Debug)]
pub struct Schemas {
    most: NonZeroUsize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    compiled: HashMap<Digest, (Arc<Validator>, u64)>,
    /// Counts uses, to know the oldest.
    uses: u64,
}

impl Default for Schemas {
    fn default() -> Self {
        Self::keeping(KEPT)
    }
}

impl Schemas {
    /// Keeps at most so many compiled schemas.
    pub fn keeping(most: NonZeroUsize) -> Self {
        Self { most, kept: Mutex::default() }
    }

    /// Whether a JSON text fits; if not, everything that does not.
    pub fn check(&self, schema: &Schema, text: &str) -> Result<(), Violations> {
        match serde_json::from_str(text) {
            Ok(data) => self.check_value(schema, &data),
            // The error's text may quote the data.
            Err(error) => Err(Violations::one(
                schema.name(),
                "",
                format!("be JSON: it is not, at line {} column {}", error.line(), error.column()),
            )),
        }
    }

    /// Whether a value fits; if not, everything that does not.
    pub fn check_value(&self, schema: &Schema, data: &Value) -> Result<(), Violations> {
        let size = Size::of(data);
        let refused = |expected: String| Err(Violations::one(schema.name(), "", expected));
        if size.depth > MAX_DATA_DEPTH {
            return refused(format!("nest at most {MAX_DATA_DEPTH} deep, and nests {} deep", size.depth));
        }
        let work = size.work(&schema.cost);
        if work > MAX_WORK {
            return refused(format!(
                "be smaller: checking it would take {work} units of work, the limit is {MAX_WORK}"
            ));
        }
        // Compiled when the schema was accepted, so this fails only if the library changed.
        let Ok(validator) = self.compiled(schema) else {
            return refused(
                "wait: its schema cannot be compiled by this host any more, apply it again".to_owned(),
            );
        };
        if validator.is_valid(data) {
            return Ok(());
        }
        if size.report(&schema.cost) <= MAX_REPORT {
            return Err(Violations::of(schema.name(), validator.iter_errors(data)));
        }
        let first = if schema.cost.again == 0 { validator.validate(data).err() } else { None };
        match first {
            Some(first) => {
                let told = Violations::of(schema.name(), std::iter::once(first));
                Err(Violations { more: true, ..told })
            }
            None => refused("fit: it is too large to say where it does not".to_owned()),
        }
    }

    fn compiled(&self, schema: &Schema) -> Result<Arc<Validator>, crate::BadSchema> {
        if let Some(found) = self.kept.lock().get(&schema.digest) {
            return Ok(found);
        }
        let fresh = Arc::new(schema.compile()?);
        self.kept.lock().put(schema.digest, Arc::clone(&fresh), self.most);
        Ok(fresh)
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.kept.lock().compiled.len()
    }
}

impl Kept {
    fn get(&mut self, digest: &Digest) -> Option<Arc<Validator>> {
        self.uses += 1;
        let (found, used) = self.compiled.get_mut(digest)?;
        *used = self.uses;
        Some(Arc::clone(found))
    }

    fn put(&mut self, digest: Digest, compiled: Arc<Validator>, most: NonZeroUsize) {
        while self.compiled.len() >= most.get() && !self.compiled.contains_key(&digest) {
            let oldest = self.compiled.iter().min_by_key(|(_, (_, used))| *used).map(|(digest, _)| *digest);
            let Some(oldest) = oldest else { break };
            self.compiled.remove(&oldest);
        }
        self.compiled.insert(digest, (compiled, self.uses));
    }
}
