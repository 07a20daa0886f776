//! Control: the API under `/api/v1`, and the catalog behind it.
//!
//! Takes HTTP requests, gives [`router`] to the server; tells routing and
//! schedules what there is through [`Outlet`]. What it needs of the rest of the
//! host it says in [`ports`].
//!
//! Invariants
//! - Every call is authenticated; a handler has its permission as an argument.
//! - Another tenant's things and things that do not exist get one answer.
//! - No secret and no token's text leaves, but the text of a new token, once.
//! - A change is durable, served and in the audit log before its answer is sent.

#![forbid(unsafe_code)]

mod access;
mod api;
mod attempt;
mod catalog;
mod documents;
mod input;
mod login;
mod page;
pub mod ports;
mod refusal;
mod tokens;

use std::sync::Arc;

use host_audit::Audit;
use registry::Registry;

pub use access::{Limits, MayNot, Role, Scope};
pub use api::{permissions_page, router};
pub use catalog::{
    Action, Catalog, Ceilings, Done, LoadError, Outlet, Reader, Waits, WaitsFor, open_hooks, tenant_ids,
    waits,
};
pub use documents::read_documents;
pub use login::{Logins, Offered, Rule, router as login_router};
pub use page::{escape, page};
pub use tokens::{NewToken, NoEntry, Token, TokenError, TokenText, Tokens};

use crate::ports::{Authorizations, Calls, Events, Keys, Repair, Runs, Secrets, StepTests, Topics, Usage};

/// What the API is made of. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    /// Who did what.
    pub audit: Arc<Audit>,
    /// Who may come in.
    pub tokens: Tokens,
    /// Where people log in.
    pub logins: Arc<Logins>,
    /// What tenants have set up.
    pub catalog: Arc<Catalog>,
    /// The packages.
    pub registry: Registry,
    /// Calls of connectors.
    pub calls: Arc<dyn Calls>,
    /// What ran.
    pub runs: Arc<dyn Runs>,
    /// Where events go.
    pub events: Arc<dyn Events>,
    /// What is done to runs by hand.
    pub repair: Arc<dyn Repair>,
    /// Where workflows are tested.
    pub step_tests: Arc<dyn StepTests>,
    /// What is published by hand.
    pub topics: Arc<dyn Topics>,
    /// What tenants used of their quotas.
    pub usage: Arc<dyn Usage>,
    /// The stored secrets.
    pub secrets: Arc<dyn Secrets>,
    /// What people authorize.
    pub authorizations: Arc<dyn Authorizations>,
    /// What they are sealed by.
    pub keys: Arc<dyn Keys>,
}
