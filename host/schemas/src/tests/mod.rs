//! Schemas as tenants write them, and as attackers do.

mod bombs;
mod checking;
mod refusing;

use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use crate::{BadSchema, Schema, Schemas};

/// Far beyond what any of these tests takes: without the guard they would not end.
const WATCHDOG: Duration = Duration::from_secs(120);

fn accept(document: &Value) -> Result<Schema, BadSchema> {
    Schema::accept("test@1".parse().unwrap(), document)
}

/// Every violation as it is told, for a schema that is accepted.
fn told(document: &Value, data: &Value) -> String {
    let schema = accept(document).unwrap();
    Schemas::default().check_value(&schema, data).map_or_else(|it| it.to_string(), |()| "it fits".to_owned())
}

/// Runs on a thread with a stack like those of the host's workers; ends the
/// test if it takes for ever.
fn watched<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, done) = mpsc::channel();
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    thread.spawn(move || send.send(work())).unwrap();
    done.recv_timeout(WATCHDOG).expect("it ends, and does not panic")
}
