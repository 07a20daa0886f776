//! The table: every power, and who has it.

use std::collections::BTreeSet;

use axum::extract::RawPathParams;
use host_model::name::{ConnectionName, TenantId};

use super::role::{Limits, Role, Scope};
use crate::refusal::Refusal;

/// The columns of the table.
pub(crate) const ROLES: [&str; 5] = ["operator", "admin", "developer", "viewer", "service"];

/// Whether a role has a power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Over everything that its token names.
    Yes,
    /// Over what is its own: an admin's tenant, what a service token is limited to.
    Own,
    /// No.
    No,
}

impl Cell {
    /// How the table is read aloud.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Own => "own",
            Self::No => "no",
        }
    }
}

/// One power's row.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// In the order of [`ROLES`].
    pub(crate) cells: [Cell; 5],
}

impl Row {
    fn cell(&self, scope: &Scope) -> Cell {
        let [operator, admin, developer, viewer, service] = self.cells;
        match scope {
            Scope::Operator => operator,
            Scope::Tenant { role: Role::Admin, .. } => admin,
            Scope::Tenant { role: Role::Developer, .. } => developer,
            Scope::Tenant { role: Role::Viewer, .. } => viewer,
            Scope::Tenant { role: Role::Service(_), .. } => service,
        }
    }

    /// Whether a token of this scope has the power over anything at all.
    pub(crate) fn given_to(&self, scope: &Scope) -> Result<(), Refusal> {
        match self.cell(scope) {
            Cell::Yes | Cell::Own => Ok(()),
            Cell::No => Err(self.refusal(scope)),
        }
    }

    fn refusal(&self, scope: &Scope) -> Refusal {
        let roles = ROLES.iter().zip(self.cells).filter(|(_, cell)| *cell != Cell::No);
        let roles: Vec<_> = roles.map(|(role, _)| *role).collect();
        let own = scope.role_name();
        Refusal::Forbidden(format!("this takes the role {}; the token's is {own}", roles.join(" or ")))
    }
}

/// A power as a type, for the argument that proves it.
pub(crate) trait Power: Send + Sync + 'static {
    const ROW: Row;
    /// Whether what the path names is among what a service token is limited to.
    fn covers(_: &Limits, _: &RawPathParams) -> bool {
        false
    }
}

/// Whether a scope has the power in a tenant; over what is told by `covers`.
/// Another tenant looks absent, also to those who would lack the power.
pub(crate) fn in_tenant<P: Power>(
    scope: &Scope,
    tenant: &TenantId,
    covers: impl FnOnce(&Limits) -> bool,
) -> Result<(), Refusal> {
    if scope.tenant().is_some_and(|own| own != tenant) {
        return Err(Refusal::Absent);
    }
    P::ROW.given_to(scope)?;
    match scope {
        Scope::Tenant { role: Role::Service(limits), .. } if !covers(limits) => Err(not_limited_to(limits)),
        _ => Ok(()),
    }
}

/// Said of what is there and of what is not alike.
fn not_limited_to(limits: &Limits) -> Refusal {
    fn words<T: ToString>(what: &str, names: &BTreeSet<T>) -> Option<String> {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")))
    }
    let to = [words("workflow", &limits.workflows), words("connection", &limits.connections)];
    let to: Vec<_> = to.into_iter().flatten().collect();
    Refusal::Forbidden(format!("this token is for {} only", to.join(" and ")))
}

macro_rules! powers {
    ($($name:ident, $word:literal, $about:literal: $($cell:ident)+ $(=> $covers:expr)?;)+) => {
        /// The powers.
        pub(crate) mod power {
            use super::{Cell::{No, Own, Yes}, Power, Row};
            #[allow(unused_imports, reason = "for the powers that cover what a path names")]
            use super::{ConnectionName, Limits, RawPathParams, named};
            $(
                #[doc = $about]
                pub(crate) struct $name;
                impl Power for $name {
                    const ROW: Row = Row { name: $word, about: $about, cells: [$($cell),+] };
                    $(
                        fn covers(limits: &Limits, params: &RawPathParams) -> bool {
                            let covers: fn(&Limits, &RawPathParams) -> bool = $covers;
                            covers(limits, params)
                        }
                    )?
                }
            )+
        }

        /// Every row, for the page.
        pub(crate) const TABLE: &[Row] = &[$(<power::$name as Power>::ROW),+];
    };
}

powers! {
    //                                                                               operator admin developer viewer service
    Ask, "ask", "Ask who one is and what the API offers":                                 Yes Yes Yes Yes Yes;
    Browse, "browse", "Look at the packages":                                             Yes Yes Yes Yes No;
    See, "see", "See what a tenant has set up, what failed, and the names of its secrets":
                                                                                          Yes Yes Yes Yes No;
    SeeRuns, "see-runs", "See runs, inputs and outputs included":                         Yes Yes Yes Yes Own => |_, _| true;
    Call, "call", "Call a connection's endpoints, and test it":                           Yes Yes Yes No Own => |limits, params| {
        named(params).is_some_and(|name: ConnectionName| limits.connections.contains(&name))
    };
    Start, "start", "Start a workflow":                                                   Yes Yes Yes No Own;
    Operate, "operate", "Steer runs: events, topics, tests, replays, stopping, dismissing":
                                                                                          Yes Yes Yes No No;
    Change, "change", "Change connections, workflows, schedules and schemas":             Yes Yes Yes No No;
    Consent, "consent", "Allow connections and packages more than they were allowed":    Yes Yes No No No;
    KeepSecrets, "keep-secrets", "Set and delete secrets":                                Yes Yes No No No;
    KeepTokens, "keep-tokens", "Make, list, rotate and revoke tokens":                    Yes Own No No No;
    ReadAudit, "read-audit", "Read and verify the audit log":                              Yes Own No No No;
    Host, "host", "Keep what is the host's: tenants, packages, the keys of secrets":                      Yes No No No No;
}

/// The path's `{name}`.
fn named<T: std::str::FromStr>(params: &RawPathParams) -> Option<T> {
    params.iter().find(|(key, _)| *key == "name").and_then(|(_, value)| value.parse().ok())
}
