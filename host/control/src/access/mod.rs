//! Who may do what: roles, the table of their powers, and the proof of one
//! that a handler takes as its first argument.
//!
//! Invariants
//! - A handler without that argument is no operation: `operations!` does not
//!   compile. Enforcement, the API's description and `docs/permissions.md` all
//!   come from that one argument and the one table.
//! - Whoever may not name a tenant is told the same as if it did not exist,
//!   whatever their role.

mod caller;
mod guarded;
mod page;
mod powers;
mod role;

pub use self::caller::MayNot;
pub(crate) use self::caller::{Caller, InTenant, May};
pub(crate) use self::guarded::{Guard, START, guard};
pub(crate) use self::page::{Line, page};
use self::powers::{Cell, Row};
pub(crate) use self::powers::{Power, ROLES, power};
pub use self::role::{Limits, Role, Scope};
pub(crate) use self::role::{RoleName, Written, scope_of};
