//! What a story costs: how long it takes, what the host keeps of it, and what
//! the bystander notices. Written down if `make hostile` asks for it; a test
//! run as usual measures nothing.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests_harness::{Answer, Host};

use crate::table;

/// The bystander's calls before anything hostile happens: enough for a 99th
/// percentile that the table compares with.
pub(crate) const ALONE: usize = 200;
/// How long the host may take to give back what a story made it take.
const SETTLING: Duration = Duration::from_secs(10);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// One host of one story.
pub(crate) struct Watch {
    folder: PathBuf,
    seen: RefCell<Seen>,
}

#[derive(Default)]
struct Seen {
    host: Option<(u32, SocketAddr)>,
    base_kb: u64,
    hostile: Duration,
    alone: Vec<Duration>,
    beside: Vec<Duration>,
    outcomes: Vec<(String, usize)>,
}

impl Watch {
    /// A watch, if somebody wants to read what it sees.
    pub(crate) fn wanted() -> Option<Self> {
        let folder = PathBuf::from(std::env::var_os(table::FOLDER)?);
        Some(Self { folder, seen: RefCell::default() })
    }

    /// Whether this process of the host has no base line yet.
    pub(crate) fn is_new(&self, host: &Host) -> bool {
        self.seen.borrow().host.is_none_or(|(pid, _)| pid != host.pid())
    }

    /// Everything is set up, and the bystander was served alone in these times.
    pub(crate) fn begins(&self, host: &Host, alone: Vec<Duration>) {
        let mut seen = self.seen.borrow_mut();
        seen.host = Some((host.pid(), host.address()));
        seen.alone.extend(alone);
        // From now on the kernel's peak is of what comes now.
        let _ = std::fs::write(format!("/proc/{}/clear_refs", host.pid()), "5");
        seen.base_kb = memory_kb(host.pid(), "VmRSS:").unwrap_or(0);
    }

    /// The bystander was served beside what goes on.
    pub(crate) fn served(&self, took: Duration) {
        self.seen.borrow_mut().beside.push(took);
    }

    /// Something hostile ended so.
    pub(crate) fn ended(&self, took: Duration, how: &impl Told) {
        let mut seen = self.seen.borrow_mut();
        seen.hostile += took;
        for told in how.told() {
            match seen.outcomes.iter_mut().find(|(known, _)| *known == told) {
                Some((_, times)) => *times += 1,
                None => seen.outcomes.push((told, 1)),
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let seen = self.seen.borrow();
        let Some((pid, address)) = seen.host else { return };
        let over_base = |kb: u64| kb.saturating_sub(seen.base_kb);
        let row = json!({
            "held": !std::thread::panicking(),
            "seconds": seen.hostile.as_secs_f64(),
            "outcomes": seen.outcomes,
            "base_kb": seen.base_kb,
            "peak_kb": memory_kb(pid, "VmHWM:").map(over_base),
            "left_kb": settled(pid, address, seen.base_kb).map(over_base),
            "alone_ms": p99_ms(&seen.alone),
            "beside_ms": p99_ms(&seen.beside),
            "beside_calls": seen.beside.len(),
        });
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        let path = self.folder.join(name.rsplit("::").next().unwrap_or_default());
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{row}").unwrap();
    }
}

/// What the host's process keeps, once it has had time to give back the rest;
/// nothing, if the story ended the process.
fn settled(pid: u32, address: SocketAddr, base_kb: u64) -> Option<u64> {
    let began = Instant::now();
    loop {
        let now = memory_kb(pid, "VmRSS:")?;
        if now <= base_kb + table::KEEPS_KB || began.elapsed() > SETTLING {
            return Some(now);
        }
        std::thread::sleep(PAUSE);
        nudge(address); // an allocator gives back when it is used
    }
}

fn nudge(address: SocketAddr) {
    if let Ok(mut socket) = TcpStream::connect(address) {
        let asked = socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: wharf\r\nconnection: close\r\n\r\n");
        let _ = asked.and_then(|()| socket.read_to_end(&mut Vec::new()));
    }
}

/// A figure of a process's memory as the kernel tells it.
pub(crate) fn memory_kb(pid: u32, figure: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(figure))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

fn p99_ms(times: &[Duration]) -> Option<f64> {
    let mut times = times.to_vec();
    times.sort();
    times.get(times.len().checked_sub(1)? * 99 / 100).map(|time| time.as_secs_f64() * 1e3)
}

/// How something hostile ended, in a word or two for each part of it.
pub(crate) trait Told {
    fn told(&self) -> Vec<String>;
}

impl Told for Answer {
    fn told(&self) -> Vec<String> {
        let said = self.json();
        if said["outcome"]["outcome"].is_string() {
            return said.told();
        }
        vec![format!("{} {}", self.status, self.code()).trim_end().to_owned()]
    }
}

/// A report of a call, or a run as the API shows it.
impl Told for Value {
    fn told(&self) -> Vec<String> {
        let outcome = if self["run"].is_object() { &self["run"]["outcome"] } else { &self["outcome"] };
        let value = &outcome["value"];
        let detail = value["bound"].as_str().map(str::to_owned).or_else(|| {
            let error = value["error"].as_str()?;
            error.split(|c: char| !c.is_alphanumeric()).next().map(str::to_owned)
        });
        let how = outcome["outcome"].as_str().unwrap_or("no outcome");
        vec![detail.map_or_else(|| how.to_owned(), |detail| format!("{how} {detail}"))]
    }
}

/// What came over a socket.
impl Told for String {
    fn told(&self) -> Vec<String> {
        vec![match self.split(' ').nth(1) {
            Some(status) if self.starts_with("HTTP/") => status.to_owned(),
            _ => "cut off".to_owned(),
        }]
    }
}

/// A count is no outcome, and what has none is over.
impl Told for usize {
    fn told(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Told for () {
    fn told(&self) -> Vec<String> {
        Vec::new()
    }
}

impl<A: Told, B: Told> Told for (A, B) {
    fn told(&self) -> Vec<String> {
        [self.0.told(), self.1.told()].concat()
    }
}

/// A status, a body, and whether it came to its end.
impl Told for (u16, Vec<u8>, bool) {
    fn told(&self) -> Vec<String> {
        vec![format!("{}{}", self.0, if self.2 { "" } else { " broken off" })]
    }
}

impl<T: Told> Told for Vec<T> {
    fn told(&self) -> Vec<String> {
        self.iter().flat_map(Told::told).collect()
    }
}
