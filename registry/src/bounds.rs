//! What a package may be made of: more than any guest toolchain produces, far
//! less than what would hurt whoever compiles and instantiates it.

use wasmparser::{Instance, Payload, Result as Parsed};

use crate::error::PackageError;

/// The most bytes of a package: a Python component has 18.5 MB.
pub const MAX_PACKAGE: usize = 32 << 20;
/// Components and modules inside each other; a composed component needs three.
const MAX_DEPTH: u64 = 6;
/// Instantiated modules of all levels together; a Python component has 38.
/// This and the next three are what the sandbox's pool has room for.
const MAX_CORE_INSTANCES: u64 = 40;
/// Memories of all modules together; QuickJS has three.
const MAX_MEMORIES: u64 = 3;
/// Tables of all modules together; toolchains make three.
const MAX_TABLES: u64 = 3;
/// Elements of one table; QuickJS and Python need 10,000.
const MAX_TABLE_ELEMENTS: u64 = 10_000;
/// Component instances of all levels together; with the depth it bounds what
/// instantiating an instance of an instance can multiply to.
const MAX_COMPONENT_INSTANCES: u64 = 64;
/// Initial bytes of all memories together: the ceiling of a call's memory.
const MAX_INITIAL_MEMORY: u64 = 256 << 20;

/// Counts what a package is made of while it is parsed.
#[derive(Default)]
pub(crate) struct Counted {
    depth: u64,
    core_instances: u64,
    component_instances: u64,
    memories: u64,
    tables: u64,
    initial_memory: u64,
}

impl Counted {
    /// Whether what is parsed now belongs to the outermost component.
    pub(crate) fn at_top(&self) -> bool {
        self.depth == 1
    }

    /// Counts one payload; refuses the one that passes a bound.
    pub(crate) fn add(&mut self, payload: &Payload<'_>) -> Result<(), PackageError> {
        match payload {
            Payload::Version { .. } => self.depth += 1,
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::InstanceSection(section) => {
                for instance in section.clone() {
                    let made = matches!(instance.map_err(PackageError::of)?, Instance::Instantiate { .. });
                    self.core_instances += u64::from(made);
                }
            }
            Payload::ComponentInstanceSection(section) => {
                self.component_instances += u64::from(section.count());
            }
            Payload::MemorySection(section) => {
                self.memories += u64::from(section.count());
                for memory in section.clone() {
                    let memory = memory.map_err(PackageError::of)?;
                    let bytes =
                        memory.initial.saturating_mul(1 << memory.page_size_log2.unwrap_or(16).min(16));
                    self.initial_memory = self.initial_memory.saturating_add(bytes);
                }
            }
            Payload::TableSection(section) => {
                self.tables += u64::from(section.count());
                let sizes: Parsed<Vec<u64>> =
                    section.clone().into_iter().map(|table| Ok(table?.ty.initial)).collect();
                let largest = sizes.map_err(PackageError::of)?.into_iter().max().unwrap_or(0);
                within("elements in one table", largest, MAX_TABLE_ELEMENTS)?;
            }
            _ => {}
        }
        within("components and modules inside each other", self.depth, MAX_DEPTH)?;
        within("core instances", self.core_instances, MAX_CORE_INSTANCES)?;
        within("component instances", self.component_instances, MAX_COMPONENT_INSTANCES)?;
        within("memories", self.memories, MAX_MEMORIES)?;
        within("bytes of initial memory", self.initial_memory, MAX_INITIAL_MEMORY)?;
        within("tables", self.tables, MAX_TABLES)
    }
}

fn within(what: &'static str, found: u64, limit: u64) -> Result<(), PackageError> {
    if found > limit { Err(PackageError::Bound { what, found, limit }) } else { Ok(()) }
}
