//! What a host's process has used so far: CPU, commits, fsyncs; and what its disk has written.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Context;
use tests_harness::Host;

/// The kernel counts CPU time in ticks of this many a second, on every architecture we run on.
const TICKS: f64 = 100.0;

/// Used since the process began; subtract two of them.
#[derive(Clone, Copy)]
pub(crate) struct Used {
    pub(crate) cpu_seconds: f64,
    /// Written to the disk that its data is on, by anybody: NaN where that is no block device. What
    /// the kernel counts for the process (`write_bytes`) is of no use: it takes a
    /// page of 4 KiB to 2 MiB for written whole each time that some of it is.
    pub(crate) written: f64,
    pub(crate) commits: f64,
    pub(crate) fsyncs: f64,
}

impl Used {
    pub(crate) async fn by(host: &Host) -> anyhow::Result<Self> {
        let proc = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", host.pid()));
        let stat = proc("stat")?;
        // The program's name may have spaces; the fields after it have none.
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        let cpu = ticks(11).zip(ticks(12)).context("no CPU times in /proc")?;
        let metrics = host.ask(host.request(reqwest::Method::GET, "/metrics")).await.expect(200).text;
        let metric = |name: &str| -> anyhow::Result<f64> {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name)).context("no such metric")?;
            Ok(line.trim().parse()?)
        };
        Ok(Self {
            cpu_seconds: (cpu.0 + cpu.1) / TICKS,
            written: written_by_disk_of(host.folder()).unwrap_or(f64::NAN),
            commits: metric("wharf_store_commits_total ")?,
            fsyncs: metric("wharf_store_fsyncs_total ")?,
        })
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
            written: self.written - before.written,
            commits: self.commits - before.commits,
            fsyncs: self.fsyncs - before.fsyncs,
        }
    }
}

/// Bytes, since the machine began (Documentation/block/stat.rst: the seventh
/// field is of sectors of 512 bytes, whatever the disk's own are).
fn written_by_disk_of(folder: &Path) -> Option<f64> {
    let device = std::fs::metadata(folder).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let stat = std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?;
    let sectors: f64 = stat.split_whitespace().nth(6)?.parse().ok()?;
    Some(sectors * 512.0)
}

/// What a process holds in memory now.
pub(crate) fn resident_mb(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(resident.trim().trim_end_matches("kB").trim().parse::<f64>()? / 1024.0)
}
