//! Who did it and why, as the run keeps it.

use host_model::clock::Timestamp;
use host_model::run::Intervention;

use crate::record::Record;

/// The most interventions that a run keeps; the oldest give way. With the
/// bounds below they are at most 32 KiB of a record, half of what fits a value.
pub(crate) const MAX_INTERVENTIONS: usize = 50;
/// The most bytes of a name.
const MAX_WHO: usize = 100;
/// The most bytes of a reason.
const MAX_WHY: usize = 400;

/// Who did it, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct By {
    /// The token's name.
    pub who: String,
    /// In their own words; may be empty.
    pub why: String,
}

impl By {
    /// `by ada: the CRM was down`.
    pub(crate) fn said(&self) -> String {
        let (who, why) = (plain(&self.who, MAX_WHO), plain(&self.why, MAX_WHY));
        if why.is_empty() { format!("by {who}") } else { format!("by {who}: {why}") }
    }
}

/// Adds to the run's trace.
pub(crate) fn trace(record: &mut Record, at: Timestamp, what: String, by: &By) {
    let all = &mut record.interventions;
    if all.len() >= MAX_INTERVENTIONS {
        all.drain(..=all.len() - MAX_INTERVENTIONS);
    }
    all.push(Intervention { at, what, who: plain(&by.who, MAX_WHO), why: plain(&by.why, MAX_WHY) });
}

/// One line, cut to so many bytes; quotes and backslashes, which JSON doubles,
/// count twice.
fn plain(text: &str, most: usize) -> String {
    let mut room = most;
    let mut kept = String::new();
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        let size = if matches!(c, '"' | '\\') { 2 } else { c.len_utf8() };
        if size > room {
            break;
        }
        room -= size;
        kept.push(c);
    }
    kept.trim().to_owned()
}

#[test]
fn a_reason_is_one_bounded_line() {
    assert_eq!(plain("  the CRM\nwas down ", 100), "the CRM was down");
    assert_eq!(plain(&"ä".repeat(9_999), MAX_WHY).len(), MAX_WHY);
    assert_eq!(plain(&"\"".repeat(9_999), MAX_WHY).len(), MAX_WHY / 2);
}
