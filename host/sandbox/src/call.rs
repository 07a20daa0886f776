//! One call: a fresh store with every bound set, driven to its end, judged.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::FutureExt;
use host_capabilities::{Call, Meter, Subject, tidy};
use host_model::bounds::Bounds;
use host_model::effects::Stopped;
use host_model::name::TenantId;
use host_model::outcome::{Bound, Exceeded, Finished, Level, LogLine, Outcome, Usage};
use host_model::resource::Connection;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::ResourceTableError;
use wasmtime::{Store, Trap};
use wasmtime_wasi_http::p2::body::{HostOutgoingBody, StreamContext};

use crate::engine::MAX_STACK;
use crate::memory::Payer;
use crate::state::State;
use crate::{CallFailed, Sandbox};

/// Fuel between two yields to the scheduler, so that neighbours and timeouts
/// get their turn: a tenth of a millisecond of a spinning guest, and some 20 ms
/// of one that only calls the host, where a call costs five units and 100 ns.
pub(crate) const YIELD_EVERY: u64 = 1_000_000;
/// What one host call may hand over besides the largest body or answer: a URL,
/// headers, a list of handles.
const BESIDES: u64 = 1 << 20;

/// How a driven guest ended: `None` if its wall time was up.
pub(crate) struct Driven<T> {
    result: Option<wasmtime::Result<T>>,
    wall: Duration,
    guest: Duration,
}

impl Sandbox {
    /// A fresh store for one call, all bounds set. The permit holds its slot
    /// and comes first, so that it is dropped last: a slot that is free has
    /// its instance back, also when a call is dropped half way.
    pub(crate) async fn open(
        &self,
        tenant: Option<&TenantId>,
        subject: Subject,
        bounds: &Bounds,
    ) -> Result<(OwnedSemaphorePermit, Store<State>), CallFailed> {
        let slots = if matches!(subject, Subject::Run(_)) { &self.run_slots } else { &self.call_slots };
        let slot = Arc::clone(slots)
            .acquire_owned()
            .await
            .map_err(|closed| CallFailed::Engine(closed.to_string()))?;
        Ok((slot, self.store(tenant, subject, bounds)?))
    }

    /// The same for a call of this connection.
    pub(crate) async fn open_for(
        &self,
        connection: &Arc<Connection>,
    ) -> Result<(OwnedSemaphorePermit, Store<State>), CallFailed> {
        let subject = Subject::Connection(Arc::clone(connection));
        self.open(Some(&connection.tenant), subject, &connection.bounds).await
    }

    fn store(
        &self,
        tenant: Option<&TenantId>,
        subject: Subject,
        bounds: &Bounds,
    ) -> Result<Store<State>, CallFailed> {
        let payer = tenant.map(|tenant| Payer { tenant: tenant.clone(), tolls: Arc::clone(&self.tolls) });
        let call = Call::new(Arc::clone(&self.capabilities), subject, Meter::new(bounds.clone()));
        let mut store = Store::new(&self.prepared.engine, State::new(call, payer));
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(usize::try_from(at_once(bounds)).unwrap_or(usize::MAX));
        // Twice, since a handle that is lent to a host call counts again meanwhile.
        store.set_max_component_handles((bounds.handles as usize).saturating_mul(2));
        let fueled =
            store.set_fuel(bounds.fuel).and_then(|()| store.fuel_async_yield_interval(Some(YIELD_EVERY)));
        fueled.map_err(|error| CallFailed::Engine(format!("{error:#}")))?;
        Ok(store)
    }
}

/// The bytes that one host call may hand over. wasmtime counts each call for
/// itself and before the meter sees it, so this alone bounds what a single one
/// makes the host allocate.
fn at_once(bounds: &Bounds) -> u64 {
    bounds.body_bytes.max(bounds.output_bytes).saturating_add(BESIDES).min(bounds.host_call_bytes)
}

/// Runs a guest's future within its wall time and measures how long the guest
/// itself was on the CPU. A panic in host code ends this call only.
pub(crate) async fn drive<T>(
    wall: Duration,
    guest: impl Future<Output = wasmtime::Result<T>>,
) -> Result<Driven<T>, CallFailed> {
    let began = Instant::now();
    let (mut resumed, mut paused, mut on_cpu) = (Some(began), began, Duration::ZERO);
    let mut guest = pin!(AssertUnwindSafe(guest).catch_unwind());
    // Set when the guest first waits: most never do.
    let mut deadline = None;
    let ended = poll_fn(|context| {
        let resumed = resumed.take().unwrap_or_else(Instant::now);
        let progress = guest.as_mut().poll(context);
        paused = Instant::now();
        on_cpu += paused - resumed;
        match progress {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending => {
                let left = wall.saturating_sub(paused - began);
                let deadline = deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(left)));
                deadline.as_mut().poll(context).map(|()| None)
            }
        }
    });
    let result = match ended.await {
        Some(Ok(result)) => Some(result),
        Some(Err(_)) => return Err(CallFailed::Panicked),
        None => None,
    };
    Ok(Driven { result, wall: paused - began, guest: on_cpu })
}

/// Turns a driven call into what is known of it. `judge` checks the answer.
pub(crate) fn finish<T, U>(
    mut store: Store<State>,
    driven: Driven<T>,
    judge: impl FnOnce(T, &Bounds) -> Outcome<U>,
) -> Result<Finished<U>, CallFailed> {
    let left = store.get_fuel().unwrap_or(0);
    if !matches!(driven.result, Some(Ok(_))) {
        break_off_bodies(&mut store);
    }
    let state = store.data_mut();
    let bounds = state.call.meter.bounds().clone();
    let written = written_lines(state);
    let counted = state.usage();
    let usage = Usage {
        fuel: bounds.fuel.saturating_sub(left).saturating_add(counted.fuel),
        wall_us: micros(driven.wall),
        guest_us: micros(driven.guest),
        ..counted
    };
    let mut log = state.call.take_log();
    log.extend(written);
    let outcome = match (driven.result, state.call.meter.passed()) {
        // Passed inside a WASI host function, where no trap could be raised.
        (_, Some(exceeded)) => Outcome::Exceeded(exceeded),
        // Guest and host are stopped each at the bound; here they count together.
        (Some(Ok(_)), None) if usage.fuel > bounds.fuel => {
            Outcome::Exceeded(Exceeded { bound: Bound::Fuel, limit: bounds.fuel, used: usage.fuel })
        }
        (Some(Ok(answer)), None) => judge(answer, &bounds),
        (Some(Err(error)), None) => judge_error(&error, &bounds)?,
        (None, None) => Outcome::Exceeded(Exceeded {
            bound: Bound::WallTime,
            limit: u64::try_from(bounds.wall.as_millis()).unwrap_or(u64::MAX),
            used: usage.wall_us / 1_000,
        }),
    };
    Ok(Finished { outcome, usage, log })
}

fn judge_error<U>(error: &wasmtime::Error, bounds: &Bounds) -> Result<Outcome<U>, CallFailed> {
    let exceeded = |bound, limit| Outcome::Exceeded(Exceeded { bound, limit, used: limit });
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        return Ok(Outcome::Exceeded(*exceeded));
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return Ok(match trap {
            Trap::OutOfFuel => exceeded(Bound::Fuel, bounds.fuel),
            Trap::StackOverflow => exceeded(Bound::Stack, MAX_STACK as u64),
            // Rust and C keep a stack of their own in the guest's memory.
            Trap::MemoryOutOfBounds => {
                Outcome::Trapped(format!("{trap}; recursion without end shows as this, too"))
            }
            trap => Outcome::Trapped(trap.to_string()),
        });
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
        return Ok(exceeded(Bound::Handles, bounds.handles.into()));
    }
    if let Some(stopped) = error.downcast_ref::<Stopped>() {
        return Ok(Outcome::Trapped(stopped.to_string()));
    }
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return Err(CallFailed::Engine(format!("{error:#}")));
    }
    let cause = error.root_cause().to_string();
    // wasmtime keeps the types of these to itself; a test of each sees whether its text still holds.
    if cause.contains("fuel allocated for hostcalls") {
        return Ok(exceeded(Bound::HostCallBytes, at_once(bounds)));
    }
    if cause.contains("store handle limit exceeded") {
        return Ok(exceeded(Bound::Handles, bounds.handles.into()));
    }
    // What is left is a guest that broke the component model's rules: invalid
    // UTF-8, a list out of its memory, a second answer.
    Ok(Outcome::Trapped(tidy(&cause)))
}

/// What a guest that was ended had not finished sending must not look whole:
/// dropped with its store, a body would end as if there were no more of it.
pub(crate) fn break_off_bodies(store: &mut Store<State>) {
    let Some(wasi) = &mut store.data_mut().wasi else { return };
    for resource in wasi.table.iter_mut() {
        let Some(body) = (resource as &mut dyn Any).downcast_mut::<HostOutgoingBody>() else { continue };
        // `abort` takes the body itself, so an idle one is left in its place.
        let (idle, _) = HostOutgoingBody::new(StreamContext::Response, None, 1, 1);
        std::mem::replace(body, idle).abort();
    }
}

/// A webhook's call is no part of a run, and its caller is a stranger: what it
/// logged and why it was ended is for the operator's log.
pub(crate) fn report<T>(connection: &Connection, finished: &Finished<T>) {
    let (tenant, name) = (&connection.tenant, &connection.name);
    for line in finished.log.iter().filter(|line| line.level != Level::Debug) {
        tracing::info!(tenant.id = %tenant, connection.name = %name, "{}", line.text);
    }
    report_end(connection, finished);
}

/// Says in the operator's log why a call was ended, if it was.
pub(crate) fn report_end<T>(connection: &Connection, finished: &Finished<T>) {
    let (tenant, name) = (&connection.tenant, &connection.name);
    let why = match &finished.outcome {
        Outcome::Answered(_) | Outcome::Declined(_) => return,
        Outcome::Exceeded(exceeded) => exceeded.to_string(),
        Outcome::Trapped(trap) => format!("crashed: {trap}"),
        Outcome::BadAnswer(why) => format!("gave a bad answer: {why}"),
    };
    tracing::warn!(tenant.id = %tenant, connection.name = %name, "a call of connection `{name}` was ended: it {why}");
}

/// What a WASI guest wrote to stdout and stderr, as log lines.
fn written_lines(state: &mut State) -> Vec<LogLine> {
    let Some(wasi) = &state.wasi else { return Vec::new() };
    let (written, spent) = wasi.output.take();
    state.call.meter.logged(spent);
    let text = String::from_utf8_lossy(&written);
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.map(|line| state.call.line(Level::Info, line)).collect()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
