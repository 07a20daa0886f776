//! Who calls, and what for. A handler that takes [`Operator`] or [`InTenant`]
//! cannot be reached without the permission, so it needs no check of its own.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use host_model::name::TenantId;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::Control;
use crate::catalog::Tenant;
use crate::refusal::Refusal;
use crate::tokens::{Scope, Token};

/// Somebody with a token that is good now.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) Token);

impl Caller {
    /// Whether this caller may name the tenant's things.
    pub(crate) fn may_name(&self, tenant: &TenantId) -> bool {
        match &self.0.scope {
            Scope::Operator => true,
            Scope::Tenant { tenant: own } => own == tenant,
        }
    }

    pub(crate) fn is_operator(&self) -> bool {
        self.0.scope == Scope::Operator
    }

    /// The tenant with this name, if there is one that this caller may name.
    pub(crate) fn tenant(self, control: &Control, name: &str) -> Result<InTenant, Refusal> {
        let id: TenantId = name.parse().map_err(|_| Refusal::Absent)?;
        if !self.may_name(&id) {
            return Err(Refusal::Absent);
        }
        let tenant = control.catalog.tenant(&id).ok_or(Refusal::Absent)?;
        Ok(InTenant { caller: self, id, tenant })
    }
}

impl FromRequestParts<Control> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, control: &Control) -> Result<Self, Refusal> {
        let bearer = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
        let token = control.tokens.find(bearer.ok_or(Refusal::Unauthorized)?).await?;
        let token = token.ok_or(Refusal::Unauthorized)?;
        // A tenant's tokens end with the tenant.
        match &token.scope {
            Scope::Tenant { tenant } if control.catalog.tenant(tenant).is_none() => {
                Err(Refusal::Unauthorized)
            }
            _ => Ok(Self(token)),
        }
    }
}

/// The token in `Bearer wharf_…`; the scheme in any case (RFC 9110, 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The operator.
pub(crate) struct Operator(pub(crate) Caller);

impl FromRequestParts<Control> for Operator {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, control: &Control) -> Result<Self, Refusal> {
        let caller = Caller::from_request_parts(parts, control).await?;
        if caller.is_operator() { Ok(Self(caller)) } else { Err(Refusal::OperatorOnly) }
    }
}

/// The tenant that the path names, and somebody who may name it.
pub(crate) struct InTenant {
    pub(crate) caller: Caller,
    pub(crate) id: TenantId,
    pub(crate) tenant: Arc<Tenant>,
}

impl FromRequestParts<Control> for InTenant {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, control: &Control) -> Result<Self, Refusal> {
        let caller = Caller::from_request_parts(parts, control).await?;
        let params = RawPathParams::from_request_parts(parts, control).await.map_err(|_| Refusal::Absent)?;
        let named = params.iter().find(|(key, _)| *key == "tenant").map(|(_, value)| value);
        caller.tenant(control, named.unwrap_or_default())
    }
}
