//! Ingress: what does the outside want, and what is it told?
//!
//! Takes HTTP requests for `/hooks/…` and `/run/…`, hands each on as an
//! [`Inbound`] to the [`Stages`], and turns their [`Reply`] or [`Refusal`]
//! into a response. It knows no tenant, no guest and no store.
//!
//! Invariants
//! - Only this crate makes an `Inbound`; its bytes are those that arrived.
//! - Nothing is read without a bound on its size and its time.
//! - A connection stays on the core that it came to, and nothing that takes long does.
//! - One match turns refusals into statuses; a host error's cause never leaves.
//! - A guest gets none of the caller's credentials, and no answer of a guest
//!   speaks for the operator's origin.

#![forbid(unsafe_code)]

mod address;
mod alarm;
mod answer;
mod cores;
mod front;
mod headers;
mod inbound;
mod limits;
mod peer;
mod prefer;
mod refusal;
mod reply;
mod serve;
mod stall;
#[cfg(test)]
mod tests;
mod tls;
mod unread;

pub use address::Address;
pub use cores::Cores;
pub use front::{Front, Stages};
pub use inbound::{Bearer, Inbound};
pub use limits::Limits;
pub use prefer::Prefer;
pub use refusal::Refusal;
pub use reply::Reply;
pub use serve::{Drained, Listener, Settings, serve};
pub use tls::{Certificates, Tls, TlsError, TlsFiles};
