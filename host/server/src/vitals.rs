//! Whether the host has memory and disk enough to take something new.
//!
//! Looked at once a second and kept as two flags, so that asking costs nothing.
//! What runs goes on; what is new is refused until there is room again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// How often it is looked at: memory can go within seconds.
const EVERY: Duration = Duration::from_secs(1);
/// What is short is enough again when there is a quarter more than the least,
/// so that it does not flap.
const AGAIN: (u64, u64) = (5, 4);

/// What there must be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserves {
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes on the disk of the data folder.
    pub disk: u64,
}

impl Default for Reserves {
    /// Memory for two of the largest guests; disk for four generations of the
    /// store's log and a backup of a small host.
    fn default() -> Self {
        Self { memory: 512 << 20, disk: 512 << 20 }
    }
}

/// What there is left. `None`: this machine does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) memory: Option<u64>,
    pub(crate) disk: Option<u64>,
}

/// Who looks.
pub(crate) type Reader = Box<dyn Fn() -> Left + Send + Sync>;

/// What is short.
pub(crate) struct Vitals {
    reserves: Reserves,
    read: Reader,
    memory_short: AtomicBool,
    disk_short: AtomicBool,
    memory_left: AtomicU64,
    disk_left: AtomicU64,
}

impl Vitals {
    /// Looks once.
    pub(crate) fn new(reserves: Reserves, read: Reader) -> Self {
        let vitals = Self {
            reserves,
            read,
            memory_short: AtomicBool::new(false),
            disk_short: AtomicBool::new(false),
            memory_left: AtomicU64::new(0),
            disk_left: AtomicU64::new(0),
        };
        vitals.look();
        vitals
    }

    /// Looks again and again, beside the threads that serve sockets: a disk
    /// across a network may keep whoever asks it waiting.
    pub(crate) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            let this = Arc::clone(&self);
            if let Err(error) = tokio::task::spawn_blocking(move || this.look()).await {
                tracing::error!(%error, "cannot see how much memory and disk is left; trying again");
            }
        }
    }

    /// Looks now, and says so in the log when something becomes short or enough.
    pub(crate) fn look(&self) {
        let Left { memory, disk } = (self.read)();
        let each = [
            ("memory", memory, self.reserves.memory, &self.memory_short, &self.memory_left),
            ("disk", disk, self.reserves.disk, &self.disk_short, &self.disk_left),
        ];
        for (what, left, reserve, short, kept) in each {
            kept.store(left.unwrap_or(0), Ordering::Relaxed);
            let was = short.load(Ordering::Relaxed);
            let is = left.is_some_and(|left| is_short(was, left, reserve));
            if was != is {
                short.store(is, Ordering::Relaxed);
                let left = left.unwrap_or(0) >> 20;
                let reserve = reserve >> 20;
                match is {
                    true => tracing::error!(
                        "short of {what}: {left} MiB are left and {reserve} are held back; nothing new is taken until there is more"
                    ),
                    false => tracing::info!("enough {what} again: {left} MiB"),
                }
            }
        }
    }

    /// The first thing that is short for a guest to run.
    pub(crate) fn short_of_memory(&self) -> Option<&'static str> {
        self.memory_short.load(Ordering::Relaxed).then_some("memory")
    }

    /// The first thing that is short for something to be kept.
    pub(crate) fn short(&self) -> Option<&'static str> {
        let disk = || self.disk_short.load(Ordering::Relaxed).then_some("disk");
        self.short_of_memory().or_else(disk)
    }

    /// What there was left at the last look.
    pub(crate) fn left(&self) -> Left {
        let some = |left: &AtomicU64| Some(left.load(Ordering::Relaxed)).filter(|left| *left > 0);
        Left { memory: some(&self.memory_left), disk: some(&self.disk_left) }
    }
}

fn is_short(was: bool, left: u64, reserve: u64) -> bool {
    let enough = if was { reserve.saturating_mul(AGAIN.0) / AGAIN.1 } else { reserve };
    left < enough
}

/// This machine: memory that the kernel would give without swapping, or less
/// if this process's control group has less; the disk that `folder` is on.
pub(crate) fn machine(folder: &Path) -> Reader {
    let folder: PathBuf = folder.to_owned();
    Box::new(move || Left { memory: least(meminfo(), control_group()), disk: disk(&folder) })
}

fn least(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

fn disk(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn meminfo() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes << 10)
}

/// Version 2 of control groups, which every current distribution has.
fn control_group() -> Option<u64> {
    let group = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = group.lines().find_map(|line| line.strip_prefix("0::"))?;
    let folder = Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/'));
    let number = |file: &str| std::fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
    // `max` is no number: no limit.
    Some(number("memory.max")?.saturating_sub(number("memory.current")?))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn what_is_short_is_refused_and_is_enough_again_only_with_some_to_spare() {
        let left = Arc::new(Mutex::new(Left { memory: Some(1_000), disk: Some(1_000) }));
        let reader = Arc::clone(&left);
        let reserves = Reserves { memory: 100, disk: 100 };
        let vitals = Vitals::new(reserves, Box::new(move || *reader.lock().unwrap()));
        let with = |memory, disk| {
            *left.lock().unwrap() = Left { memory: Some(memory), disk: Some(disk) };
            vitals.look();
            (vitals.short_of_memory(), vitals.short())
        };
        assert_eq!(vitals.short(), None);
        assert_eq!(with(1_000, 99), (None, Some("disk")), "guests run, nothing is kept");
        assert_eq!(with(1_000, 124), (None, Some("disk")));
        assert_eq!(with(1_000, 125), (None, None));
        assert_eq!(with(99, 1_000), (Some("memory"), Some("memory")));
        assert_eq!(with(125, 1_000), (None, None));
    }

    #[test]
    fn what_the_machine_does_not_say_is_not_short() {
        let vitals = Vitals::new(Reserves::default(), Box::new(Left::default));
        assert_eq!(vitals.short(), None);
    }

    #[test]
    fn this_machine_says_what_it_has_left() {
        let left = machine(Path::new("/"))();
        assert!(
            left.memory.is_some_and(|left| left > 0) && left.disk.is_some_and(|left| left > 0),
            "{left:?}"
        );
    }
}
