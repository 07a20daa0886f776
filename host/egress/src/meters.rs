//! What egress came to, in numbers: of the host, and of each connection.
//!
//! No label comes from a guest or from outside: tenants and connections are
//! named by those who set them up, and only so many of them have a line.

use std::collections::BTreeMap;
use std::fmt::Write;

use host_model::resource::Connection;
use parking_lot::Mutex;

use crate::exchange::{ExchangeInfo, Refusal, Source};

/// The most connections with a line of their own; all others share one. What
/// a scrape of some 500 KiB holds.
const MAX_NAMED: usize = 1_000;

/// Counters by their names, all of which only grow.
const NAMES: [&str; 11] = [
    "exchanges",
    "failed",
    "retries",
    "redirects",
    "waited_ms",
    "refused_rate",
    "refused_breaker",
    "from_cache",
    "revalidated",
    "stale",
    "coalesced",
];

/// One line's counters, in the order of [`NAMES`].
type Counts = [u64; NAMES.len()];

/// All counters of a host.
#[derive(Default)]
pub(crate) struct Meters(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    all: Counts,
    /// By tenant, then by connection.
    named: BTreeMap<String, BTreeMap<String, Counts>>,
    names: usize,
    others: Counts,
}

impl Meters {
    /// Counts an exchange that has ended or has an answer.
    pub(crate) fn count(&self, connection: &Connection, info: &ExchangeInfo, failed: bool) {
        let is = |source| u64::from(info.source == source);
        let refused = |why| u64::from(info.refused == Some(why));
        let counts: Counts = [
            1,
            u64::from(failed),
            u64::from(info.tries.saturating_sub(1 + info.redirects)),
            info.redirects.into(),
            u64::try_from(info.waited.as_millis()).unwrap_or(u64::MAX),
            refused(Refusal::Rate),
            refused(Refusal::Breaker),
            is(Source::Cache),
            is(Source::Revalidated),
            is(Source::Stale),
            is(Source::Shared),
        ];
        let mut kept = self.0.lock();
        add(&mut kept.all, &counts);
        add(kept.line(connection.tenant.as_str(), connection.name.as_str()), &counts);
    }

    /// All of them, in Prometheus' text format.
    pub(crate) fn text(&self, by_connection: bool) -> String {
        let kept = self.0.lock();
        let mut text = String::new();
        for (at, name) in NAMES.iter().enumerate() {
            let of = |counts: &Counts| counts.get(at).copied().unwrap_or_default();
            let _ = writeln!(
                text,
                "# TYPE wharf_egress_{name}_total counter\nwharf_egress_{name}_total {}",
                of(&kept.all)
            );
            if !by_connection {
                continue;
            }
            // Another family: a sum over the labels must not count twice.
            let family = format!("wharf_connection_egress_{name}_total");
            let _ = writeln!(text, "# TYPE {family} counter");
            for (tenant, connections) in &kept.named {
                for (connection, counts) in connections {
                    let value = of(counts);
                    let _ =
                        writeln!(text, "{family}{{tenant=\"{tenant}\",connection=\"{connection}\"}} {value}");
                }
            }
            if kept.others != Counts::default() {
                let _ = writeln!(text, "{family}{{tenant=\"\",connection=\"\"}} {}", of(&kept.others));
            }
        }
        text
    }
}

impl Kept {
    fn line(&mut self, tenant: &str, connection: &str) -> &mut Counts {
        let known = self.named.get(tenant).is_some_and(|connections| connections.contains_key(connection));
        if !known && self.names >= MAX_NAMED {
            return &mut self.others;
        }
        self.names += usize::from(!known);
        self.named.entry(tenant.to_owned()).or_default().entry(connection.to_owned()).or_default()
    }
}

fn add(counts: &mut Counts, more: &Counts) {
    for (count, more) in counts.iter_mut().zip(more) {
        *count = count.saturating_add(*more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_connections_have_a_line_and_all_are_counted() {
        let mut kept = Kept::default();
        for at in 0..2 * MAX_NAMED {
            let line = kept.line("acme", &format!("c-{}", at % (MAX_NAMED + 7)));
            add(line, &[1; NAMES.len()]);
            add(&mut kept.all, &[1; NAMES.len()]);
        }
        let meters = Meters(Mutex::new(kept));
        let total = format!("wharf_egress_exchanges_total {}\n", 2 * MAX_NAMED);
        assert!(meters.text(false).contains(&total) && !meters.text(false).contains("acme"));
        let text = meters.text(true);
        let lines: Vec<_> =
            text.lines().filter(|it| it.starts_with("wharf_connection_egress_failed_total{")).collect();
        assert_eq!(lines.len(), MAX_NAMED + 1);
        let sum: u64 =
            lines.iter().map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
        assert_eq!(sum, 2 * MAX_NAMED as u64);
    }
}
