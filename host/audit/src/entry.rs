//! An entry, as it is stored, searched and exported: one line of JSON, whose
//! SHA-256 the next entry of its chain names.

use std::net::IpAddr;

use host_model::clock::Timestamp;
use host_model::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::act::{Act, Actor, Deed, RequestId};
use crate::chain::{Chain, Head};
use crate::shown::Shown;

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// Whoever asked may not.
    Refused,
    /// The host failed; whether it was done is not known.
    Failed,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// Whose things: a tenant's id, or `!`, the host.
    pub chain: Chain,
    /// Its number in that chain.
    pub seq: u64,
    /// The hash of the entry before it.
    pub prev: Digest,
    /// When; never before the one before it.
    pub at: Timestamp,
    /// Who.
    pub by: Actor,
    /// From which address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
    /// In which request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// Which operation.
    pub operation: String,
    /// To what kind of thing.
    pub kind: String,
    /// To which.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// How often, if this stands for several.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub times: u64,
    /// More about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// How it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Shown>,
    /// How it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Shown>,
}

fn once() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_once(times: &u64) -> bool {
    *times == 1
}

impl Entry {
    /// The next one of a chain.
    pub(crate) fn next(
        head: &Head,
        now: Timestamp,
        act: &Act,
        deed: &Deed,
        outcome: Outcome,
        times: u64,
    ) -> Self {
        let Deed { chain, kind, name, detail, before, after } = deed.clone();
        let Act { by, from, request, operation, .. } = act;
        Self {
            chain,
            seq: head.seq + 1,
            prev: head.digest,
            at: now.max(head.at),
            by: by.clone(),
            from: *from,
            request: request.clone(),
            operation: (*operation).to_owned(),
            kind,
            name,
            outcome,
            times,
            detail,
            before,
            after,
        }
    }
}
