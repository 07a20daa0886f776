//! Why an exchange has no answer: one case for each of `wharf:http`'s errors.

/// Why an exchange has no answer, or its body broke off. Every text here may
/// be shown to the guest and to its tenant: none carries a credential, nor an
/// inside address that the guest did not itself name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// A gate refused, or a credential is missing: which rule, and what would open it.
    #[error("{0}")]
    Denied(String),
    /// The request itself is wrong: which part, and what is allowed.
    #[error("{0}")]
    InvalidRequest(String),
    /// No answer in time. The request may have taken effect.
    #[error("no answer in time; the request may have taken effect")]
    Timeout,
    /// No connection, or it broke. The request may have taken effect.
    #[error("{0}")]
    ConnectionFailed(String),
    /// The answer's body is larger than this many bytes.
    #[error(
        "the answer is larger than {0} bytes, the call's bound (bounds: body-bytes) or the connection's (egress: answer-bytes)"
    )]
    ResponseTooLarge(u64),
    /// Anything else. For logs.
    #[error("{0}")]
    Other(String),
}
