//! A package's manifest, `wharf.toml`: what it is, what it offers, what it
//! needs to be set up and what it asks for. It travels inside the component
//! as the custom section [`SECTION`], so one digest covers both.

mod place;
mod template;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::asks::MAX_ASKS;
use crate::bounds::BoundsSpec;
use crate::grants::{HttpRule, OriginPattern};
use crate::name::{EndpointName, FieldName, PackageName, PackageRef, SchemaRef, Version};
use crate::suggest::explain_unknown;

pub use self::place::{AwsPlace, ClientAuth, Flow, HmacPlace, Oauth2Place, Place};
pub use self::template::{Message, MessagePart, Template};

/// The custom section that carries the manifest's text.
pub const SECTION: &str = "wharf:manifest";

/// The most bytes a manifest may have: ten times what a large connector needs.
pub const MAX_MANIFEST: usize = 64 << 10;

/// What a package is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    /// Wraps one outside system (`wharf:worlds/connector`).
    Connector,
    /// Composes endpoints (`wharf:worlds/workflow`).
    Workflow,
    /// An unmodified `wasi:http/proxy` component, bound as an inbound endpoint.
    HttpProxy,
}

/// Which way an endpoint goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// The outside calls us.
    Inbound,
    /// We call the outside.
    Outbound,
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        })
    }
}

/// One endpoint of a connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Endpoint {
    /// Which way it goes.
    pub direction: Direction,
    /// For people.
    #[serde(default)]
    pub summary: String,
    /// The schema of what it takes: `lead@1`. What does not fit is refused before it gets there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes: Option<SchemaRef>,
    /// The schema of what it gives; for an inbound one, of its messages, whose
    /// kind is the schema's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gives: Option<SchemaRef>,
}

/// What kind of value a config field takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldKind {
    /// Any text.
    #[default]
    Text,
    /// An absolute `http` or `https` URL; or a mail server, `smtp://mail.example.com:587`.
    Url,
    /// A JSON number.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// One field that a connection sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ConfigField {
    /// What kind of value.
    #[serde(default)]
    pub kind: FieldKind,
    /// For people.
    #[serde(default)]
    pub summary: String,
    /// What it is if the connection does not say. Without one the field is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<serde_json::Value>,
    /// The connection may leave it out even though there is no default.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// One credential that a connection brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Credential {
    /// For people.
    #[serde(default)]
    pub summary: String,
    /// Where it goes.
    pub place: Place,
    /// To which origins it goes; nowhere else.
    pub hosts: Vec<OriginWish>,
}

/// An origin as a manifest names it: a pattern, or `{field}` for the origin of
/// the URL in that config field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum OriginWish {
    /// A pattern.
    Pattern(OriginPattern),
    /// The origin of a config field of kind `url`.
    Field(FieldName),
}

impl TryFrom<String> for OriginWish {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(field) => {
                field.parse().map(Self::Field).map_err(|bad: crate::name::BadName| bad.to_string())
            }
            None => text.parse().map(Self::Pattern).map_err(|bad: crate::grants::BadOrigin| bad.to_string()),
        }
    }
}

impl From<OriginWish> for String {
    fn from(wish: OriginWish) -> String {
        match wish {
            OriginWish::Pattern(pattern) => pattern.to_string(),
            OriginWish::Field(field) => format!("{{{field}}}"),
        }
    }
}

/// What a package asks for. Nothing is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Wanted {
    /// Where it sends requests, and which.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<HttpRule<OriginWish>>,
    /// Mail servers that it sends mail by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub smtp: Vec<OriginWish>,
    /// Whether it keeps values.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub kv: bool,
}

/// A connection that a workflow calls by role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Role {
    /// For people.
    pub summary: String,
    /// The outbound endpoints that it calls there; others are refused.
    pub endpoints: BTreeSet<EndpointName>,
}

/// A manifest, parsed and checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// `namespace/name`.
    pub name: PackageName,
    /// `1.2.3`.
    pub version: Version,
    /// What it is.
    pub world: World,
    /// One line for people.
    #[serde(default)]
    pub summary: String,
    /// What a connector offers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoints: BTreeMap<EndpointName, Endpoint>,
    /// What a connection sets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<FieldName, ConfigField>,
    /// Which credentials a connection brings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub credentials: BTreeMap<FieldName, Credential>,
    /// What it asks for.
    #[serde(default)]
    pub grants: Wanted,
    /// The schema of the data that a workflow's runs take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes: Option<SchemaRef>,
    /// Whom a workflow calls.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<FieldName, Role>,
    /// Bounds it can do with, lower than the host's.
    #[serde(default)]
    pub bounds: BoundsSpec,
}

/// Why a text is not a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Too long.
    #[error("wharf.toml has {0} bytes, the limit is {MAX_MANIFEST}")]
    TooLarge(usize),
    /// Not UTF-8.
    #[error("wharf.toml is not UTF-8")]
    NotUtf8,
    /// Not TOML, an unknown key, a wrong type or value.
    #[error("wharf.toml line {line}: {message}")]
    Syntax {
        /// From 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// Two parts that do not fit together.
    #[error("wharf.toml {at}: {message}")]
    Rule {
        /// The table and key.
        at: String,
        /// What is wrong there and what to do.
        message: String,
    },
}

impl Manifest {
    /// Parses and checks a manifest. A stranger wrote it.
    pub fn parse(text: &[u8]) -> Result<Self, ManifestError> {
        if text.len() > MAX_MANIFEST {
            return Err(ManifestError::TooLarge(text.len()));
        }
        let text = std::str::from_utf8(text).map_err(|_| ManifestError::NotUtf8)?;
        let manifest: Self = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            ManifestError::Syntax {
                line: 1 + text.bytes().take(start).filter(|b| *b == b'\n').count(),
                message: explain_unknown(error.message()),
            }
        })?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Name and version together.
    pub fn package(&self) -> PackageRef {
        PackageRef { name: self.name.clone(), version: self.version.clone() }
    }

    /// Every schema that it names, with where it names it.
    pub fn schemas(&self) -> impl Iterator<Item = (String, &SchemaRef)> {
        let endpoints = self.endpoints.iter().flat_map(|(name, endpoint)| {
            let named = [("takes", &endpoint.takes), ("gives", &endpoint.gives)];
            named
                .into_iter()
                .filter_map(move |(key, schema)| Some((format!("endpoint `{name}` {key}"), schema.as_ref()?)))
        });
        endpoints.chain(self.takes.iter().map(|schema| ("the workflow takes".to_owned(), schema)))
    }

    /// Whether there is such an endpoint in this direction.
    pub fn endpoint(&self, name: &str, direction: Direction) -> Option<(&EndpointName, &Endpoint)> {
        self.endpoints.get_key_value(name).filter(|(_, endpoint)| endpoint.direction == direction)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let rule = |at: String, message: &str| Err(ManifestError::Rule { at, message: message.to_owned() });
        match self.world {
            World::Connector if self.endpoints.is_empty() => {
                return rule("[endpoints]".into(), "a connector declares at least one endpoint");
            }
            World::Workflow
                if !self.endpoints.is_empty()
                    || !self.config.is_empty()
                    || !self.credentials.is_empty()
                    || self.grants != Wanted::default() =>
            {
                return rule(
                    "world".into(),
                    "a workflow has no endpoints, config, credentials or grants: it reaches the outside through [roles]",
                );
            }
            World::Connector | World::HttpProxy if !self.roles.is_empty() => {
                return rule("[roles]".into(), "only a workflow has roles");
            }
            World::Connector | World::HttpProxy if self.takes.is_some() => {
                return rule(
                    "takes".into(),
                    "only a workflow takes something itself: an endpoint says it in its own table",
                );
            }
            World::HttpProxy
                if !self.endpoints.is_empty() || self.grants.kv || !self.grants.smtp.is_empty() =>
            {
                return rule(
                    "world".into(),
                    "an http-proxy declares neither endpoints nor kv nor smtp: it serves every path, and imports only WASI",
                );
            }
            _ => {}
        }
        for (name, endpoint) in &self.endpoints {
            if endpoint.direction == Direction::Inbound && endpoint.takes.is_some() {
                return rule(
                    format!("[endpoints.{name}]"),
                    "an inbound endpoint takes a request, which has no schema: say what it `gives`",
                );
            }
        }
        for (name, credential) in &self.credentials {
            let at = || format!("[credentials.{name}]");
            if let Err(why) = credential.place.check(|field| self.config.contains_key(field)) {
                return rule(at(), &why);
            }
            if credential.hosts.is_empty() {
                return rule(at(), "`hosts` is empty: a credential goes to named origins only");
            }
            self.check_wishes(&at(), &credential.hosts)?;
        }
        if self.width() > MAX_ASKS {
            return rule(
                "[grants]".into(),
                "it asks for more than 1000 things, methods times paths counted: ask for wider ones",
            );
        }
        let mail = |wish: &OriginWish| matches!(wish, OriginWish::Pattern(pattern) if pattern.is_mail());
        let web = |wish: &OriginWish| matches!(wish, OriginWish::Pattern(pattern) if !pattern.is_mail());
        if self.grants.http.iter().any(|rule| mail(&rule.origin)) || self.grants.smtp.iter().any(web) {
            return rule(
                "[grants]".into(),
                "`http` takes `http` and `https`, `smtp` takes `smtp` and `smtps`",
            );
        }
        self.check_wishes("[grants] smtp", &self.grants.smtp)?;
        self.check_wishes("[grants] http", self.grants.http.iter().map(|rule| &rule.origin))
    }

    fn check_wishes<'a>(
        &self,
        at: &str,
        wishes: impl IntoIterator<Item = &'a OriginWish>,
    ) -> Result<(), ManifestError> {
        for wish in wishes {
            if let OriginWish::Field(field) = wish
                && self.config.get(field).is_none_or(|field| field.kind != FieldKind::Url)
            {
                return Err(ManifestError::Rule {
                    at: at.to_owned(),
                    message: format!("`{{{field}}}` names no config field of kind `url`"),
                });
            }
        }
        Ok(())
    }
}

pub(crate) mod optional_header_name {
    use http::HeaderName;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(name: &Option<HeaderName>, to: S) -> Result<S::Ok, S::Error> {
        match name {
            Some(name) => to.serialize_str(name.as_str()),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<HeaderName>, D::Error> {
        Option::<String>::deserialize(from)?.map(|name| name.parse().map_err(D::Error::custom)).transpose()
    }
}

pub(crate) mod header_name {
    use http::HeaderName;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(name: &HeaderName, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(name.as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<HeaderName, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRM: &str = r#"
name = "example/crm"
version = "0.1.0"
world = "connector"

[endpoints.create-lead]
direction = "outbound"
takes = "lead@1"

[config.base-url]
kind = "url"

[credentials.api-key]
place = { header = "authorization", prefix = "Bearer " }
hosts = ["{base-url}"]

[grants]
http = ["{base-url}", { origin = "https://*.example.com", methods = ["GET"], paths = ["/v1"] }]
"#;

    #[test]
    fn a_manifest_says_it_all() {
        let manifest = Manifest::parse(CRM.as_bytes()).unwrap();
        assert_eq!(manifest.package().to_string(), "example/crm@0.1.0");
        assert!(manifest.endpoint("create-lead", Direction::Outbound).is_some());
        assert!(manifest.endpoint("create-lead", Direction::Inbound).is_none());
        let schemas: Vec<_> = manifest.schemas().map(|(at, schema)| format!("{at} {schema}")).collect();
        assert_eq!(schemas, ["endpoint `create-lead` takes lead@1"]);
        assert_eq!(manifest.grants.http.len(), 2);
        let again: Manifest = serde_json::from_value(serde_json::to_value(&manifest).unwrap()).unwrap();
        assert_eq!(again, manifest);
    }

    #[test]
    fn a_typo_is_named_with_its_line_and_the_nearest_key() {
        let error = Manifest::parse(CRM.replace("takes", "taks").as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("wharf.toml line 8:"), "{error}");
        assert!(error.contains("did you mean `takes`?"), "{error}");
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let check = |from: &str, to: &str, want: &str| {
            let error = Manifest::parse(CRM.replace(from, to).as_bytes()).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        };
        check("kind = \"url\"", "kind = \"text\"", "names no config field of kind `url`");
        check("hosts = [\"{base-url}\"]", "hosts = []", "`hosts` is empty");
        check("[grants]\n", "[grants]\nsmtp = [\"https://a.example\"]\n", "`smtp` takes `smtp` and `smtps`");
        check("http = [", "http = [\"smtp://a.example\", ", "`http` takes `http` and `https`");
        check("world = \"connector\"", "world = \"workflow\"", "a workflow has no endpoints");
        check(
            "[endpoints.create-lead]\ndirection = \"outbound\"\ntakes = \"lead@1\"",
            "",
            "at least one endpoint",
        );
        assert_eq!(Manifest::parse(&[0xff]), Err(ManifestError::NotUtf8));
        assert_eq!(
            Manifest::parse(&vec![b'#'; MAX_MANIFEST + 1]),
            Err(ManifestError::TooLarge(MAX_MANIFEST + 1))
        );
    }
}
