//! What an issuer's claims give somebody.

use std::collections::BTreeSet;

use host_model::name::TenantId;

use crate::access::{RoleName, Scope, scope_of};

/// Whoever has this value in their claim has this scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    value: String,
    scope: Scope,
}

impl Rule {
    /// A rule by its words. People have roles; the role `service` is for programs.
    pub fn new(value: &str, tenant: Option<TenantId>, role: &str) -> Result<Self, String> {
        let name = RoleName::of(role).filter(|role| *role != RoleName::Service);
        let name = name.ok_or_else(|| {
            format!("`{role}` is no role of people: write operator, admin, developer or viewer")
        })?;
        if value.is_empty() {
            return Err("`value` is empty: write the value that the claim must have".to_owned());
        }
        let scope = scope_of(tenant, name, None).map_err(str::to_owned)?;
        Ok(Self { value: value.to_owned(), scope })
    }
}

/// The scope of the first rule that fits: whose value is there, whose tenant
/// is there, and is the wanted one if one is.
pub(super) fn granted(
    rules: &[Rule],
    values: &BTreeSet<String>,
    wanted: Option<&TenantId>,
    exists: impl Fn(&TenantId) -> bool,
) -> Option<Scope> {
    let fits = |rule: &&Rule| {
        let tenant = rule.scope.tenant();
        values.contains(&rule.value) && tenant.is_none_or(&exists) && (wanted.is_none() || tenant == wanted)
    };
    rules.iter().find(fits).map(|rule| rule.scope.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;

    fn rule(value: &str, tenant: &str, role: &str) -> Rule {
        Rule::new(value, (!tenant.is_empty()).then(|| tenant.parse().unwrap()), role).unwrap()
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let rules = [
            rule("ops", "", "operator"),
            rule("leads", "acme", "admin"),
            rule("staff", "acme", "viewer"),
            rule("staff", "globex", "developer"),
            rule("gone", "nowhere", "admin"),
        ];
        let asked = |values: &[&str], wanted: Option<&str>| {
            let values = values.iter().map(ToString::to_string).collect();
            let wanted = wanted.map(|wanted| wanted.parse().unwrap());
            granted(&rules, &values, wanted.as_ref(), |tenant| tenant.as_str() != "nowhere")
        };
        let of = |tenant: &str, role| Some(Scope::of(tenant.parse().unwrap(), role));
        assert_eq!(asked(&["staff", "ops"], None), Some(Scope::Operator));
        assert_eq!(asked(&["staff", "ops"], Some("acme")), of("acme", Role::Viewer));
        assert_eq!(asked(&["staff", "leads"], None), of("acme", Role::Admin));
        assert_eq!(asked(&["staff"], Some("globex")), of("globex", Role::Developer));
        assert_eq!(asked(&["leads"], Some("globex")), None);
        assert_eq!(asked(&["gone"], None), None, "a tenant that is not there");
        assert_eq!(asked(&["Staff", "staf", ""], None), None);
        assert_eq!(asked(&[], None), None);
    }

    #[test]
    fn a_rule_that_makes_no_sense_is_refused() {
        for (value, tenant, role, want) in [
            ("x", Some("acme"), "operator", "of no tenant"),
            ("x", None, "admin", "in a tenant"),
            ("x", Some("acme"), "service", "no role of people"),
            ("x", Some("acme"), "root", "no role of people"),
            ("", Some("acme"), "viewer", "`value` is empty"),
        ] {
            let error = Rule::new(value, tenant.map(|it| it.parse().unwrap()), role).unwrap_err();
            assert!(error.contains(want), "{error}");
        }
    }
}
