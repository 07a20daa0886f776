//! Roles, and whose things a token names.

use std::collections::BTreeSet;

use host_model::name::{ConnectionName, TenantId, WorkflowName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a token may do to the things of its tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// All that a tenant can do.
    Admin,
    /// Set up and run: all but secrets, tokens and the audit log.
    Developer,
    /// Look.
    Viewer,
    /// A program: only what is named.
    Service(Limits),
}

impl Role {
    /// The word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Developer => "developer",
            Self::Viewer => "viewer",
            Self::Service(_) => "service",
        }
    }
}

/// What a service token is limited to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Limits {
    /// The workflows that it may start.
    #[schema(value_type = Vec<String>)]
    pub workflows: BTreeSet<WorkflowName>,
    /// The connections that it may call.
    #[schema(value_type = Vec<String>)]
    pub connections: BTreeSet<ConnectionName>,
}

/// Whose things a token names, and as what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Scope {
    /// The host's and everybody's.
    Operator,
    /// One tenant's.
    Tenant {
        /// The tenant.
        tenant: TenantId,
        /// What it may do to them.
        role: Role,
    },
}

impl Scope {
    /// A tenant's, in this role.
    pub fn of(tenant: TenantId, role: Role) -> Self {
        Self::Tenant { tenant, role }
    }

    /// The word for the role: `operator`, or the one in the tenant.
    pub fn role_name(&self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Tenant { role, .. } => role.name(),
        }
    }

    /// The only tenant that it names, if it names one only.
    pub fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::Operator => None,
            Self::Tenant { tenant, .. } => Some(tenant),
        }
    }
}

/// A scope as it is written down.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Written {
    scope: Reach,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// `operator`, `admin`, `developer`, `viewer` or `service`.
    // A tenant's token from before there were roles could do all that an admin can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<RoleName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limits: Option<Limits>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Reach {
    Operator,
    Tenant,
}

/// The word for a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RoleName {
    Operator,
    Admin,
    Developer,
    Viewer,
    Service,
}

impl RoleName {
    /// The role of this word.
    pub(crate) fn of(word: &str) -> Option<Self> {
        serde_json::from_value(word.into()).ok()
    }
}

impl From<Scope> for Written {
    fn from(scope: Scope) -> Self {
        let (tenant, role) = match scope {
            Scope::Operator => {
                return Self {
                    scope: Reach::Operator,
                    tenant: None,
                    role: Some(RoleName::Operator),
                    limits: None,
                };
            }
            Scope::Tenant { tenant, role } => (tenant, role),
        };
        let (role, limits) = match role {
            Role::Admin => (RoleName::Admin, None),
            Role::Developer => (RoleName::Developer, None),
            Role::Viewer => (RoleName::Viewer, None),
            Role::Service(limits) => (RoleName::Service, Some(limits)),
        };
        Self { scope: Reach::Tenant, tenant: Some(tenant), role: Some(role), limits }
    }
}

impl TryFrom<Written> for Scope {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, &'static str> {
        let Written { scope, tenant, role, limits } = written;
        match (scope, tenant) {
            (Reach::Operator, None) => scope_of(None, role.unwrap_or(RoleName::Operator), limits),
            (Reach::Tenant, Some(tenant)) => scope_of(Some(tenant), role.unwrap_or(RoleName::Admin), limits),
            _ => Err("a tenant's scope names its tenant, and the operator's none"),
        }
    }
}

/// What is asked for, if it goes together.
pub(crate) fn scope_of(
    tenant: Option<TenantId>,
    role: RoleName,
    limits: Option<Limits>,
) -> Result<Scope, &'static str> {
    if limits.is_some() && role != RoleName::Service {
        return Err("only the role `service` is limited to workflows or connections");
    }
    let role = match (role, limits) {
        (RoleName::Operator, _) if tenant.is_none() => return Ok(Scope::Operator),
        (RoleName::Operator, _) => return Err("the role `operator` is of no tenant"),
        (RoleName::Admin, _) => Role::Admin,
        (RoleName::Developer, _) => Role::Developer,
        (RoleName::Viewer, _) => Role::Viewer,
        (RoleName::Service, Some(limits)) => Role::Service(limits),
        (RoleName::Service, None) => {
            return Err("the role `service` takes the workflows or connections that it is for");
        }
    };
    tenant.map(|tenant| Scope::of(tenant, role)).ok_or("that role is in a tenant: name it")
}
