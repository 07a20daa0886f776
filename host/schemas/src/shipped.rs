//! The schemas that every tenant has without applying anything.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use host_model::name::{SchemaName, SchemaRef};

use crate::schema::Schema;

/// Each file says what its fields mean.
const FILES: [(&str, &str); 5] = [
    ("contact@1", include_str!("../schemas/contact@1.json")),
    ("lead@1", include_str!("../schemas/lead@1.json")),
    ("notification@1", include_str!("../schemas/notification@1.json")),
    ("order@1", include_str!("../schemas/order@1.json")),
    ("ticket@1", include_str!("../schemas/ticket@1.json")),
];

#[expect(clippy::expect_used, reason = "the files are part of this binary, and a test reads them all")]
static SHIPPED: LazyLock<BTreeMap<SchemaRef, Arc<Schema>>> = LazyLock::new(|| {
    let read = |(name, text): (&str, &str)| {
        let name: SchemaRef = name.parse().expect("a schema's name");
        let document = serde_json::from_str(text).expect("JSON");
        let schema = Schema::accept(name.clone(), &document).expect("a bounded schema");
        (name, Arc::new(schema))
    };
    FILES.into_iter().map(read).collect()
});

/// The shipped schema of this name.
pub fn shipped(name: &SchemaRef) -> Option<&'static Arc<Schema>> {
    SHIPPED.get(name)
}

/// Their names, in order.
pub fn shipped_names() -> impl Iterator<Item = &'static SchemaRef> {
    SHIPPED.keys()
}

/// Whether a shipped schema has this name, in any version: a tenant's may not.
pub fn is_shipped(name: &SchemaName) -> bool {
    SHIPPED.keys().any(|shipped| shipped.name == *name)
}
