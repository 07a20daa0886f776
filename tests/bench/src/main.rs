//! `make bench`: measures on loopback in one process tree, prints a table and
//! writes `target/bench/latest.json` (figure name to number).
//!
//! Variants that are compared take turns within one run, several rounds each,
//! and the figure is the median; absolute times differ between machines,
//! ratios less so.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot run must stop"
)]

mod calls;
mod configured;
mod durable;
mod figures;
mod filled;
mod guards;
mod idle;
mod lead;
mod load;
mod native;
mod process;
mod runs;
mod steps;
mod victim;

use figures::Figures;

/// The host's allocator, so that all that is compared has the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Measure = fn(&mut Figures) -> anyhow::Result<()>;

fn main() -> anyhow::Result<()> {
    let wanted = std::env::args().nth(1);
    match wanted.as_deref() {
        // This program again, as one of the processes that are measured.
        Some("native") => return native::serve(),
        Some("idle-child") => return idle::child(),
        _ => {}
    }
    // `bench lead` measures one part; only the whole is written down.
    let parts: [(&str, Measure); 10] = [
        ("calls", calls::measure),
        ("idle", idle::measure),
        ("lead", lead::measure),
        ("runs", runs::measure),
        ("durable", durable::measure),
        ("steps", steps::measure),
        ("filled", filled::measure),
        ("victim", victim::measure),
        ("guards", guards::measure),
        ("configured", configured::measure),
    ];
    let mut figures = Figures::default();
    for (name, measure) in parts {
        if wanted.as_deref().is_none_or(|wanted| wanted == name) {
            measure(&mut figures)?;
        }
    }
    figures.print();
    if wanted.is_none() {
        figures.write("target/bench/latest.json")?;
    }
    Ok(())
}
