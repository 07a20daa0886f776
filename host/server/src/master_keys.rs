//! Where the master keys come from (`[secrets]` of `wharf.toml`), and their
//! rotation while the host runs.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use host_control::ports::{Keys as KeysPort, PortError, Rotated};
use host_egress::{KeyReport, MasterKey, MasterKeyError, MasterKeys, Vault};
use host_model::effects::BoxFuture;
use host_model::name::TenantId;
use secrecy::zeroize::Zeroizing;
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::sync::Mutex;

/// How long a command may take to give a key: a key service answers in a
/// second; a host that starts must not wait for ever.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes that a command may print: a key in base64, with room.
const MAX_OUTPUT: u64 = 256;
/// Where a command finds other programs; it gets nothing else of the host's environment.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// `[secrets]` as the operator writes it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct SecretsFile {
    /// What wraps every tenant's data key; `master.key` in the data folder if left out.
    master_key: Option<SourceFile>,
    /// Master keys that it replaced: they open what is not yet re-wrapped.
    older: Vec<SourceFile>,
}

/// One key's source: exactly one of the first three.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct SourceFile {
    /// A file that its owner alone may read.
    file: Option<PathBuf>,
    /// A variable of the host's environment.
    env: Option<String>,
    /// A program and its arguments; it prints the key.
    command: Vec<String>,
    /// Variables of the host's environment that the program gets.
    pass_env: Vec<String>,
}

/// Where one key comes from.
#[derive(Clone, Debug)]
enum KeySource {
    File(PathBuf),
    Env(String),
    Command { program: String, args: Vec<String>, pass_env: Vec<String> },
}

/// Where all of a host's master keys come from.
#[derive(Clone, Debug)]
pub struct KeySources {
    current: KeySource,
    older: Vec<KeySource>,
}

impl SecretsFile {
    pub(crate) fn resolve(self, data: &Path) -> anyhow::Result<KeySources> {
        let current = match self.master_key {
            Some(source) => source.resolve().context("[secrets] master-key")?,
            None => KeySource::File(data.join("master.key")),
        };
        let older = self.older.into_iter().map(SourceFile::resolve);
        Ok(KeySources { current, older: older.collect::<Result<_, _>>().context("[secrets] older")? })
    }
}

impl SourceFile {
    fn resolve(self) -> anyhow::Result<KeySource> {
        let Self { file, env, command, pass_env } = self;
        ensure!(pass_env.is_empty() || !command.is_empty(), "`pass-env` is for a `command`");
        let mut words = command.into_iter();
        match (file, env, words.next()) {
            (Some(path), None, None) => Ok(KeySource::File(path)),
            (None, Some(name), None) => Ok(KeySource::Env(name)),
            (None, None, Some(program)) => {
                Ok(KeySource::Command { program, args: words.collect(), pass_env })
            }
            _ => bail!(
                "a key comes from one place: `{{ file = \"…\" }}`, `{{ env = \"…\" }}` or `{{ command = [\"…\"] }}`"
            ),
        }
    }
}

impl KeySource {
    async fn read(&self) -> anyhow::Result<MasterKey> {
        match self {
            Self::File(path) => Ok(MasterKey::load(path)?),
            Self::Env(name) => {
                let value = std::env::var_os(name).unwrap_or_default();
                let value = Zeroizing::new(value.into_encoded_bytes());
                ensure!(!value.is_empty(), "the environment has no `{name}`: set it to the master key");
                MasterKey::read(&value)
                    .with_context(|| format!("the environment's `{name}` is no master key"))
            }
            Self::Command { program, args, pass_env } => {
                ask(program, args, pass_env, COMMAND_TIMEOUT).await.with_context(|| {
                    format!("no master key from the command `{program}`; run it by hand to see what it says")
                })
            }
        }
    }
}

/// Runs a program that prints a key. What it writes to its standard error is
/// not shown: it could be the key.
async fn ask(
    program: &str,
    args: &[String],
    pass_env: &[String],
    within: Duration,
) -> anyhow::Result<MasterKey> {
    let passed = pass_env.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .env("PATH", OsString::from(PATH))
        .envs(passed)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take().context("it has no standard output")?;
    let mut printed = Zeroizing::new(Vec::with_capacity(MAX_OUTPUT as usize + 1));
    let told = async {
        stdout.take(MAX_OUTPUT + 1).read_to_end(&mut printed).await?;
        ensure!(printed.len() as u64 <= MAX_OUTPUT, "it prints more than {MAX_OUTPUT} bytes");
        let status = child.wait().await?;
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    };
    match tokio::time::timeout(within, told).await {
        Ok(told) => told?,
        Err(_) => bail!("it did not end within {} ms", within.as_millis()),
    }
    Ok(MasterKey::read(&printed)?)
}

impl KeySources {
    /// The keys; a file that is not there is made.
    pub(crate) async fn load_or_create(&self) -> anyhow::Result<MasterKeys> {
        if let KeySource::File(path) = &self.current {
            MasterKey::load_or_create(path)?;
        }
        self.load().await
    }

    /// The keys, if the host has any yet.
    pub(crate) async fn find(&self) -> anyhow::Result<Option<MasterKeys>> {
        match &self.current {
            KeySource::File(path) => match MasterKey::load(path) {
                Err(MasterKeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    Ok(None)
                }
                _ => self.load().await.map(Some),
            },
            _ => self.load().await.map(Some),
        }
    }

    async fn load(&self) -> anyhow::Result<MasterKeys> {
        let keys = match &self.current {
            KeySource::File(path) => MasterKeys::load(path)?,
            other => other.read().await.context("[secrets] master-key")?.into(),
        };
        self.with_older(keys).await
    }

    async fn with_older(&self, mut keys: MasterKeys) -> anyhow::Result<MasterKeys> {
        for source in &self.older {
            keys.older.push(source.read().await.context("[secrets] older")?);
        }
        Ok(keys)
    }
}

/// Rotates keys, one rotation at a time.
pub(crate) struct KeyRotation {
    pub(crate) vault: Arc<Vault>,
    pub(crate) data: PathBuf,
    pub(crate) config: Option<PathBuf>,
    pub(crate) turn: Mutex<()>,
}

impl KeyRotation {
    /// Takes up the master key that [secrets] names now, or makes a new one in
    /// its file, and wraps every data key by it. First finishes what a rotation
    /// that was cut off left.
    async fn rotate_master(&self) -> anyhow::Result<Rotated> {
        let _turn = self.turn.lock().await;
        let sources = crate::config::key_sources(&self.data, self.config.as_deref())?;
        let keys = sources.load().await?;
        let before = self.vault.current_master_key();
        let mut current = keys.current.id();
        self.vault.adopt(keys)?;
        let mut changed = self.vault.rewrap().await?;
        if current == before && changed == 0 {
            let KeySource::File(path) = &sources.current else {
                bail!(
                    "[secrets] master-key still gives the key in use, {current}: let it give another, name this one under `older`, and try again (a variable of the environment is read anew only when the host starts)"
                );
            };
            let path = path.clone();
            let keys = tokio::task::spawn_blocking(move || MasterKeys::replace_file(&path)).await??;
            current = keys.current.id();
            self.vault.adopt(sources.with_older(keys).await?)?;
            changed = self.vault.rewrap().await?;
        }
        Ok(Rotated { master_key: current.to_string(), changed })
    }

    async fn rotate_data(&self, tenant: Option<&TenantId>) -> anyhow::Result<Rotated> {
        let _turn = self.turn.lock().await;
        let tenants = match tenant {
            Some(tenant) => vec![tenant.clone()],
            None => self.vault.tenants().await?,
        };
        let mut changed = 0;
        for tenant in tenants {
            changed += self.vault.rotate_data(&tenant).await?;
        }
        Ok(Rotated { master_key: self.vault.current_master_key().to_string(), changed })
    }
}

impl KeysPort for KeyRotation {
    fn report(&self) -> BoxFuture<'_, Result<serde_json::Value, PortError>> {
        Box::pin(async {
            let report = self.vault.key_report().await.map_err(|error| refused(&error.into()))?;
            serde_json::to_value(report).map_err(|error| PortError::Internal(error.to_string()))
        })
    }

    fn rotate_master(&self) -> BoxFuture<'_, Result<Rotated, PortError>> {
        Box::pin(async { self.rotate_master().await.map_err(|error| refused(&error)) })
    }

    fn rotate_data<'a>(&'a self, tenant: Option<&'a TenantId>) -> BoxFuture<'a, Result<Rotated, PortError>> {
        Box::pin(async move { self.rotate_data(tenant).await.map_err(|error| refused(&error)) })
    }
}

/// Only the operator asks, and can put it right: told in full.
fn refused(error: &anyhow::Error) -> PortError {
    PortError::Refused(format!("{error:#}"))
}

/// What `wharf doctor` says of the keys, and what is wrong with them.
pub(crate) fn say(report: &KeyReport) -> (Vec<String>, Option<String>) {
    let KeyReport { current, values, .. } = report;
    let mut lines = vec![format!("secrets: {values} values; the current master key is {current}")];
    for (key, count) in &report.under_older {
        lines.push(format!(
            "warning: {count} data keys are under the older master key {key}: start the host and run `wharf secret rotate-master`; keep that key until then"
        ));
    }
    if report.values_under_older > 0 {
        lines.push(format!(
            "warning: {} values are under a data key that is being rotated out: run `wharf secret rotate-data` again",
            report.values_under_older
        ));
    }
    let keys: Vec<_> = report.unreadable.iter().map(|(key, count)| format!("{count} under {key}")).collect();
    let wrong = (!keys.is_empty() || report.values_unreadable > 0).then(|| {
        format!(
            "the master key does not open the store: {} values cannot be read, data keys wrapped by others: {}; restore the master key, or name it under `older` in [secrets]",
            report.values_unreadable,
            keys.join(", ")
        )
    });
    (lines, wrong)
}

#[cfg(test)]
mod tests;
