//! `make bench`: measures on loopback in one process tree, prints a table and
//! writes `target/bench/latest.json` (figure name to number).
//!
//! Variants that are compared take turns within one run, several rounds each,
//! and the figure is the median; absolute times differ between machines,
//! ratios less so.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot run must stop")]

mod calls;
mod figures;
mod idle;
mod lead;
mod load;
mod native;
mod runs;

use figures::Figures;

fn main() -> anyhow::Result<()> {
    match std::env::args().nth(1).as_deref() {
        // This program again, as one of the processes that are measured.
        Some("native") => return native::serve(),
        Some("idle") => return idle::child(),
        Some(other) => anyhow::bail!("unknown argument `{other}`"),
        None => {}
    }
    let mut figures = Figures::default();
    calls::measure(&mut figures)?;
    idle::measure(&mut figures)?;
    lead::measure(&mut figures)?;
    runs::measure(&mut figures)?;
    figures.print();
    figures.write("target/bench/latest.json")
}
