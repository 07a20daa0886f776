//! Connections as YAML, without writing YAML in every test.

use std::fmt::Write;

/// A connection to be applied.
pub struct Connection {
    name: String,
    package: String,
    config: Vec<(String, String)>,
    credentials: Vec<(String, String)>,
    http: Vec<String>,
    smtp: Vec<String>,
    kv: bool,
    bounds: Vec<(String, u64)>,
    verify: Option<String>,
    egress: Option<String>,
}

impl Connection {
    /// A connection without grants.
    pub fn new(name: &str, package: &str) -> Self {
        Self {
            name: name.to_owned(),
            package: package.to_owned(),
            config: Vec::new(),
            credentials: Vec::new(),
            http: Vec::new(),
            smtp: Vec::new(),
            kv: false,
            bounds: Vec::new(),
            verify: None,
            egress: None,
        }
    }

    /// A connection of the probe of this name. Its hooks are open: what most
    /// tests are about begins behind them.
    pub fn probe(name: &str) -> Self {
        Self::new(name, &format!("probe/{name}@0.1.0")).open_hooks()
    }

    /// Takes what anybody sends to its hooks.
    #[must_use]
    pub fn open_hooks(self) -> Self {
        self.verify("none")
    }

    /// How requests to its hooks are verified, as YAML: `{ github: { secrets: [key] } }`.
    #[must_use]
    pub fn verify(mut self, how: &str) -> Self {
        self.verify = Some(how.to_owned());
        self
    }

    /// Sets a config field.
    #[must_use]
    pub fn config(mut self, field: &str, value: impl ToString) -> Self {
        self.config.push((field.to_owned(), value.to_string()));
        self
    }

    /// Says which secret a credential is.
    #[must_use]
    pub fn credential(mut self, name: &str, secret: &str) -> Self {
        self.credentials.push((name.to_owned(), secret.to_owned()));
        self
    }

    /// Grants an origin.
    #[must_use]
    pub fn grant_http(mut self, origin: impl ToString) -> Self {
        self.http.push(origin.to_string());
        self
    }

    /// Grants a mail server.
    #[must_use]
    pub fn grant_smtp(mut self, server: impl ToString) -> Self {
        self.smtp.push(server.to_string());
        self
    }

    /// How its requests behave, as YAML: `{ redirects: 3 }`.
    #[must_use]
    pub fn egress(mut self, how: &str) -> Self {
        self.egress = Some(how.to_owned());
        self
    }

    /// Grants kv.
    #[must_use]
    pub fn grant_kv(mut self) -> Self {
        self.kv = true;
        self
    }

    /// Lowers a bound.
    #[must_use]
    pub fn bound(mut self, name: &str, value: u64) -> Self {
        self.bounds.push((name.to_owned(), value));
        self
    }

    /// The document.
    pub fn yaml(&self) -> String {
        let mut yaml = format!("kind: connection\nname: {}\npackage: {}\n", self.name, self.package);
        if let Some(how) = &self.verify {
            writeln!(yaml, "verify: {how}").unwrap();
        }
        if let Some(how) = &self.egress {
            writeln!(yaml, "egress: {how}").unwrap();
        }
        let mut section = |title: &str, lines: Vec<String>| {
            if !lines.is_empty() {
                writeln!(yaml, "{title}:").unwrap();
                lines.iter().for_each(|line| writeln!(yaml, "  {line}").unwrap());
            }
        };
        section("config", self.config.iter().map(|(field, value)| format!("{field}: {value:?}")).collect());
        section(
            "credentials",
            self.credentials.iter().map(|(name, secret)| format!("{name}: {{ secret: {secret} }}")).collect(),
        );
        let mut grants = Vec::new();
        if !self.http.is_empty() {
            grants.push(format!("http: {:?}", self.http));
        }
        if !self.smtp.is_empty() {
            grants.push(format!("smtp: {:?}", self.smtp));
        }
        if self.kv {
            grants.push("kv: true".to_owned());
        }
        section("grants", grants);
        section("bounds", self.bounds.iter().map(|(name, value)| format!("{name}: {value}")).collect());
        yaml
    }
}
