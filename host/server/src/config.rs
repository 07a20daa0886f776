//! `wharf.toml` of a host: as the operator writes it, then as it is used.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use host_admission::Limits;
use host_capabilities::KvQuota;
use host_egress::{Ceilings, Closing, Opening, Policy};
use host_model::bounds::{Bounds, BoundsSpec};
use host_model::forbidden::{Forbidden, ForbiddenGrant, ForbiddenPackage};
use host_model::quota::QuotasSpec;
use host_model::resource::verify::IpRange;
use host_model::suggest::explain_unknown;
use host_sandbox::EngineSettings;
use registry::{TrustedKey, TrustedKeys};
use serde::Deserialize;

use crate::ceilings::CeilingsFile;
use crate::logins::{self, OidcConfig, OidcFile};
use crate::master_keys::{KeySources, SecretsFile};
use crate::tls::TlsListener;
use crate::vitals::Reserves;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// The file. Unknown keys are errors; whatever is left out has the default
/// that stands beside it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct ConfigFile {
    server: ServerFile,
    /// A listener with TLS. None: there is the one of `[server]`, in the clear, alone.
    tls: Option<TlsListener>,
    admission: AdmissionFile,
    sandbox: SandboxFile,
    egress: EgressFile,
    packages: PackagesFile,
    grants: GrantsFile,
    runs: RunsFile,
    kv: KvFile,
    /// What a tenant may use in all, if its document does not say.
    quotas: QuotasSpec,
    health: HealthFile,
    audit: AuditFile,
    secrets: SecretsFile,
    /// By whom people log in.
    oidc: Vec<OidcFile>,
    bounds: BoundsSpec,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct ServerFile {
    /// Where to listen.
    listen: SocketAddr,
    /// Where the outside reaches this host: `https://wharf.example`. The
    /// addresses of events start with it; `http://` and `listen` if left out.
    public_url: Option<String>,
    /// How long a stopping host waits for calls and runs.
    grace_ms: u64,
    /// The largest body of a webhook or run that is read whole.
    body_bytes: usize,
    /// Connections at once of each listener; each may hold 64 KiB, over TLS three times that.
    connections: NonZeroUsize,
    /// Proxies in front of this host, `10.0.0.0/8`: whom they name last in
    /// `X-Forwarded-For` is who sent a request. None: whoever connects did.
    trusted_proxies: Vec<String>,
}

impl Default for ServerFile {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7070)),
            public_url: None,
            grace_ms: 30_000,
            body_bytes: 1 << 20,
            connections: host_ingress::Settings::default().connections,
            trusted_proxies: Vec::new(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct AdmissionFile {
    /// Calls, and besides runs, that one tenant may have going on at once.
    calls_per_tenant: NonZeroUsize,
    /// Calls of one tenant that may wait for a place.
    waiting_per_tenant: usize,
    /// How long a call may wait before it is refused with 429.
    wait_ms: u64,
}

impl Default for AdmissionFile {
    fn default() -> Self {
        Self {
            calls_per_tenant: NonZeroUsize::new(64).unwrap_or(NonZeroUsize::MIN),
            waiting_per_tenant: 1_000,
            wait_ms: 2_000,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct SandboxFile {
    /// Guests at once; each reserves some 6 GiB of address space, not memory.
    slots: u32,
    /// Slots that keep their pages between calls; each costs about 100 KiB.
    warm_slots: u32,
    /// Where compiled components are kept; below the data folder if left out.
    artefact_cache: Option<PathBuf>,
}

impl Default for SandboxFile {
    fn default() -> Self {
        let EngineSettings { slots, warm_slots, .. } = EngineSettings::default();
        Self { slots, warm_slots, artefact_cache: None }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct EgressFile {
    /// Address ranges that are not public and may be reached all the same:
    /// `127.0.0.1/32:9101`. Every connection's grants still apply.
    open: Vec<Opening>,
    /// Hosts and ranges that nobody may reach, whatever is open or granted:
    /// `example.com`, `*.example.com`, `203.0.113.0/24`.
    closed: Vec<Closing>,
    /// What any connection's `egress:` may come to.
    ceilings: CeilingsFile,
    /// Whether `/metrics`, which anybody may read, names tenants and connections.
    metrics_by_connection: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct PackagesFile {
    /// Packages that nobody may publish, set up or go on using: `evil/*`,
    /// `acme/crm`, `acme/crm@0.3.*`, `acme/crm@1.2.3`.
    forbidden: Vec<ForbiddenPackage>,
    /// The minisign public keys of the publishers whose packages are taken,
    /// `RW…`. None: packages of whoever may publish are, and no signature is checked.
    trusted_keys: Vec<TrustedKey>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct GrantsFile {
    /// Grants that nobody may be given, whoever consents: `kv`, `smtp`,
    /// `http://*`, `https://*.evil.example`, or requests as grants write them:
    /// `{ origin = "https://api.example.com", methods = ["DELETE"] }`.
    forbidden: Vec<ForbiddenGrant>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct RunsFile {
    /// Runs in memory at once; the others wait in the store.
    max_in_memory: usize,
}

impl Default for RunsFile {
    fn default() -> Self {
        Self { max_in_memory: host_runs::Settings::default().max_in_memory }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct KvFile {
    /// Keys that one connection may keep.
    keys: u64,
    /// Bytes of its keys and values together.
    bytes: u64,
}

impl Default for KvFile {
    fn default() -> Self {
        let KvQuota { keys, bytes } = KvQuota::default();
        Self { keys, bytes }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct HealthFile {
    /// Bytes of memory below which nothing new is taken.
    memory_reserve_bytes: u64,
    /// Bytes of disk below which nothing new is kept.
    disk_reserve_bytes: u64,
}

impl Default for HealthFile {
    fn default() -> Self {
        let Reserves { memory, disk } = Reserves::default();
        Self { memory_reserve_bytes: memory, disk_reserve_bytes: disk }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct AuditFile {
    /// Days that entries of the audit log are kept.
    keep_days: NonZeroU32,
    /// The most entries of one tenant; beyond, its oldest go.
    tenant_entries: u64,
}

impl Default for AuditFile {
    fn default() -> Self {
        let host_audit::Settings { keep, tenant_entries } = host_audit::Settings::default();
        let days = u32::try_from(keep.as_secs() / DAY).ok().and_then(NonZeroU32::new);
        Self { keep_days: days.unwrap_or(NonZeroU32::MIN), tenant_entries }
    }
}

/// What the code uses.
#[derive(Debug)]
pub struct Config {
    /// Everything durable is below it.
    pub data: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where to listen for TLS, and with what.
    pub tls: Option<TlsListener>,
    /// Where the outside reaches this host, without a slash at its end.
    pub public_url: Option<String>,
    /// How long a stopping host waits.
    pub grace: Duration,
    /// What one request may bring.
    pub ingress: host_ingress::Limits,
    /// What all connections together may take.
    pub http: host_ingress::Settings,
    /// Whose word on who sent a request counts.
    pub trusted_proxies: Vec<IpRange>,
    /// What the operator set about runs.
    pub runs: host_runs::Settings,
    /// Places per tenant.
    pub admission: Limits,
    /// What one connection may keep.
    pub kv: KvQuota,
    /// What a tenant may use in all.
    pub quotas: QuotasSpec,
    /// What there must be left to take something new.
    pub reserves: Reserves,
    /// How long the audit log is kept.
    pub audit: host_audit::Settings,
    /// The engine's sizes.
    pub engine: EngineSettings,
    /// What the operator opens.
    pub policy: Policy,
    /// What any connection's requests may come to.
    pub ceilings: Ceilings,
    /// What the operator forbids.
    pub forbidden: Forbidden,
    /// Whose packages are taken.
    pub publishers: TrustedKeys,
    /// Whether metrics name tenants and connections.
    pub metrics_by_connection: bool,
    /// What any call may use.
    pub bounds: Bounds,
    /// Where the master keys come from.
    pub secrets: KeySources,
    /// By whom people log in.
    pub(crate) oidc: Vec<OidcConfig>,
    /// This file, which a rotation of the master key reads again.
    pub file: Option<PathBuf>,
    /// Where compiled components are kept.
    pub artefacts: PathBuf,
    /// The program that compiles: this one, called again.
    pub compiler: PathBuf,
}

impl Config {
    /// Reads the file, if there is one, and lets the arguments overrule it.
    pub fn load(data: PathBuf, file: Option<&Path>, listen: Option<SocketAddr>) -> anyhow::Result<Self> {
        let compiler =
            std::env::current_exe().context("cannot find this program, which is also the compiler")?;
        let config = read(file)?.resolve(data, listen, compiler)?;
        Ok(Self { file: file.map(Path::to_owned), ..config })
    }
}

/// The file's part on TLS alone.
pub(crate) fn tls_listener(file: Option<&Path>) -> anyhow::Result<Option<TlsListener>> {
    Ok(read(file)?.tls)
}

/// The file's part on master keys alone, as it is now.
pub(crate) fn key_sources(data: &Path, file: Option<&Path>) -> anyhow::Result<KeySources> {
    read(file)?.secrets.resolve(data)
}

/// The file's part on whose packages are taken alone.
pub(crate) fn trusted_keys(file: Option<&Path>) -> anyhow::Result<TrustedKeys> {
    publishers(read(file)?.packages.trusted_keys)
}

fn publishers(keys: Vec<TrustedKey>) -> anyhow::Result<TrustedKeys> {
    TrustedKeys::new(keys).context("[packages] trusted-keys")
}

fn read(file: Option<&Path>) -> anyhow::Result<ConfigFile> {
    let Some(path) = file else { return Ok(ConfigFile::default()) };
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    parse(&text, &path.display().to_string())
}

fn parse(text: &str, name: &str) -> anyhow::Result<ConfigFile> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let line =
            1 + text.bytes().take(error.span().map_or(0, |span| span.start)).filter(|b| *b == b'\n').count();
        anyhow::anyhow!("{name} line {line}: {}", explain_unknown(error.message()))
    })
}

impl ConfigFile {
    fn resolve(self, data: PathBuf, listen: Option<SocketAddr>, compiler: PathBuf) -> anyhow::Result<Config> {
        let proxies: Result<Vec<IpRange>, _> =
            self.server.trusted_proxies.iter().map(|text| text.parse()).collect();
        let grace = Duration::from_millis(self.server.grace_ms);
        let artefacts = self.sandbox.artefact_cache.unwrap_or_else(|| data.join("artefacts"));
        Ok(Config {
            secrets: self.secrets.resolve(&data)?,
            oidc: logins::resolve(self.oidc)?,
            file: None,
            data,
            artefacts,
            listen: listen.unwrap_or(self.server.listen),
            tls: self.tls,
            public_url: self.server.public_url.as_deref().map(public_url).transpose()?,
            grace,
            ingress: host_ingress::Limits { body_bytes: self.server.body_bytes, ..Default::default() },
            http: host_ingress::Settings {
                connections: self.server.connections,
                grace,
                ..Default::default()
            },
            trusted_proxies: proxies.context("[server] trusted-proxies")?,
            runs: host_runs::Settings { max_in_memory: self.runs.max_in_memory, ..Default::default() },
            admission: Limits {
                calls_per_tenant: self.admission.calls_per_tenant,
                waiting_per_tenant: self.admission.waiting_per_tenant,
                wait: Duration::from_millis(self.admission.wait_ms),
            },
            kv: KvQuota { keys: self.kv.keys, bytes: self.kv.bytes },
            quotas: self.quotas,
            reserves: Reserves {
                memory: self.health.memory_reserve_bytes,
                disk: self.health.disk_reserve_bytes,
            },
            audit: host_audit::Settings {
                keep: Duration::from_secs(u64::from(self.audit.keep_days.get()) * DAY),
                tenant_entries: self.audit.tenant_entries,
            },
            engine: EngineSettings {
                slots: self.sandbox.slots.max(2),
                warm_slots: self.sandbox.warm_slots,
                ..EngineSettings::default()
            },
            ceilings: self.egress.ceilings.resolve()?,
            policy: Policy { open: self.egress.open, closed: self.egress.closed },
            forbidden: Forbidden { packages: self.packages.forbidden, grants: self.grants.forbidden },
            publishers: publishers(self.packages.trusted_keys)?,
            metrics_by_connection: self.egress.metrics_by_connection,
            bounds: ceiling(&self.bounds),
            compiler,
        })
    }
}

/// An address that paths can be put behind.
fn public_url(text: &str) -> anyhow::Result<String> {
    let uri: http::Uri = text.parse().with_context(|| format!("[server] public-url: `{text}` is no URL"))?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    anyhow::ensure!(
        is_web && uri.query().is_none() && !text.contains('@'),
        "[server] public-url: `{text}` must be like `https://wharf.example`"
    );
    Ok(text.trim_end_matches('/').to_owned())
}

/// The operator's ceiling may be above or below the default.
fn ceiling(wish: &BoundsSpec) -> Bounds {
    let default = Bounds::default();
    Bounds {
        fuel: wish.fuel.unwrap_or(default.fuel),
        wall: wish.wall_ms.map_or(default.wall, Duration::from_millis),
        memory: wish.memory_bytes.unwrap_or(default.memory),
        host_call_bytes: wish.host_call_bytes.unwrap_or(default.host_call_bytes),
        handles: wish.handles.unwrap_or(default.handles),
        outbound_calls: wish.outbound_calls.unwrap_or(default.outbound_calls),
        body_bytes: wish.body_bytes.unwrap_or(default.body_bytes),
        log_bytes: wish.log_bytes.unwrap_or(default.log_bytes),
        output_bytes: wish.output_bytes.unwrap_or(default.output_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_forbids_nothing_is_an_error_with_its_line() {
        let file = parse(
            "[packages]\nforbidden = ['evil/*', 'acme/crm@0.3.*']\n[grants]\nforbidden = ['kv', { origin = 'https://a.example', methods = ['GET'] }]\n",
            "",
        );
        let file = file.unwrap();
        assert_eq!((file.packages.forbidden.len(), file.grants.forbidden.len()), (2, 2));
        for (text, want) in [
            (
                "[packages]\nforbidden = ['evil']\n",
                "wharf.toml line 2: `evil` forbids nothing: write `evil/*`",
            ),
            ("[grants]\nforbidden = ['*']\n", "wharf.toml line 2: `*` forbids nothing"),
            ("[grants]\nforbidden = [{ origin = 'https://a.example', methods = ['get'] }]\n", "write `GET`"),
            ("[grants]\nforbiden = ['kv']\n", "did you mean `forbidden`?"),
        ] {
            let error = parse(text, "wharf.toml").unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
    }

    #[test]
    fn a_key_that_is_none_is_named_with_its_line_and_two_of_one_id_are_told_apart() {
        let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
        let file = parse(&format!("[packages]\ntrusted-keys = ['{key}']\n"), "").unwrap();
        assert!(publishers(file.packages.trusted_keys.clone()).unwrap().trusts(key));
        let twice = [file.packages.trusted_keys.clone(), file.packages.trusted_keys].concat();
        let error = format!("{:#}", publishers(twice).unwrap_err());
        assert!(error.starts_with("[packages] trusted-keys: ") && error.contains("same key id"), "{error}");
        let short = format!("[packages]\ntrusted-keys = ['{}']\n", &key[..40]);
        let error = parse(&short, "wharf.toml").unwrap_err().to_string();
        assert!(error.starts_with("wharf.toml line 2:") && error.contains("no public key"), "{error}");
    }

    #[test]
    fn a_typo_is_named_with_its_line() {
        let error =
            parse("[server]\nlisten = '127.0.0.1:1'\n[sandbx]\n", "wharf.toml").unwrap_err().to_string();
        assert!(
            error.starts_with("wharf.toml line 3:") && error.contains("did you mean `sandbox`?"),
            "{error}"
        );
    }

    #[test]
    fn what_the_operator_opens_and_closes_is_read_with_its_line() {
        let file = parse("[egress]\nopen = ['127.0.0.1:9101']\nclosed = ['*.evil.example', '8.8.8.8']\n", "");
        let egress = file.unwrap().egress;
        assert_eq!((egress.open.len(), egress.closed.len()), (1, 2));
        let error = parse("[egress]\nclosed = ['10.0.0.1/8']\n", "wharf.toml").unwrap_err().to_string();
        assert!(error.starts_with("wharf.toml line 2:") && error.contains("bits below"), "{error}");
    }

    #[test]
    fn the_public_url_is_one_that_paths_can_be_put_behind() {
        assert_eq!(public_url("https://wharf.example/").unwrap(), "https://wharf.example");
        assert_eq!(public_url("http://10.0.0.1:80/a").unwrap(), "http://10.0.0.1:80/a");
        for bad in ["wharf.example", "ftp://x", "https://a?b=c", "https://u:p@a", "", "https://"] {
            assert!(public_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_operator_may_raise_and_lower_the_ceiling() {
        let bounds =
            ceiling(&BoundsSpec { fuel: Some(1_000_000_000), wall_ms: Some(5), ..BoundsSpec::default() });
        assert_eq!((bounds.fuel, bounds.wall), (1_000_000_000, Duration::from_millis(5)));
        assert_eq!(bounds.memory, Bounds::default().memory);
    }
}
