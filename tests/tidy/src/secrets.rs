//! Secrets are compared in constant time, which nobody has to measure: what
//! holds one has no `==`, and what is named like one is never put beside one.

use crate::tree::{code, files, none, read};

/// Types that hold a secret, or what shows that somebody knows one.
const TYPES: &[(&str, &str)] = &[
    ("host/webhooks/src/key.rs", "Proof"),
    ("host/webhooks/src/lib.rs", "Secrets"),
    ("host/control/src/tokens/mod.rs", "TokenText"),
    ("host/control/src/tokens/record.rs", "SecretHash"),
    ("host/egress/src/oauth/grant.rs", "Grant"),
    ("host/egress/src/seal.rs", "SealingKey"),
];

/// How variables and fields are called that hold one, also as the end of a name: `access_token`.
const NAMES: &[&str] = &["secret", "token", "signature", "password", "passphrase", "tag", "mac", "proof"];

/// Lines that say such a name and compare no secret.
const NONE: &[(&str, &str)] = &[
    ("host/cli/src/profile/keep.rs", "*kept == token"), // both are in the hands of whoever runs the CLI
    ("host/model/src/asks.rs", "secret == other && to.covers(there)"), // the names of two secrets
];

#[test]
fn what_holds_a_secret_cannot_be_compared_by_an_operator() {
    let mut offenders = Vec::new();
    for (path, name) in TYPES {
        let text = read(path);
        let declared = [format!("struct {name} "), format!("struct {name}("), format!("struct {name};")];
        let place = declared.iter().find_map(|it| text.find(it.as_str()));
        let Some(place) = place else {
            offenders.push(format!("{path}: `{name}` is gone: delete it from TYPES"));
            continue;
        };
        // Its attributes stand between it and what comes before.
        let before = text[..place].rsplit("\n\n").next().unwrap_or_default();
        let derives = before.lines().any(|line| line.contains("derive(") && line.contains("Eq"));
        let implements = text.contains(&format!("PartialEq for {name}"));
        if derives || implements {
            offenders.push(format!("{path}: `{name}` has `==`"));
        }
    }
    none("compare secrets with `subtle::ConstantTimeEq`, or verify a MAC with its own `verify`", offenders);
}

#[test]
fn nothing_that_is_called_a_secret_stands_beside_an_equals_sign() {
    let mut offenders = Vec::new();
    for path in files(&["rs"]) {
        let shown = path.display().to_string();
        let product = ["host/", "registry/"].iter().any(|folder| shown.starts_with(folder));
        if !product || shown.contains("/tests") {
            continue;
        }
        let text = read(&path);
        // Unit tests come last.
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in product.lines().enumerate() {
            let allowed = NONE.iter().any(|(file, text)| shown == *file && line.contains(text));
            if compares_a_secret(&code(line)) && !allowed {
                offenders.push(format!("{shown}:{}", number + 1));
            }
        }
    }
    none("compare secrets with `subtle::ConstantTimeEq`, or call what is none something else", offenders);
}

/// Whether one side of a comparison is named like a secret: `it.token == x`, `x != self.mac()`.
fn compares_a_secret(code: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let secret = |name: &str| {
        NAMES.iter().any(|it| name == *it || name.strip_suffix(it).is_some_and(|rest| rest.ends_with('_')))
    };
    let operators = code.match_indices("==").chain(code.match_indices("!="));
    operators.into_iter().any(|(place, _)| {
        let (left, right) = (&code[..place], &code[place + 2..]);
        // The last name of a path, past calls and conversions of it.
        let left = left.trim_end().trim_end_matches([')', '(', ']']);
        let left = ["as_bytes", "as_str", "as_ref", "as_slice", "as_deref", "into_bytes", "finalize"]
            .iter()
            .fold(left, |left, call| {
                left.strip_suffix(call).unwrap_or(left).trim_end_matches(['.', '(', ')'])
            });
        let left = left.rsplit(|c| !is_name(c)).next().unwrap_or_default();
        let path = right.trim_start().trim_start_matches(['&', '*']);
        let path: Vec<_> =
            path.split(|c: char| !is_name(c) && c != '.').next().unwrap_or_default().split('.').collect();
        secret(left) || path.iter().any(|name| secret(name))
    })
}

#[test]
fn a_comparison_of_a_secret_is_found() {
    for bad in [
        "if it.token == shown {",
        "given != self.access_token",
        "tag.as_ref() == expected",
        "mac.finalize().into_bytes() == *shown",
        "x == &kept.secret.as_bytes()",
    ] {
        assert!(compares_a_secret(bad), "{bad}");
    }
    for good in ["token.scope == Scope::Operator", "tokens.len() == limit", "kind == \"x\"", "secrets == 3"] {
        assert!(!compares_a_secret(good), "{good}");
    }
}
