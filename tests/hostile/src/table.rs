//! The table of `make hostile`: each probe of the suite with the stories that
//! it is told in, how they ended and what they cost.
//!
//! A story appends a line of JSON for each of its hosts to a file of its own
//! name; here the lines become rows. What no story ran is a row that says so.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::probes::{ELSEWHERE, PROBES};

/// The environment variable that names the folder of what was measured.
pub const FOLDER: &str = "WHARF_HOSTILE_ROWS";
/// What a host may keep of a story for good: what each first use of something
/// maps and caches (code of new packages, pools, connections), and what its
/// allocator keeps for the next upload of the largest size: two that are refused
/// at 33 MiB leave 63 to 70 MiB, and six more leave nothing on top. A story
/// that leaks with each repetition keeps more.
pub const KEEPS_KB: u64 = 80 << 10;

/// One story, all its hosts together.
#[derive(Default)]
struct Row {
    held: bool,
    seconds: f64,
    outcomes: Vec<(String, u64)>,
    peak_kb: u64,
    left_kb: Option<u64>,
    /// The victim's 99th percentiles, alone and beside it, where the ratio is worst.
    worst: Option<(f64, f64)>,
    calls: u64,
}

impl Row {
    fn add(&mut self, line: &Value) {
        self.held &= line["held"] == true;
        self.seconds += line["seconds"].as_f64().unwrap_or(0.0);
        for outcome in line["outcomes"].as_array().into_iter().flatten() {
            let (Some(what), Some(times)) = (outcome[0].as_str(), outcome[1].as_u64()) else { continue };
            match self.outcomes.iter_mut().find(|(known, _)| known == what) {
                Some((_, known)) => *known += times,
                None => self.outcomes.push((what.to_owned(), times)),
            }
        }
        self.peak_kb = self.peak_kb.max(line["peak_kb"].as_u64().unwrap_or(0));
        self.left_kb = self.left_kb.max(line["left_kb"].as_u64());
        self.calls += line["beside_calls"].as_u64().unwrap_or(0);
        if let (Some(alone), Some(beside)) = (line["alone_ms"].as_f64(), line["beside_ms"].as_f64()) {
            let worse = self.worst.is_none_or(|(before, then)| beside / alone > then / before);
            self.worst = if worse { Some((alone, beside)) } else { self.worst };
        }
    }

    fn is_well(&self) -> bool {
        self.held && self.left_kb.is_none_or(|left| left <= KEEPS_KB)
    }

    fn line(&self) -> String {
        let mib = |kb: u64| format!("{:.1}", kb as f64 / 1024.0);
        let left = self.left_kb.map_or("ended".to_owned(), mib);
        let victim = self.worst.map_or("".to_owned(), |(alone, beside)| {
            format!("{alone:.1} > {beside:.1} = {:.1}x of {}", beside / alone, self.calls)
        });
        let outcomes: Vec<_> = self.outcomes.iter().map(|(what, times)| format!("{times} {what}")).collect();
        let verdict = if self.held { "held" } else { "FAILED" };
        format!(
            "{verdict:<7} {:>7.2} {:>7} {left:>6} {victim:<26} {}",
            self.seconds,
            mib(self.peak_kb),
            outcomes.join(", ")
        )
    }
}

/// The table, and whether every probe ended as its file says with the host's
/// memory back at its base line.
pub fn table(folder: &Path) -> std::io::Result<(String, bool)> {
    let mut rows = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let mut row = Row { held: true, ..Row::default() };
        for line in fs::read_to_string(entry.path())?.lines() {
            row.add(&serde_json::from_str(line)?);
        }
        rows.insert(entry.file_name().to_string_lossy().into_owned(), row);
    }
    let mut text = format!(
        "{:<52} {:<7} {:>7} {:>7} {:>6} {:<26} {}\n",
        "probe", "", "seconds", "peak", "left", "victim's p99 in ms", "outcome"
    );
    let mut well = rows.values().all(Row::is_well);
    let mut told: Vec<&str> = Vec::new();
    for (probe, stories) in PROBES {
        for story in *stories {
            told.push(story);
            let line = rows.get(*story).map(Row::line);
            well &= line.is_some();
            text.push_str(&format!("{probe:<52} {}\n", line.unwrap_or_else(|| format!("NOT RUN {story}"))));
        }
    }
    for (story, row) in rows.iter().filter(|(story, _)| !told.contains(&story.as_str())) {
        text.push_str(&format!("({story})\n{:<52} {}\n", "", row.line()));
    }
    for (probe, test, why) in ELSEWHERE {
        text.push_str(&format!("{probe:<52} not measured: {why}; shown by {test}\n"));
    }
    text.push_str(&format!(
        "{} probes, {} stories. Peak and left: MiB over the host's base line; left may be {} at most. Of the victim's \
         calls beside it, so many; of few the p99 is the slowest.\n",
        PROBES.len(),
        rows.len(),
        KEEPS_KB >> 10
    ));
    Ok((text, well))
}
