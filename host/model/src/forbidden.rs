//! What the operator forbids outright: packages, and grants. No tenant's
//! grant and nobody's consent makes up for it.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};

use crate::asks::Ask;
use crate::grants::{GrantsSpec, HttpRule, OriginPattern, Scheme};
use crate::manifest::{Manifest, OriginWish};
use crate::name::{PackageName, PackageRef, Version};

/// Packages that nobody may use: `evil/*`, `acme/crm`, `acme/crm@0.3.*`, `acme/crm@1.2.3`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ForbiddenPackage {
    text: Box<str>,
    names: Names,
    /// The first numbers of the version; all versions if there are none.
    versions: Versions,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Names {
    Namespace(Box<str>),
    One(PackageName),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Versions {
    /// Those that begin with these numbers.
    Of(Vec<u64>),
    One(Version),
}

/// Grants that nobody may be given: `kv`, `smtp`, `http://*` (every origin of
/// the scheme), origins, `https://*.evil.example`, or some requests to them,
/// `{ origin = "https://api.example.com", methods = ["DELETE"], paths = ["/v1/users"] }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForbiddenGrant {
    /// To keep values.
    Kv,
    /// To send mail.
    Mail,
    /// To reach anything by this scheme.
    Scheme(Scheme),
    /// To reach these origins, with these methods and below these paths if it says so.
    Requests(HttpRule<OriginPattern>),
}

/// A text that forbids nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{got}` forbids nothing: write {want}")]
pub struct BadForbidden {
    got: String,
    want: &'static str,
}

/// Everything that the operator forbids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forbidden {
    /// Packages.
    pub packages: Vec<ForbiddenPackage>,
    /// Grants.
    pub grants: Vec<ForbiddenGrant>,
}

/// Why something is refused to everybody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsForbidden {
    /// The package.
    #[error("package `{package}` is forbidden by the operator of this host ([packages] forbidden: `{by}`)")]
    Package {
        /// Which one.
        package: PackageRef,
        /// What forbids it.
        by: String,
    },
    /// A grant.
    #[error("to {ask} is forbidden by the operator of this host ([grants] forbidden: `{by}`)")]
    Grant {
        /// What would be granted.
        ask: Ask,
        /// What forbids it.
        by: String,
    },
}

impl Forbidden {
    /// Whether a package may be used.
    pub fn package(&self, package: &PackageRef) -> Result<(), IsForbidden> {
        match self.packages.iter().find(|forbidden| forbidden.names(package)) {
            Some(by) => Err(IsForbidden::Package { package: package.clone(), by: by.text.to_string() }),
            None => Ok(()),
        }
    }

    /// Whether what a package asks for by itself could be granted at all. What
    /// depends on a connection's config is seen there.
    pub fn manifest(&self, manifest: &Manifest) -> Result<(), IsForbidden> {
        let wished = |wish: &OriginWish| match wish {
            OriginWish::Pattern(pattern) => Some(pattern.clone()),
            OriginWish::Field(_) => None,
        };
        let wanted = &manifest.grants;
        let http = wanted.http.iter().filter_map(|rule| rule.map(wished)).collect();
        let smtp = wanted.smtp.iter().filter_map(wished).collect();
        self.each(&GrantsSpec { http, smtp, kv: wanted.kv }, ForbiddenGrant::covers)
    }

    /// Whether this may be granted: nothing of it may be forbidden.
    pub fn grants(&self, grants: &GrantsSpec) -> Result<(), IsForbidden> {
        self.each(grants, ForbiddenGrant::overlaps)
    }

    fn each(
        &self,
        grants: &GrantsSpec,
        forbids: impl Fn(&ForbiddenGrant, &Ask) -> bool,
    ) -> Result<(), IsForbidden> {
        if self.grants.is_empty() {
            return Ok(());
        }
        for ask in grants.asks() {
            if let Some(by) = self.grants.iter().find(|forbidden| forbids(forbidden, &ask)) {
                return Err(IsForbidden::Grant { ask, by: by.to_string() });
            }
        }
        Ok(())
    }
}

impl ForbiddenPackage {
    fn names(&self, package: &PackageRef) -> bool {
        let name = match &self.names {
            Names::Namespace(namespace) => {
                package.name.as_str().split_once('/').is_some_and(|(of, _)| of == &**namespace)
            }
            Names::One(name) => *name == package.name,
        };
        let versions = match &self.versions {
            Versions::One(one) => *one == package.version,
            Versions::Of(first) => package.version.numbers().starts_with(first),
        };
        name && versions
    }
}

impl ForbiddenGrant {
    /// Whether something of it is forbidden.
    fn overlaps(&self, ask: &Ask) -> bool {
        self.meets(ask, HttpRule::overlaps)
    }

    /// Whether all of it is forbidden.
    fn covers(&self, ask: &Ask) -> bool {
        self.meets(ask, HttpRule::covers)
    }

    fn meets(
        &self,
        ask: &Ask,
        requests: impl Fn(&HttpRule<OriginPattern>, &HttpRule<OriginPattern>) -> bool,
    ) -> bool {
        let reached = match ask {
            Ask::Http(rule) => Some(rule.clone()),
            // Mail has neither methods nor paths, so what names some says nothing of it.
            Ask::Smtp(server) => Some(HttpRule::all_of(server.clone())),
            _ => None,
        };
        match self {
            Self::Kv => *ask == Ask::Kv,
            Self::Mail => matches!(ask, Ask::Smtp(_)),
            Self::Scheme(scheme) => reached.is_some_and(|rule| rule.origin.scheme() == *scheme),
            Self::Requests(of) => reached.is_some_and(|rule| requests(of, &rule)),
        }
    }
}

impl FromStr for ForbiddenPackage {
    type Err = BadForbidden;

    fn from_str(text: &str) -> Result<Self, BadForbidden> {
        let bad = || BadForbidden {
            got: text.chars().take(200).collect(),
            want: "`evil/*`, `acme/crm`, `acme/crm@0.3.*` or `acme/crm@1.2.3`",
        };
        let (name, version) = text.split_once('@').unwrap_or((text, "*"));
        let names = match name.strip_suffix("/*") {
            // A package's name checks the namespace too.
            Some(namespace) => {
                format!("{namespace}/x").parse::<PackageName>().map_err(|_| bad())?;
                Names::Namespace(namespace.into())
            }
            None => Names::One(name.parse().map_err(|_| bad())?),
        };
        let versions = match version.strip_suffix('*') {
            Some("") => Versions::Of(Vec::new()),
            Some(first) => {
                let numbers = first.strip_suffix('.').ok_or_else(bad)?.split('.').map(str::parse);
                let numbers = numbers.collect::<Result<Vec<u64>, _>>().map_err(|_| bad())?;
                Versions::Of(Some(numbers).filter(|numbers| numbers.len() < 3).ok_or_else(bad)?)
            }
            None => Versions::One(version.parse().map_err(|_| bad())?),
        };
        Ok(Self { text: text.into(), names, versions })
    }
}

impl TryFrom<String> for ForbiddenPackage {
    type Error = BadForbidden;
    fn try_from(text: String) -> Result<Self, BadForbidden> {
        text.parse()
    }
}

impl FromStr for ForbiddenGrant {
    type Err = BadForbidden;

    fn from_str(text: &str) -> Result<Self, BadForbidden> {
        let bad = |_| BadForbidden {
            got: text.chars().take(200).collect(),
            want: "`kv`, `smtp`, `http://*`, or origins: `https://*.evil.example`",
        };
        let scheme = text.strip_suffix("://*").and_then(Scheme::of);
        match (text, scheme) {
            ("kv", _) => Ok(Self::Kv),
            ("smtp", _) => Ok(Self::Mail),
            (_, Some(scheme)) => Ok(Self::Scheme(scheme)),
            _ => text.parse().map(|origin| Self::Requests(HttpRule::all_of(origin))).map_err(bad),
        }
    }
}

impl<'de> Deserialize<'de> for ForbiddenGrant {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TextOrTable)
    }
}

struct TextOrTable;

impl<'de> Visitor<'de> for TextOrTable {
    type Value = ForbiddenGrant;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or a table with `origin`, `methods` and `paths`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ForbiddenGrant, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<ForbiddenGrant, A::Error> {
        HttpRule::deserialize(MapAccessDeserializer::new(table)).map(ForbiddenGrant::Requests)
    }
}

impl fmt::Display for ForbiddenGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kv => f.write_str("kv"),
            Self::Mail => f.write_str("smtp"),
            Self::Scheme(scheme) => write!(f, "{}://*", scheme.as_str()),
            Self::Requests(rule) => rule.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn forbidden(packages: &[&str], grants: &[&str]) -> Forbidden {
        Forbidden {
            packages: packages.iter().map(|text| text.parse().unwrap()).collect(),
            grants: grants.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn a_package_is_forbidden_by_namespace_name_or_version() {
        let check = |pattern: &str, package: &str, want: bool| {
            let forbidden = forbidden(&[pattern], &[]);
            assert_eq!(forbidden.package(&package.parse().unwrap()).is_err(), want, "{pattern} {package}");
        };
        check("evil/*", "evil/anything@1.2.3", true);
        check("evil/*", "evils/anything@1.2.3", false);
        check("evil/*", "good/evil@1.2.3", false);
        check("evil/*@0.*", "evil/x@0.9.0", true);
        check("evil/*@0.*", "evil/x@1.0.0", false);
        check("acme/crm", "acme/crm@0.0.1", true);
        check("acme/crm", "acme/crm-two@0.0.1", false);
        check("acme/crm@0.3.*", "acme/crm@0.3.7", true);
        check("acme/crm@0.3.*", "acme/crm@0.3.7-rc1", true);
        check("acme/crm@0.3.*", "acme/crm@0.30.7", false);
        check("acme/crm@1.2.3", "acme/crm@1.2.3", true);
        check("acme/crm@1.2.3", "acme/crm@1.2.4", false);
        let why = forbidden(&["evil/*"], &[]).package(&"evil/x@1.0.0".parse().unwrap()).unwrap_err();
        assert!(why.to_string().contains("`evil/x@1.0.0` is forbidden by the operator"), "{why}");
        assert!(why.to_string().contains("`evil/*`"), "{why}");
    }

    #[test]
    fn a_grant_is_forbidden_if_anything_of_it_is() {
        let check = |pattern: &str, grants: serde_json::Value, want: bool| {
            let grants: GrantsSpec = serde_json::from_value(grants).unwrap();
            let forbidden = forbidden(&[], &[pattern]);
            assert_eq!(forbidden.grants(&grants).is_err(), want, "{pattern} {grants:?}");
        };
        check("kv", json!({ "kv": true }), true);
        check("kv", json!({ "http": ["https://a.example"] }), false);
        check("smtp", json!({ "smtp": ["smtps://mail.example"] }), true);
        check("http://*", json!({ "http": ["http://a.example:8080"] }), true);
        check("http://*", json!({ "http": ["https://a.example"] }), false);
        check("smtp://*", json!({ "smtp": ["smtps://mail.example"] }), false);
        check("https://*.evil.example", json!({ "http": ["https://x.evil.example"] }), true);
        check("https://x.evil.example", json!({ "http": ["https://*.evil.example"] }), true);
        check(
            "https://x.evil.example",
            json!({ "http": [{ "origin": "https://x.evil.example", "methods": ["GET"] }] }),
            true,
        );
        check("https://*.evil.example", json!({ "http": ["https://evil.example"] }), false);
    }

    #[test]
    fn requests_are_forbidden_by_method_and_path_where_a_grant_lets_any_of_them_out() {
        let check = |grants: serde_json::Value, want: bool| {
            let rule =
                json!({ "origin": "https://*.example.com", "methods": ["DELETE"], "paths": ["/v1/users"] });
            let forbidden =
                Forbidden { grants: vec![serde_json::from_value(rule).unwrap()], ..Forbidden::default() };
            let grants: GrantsSpec = serde_json::from_value(grants).unwrap();
            assert_eq!(forbidden.grants(&grants).is_err(), want, "{grants:?}");
        };
        let of = |methods: &[&str], paths: &[&str]| json!({ "http": [{ "origin": "https://api.example.com", "methods": methods, "paths": paths }] });
        check(json!({ "http": ["https://api.example.com"] }), true);
        check(of(&["GET", "DELETE"], &[]), true);
        check(of(&["GET", "POST"], &[]), false);
        check(of(&["DELETE"], &["/v1"]), true);
        check(of(&["DELETE"], &["/v1/users/7"]), true);
        check(of(&["DELETE"], &["/v1/usersx", "/v2"]), false);
        check(of(&[], &["/v2", "/v1/users"]), true);
        check(json!({ "http": ["https://api.example.org"] }), false);
        check(json!({ "smtp": ["smtps://mail.example.com"], "kv": true }), false);
    }

    #[test]
    fn a_package_is_refused_if_it_can_never_be_given_what_it_asks_for() {
        let manifest = |grants: &str| {
            let text = format!(
                "name = \"a/b\"\nversion = \"0.1.0\"\nworld = \"http-proxy\"\n[config.url]\nkind = \"url\"\n[grants]\nhttp = [{grants}]\n"
            );
            Manifest::parse(text.as_bytes()).unwrap()
        };
        let forbidden = forbidden(&[], &["https://*.evil.example", "http://*"]);
        assert!(forbidden.manifest(&manifest("\"https://x.evil.example\"")).is_err());
        assert!(forbidden.manifest(&manifest("\"http://good.example\"")).is_err());
        assert!(forbidden.manifest(&manifest("\"https://good.example\", \"{url}\"")).is_ok());
    }

    #[test]
    fn what_forbids_nothing_is_refused_with_what_to_write() {
        for bad in
            ["", "*", "evil", "evil/*/x", "Evil/*", "a/b@", "a/b@1", "a/b@1.2.3.*", "a/b@x.*", "a/b@1*"]
        {
            let error = bad.parse::<ForbiddenPackage>().unwrap_err().to_string();
            assert!(error.contains("write `evil/*`"), "{error}");
        }
        for bad in ["", "*", "kv2", "ftp://*", "https://*.com", "https://a/b", "evil.example"] {
            let error = bad.parse::<ForbiddenGrant>().unwrap_err().to_string();
            assert!(error.contains("write `kv`"), "{error}");
        }
    }
}
