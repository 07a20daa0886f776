//! Names that people choose. One grammar for all of them: lower-case letters,
//! digits and inner hyphens, 1 to 63 bytes, as in a DNS label (RFC 1123), so
//! that a name can stand in a path, a host name, a log line and a storage key.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest a name may be, in bytes: a DNS label's limit.
pub const MAX_NAME: usize = 63;

/// A text that is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{got}` is not a {what}: use 1 to {MAX_NAME} lower-case letters, digits and inner hyphens, starting with a letter or digit"
)]
pub struct BadName {
    /// What it should have been the name of.
    pub what: &'static str,
    /// The text, cut to 80 characters.
    pub got: String,
}

fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    bytes.len() <= MAX_NAME
        && bytes.iter().all(inner)
        && bytes.first().is_some_and(|b| *b != b'-')
        && bytes.last().is_some_and(|b| *b != b'-')
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                if is_name(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(BadName { what: $what, got: text.chars().take(80).collect() })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        /// A map keyed by this name can be asked with a plain text.
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// An event that a run waits for, within that run.
    EventName,
    "event name"
);
name!(
    /// A topic of a tenant, to which workflows subscribe.
    TopicName,
    "topic name"
);
name!(
    /// Who pays; the boundary of isolation and quota. Never derived from guest input.
    TenantId, "tenant"
);
name!(
    /// A connection within its tenant.
    ConnectionName, "connection"
);
name!(
    /// A workflow within its tenant.
    WorkflowName, "workflow"
);
name!(
    /// A schedule within its tenant.
    ScheduleName, "schedule"
);
name!(
    /// An endpoint of a connector.
    EndpointName, "endpoint"
);
name!(
    /// A stored secret within its tenant.
    SecretName, "secret"
);
name!(
    /// A config field, a credential or a role that a manifest declares.
    FieldName, "field"
);
name!(
    /// A schema, without its version.
    SchemaName, "schema"
);
name!(
    /// One half of a package's name.
    PackageLabel, "package label"
);

/// A package's name: `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackageName(Box<str>);

impl PackageName {
    /// The text, `namespace/name`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PackageName {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        match text.split_once('/') {
            Some((namespace, name)) if is_name(namespace) && is_name(name) => Ok(Self(text.into())),
            _ => {
                Err(BadName { what: "package name (`namespace/name`)", got: text.chars().take(80).collect() })
            }
        }
    }
}

impl TryFrom<String> for PackageName {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<PackageName> for String {
    fn from(name: PackageName) -> String {
        name.0.into()
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One version of a package: `namespace/name@1.2.3`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackageRef {
    /// The package.
    pub name: PackageName,
    /// Its exact version, three numbers with an optional pre-release.
    pub version: Version,
}

impl FromStr for PackageRef {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || BadName {
            what: "package with version (`namespace/name@1.2.3`)",
            got: text.chars().take(80).collect(),
        };
        let (name, version) = text.split_once('@').ok_or_else(bad)?;
        Ok(Self { name: name.parse()?, version: version.parse().map_err(|_| bad())? })
    }
}

impl TryFrom<String> for PackageRef {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<PackageRef> for String {
    fn from(package: PackageRef) -> String {
        package.to_string()
    }
}

impl fmt::Display for PackageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// One version of a schema: `lead@1`. A version never changes what it refuses,
/// so there is one number: what fits `lead@1` today fits it for ever.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SchemaRef {
    /// The schema.
    pub name: SchemaName,
    /// Its version, from 1.
    pub version: NonZeroU32,
}

impl FromStr for SchemaRef {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || BadName { what: "schema with version (`lead@1`)", got: text.chars().take(80).collect() };
        let (name, digits) = text.split_once('@').ok_or_else(bad)?;
        let version: NonZeroU32 = digits.parse().map_err(|_| bad())?;
        // One spelling: no `+1`, no `01`.
        if version.to_string() != digits {
            return Err(bad());
        }
        Ok(Self { name: name.parse()?, version })
    }
}

impl TryFrom<String> for SchemaRef {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<SchemaRef> for String {
    fn from(schema: SchemaRef) -> String {
        schema.to_string()
    }
}

impl fmt::Display for SchemaRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// A semantic version (semver.org 2.0.0) without build metadata, at most 63 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(semver::Version);

impl Version {
    /// Major, minor and patch.
    pub fn numbers(&self) -> [u64; 3] {
        [self.0.major, self.0.minor, self.0.patch]
    }
}

impl FromStr for Version {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        match semver::Version::parse(text) {
            Ok(version) if version.build.is_empty() && text.len() <= MAX_NAME => Ok(Self(version)),
            _ => Err(BadName { what: "version (`1.2.3`)", got: text.chars().take(80).collect() }),
        }
    }
}

impl TryFrom<String> for Version {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> String {
        version.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_stand_anywhere_a_dns_label_can() {
        for good in ["a", "crm", "web-form", "7", "a1-b2", &"x".repeat(63)] {
            assert!(good.parse::<TenantId>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a/b", "a b", "ä", "a\0", &"x".repeat(64), ".."] {
            assert!(bad.parse::<TenantId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_package_is_pinned_to_one_version() {
        let package: PackageRef = "example/crm@0.1.0".parse().unwrap();
        assert_eq!(package.to_string(), "example/crm@0.1.0");
        for bad in ["crm@0.1.0", "example/crm", "example/crm@1", "example/crm@1.0.0+b", "e/../x@1.0.0"] {
            assert!(bad.parse::<PackageRef>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_schema_is_named_with_its_version() {
        let schema: SchemaRef = "lead@12".parse().unwrap();
        assert_eq!((schema.name.as_str(), schema.version.get()), ("lead", 12));
        assert_eq!(schema.to_string(), "lead@12");
        for bad in
            ["lead", "lead@", "lead@0", "lead@01", "lead@+1", "lead@1.0", "Lead@1", "@1", "lead@99999999999"]
        {
            assert!(bad.parse::<SchemaRef>().is_err(), "{bad}");
        }
    }
}
