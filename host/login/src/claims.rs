//! What an ID token says of somebody.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::issuer::LoginError;
use crate::settings::Settings;

/// The most bytes of a subject (OpenID Connect Core, 2).
const MAX_SUBJECT: usize = 255;
/// The most bytes of a name that is shown: one line of a table.
const MAX_NAME: usize = 200;

/// Somebody whom an issuer knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Who, for ever: `oidc:`, the issuer's name, and what it calls them.
    pub subject: String,
    /// What people call them. Somebody else may be called so tomorrow.
    pub name: String,
    /// The values of the claim that says what they may do.
    pub values: BTreeSet<String>,
}

impl Person {
    /// Reads the claims of an ID token that was verified.
    pub(crate) fn read(settings: &Settings, claims: &Value) -> Result<Self, LoginError> {
        let Settings { name: issuer, roles_claim, name_claim, .. } = settings;
        let sub = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
        if !is_line(sub, MAX_SUBJECT) {
            return Err(LoginError::refused(settings, "its `sub` is missing, too long, or not one line"));
        }
        let name = find(claims, name_claim).and_then(Value::as_str).unwrap_or_default();
        if !is_line(name, MAX_NAME) {
            return Err(LoginError::NoName { issuer: issuer.clone(), claim: name_claim.clone() });
        }
        // Whoever may type any address into their own account could be called as somebody else.
        let says_email = [roles_claim, name_claim].iter().any(|claim| *claim == "email");
        if says_email && claims.get("email_verified") != Some(&Value::Bool(true)) {
            return Err(LoginError::Unverified { issuer: issuer.clone() });
        }
        let values = match find(claims, roles_claim) {
            Some(Value::String(value)) => BTreeSet::from([value.clone()]),
            Some(Value::Array(values)) => {
                values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => BTreeSet::new(),
        };
        Ok(Self { subject: format!("oidc:{issuer}:{sub}"), name: name.to_owned(), values })
    }
}

fn is_line(text: &str, most: usize) -> bool {
    !text.is_empty() && text.len() <= most && !text.chars().any(char::is_control)
}

/// A claim by its name, which may have dots and slashes in it; one that starts
/// with a slash is a pointer.
fn find<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    if name.starts_with('/') { claims.pointer(name) } else { claims.get(name) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(roles: &str, name: &str, claims: Value) -> Result<Person, LoginError> {
        let settings = Settings {
            name: "corp".to_owned(),
            issuer: "https://id.example.com".to_owned(),
            client_id: "wharf".to_owned(),
            client_secret: None,
            scopes: Vec::new(),
            roles_claim: roles.to_owned(),
            name_claim: name.to_owned(),
        };
        Person::read(&settings, &claims)
    }

    #[test]
    fn roles_are_a_text_or_texts_by_name_or_by_pointer() {
        let claims = json!({
            "sub": "1", "name": "Ada", "role": "admin", "groups": ["a", 7, "b"],
            "https://example.com/roles": ["c"], "realm_access": { "roles": ["d"] },
        });
        for (claim, want) in [
            ("role", &["admin"][..]),
            ("groups", &["a", "b"]),
            ("https://example.com/roles", &["c"]),
            ("/realm_access/roles", &["d"]),
            ("nothing", &[]),
            ("realm_access", &[]),
        ] {
            let person = read(claim, "name", claims.clone()).unwrap();
            assert_eq!(person.values.iter().map(String::as_str).collect::<Vec<_>>(), want, "{claim}");
            assert_eq!((person.subject.as_str(), person.name.as_str()), ("oidc:corp:1", "Ada"));
        }
    }

    #[test]
    fn an_email_counts_only_if_the_issuer_verified_it() {
        let claims = |verified: Value| json!({ "sub": "1", "name": "Ada", "email": "a@x.example", "email_verified": verified });
        assert_eq!(read("groups", "email", claims(json!(true))).unwrap().name, "a@x.example");
        for verified in [json!(false), json!(null), json!("false")] {
            let refused = read("groups", "email", claims(verified.clone()));
            assert!(matches!(refused, Err(LoginError::Unverified { .. })), "{verified}");
            let refused = read("email", "name", claims(verified));
            assert!(matches!(refused, Err(LoginError::Unverified { .. })), "an email that gives a role too");
        }
        assert_eq!(read("groups", "name", claims(json!(false))).unwrap().name, "Ada");
    }

    #[test]
    fn who_has_no_name_or_no_subject_is_nobody() {
        for name in [json!(null), json!(""), json!("a\nb"), json!("x".repeat(201))] {
            let refused = read("groups", "name", json!({ "sub": "1", "name": name }));
            assert!(matches!(refused, Err(LoginError::NoName { .. })), "{name}");
        }
        for sub in [json!(null), json!(""), json!("x".repeat(256))] {
            let refused = read("groups", "name", json!({ "sub": sub, "name": "Ada" }));
            assert!(matches!(refused, Err(LoginError::Refused { .. })), "{sub}");
        }
    }
}
