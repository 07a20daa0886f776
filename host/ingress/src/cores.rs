//! Threads that serve connections, one for each core, each with a runtime of
//! its own.
//!
//! A connection stays on one of them from its first byte to its last. On a
//! runtime whose threads share their work, each request wakes a second thread
//! that comes to take some of it: more than a request of 20 µs is worth, and
//! less than both cores are used. What takes long is not done here: a guest
//! that does moves into the sandbox's pool, runs are on the host's own runtime.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The threads. They end when this is dropped, and with them what is still on them.
#[derive(Debug)]
pub struct Cores {
    all: Vec<Arc<Core>>,
    _end: DropGuard,
}

#[derive(Debug)]
struct Core {
    runtime: Handle,
    connections: AtomicUsize,
}

/// A connection's stay on a core, while it lasts.
pub(crate) struct Stay(Arc<Core>);

impl Cores {
    /// Starts so many threads. An error is the system's: no thread, or no file descriptor.
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        let end = CancellationToken::new();
        let guard = end.clone().drop_guard();
        let all = (0..count.get()).map(|number| Core::start(number, end.clone()).map(Arc::new));
        Ok(Self { all: all.collect::<io::Result<_>>()?, _end: guard })
    }

    /// A stay where the fewest are.
    pub(crate) fn stay(&self) -> Option<Stay> {
        let core = self.all.iter().min_by_key(|core| core.connections.load(Ordering::Relaxed))?;
        core.connections.fetch_add(1, Ordering::Relaxed);
        Some(Stay(Arc::clone(core)))
    }
}

impl Core {
    fn start(number: usize, end: CancellationToken) -> io::Result<Self> {
        let (tell, told) = sync_channel(1);
        // The runtime is made where it ends, since it may not be dropped on another.
        let life = move || match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                if tell.send(Ok(runtime.handle().clone())).is_ok() {
                    runtime.block_on(end.cancelled());
                }
            }
            Err(error) => drop(tell.send(Err(error))), // heard below
        };
        std::thread::Builder::new().name(format!("sockets-{number}")).spawn(life)?;
        let runtime = told.recv().map_err(io::Error::other)??;
        Ok(Self { runtime, connections: AtomicUsize::new(0) })
    }
}

impl Stay {
    pub(crate) fn runtime(&self) -> &Handle {
        &self.0.runtime
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Cores {
        Cores::start(NonZeroUsize::new(2).unwrap()).unwrap()
    }

    #[test]
    fn connections_spread_over_the_cores_also_when_some_end() {
        let cores = two();
        let at = |stay: &Stay| cores.all.iter().position(|core| Arc::ptr_eq(core, &stay.0)).unwrap();
        let stays: Vec<Stay> = (0..4).map(|_| cores.stay().unwrap()).collect();
        assert_eq!(stays.iter().map(at).collect::<Vec<_>>(), [0, 1, 0, 1]);
        let stays: Vec<Stay> = stays.into_iter().filter(|stay| at(stay) == 0).collect();
        let later = [cores.stay().unwrap(), cores.stay().unwrap()];
        assert_eq!(later.each_ref().map(at), [1, 1]);
        drop(stays);
    }

    #[tokio::test]
    async fn what_is_on_the_cores_ends_with_them() {
        let cores = two();
        let (held, ends) = tokio::sync::oneshot::channel::<()>();
        cores.stay().unwrap().runtime().spawn(async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        drop(cores);
        assert!(ends.await.is_err());
    }
}
