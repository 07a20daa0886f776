//! `wharf doctor`: looks at a stopped host's data and at this machine.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use host_audit::{Act, Audit, Broken, Chain, Deed, Outcome, Settings, Which};
use host_control::Waits;
use host_egress::{MasterKey, Vault, refused_grants};
use host_model::clock::Clock;
use host_model::resource::open_hooks;
use host_sandbox::{Allocation, EngineSettings};
use host_store::{Blobs, SledStore, Store};
use registry::Registry;

use crate::builtin;
use crate::clock::SystemClock;
use crate::master_keys::say;
use crate::server::{BLOBS, STORE};
use crate::{tls, vitals};

/// Says what it finds on standard output, one line each; fails on what is wrong.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub async fn examine(
    data: &Path,
    config: Option<&Path>,
    backup: Option<&Path>,
    restore: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    println!("wharf {}", env!("CARGO_PKG_VERSION"));
    println!("wasmtime {}", host_sandbox::WASMTIME);
    match host_sandbox::probe(&EngineSettings::default())? {
        Allocation::Pooling => println!("allocation: pooling"),
        Allocation::OnDemand => {
            println!("allocation: on demand, four times slower: raise the limit on address space (ulimit -v)")
        }
    }
    let left = vitals::machine(data)();
    let mebibytes =
        |left: Option<u64>| left.map_or("unknown".to_owned(), |left| format!("{} MiB", left >> 20));
    println!("memory left: {}; disk left: {}", mebibytes(left.memory), mebibytes(left.disk));
    let folder = data.join(STORE);
    if let Some(from) = restore {
        set_aside_and_restore(&folder, from).await?;
    }
    if !folder.exists() {
        bail!("there is no store at `{}`: is `--data` right?", folder.display());
    }
    let store: Arc<dyn Store> = Arc::new(SledStore::open(&folder)?);
    let audit = Audit::new(Arc::clone(&store), Arc::new(SystemClock), Settings::default());
    if let Some(from) = restore {
        let deed = Deed::new(Chain::Host, "store", "").detail(&format!("from {}", from.display()));
        audit.record(&Act::of_host("restore"), deed, Outcome::Done).await?;
    }
    let mut entries = 0;
    let mut after = None;
    loop {
        let page = store.scan(b"", after.as_deref(), usize::MAX).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        entries += page.len();
    }
    println!("store: {entries} entries, all readable");
    for (tenant, connection) in host_control::open_hooks(&store).await? {
        println!("warning: tenant `{tenant}`: {}", open_hooks(&connection));
    }
    for Waits { tenant, kind, name, since } in host_control::waits(&store).await? {
        println!("tenant `{tenant}`: a change of {kind} `{name}` waits for consent since {since}");
    }
    examine_publishers(config, data, &store).await?;
    let tampered = examine_audit(&audit, &store).await?;
    let wrong = examine_secrets(data, config, &store).await?;
    if let Some(to) = backup {
        let file = File::create_new(to).with_context(|| format!("cannot make `{}`", to.display()))?;
        let mut out = BufWriter::new(file);
        let summary = host_store::backup::back_up(&*store, &mut out).await?;
        out.flush()?;
        out.get_ref().sync_all()?;
        println!("backup: {} entries in `{}`", summary.entries, to.display());
    }
    let wrong: Vec<_> = tampered.into_iter().chain(wrong).chain(examine_tls(config)?).collect();
    if wrong.is_empty() { Ok(ExitCode::SUCCESS) } else { bail!(wrong.join("\n")) }
}

/// Whose are the packages that are there?
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
async fn examine_publishers(
    config: Option<&Path>,
    data: &Path,
    store: &Arc<dyn Store>,
) -> anyhow::Result<()> {
    let trusted = crate::config::trusted_keys(config)?;
    if trusted.is_empty() {
        let where_else = if config.is_none() { " (`--config` names the host's file)" } else { "" };
        println!(
            "warning: packages are not checked for who made them: `[packages] trusted-keys` names nobody{where_else}"
        );
        return Ok(());
    }
    let registry = Registry::new(Arc::clone(store), Blobs::open(&data.join(BLOBS))?, Arc::new(SystemClock));
    let mut after = None;
    loop {
        let page = registry.list(after.as_ref(), 1_000).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.package.clone());
        for record in page.into_iter().filter(|record| record.published_by != builtin::BY) {
            let why = match &record.signed_by {
                Some(key) if trusted.trusts(key) => continue,
                Some(key) => format!("signed with {key}, which is not trusted any more"),
                None => "not signed".to_owned(),
            };
            let package = record.package;
            println!(
                "warning: package {package} is {why}: publish it anew with a signature, or name it in `[packages] forbidden`"
            );
        }
    }
}

/// Is the audit log as it was written? The first place where it is not is told at the end.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
async fn examine_audit(audit: &Audit, store: &Arc<dyn Store>) -> anyhow::Result<Option<String>> {
    let verified = audit.verify(&Which::All).await?;
    let entries: u64 = verified.iter().map(|chain| chain.entries).sum();
    println!("audit log: {entries} entries in {} chains", verified.len());
    for tenant in host_control::tenant_ids(store).await? {
        if !verified.iter().any(|chain| chain.chain.tenant() == Some(&tenant)) {
            println!(
                "warning: tenant `{tenant}` has no audit log: it was made before there was one, or somebody removed it"
            );
        }
    }
    let broken = verified.into_iter().filter_map(|chain| Some((chain.chain, chain.broken?)));
    let told = broken.map(|(chain, Broken { seq, why })| {
        let whose = chain.tenant().map_or("of the host".to_owned(), |tenant| format!("of tenant `{tenant}`"));
        format!("the audit log {whose} is broken at entry {seq}: {why}")
    });
    let told: Vec<_> = told.collect();
    Ok((!told.is_empty()).then(|| told.join("\n")))
}

/// Can the certificate that the host shows be used, and for how long?
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn examine_tls(config: Option<&Path>) -> anyhow::Result<Option<String>> {
    let Some(listener) = crate::config::tls_listener(config)? else { return Ok(None) };
    let expires = match listener.load() {
        Ok(tls) => tls.expires(),
        Err(error) => return Ok(Some(format!("[tls] {error}"))),
    };
    println!("tls: the certificate is good until {expires}");
    if let Some(warning) = tls::warning(expires, SystemClock.now()) {
        println!("warning: {warning}");
    }
    Ok(None)
}

/// Does the master key open the store, and what is under an older one? What is
/// wrong is told at the end: a backup is made all the same.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
async fn examine_secrets(
    data: &Path,
    config: Option<&Path>,
    store: &Arc<dyn Store>,
) -> anyhow::Result<Option<String>> {
    let Some(keys) = crate::config::key_sources(data, config)?.find().await? else {
        println!("secrets: no master key yet; the host makes one when it starts");
        // A key that opens nothing: whatever is sealed is told to be unreadable.
        let stray = Vault::new(Arc::clone(store), MasterKey::generate()?).key_report().await?;
        return Ok(say(&stray).1);
    };
    let vault = Vault::new(Arc::clone(store), keys);
    let (lines, wrong) = say(&vault.key_report().await?);
    lines.iter().for_each(|line| println!("{line}"));
    for (tenant, connection, why) in refused_grants(&vault).await? {
        println!(
            "warning: tenant `{tenant}`: connection `{connection}` needs authorization ({why}): run `wharf connection authorize {connection}`"
        );
    }
    Ok(wrong)
}

/// Restores into a folder of its own first: a backup that is not whole must
/// not cost the store that is there.
async fn set_aside_and_restore(folder: &Path, from: &Path) -> anyhow::Result<()> {
    let mut file =
        BufReader::new(File::open(from).with_context(|| format!("cannot read `{}`", from.display()))?);
    let fresh = folder.with_extension("restored");
    let store = SledStore::open(&fresh)?;
    host_store::backup::restore(&store, &mut file).await?;
    drop(store);
    if folder.exists() {
        let aside = folder.with_extension("damaged");
        std::fs::rename(folder, &aside)
            .with_context(|| format!("cannot move the store to `{}`", aside.display()))?;
    }
    std::fs::rename(&fresh, folder)
        .with_context(|| format!("cannot move `{}` into place", fresh.display()))?;
    Ok(())
}
