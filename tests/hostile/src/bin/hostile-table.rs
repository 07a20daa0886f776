//! Prints the table of what `make hostile` measured; fails if a probe did not
//! end as its file says, did not run, or left the host larger than it was.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> std::io::Result<ExitCode> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).unwrap_or_else(|| "target/hostile".into());
    let (table, well) = tests_hostile::table::table(&folder)?;
    print!("{table}");
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
