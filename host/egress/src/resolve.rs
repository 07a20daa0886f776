//! From a name to addresses. A port, so that tests can play the attacker's
//! resolver.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use host_model::effects::BoxFuture;
use tokio::sync::Semaphore;

/// Looks up a host name's addresses. What it says is believed by nobody: each
/// address passes the second gate.
pub trait Resolver: Send + Sync + 'static {
    /// The addresses of `host`, which is a name and never an address.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// How long a look-up may take: the first retry of a common resolver is after
/// five seconds, and one lost datagram should not lose a request.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(8);
/// The most look-ups at once. Each blocks a thread for as long as the system
/// likes; this leaves most of tokio's 512 to the store.
const MAX_LOOKUPS: usize = 64;

/// The system's resolver: `/etc/hosts`, `/etc/resolv.conf` and so on.
#[derive(Clone)]
pub struct SystemResolver {
    places: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MAX_LOOKUPS)) }
    }
}

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let lookup = async {
            let place = Arc::clone(&self.places).acquire_owned().await.map_err(io::Error::other)?;
            let host = host.to_owned();
            let thread = tokio::task::spawn_blocking(move || {
                // Held by the thread: it goes on when nobody waits any more.
                let _place = place;
                (host.as_str(), 0).to_socket_addrs().map(|found| found.map(|found| found.ip()).collect())
            });
            thread.await.map_err(io::Error::other)?
        };
        Box::pin(async {
            tokio::time::timeout(LOOKUP_TIMEOUT, lookup).await.unwrap_or_else(|_| {
                Err(io::Error::new(io::ErrorKind::TimedOut, "the resolver did not answer in time"))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_system_knows_localhost_and_no_invalid_name() {
        let found = SystemResolver::default().resolve("localhost").await.unwrap();
        assert!(found.iter().all(IpAddr::is_loopback) && !found.is_empty());
        assert!(SystemResolver::default().resolve("no such name").await.is_err());
    }
}
