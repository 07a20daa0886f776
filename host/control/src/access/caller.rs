//! Who calls, and the proof that they may.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use host_audit::Act;
use host_model::http_types::Peer;
use host_model::id::TokenId;
use host_model::name::{TenantId, WorkflowName};
use host_model::run::{Run, StartedBy};
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::powers::in_tenant;
use super::{Limits, Power, Role, Scope, power};
use crate::Control;
use crate::attempt::Attempt;
use crate::catalog::{Author, Tenant};
use crate::refusal::Refusal;
use crate::tokens::Token;

/// Told to a tenant whose changes would fill the audit log.
const TOO_MUCH: &str = "this tenant changed too much lately: its changes are taken up one a second";

/// Somebody with a token that is good now.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) token: Token,
    /// What it is doing, for the audit log.
    pub(crate) act: Arc<Act>,
}

impl Caller {
    pub(crate) fn is_operator(&self) -> bool {
        self.token.scope == Scope::Operator
    }

    pub(crate) fn id(&self) -> TokenId {
        self.token.id
    }

    /// As the author of a change.
    pub(crate) fn author(&self, control: &Control) -> Author {
        let consents = power::Consent::ROW.given_to(&self.token.scope).is_ok();
        Author { by: self.id().to_string(), at: control.tokens.now(), consents }
    }

    /// The tenant with this name, if this caller has the power there over what it covers.
    fn tenant<P: Power>(
        self,
        control: &Control,
        name: &str,
        covers: impl FnOnce(&Limits) -> bool,
    ) -> Result<InTenant<P>, Refusal> {
        let id: TenantId = name.parse().map_err(|_| Refusal::Absent)?;
        in_tenant::<P>(&self.token.scope, &id, covers)?;
        let tenant = control.catalog.tenant(&id).ok_or(Refusal::Absent)?;
        Ok(InTenant { caller: self, id, tenant, power: PhantomData })
    }
}

impl FromRequestParts<Control> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, control: &Control) -> Result<Self, Refusal> {
        let bearer = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
        let from = parts.extensions.get().map(|Peer(address)| *address);
        let token = control.tokens.enter(bearer.ok_or(Refusal::Unauthorized)?, from).await?;
        // A tenant's tokens end with the tenant.
        match token.scope.tenant() {
            Some(tenant) if control.catalog.tenant(tenant).is_none() => Err(Refusal::Unauthorized),
            tenant => {
                let act = Attempt::begin(parts, &token);
                match tenant.filter(|_| Attempt::changes(parts)).and_then(|it| control.audit.wait(it)) {
                    Some(wait) => Err(Refusal::NoRoom(TOO_MUCH.to_owned(), wait)),
                    None => Ok(Self { token, act }),
                }
            }
        }
    }
}

/// The token in `Bearer wharf_…`; the scheme in any case (RFC 9110, 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Somebody who has the power over something, or over everything.
pub(crate) struct May<P> {
    pub(crate) caller: Caller,
    power: PhantomData<P>,
}

impl<P: Power> May<P> {
    /// The same for a tenant that the path does not name.
    pub(crate) fn tenant(self, control: &Control, name: &str) -> Result<InTenant<P>, Refusal> {
        self.caller.tenant(control, name, |_| false)
    }
}

impl<P: Power> FromRequestParts<Control> for May<P> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, control: &Control) -> Result<Self, Refusal> {
        let caller = Caller::from_request_parts(parts, control).await?;
        P::ROW.given_to(&caller.token.scope)?;
        Ok(Self { caller, power: PhantomData })
    }
}

/// The tenant that the path names, and somebody who has the power there; over
/// what the path names, if the token is limited to such things.
pub(crate) struct InTenant<P> {
    pub(crate) caller: Caller,
    pub(crate) id: TenantId,
    pub(crate) tenant: Arc<Tenant>,
    power: PhantomData<P>,
}

impl<P: Power> FromRequestParts<Control> for InTenant<P> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, control: &Control) -> Result<Self, Refusal> {
        let caller = Caller::from_request_parts(parts, control).await?;
        let params = RawPathParams::from_request_parts(parts, control).await.map_err(|_| Refusal::Absent)?;
        let named = params.iter().find(|(key, _)| *key == "tenant").map(|(_, value)| value);
        caller.tenant(control, named.unwrap_or_default(), |limits| P::covers(limits, &params))
    }
}

/// Why a token does not start a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MayNot {
    /// The tenant is another's, or is not there: one answer for both.
    Absent,
    /// The role is not enough; the text says what is.
    Forbidden(String),
}

impl Token {
    /// Whether it starts this workflow: what `/run` asks, which is no operation of the API.
    pub fn may_start(&self, tenant: &TenantId, workflow: &WorkflowName) -> Result<(), MayNot> {
        let covers = |limits: &Limits| limits.workflows.contains(workflow);
        in_tenant::<power::Start>(&self.scope, tenant, covers).map_err(|refusal| match refusal {
            Refusal::Forbidden(why) => MayNot::Forbidden(why),
            _ => MayNot::Absent,
        })
    }
}

impl InTenant<power::SeeRuns> {
    /// Whether this caller may see the run: a service token those that it started.
    pub(crate) fn sees(&self, run: &Run) -> bool {
        match &self.caller.token.scope {
            Scope::Tenant { role: Role::Service(_), .. } => {
                run.started_by == StartedBy::Manual(Some(self.caller.id()))
            }
            _ => true,
        }
    }
}
