//! The one engine constructor and every wasmtime knob, each with its reason.

mod load;

use std::num::NonZeroUsize;

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::StartError;
pub(crate) use load::load;

/// The most memory that any guest may be given, whatever its bounds say: what
/// Python and StarlingMonkey guests need, times four.
const MAX_MEMORY: usize = 256 << 20;
/// Table elements: QuickJS and Python components have up to 10,000.
const MAX_TABLE: usize = 10_000;
/// Memories of one component, and tables: QuickJS uses three.
const MAX_MEMORIES: u32 = 3;
/// Core instances of one component: Python has 38.
const MAX_CORE_INSTANCES: u32 = 40;
/// The guest's stack; Rust guests get 64 KiB of their own in linear memory besides.
pub(crate) const MAX_STACK: usize = 512 << 10;

/// The sizes of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// Calls and runs at once. Each reserves some 12 GiB of address space, not memory.
    pub slots: u32,
    /// Slots that keep a component's pages between calls. At least the number
    /// of hot components times the number of worker threads; each costs its
    /// component's touched pages, about 100 KiB for a Rust guest.
    pub warm_slots: u32,
    /// Threads on which calls that take long get their turns.
    pub threads: NonZeroUsize,
}

impl Default for EngineSettings {
    fn default() -> Self {
        // As many as cores: an idle machine gives everything to whoever asks.
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self { slots: 1_000, warm_slots: 1_000, threads }
    }
}

/// How instances are allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// From a pool: fast.
    Pooling,
    /// Each on its own, because this machine refused the pool: four times slower.
    OnDemand,
}

/// The engine that runs guests. Tries the pool and falls back, since a
/// container may limit address space.
pub(crate) fn make(settings: &EngineSettings) -> wasmtime::Result<(Engine, Allocation)> {
    match Engine::new(&pooling(settings)) {
        Ok(engine) => Ok((engine, Allocation::Pooling)),
        Err(error) => {
            tracing::warn!(
                error = format!("{error:#}"),
                "no pooling allocator on this machine, calls will be slower: raise the limit on address space (ulimit -v) or lower `sandbox.slots`"
            );
            Ok((Engine::new(&common())?, Allocation::OnDemand))
        }
    }
}

/// How this machine would allocate instances: makes an engine and drops it.
pub fn probe(settings: &EngineSettings) -> Result<Allocation, StartError> {
    make(settings).map(|(_, allocation)| allocation).map_err(StartError::Engine)
}

/// The engine that only compiles: the same code, no pool to reserve.
pub(crate) fn make_compiler() -> wasmtime::Result<Engine> {
    Engine::new(&common())
}

/// How guests are run on a machine that allows the pool. A host has no use for
/// it; the benchmark leaves one guard out and sees what it costs.
pub fn pooling(settings: &EngineSettings) -> Config {
    let mut config = common();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(settings)));
    config
}

fn common() -> Config {
    let mut config = Config::new();
    // Work is bounded by fuel; fuel with yields and a timeout costs less than fuel with epochs.
    config.consume_fuel(true);
    // The worlds are synchronous; component-model async would only be attack
    // surface, and is not compiled in either.
    config.concurrency_support(false);
    // No guest toolchain needs these.
    config.wasm_gc(false);
    config.wasm_function_references(false);
    config.wasm_exceptions(false);
    config.wasm_threads(false);
    config.wasm_memory64(false);
    config.wasm_relaxed_simd(false);
    config.wasm_stack_switching(false);
    config.wasm_custom_page_sizes(false);
    config.wasm_wide_arithmetic(false);
    // A workflow must compute the same at every replay, also with NaN.
    config.cranelift_nan_canonicalization(true);
    config.max_wasm_stack(MAX_STACK);
    // Room for the host functions on top of the guest's stack.
    config.async_stack_size(MAX_STACK + (1 << 20));
    // A trap is reported in one line; frames are the author's business, not the host's.
    config.wasm_backtrace_max_frames(None);
    config
}

fn pool(settings: &EngineSettings) -> PoolingAllocationConfig {
    let slots = settings.slots;
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(slots);
    // Enough for the greediest component in every slot: who has a slot must not
    // find the pool empty because of what a stranger's component takes. It costs
    // counters and address space, no memory.
    pool.total_core_instances(slots.saturating_mul(MAX_CORE_INSTANCES));
    pool.total_memories(slots.saturating_mul(MAX_MEMORIES));
    pool.total_tables(slots.saturating_mul(MAX_MEMORIES));
    pool.total_stacks(slots);
    // One component may not take the whole pool; all of these are unlimited by default.
    pool.max_core_instances_per_component(MAX_CORE_INSTANCES);
    pool.max_memories_per_component(MAX_MEMORIES);
    pool.max_tables_per_component(MAX_MEMORIES);
    pool.max_memory_size(MAX_MEMORY);
    pool.table_elements(MAX_TABLE);
    // Reset pages by memset instead of madvise: each madvise interrupts every other core.
    pool.pagemap_scan(Enabled::Auto);
    pool.linear_memory_keep_resident(1 << 20);
    pool.table_keep_resident(64 << 10);
    pool.async_stack_keep_resident(64 << 10);
    pool.max_unused_warm_slots(settings.warm_slots);
    pool
}
