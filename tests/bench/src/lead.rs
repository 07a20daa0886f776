//! The same lead through a native handler and through a sandboxed connector,
//! over HTTP, the load generator beside them on the same cores.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use http::StatusCode;
use tests_harness::{Connection, HostBuilder, probe};

use crate::figures::{Figures, median};
use crate::load::{Shot, Volley, fire};
use crate::native;

/// Many short rounds: a virtual machine's speed changes within seconds, by more
/// than what is compared, and hardly between two variants that follow each other.
const ROUNDS: usize = 35;
const ROUND: Duration = Duration::from_millis(300);
/// How much is done before, so that everything is compiled, mapped and warm.
const WARM_UP: Duration = Duration::from_secs(3);
const CALLERS: usize = 32;
/// Different connectors that are called in rotation, as a host of many tenants sees it.
const CONNECTORS: usize = 500;
/// The package that all of them are made of.
const NAME: &str = "probe/lead-transform";

#[tokio::main]
pub(crate) async fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    println!("lead: {CALLERS} connections, native axum against a fresh sandbox per request");
    let native_process = native::Process::start()?;
    let shot = |to: SocketAddr, paths: Vec<String>| Shot {
        to,
        paths: paths.into(),
        headers: vec![("content-type", "application/json".to_owned())],
        body: native::lead().into(),
        expect: StatusCode::OK,
    };
    let native = shot(native_process.address, vec!["/lead".to_owned()]);

    let host =
        HostBuilder::default().full_size().config("[admission]\ncalls-per-tenant = 1000").start().await;
    let acme = host.tenant("acme").await;
    let component = std::fs::read(probe("lead-transform"))?;
    let folder = tempfile::tempdir()?;
    let mut documents = Vec::new();
    for number in 0..CONNECTORS {
        let mut variant = component.clone();
        let name = format!("probe/lead-trans{number:04}");
        rename(&mut variant, &name)?;
        let file = folder.path().join("variant.wasm");
        std::fs::write(&file, &variant)?;
        host.publish(&file).await.expect(201);
        documents.push(Connection::new(&format!("c{number}"), &format!("{name}@0.1.0")).open_hooks().yaml());
    }
    for part in documents.chunks(100) {
        acme.apply(&part.join("---\n")).await;
    }
    let path = |number: usize| format!("/hooks/acme/c{number}/transform");
    let one = shot(host.address(), vec![path(0)]);
    let all = shot(host.address(), (0..CONNECTORS).map(path).collect());
    fire(&all, CALLERS, WARM_UP).await?;

    let (native_pid, host_pid) = (native_process.id(), host.pid());
    let (mut one_ratio, mut all_ratio) = (Vec::new(), Vec::new());
    let (mut one_cpu, mut all_cpu) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (native, native_us) = costed(&native, native_pid).await?;
        let (one, one_us) = costed(&one, host_pid).await?;
        let (all, all_us) = costed(&all, host_pid).await?;
        println!(
            "  round {round}: native {:.0}/s ({native_us:.1} µs of CPU), sandboxed {:.0}/s ({one_us:.1} µs, {:.2} ms p50), {CONNECTORS} in rotation {:.0}/s ({all_us:.1} µs)",
            native.per_second, one.per_second, one.p50_ms, all.per_second
        );
        one_ratio.push(one.per_second / native.per_second);
        all_ratio.push(all.per_second / native.per_second);
        one_cpu.push(native_us / one_us);
        all_cpu.push(native_us / all_us);
    }
    // On a machine with other things to do, the processor's time says more than the clock.
    println!("  by CPU time: {:.2}, {CONNECTORS} in rotation {:.2}", median(one_cpu), median(all_cpu));
    figures.set("lead_sandboxed_over_native", median(one_ratio));
    figures.set("lead_sandboxed_over_native_500", median(all_ratio));
    Ok(())
}

/// One volley, and the CPU time that a request of it took: of the process
/// `pid` that answers and of this one, which asks.
async fn costed(shot: &Shot, pid: u32) -> anyhow::Result<(Volley, f64)> {
    let used = || anyhow::Ok(cpu_seconds(std::process::id())? + cpu_seconds(pid)?);
    let before = used()?;
    let volley = fire(shot, CALLERS, ROUND).await?;
    let spent = used()? - before;
    let each = spent * 1e6 / volley.count as f64;
    Ok((volley, each))
}

/// What a process and its threads have used so far (`utime` and `stime` of proc(5)).
fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    /// The kernel counts in hundredths of a second for everybody, whatever its own tick is.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after_name) = stat.rsplit_once(')').context("no name in stat")?;
    let times = after_name.split_whitespace().skip(11).take(2);
    Ok(times.map(|ticks| ticks.parse::<f64>().unwrap_or(0.0)).sum::<f64>() / TICKS)
}

/// The same component under another name of the same length: a package, and
/// for the host code, of its own.
fn rename(component: &mut [u8], name: &str) -> anyhow::Result<()> {
    let (was, now) = (format!("name = \"{NAME}\""), format!("name = \"{name}\""));
    anyhow::ensure!(now.len() == was.len(), "names differ in length");
    let mut found = false;
    while let Some(at) = component.windows(was.len()).position(|window| window == was.as_bytes()) {
        component[at..at + was.len()].copy_from_slice(now.as_bytes());
        found = true;
    }
    anyhow::ensure!(found, "the manifest of lead-transform has no `{was}`");
    Ok(())
}
