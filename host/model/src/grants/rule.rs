//! One grant of HTTP: where requests may go, and if it says so, with which
//! methods and below which paths. Written as an origin alone, or as a table:
//! `{ origin = "https://api.example.com", methods = ["GET"], paths = ["/v1"] }`.

use std::fmt;
use std::marker::PhantomData;

use http::Method;
use serde::de::{Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Origin, OriginPattern, PathPrefix};

/// The most methods, and the most paths, of one grant: enough for what a
/// person reads before consenting.
const MAX_NARROWINGS: usize = 32;

/// A grant of HTTP; `O` is how it names origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRule<O> {
    /// Where requests may go.
    pub origin: O,
    /// With which methods; with any if empty.
    pub methods: Vec<Method>,
    /// At or below which paths; anywhere if empty.
    pub paths: Vec<PathPrefix>,
}

/// A request, as far as grants look at it.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// Where it goes.
    pub origin: &'a Origin,
    /// The path, as it is sent, without the query.
    pub path: &'a str,
    /// Its method, and every other that it asks its server to take it for.
    pub methods: &'a [Method],
    /// Whether it asks its server to take it for one of another path.
    pub elsewhere: bool,
}

impl<O> HttpRule<O> {
    /// Every method and path of these origins.
    pub fn all_of(origin: O) -> Self {
        Self { origin, methods: Vec::new(), paths: Vec::new() }
    }

    /// The same rule with origins named otherwise; `None` if they have no other name.
    pub fn map<P>(&self, origin: impl FnOnce(&O) -> Option<P>) -> Option<HttpRule<P>> {
        let (methods, paths) = (self.methods.clone(), self.paths.clone());
        Some(HttpRule { origin: origin(&self.origin)?, methods, paths })
    }

    /// How many pairs of a method and a path it names.
    pub fn width(&self) -> usize {
        self.methods.len().max(1) * self.paths.len().max(1)
    }

    /// Whether it covers every method and path.
    pub fn is_open(&self) -> bool {
        self.methods.is_empty() && self.paths.is_empty()
    }
}

impl HttpRule<OriginPattern> {
    /// Whether this request may go out by it.
    pub fn allows(&self, asking: Asking<'_>) -> bool {
        let method =
            self.methods.is_empty() || asking.methods.iter().all(|method| self.methods.contains(method));
        let path = || {
            self.paths.is_empty()
                || !asking.elsewhere && self.paths.iter().any(|prefix| prefix.covers(asking.path))
        };
        self.origin.allows(asking.origin) && method && path()
    }

    /// Whether every request that `other` lets out goes out by it.
    pub fn covers(&self, other: &Self) -> bool {
        let method = self.methods.is_empty()
            || !other.methods.is_empty() && other.methods.iter().all(|method| self.methods.contains(method));
        let below = |path: &PathPrefix| self.paths.iter().any(|prefix| prefix.covers(&path.to_string()));
        let path = self.paths.is_empty() || !other.paths.is_empty() && other.paths.iter().all(below);
        self.origin.covers(&other.origin) && method && path
    }

    /// Whether some request that `other` lets out goes out by it, too.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (one, two) = (&self.methods, &other.methods);
        let method = one.is_empty() || two.is_empty() || one.iter().any(|method| two.contains(method));
        let covers = |wide: &PathPrefix, path: &PathPrefix| wide.covers(&path.to_string());
        let (one, two) = (&self.paths, &other.paths);
        let path = one.is_empty()
            || two.is_empty()
            || one.iter().any(|a| two.iter().any(|b| covers(a, b) || covers(b, a)));
        self.origin.overlaps(&other.origin) && method && path
    }

    /// The same as rules of one method and one path each, or of any.
    pub fn apart(&self) -> impl Iterator<Item = Self> {
        let each_path = |rule: &Self| match rule.paths.as_slice() {
            [] => vec![rule.clone()],
            paths => paths.iter().map(|path| Self { paths: vec![path.clone()], ..rule.clone() }).collect(),
        };
        let each_method: Vec<_> = match self.methods.as_slice() {
            [] => vec![self.clone()],
            methods => methods.iter().map(|it| Self { methods: vec![it.clone()], ..self.clone() }).collect(),
        };
        each_method.into_iter().flat_map(move |rule| each_path(&rule))
    }

    fn sorts_as(&self) -> impl Ord {
        let methods: Vec<_> = self.methods.iter().map(|method| method.as_str().to_owned()).collect();
        (self.origin.clone(), methods, self.paths.clone())
    }
}

impl PartialOrd for HttpRule<OriginPattern> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for HttpRule<OriginPattern> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.sorts_as().cmp(&other.sorts_as())
    }
}

/// `https://api.example.com (GET, POST; /v1)`.
impl<O: fmt::Display> fmt::Display for HttpRule<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.origin)?;
        if self.is_open() {
            return Ok(());
        }
        let methods: Vec<_> = self.methods.iter().map(Method::to_string).collect();
        let paths: Vec<_> = self.paths.iter().map(PathPrefix::to_string).collect();
        let parts = [methods.join(", "), paths.join(", ")];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        write!(f, " ({})", parts.join("; "))
    }
}

/// The table, as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", rename = "grant")]
struct Table<O> {
    origin: O,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    methods: Vec<MethodName>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    paths: Vec<PathPrefix>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct MethodName(Method);

impl TryFrom<String> for MethodName {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match Method::from_bytes(text.as_bytes()) {
            // Methods are case-sensitive: `get` would never match what is sent.
            Ok(method) if text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') => {
                Ok(Self(method))
            }
            _ => Err(format!("`{}` is not a method: write `GET`", text.chars().take(40).collect::<String>())),
        }
    }
}

impl From<MethodName> for String {
    fn from(name: MethodName) -> String {
        name.0.to_string()
    }
}

impl<O: Clone + Serialize> Serialize for HttpRule<O> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.is_open() {
            return self.origin.serialize(to);
        }
        let methods = self.methods.iter().cloned().map(MethodName).collect();
        Table { origin: self.origin.clone(), methods, paths: self.paths.clone() }.serialize(to)
    }
}

impl<'de, O> Deserialize<'de> for HttpRule<O>
where
    O: Deserialize<'de> + TryFrom<String, Error: fmt::Display>,
{
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either<O>(PhantomData<O>);

        // By hand, since an untagged enum tells nobody what is wrong.
        impl<'de, O> Visitor<'de> for Either<O>
        where
            O: Deserialize<'de> + TryFrom<String, Error: fmt::Display>,
        {
            type Value = HttpRule<O>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an origin, or a table of `origin`, `methods` and `paths`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                O::try_from(text.to_owned()).map(HttpRule::all_of).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let Table { origin, methods, paths } = Table::deserialize(MapAccessDeserializer::new(map))?;
                if methods.len() > MAX_NARROWINGS || paths.len() > MAX_NARROWINGS {
                    let what = format!("a grant has at most {MAX_NARROWINGS} methods and as many paths");
                    return Err(A::Error::custom(what));
                }
                Ok(HttpRule { origin, methods: methods.into_iter().map(|name| name.0).collect(), paths })
            }
        }

        from.deserialize_any(Either(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(value: serde_json::Value) -> Result<HttpRule<OriginPattern>, String> {
        serde_json::from_value(value).map_err(|error: serde_json::Error| error.to_string())
    }

    #[test]
    fn a_rule_is_an_origin_or_a_table_and_is_shown_as_it_was_written() {
        for (written, shown) in [
            (json!("https://a.example"), "https://a.example"),
            (
                json!({ "origin": "https://*.a.example", "methods": ["GET", "POST"], "paths": ["/v1"] }),
                "https://*.a.example (GET, POST; /v1)",
            ),
            (
                json!({ "origin": "https://a.example", "paths": ["/v1", "/v2"] }),
                "https://a.example (/v1, /v2)",
            ),
        ] {
            let rule = rule(written.clone()).unwrap();
            assert_eq!(rule.to_string(), shown);
            assert_eq!(serde_json::to_value(&rule).unwrap(), written);
        }
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_said() {
        for (written, want) in [
            (json!("a.example"), "is not an origin"),
            (json!({ "origin": "a.example" }), "is not an origin"),
            (json!({ "origin": "https://a.example", "method": ["GET"] }), "unknown field `method`"),
            (json!({ "methods": ["GET"] }), "missing field `origin`"),
            (
                json!({ "origin": "https://a.example", "methods": ["get"] }),
                "`get` is not a method: write `GET`",
            ),
            (json!({ "origin": "https://a.example", "paths": ["v1"] }), "is not a path prefix"),
            (json!(7), "an origin, or a table of"),
            (json!({ "origin": "https://a.example", "methods": vec!["GET"; 33] }), "at most 32 methods"),
        ] {
            let error = rule(written).unwrap_err();
            assert!(error.contains(want), "{error}");
        }
    }

    #[test]
    fn origin_methods_and_path_must_all_fit_and_the_request_must_mean_what_it_says() {
        let narrow = json!({ "origin": "https://a.example", "methods": ["GET", "POST"], "paths": ["/v1"] });
        let narrow = rule(narrow).unwrap();
        let check = |url: &str, methods: &[Method], elsewhere, want: bool| {
            let url = url::Url::parse(url).unwrap();
            let asking = Asking { origin: &Origin::of(&url).unwrap(), path: url.path(), methods, elsewhere };
            assert_eq!(narrow.allows(asking), want, "{url} {methods:?}");
        };
        check("https://a.example/v1/x", &[Method::GET], false, true);
        check("https://b.example/v1/x", &[Method::GET], false, false);
        check("https://a.example/v2/x", &[Method::GET], false, false);
        check("https://a.example/v1/x", &[Method::DELETE], false, false);
        check("https://a.example/v1/x", &[Method::POST, Method::DELETE], false, false);
        check("https://a.example/v1/x", &[Method::GET], true, false);
        let open = rule(json!("https://a.example")).unwrap();
        let origin = Origin::of(&"https://a.example".parse().unwrap()).unwrap();
        let odd = Asking { origin: &origin, path: "/v1/../x", methods: &[Method::DELETE], elsewhere: true };
        assert!(open.allows(odd), "who grants an origin whole grants every path of it");
    }
}
