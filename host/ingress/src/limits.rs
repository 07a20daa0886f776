//! What one request may bring.

use std::time::Duration;

/// What one request may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of path and query.
    pub uri_bytes: usize,
    /// Header lines.
    pub header_count: usize,
    /// Bytes of header names and values together.
    pub header_bytes: usize,
    /// Bytes of a body that is read whole.
    pub body_bytes: usize,
    /// How long reading such a body may take from its first byte to its last.
    pub body_time: Duration,
    /// The longest that `Prefer: wait=N` is honoured.
    pub longest_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            uri_bytes: 8 << 10, // what servers and proxies agree on (RFC 9110, 4.1, asks for this much)
            header_count: 100,  // webhooks send some twenty
            header_bytes: 32 << 10, // signatures and tracing, no session cookies
            body_bytes: 1 << 20, // what the `receive` endpoint promises in WIT
            body_time: Duration::from_secs(30), // 1 MiB at a slow 35 KB/s
            longest_wait: Duration::from_secs(60), // proxies cut idle requests about then
        }
    }
}
