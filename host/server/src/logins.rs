//! `[[oidc]]` of `wharf.toml`: by whom people log in, and what that gives them.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use host_control::{Logins, Offered, Rule};
use host_egress::{Egress, SendLimits};
use host_login::{Issuer, Outside, Settings};
use host_model::clock::Clock;
use host_model::effects::BoxFuture;
use host_model::name::TenantId;
use http::{Request, Response};
use secrecy::SecretString;
use serde::Deserialize;

/// How long an issuer may take for one answer: somebody sits there and waits.
/// The most bytes of one: keys, or a token with some thousand groups.
const LIMITS: SendLimits = SendLimits { timeout: Duration::from_secs(10), body_bytes: 256 << 10 };
/// The most bytes of a client's secret.
const MAX_SECRET: u64 = 4 << 10;
/// How long a login lasts if the config does not say: a working day.
const DEFAULT_HOURS: u32 = 8;
/// The longest: what a role gives is looked at again at the next login only.
const MAX_HOURS: u32 = 24 * 7;

/// One issuer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct OidcFile {
    /// What people call it: `wharf login --issuer corp`.
    name: String,
    /// Its address, as it calls itself: `https://id.example.com`.
    issuer: String,
    /// Who this host is to it.
    client_id: String,
    /// What proves that, if it asks for more than PKCE.
    #[serde(default)]
    client_secret: Option<SourceFile>,
    /// What is asked for besides `openid`.
    #[serde(default = "scopes")]
    scopes: Vec<String>,
    /// The claim whose values the rules are about: a name, or a JSON pointer.
    #[serde(default = "roles_claim")]
    roles_claim: String,
    /// The claim that is shown as somebody's name.
    #[serde(default = "name_claim")]
    name_claim: String,
    /// How long a login lasts.
    #[serde(default = "hours")]
    login_hours: u32,
    /// What a value gives; the first that fits counts.
    rules: Vec<RuleFile>,
}

/// Where a secret comes from: one of them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct SourceFile {
    /// A file that its owner alone may read.
    file: Option<PathBuf>,
    /// A variable of the host's environment.
    env: Option<String>,
}

/// What a value of the claim gives.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RuleFile {
    value: String,
    /// None for the role `operator`.
    #[serde(default)]
    tenant: Option<TenantId>,
    /// `operator`, `admin`, `developer` or `viewer`.
    role: String,
}

fn scopes() -> Vec<String> {
    ["email", "profile"].map(str::to_owned).to_vec()
}

fn roles_claim() -> String {
    "groups".to_owned()
}

fn name_claim() -> String {
    "email".to_owned()
}

fn hours() -> u32 {
    DEFAULT_HOURS
}

/// An issuer as the operator set it up; its secret is read.
#[derive(Debug)]
pub(crate) struct OidcConfig {
    settings: Settings,
    rules: Vec<Rule>,
    lasts: Duration,
}

/// All issuers, or what is wrong with one.
pub(crate) fn resolve(files: Vec<OidcFile>) -> anyhow::Result<Vec<OidcConfig>> {
    let mut all: Vec<OidcConfig> = Vec::new();
    for file in files {
        let name = file.name.clone();
        let config = file.resolve().with_context(|| format!("[[oidc]] `{name}`"))?;
        ensure!(
            all.iter().all(|other| other.settings.name != name),
            "[[oidc]] `{name}` is there twice: give one another name"
        );
        all.push(config);
    }
    Ok(all)
}

impl OidcFile {
    fn resolve(self) -> anyhow::Result<OidcConfig> {
        let hours = self.login_hours;
        ensure!((1..=MAX_HOURS).contains(&hours), "login-hours: {hours} is not from 1 to {MAX_HOURS}");
        ensure!(!self.rules.is_empty(), "rules: there are none, so nobody could log in");
        let rules = self.rules.into_iter().enumerate().map(|(at, RuleFile { value, tenant, role })| {
            Rule::new(&value, tenant, &role).map_err(|why| anyhow::anyhow!("rules, number {}: {why}", at + 1))
        });
        let rules = rules.collect::<Result<_, _>>()?;
        let settings = Settings {
            name: self.name,
            issuer: self.issuer,
            client_id: self.client_id,
            client_secret: None,
            scopes: self.scopes,
            roles_claim: self.roles_claim,
            name_claim: self.name_claim,
        };
        settings.check()?;
        let client_secret = self.client_secret.map(SourceFile::read).transpose().context("client-secret")?;
        let lasts = Duration::from_secs(u64::from(hours) * 3_600);
        Ok(OidcConfig { settings: Settings { client_secret, ..settings }, rules, lasts })
    }
}

impl SourceFile {
    fn read(self) -> anyhow::Result<SecretString> {
        let text = match (self.file, self.env) {
            (Some(path), None) => {
                let about =
                    std::fs::metadata(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
                ensure!(
                    about.mode() & 0o077 == 0,
                    "others may read `{0}`: run `chmod 600 {0}`",
                    path.display()
                );
                ensure!(about.len() <= MAX_SECRET, "`{}` has more than {MAX_SECRET} bytes", path.display());
                std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?
            }
            (None, Some(name)) => {
                let text = std::env::var(&name).ok().filter(|text| !text.is_empty());
                text.with_context(|| {
                    format!("the environment has no `{name}`: set it to the client's secret")
                })?
            }
            _ => bail!("a secret comes from one place: `{{ file = \"…\" }}` or `{{ env = \"…\" }}`"),
        };
        let text = text.trim_end_matches(['\r', '\n']);
        ensure!(!text.is_empty(), "it is empty");
        Ok(SecretString::from(text))
    }
}

/// The logins of a host that is reached there.
pub(crate) fn logins(
    oidc: Vec<OidcConfig>,
    egress: &Arc<Egress>,
    clock: &Arc<dyn Clock>,
    public_url: &str,
) -> Arc<Logins> {
    let offered = oidc.into_iter().map(|OidcConfig { settings, rules, lasts }| {
        let outside = Arc::new(Own(Arc::clone(egress)));
        Offered { issuer: Issuer::new(settings, outside, Arc::clone(clock)), rules, lasts }
    });
    Arc::new(Logins::new(offered.collect(), public_url))
}

/// The host's own way out, through the same second gate as every guest's.
struct Own(Arc<Egress>);

impl Outside for Own {
    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Bytes>, String>> {
        Box::pin(async move { self.0.send_own(request, LIMITS).await.map_err(|error| error.to_string()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = 'corp'\nissuer = 'https://id.example.com'\nclient-id = 'wharf'\n";
    const RULE: &str = "rules = [{ value = 'staff', tenant = 'acme', role = 'viewer' }]\n";

    fn read(text: &str) -> anyhow::Result<Vec<OidcConfig>> {
        let file: OidcFile = toml::from_str(text)?;
        resolve(vec![file])
    }

    fn refused(text: &str, want: &str) {
        let error = format!("{:#}", read(text).unwrap_err());
        assert!(error.contains(want), "{error}");
    }

    #[test]
    fn an_issuer_is_read_with_what_is_usual() {
        let read = read(&format!("{GOOD}{RULE}")).unwrap();
        let [OidcConfig { settings, rules, lasts }] = &read[..] else { panic!("one") };
        assert_eq!((settings.roles_claim.as_str(), settings.name_claim.as_str()), ("groups", "email"));
        assert_eq!((rules.len(), *lasts), (1, Duration::from_secs(8 * 3_600)));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_key() {
        refused(&format!("{GOOD}{RULE}clientid = 'x'\n"), "unknown field `clientid`");
        refused(&format!("{GOOD}rules = []\n"), "[[oidc]] `corp`: rules: there are none");
        refused(&format!("{GOOD}{RULE}login-hours = 0\n"), "login-hours: 0 is not from 1");
        refused(
            &format!("{GOOD}rules = [{{ value = 'a', role = 'viewer' }}]\n"),
            "rules, number 1: that role is in a tenant",
        );
        let plain = GOOD.replace("https", "http");
        refused(&format!("{plain}{RULE}"), "issuer: `http://id.example.com` is neither");
        refused(&format!("{GOOD}{RULE}client-secret = {{}}\n"), "a secret comes from one place");
        refused(&format!("{GOOD}{RULE}client-secret = 'hush'\n"), "invalid type");
        refused(
            &format!("{GOOD}{RULE}client-secret = {{ env = 'WHARF_NO_SUCH' }}\n"),
            "has no `WHARF_NO_SUCH`",
        );
        let twice = || toml::from_str::<OidcFile>(&format!("{GOOD}{RULE}")).unwrap();
        assert!(resolve(vec![twice(), twice()]).unwrap_err().to_string().contains("is there twice"));
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "hush\n").unwrap();
        let text = format!("{GOOD}{RULE}client-secret = {{ file = '{}' }}\n", path.display());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        refused(&text, "chmod 600");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let read = read(&text).unwrap();
        let secret = read[0].settings.client_secret.as_ref().unwrap();
        assert_eq!(secrecy::ExposeSecret::expose_secret(secret), "hush", "without the line's end");
        assert!(!format!("{read:?}").contains("hush"));
    }
}
