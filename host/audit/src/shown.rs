//! Documents as the log keeps them: without what looks secret, and bounded.

use host_model::digest::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

/// The most bytes of a document that is kept whole: several times what a
/// connection or a workflow usually has; and two of them, with each byte of
/// theirs escaped, fit into a value of the store.
const MAX_WHOLE: usize = 8 << 10;
/// The deepest document that is kept whole: serde_json reads 128 levels, and an
/// entry around it has a few.
const MAX_DEPTH: usize = 100;
/// What stands where something was taken out.
const STARS: &str = "***";
/// Keys of a connection's config whose texts are taken out. Secrets belong
/// into the vault; this is for those who did not know.
const SECRETIVE: [&str; 8] =
    ["password", "passwd", "secret", "token", "api-key", "apikey", "private-key", "credential"];

/// A document, or what is left of one that is too large.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Shown {
    /// The document.
    Whole {
        /// As it was written.
        document: Value,
    },
    /// One that is too large to be kept here.
    Large {
        /// The digest of the document's JSON.
        digest: Digest,
        /// How many bytes that has.
        bytes: u64,
    },
}

impl Shown {
    /// A document, without what looks secret in it.
    pub fn of(mut document: Value) -> Self {
        redact(&mut document, false);
        let text = document.to_string();
        if text.len() <= MAX_WHOLE && depth(&document) <= MAX_DEPTH {
            return Self::Whole { document };
        }
        Self::Large { digest: Digest::of(text.as_bytes()), bytes: text.len() as u64 }
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn redact(value: &mut Value, in_config: bool) {
    match value {
        Value::String(text) => {
            if let Some(without) = without_password(text) {
                *text = without;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redact(item, in_config)),
        Value::Object(fields) => {
            for (key, value) in fields {
                let low = key.to_ascii_lowercase().replace('_', "-");
                if in_config && value.is_string() && SECRETIVE.iter().any(|word| low.contains(word)) {
                    *value = STARS.into();
                } else {
                    redact(value, in_config || key == "config");
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A URL without the password that is in it, if there is one.
fn without_password(text: &str) -> Option<String> {
    if !text.contains("://") || !text.contains('@') {
        return None;
    }
    let mut url = Url::parse(text).ok().filter(|url| url.password().is_some())?;
    url.set_password(Some(STARS)).ok()?;
    Some(url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_looks_secret_is_taken_out_and_names_of_secrets_stay() {
        let document = json!({
            "config": { "base-url": "https://me:hush@a.example/x", "API_KEY": "hush", "deep": [{ "token": "hush" }] },
            "credentials": { "key": { "secret": "crm-key" } },
            "verify": { "github": { "secrets": ["a"] } },
        });
        let text = serde_json::to_string(&Shown::of(document)).unwrap();
        assert!(!text.contains("hush"), "{text}");
        assert!(text.contains("crm-key") && text.contains("https://me:***@a.example/x"), "{text}");
    }

    #[test]
    fn a_document_too_deep_to_be_read_back_leaves_its_digest() {
        let deep = (0..120).fold(json!(1), |inner, _| json!([inner]));
        assert!(matches!(Shown::of(deep), Shown::Large { .. }));
    }

    #[test]
    fn a_document_too_large_leaves_its_digest_and_length() {
        let shown = Shown::of(json!({ "text": "x".repeat(MAX_WHOLE) }));
        assert!(matches!(shown, Shown::Large { bytes, .. } if bytes > MAX_WHOLE as u64));
        assert!(matches!(Shown::of(json!({ "text": "x" })), Shown::Whole { .. }));
    }
}
