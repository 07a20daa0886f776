//! Who gets the CPU next: pure, without lock or thread; the caller brings the time.
//!
//! In the pool it is start-time fair queueing. Each tenant has a virtual time,
//! the CPU time that it used divided by its weight; who has least goes next. A
//! tenant that comes back from idle starts at the present: it saved nothing up.
//!
//! Outside the pool nobody waits for a turn, so there it is a budget: as much as
//! the tenant's share of the machine, among those that were active just now.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;

/// The weight of a tenant whose document says none.
const USUAL_WEIGHT: u64 = 100;
/// What a turn is taken to cost until it is over, so that threads that choose
/// at the same time do not all choose the same tenant. About what
/// [`YIELD_EVERY`](crate::call::YIELD_EVERY) takes.
const GUESS: Duration = Duration::from_micros(100);
/// How far a tenant may be beyond its share and still run where it stands: a
/// burst of some hundred short calls.
const SLACK: Duration = Duration::from_millis(5);
/// A tenant without a call for so long does not compete.
const ACTIVE: Duration = Duration::from_secs(1);
/// How often it is counted who competes.
const RECOUNT: Duration = Duration::from_millis(1);

/// What each tenant used, and what waits for a turn.
pub(crate) struct Shares<T> {
    lines: HashMap<Box<str>, Line<T>>,
    weights: HashMap<Box<str>, NonZeroU32>,
    /// The virtual time at which the latest turn began.
    now: u64,
    /// Cores.
    cores: u64,
    /// What all tenants use where they stand, beyond half of the machine:
    /// while there is room for everybody, nobody's share is asked for.
    load: Budget,
    /// The weights of those that compete, and when they were counted.
    competing: u64,
    counted: Duration,
}

struct Line<T> {
    weight: u64,
    /// Its virtual time, in nanoseconds of the usual weight.
    spent: u64,
    waiting: VecDeque<T>,
    running: usize,
    here: Budget,
    /// Does not run where it stands before this moment, if others compete.
    barred_until: Duration,
    seen: Duration,
}

/// What was used beyond what a rate allows.
#[derive(Clone, Copy, Default)]
struct Budget {
    owed: u64,
    at: Duration,
}

impl Budget {
    /// Takes off what `part` of `whole` of the time since then pays for.
    fn settle(&mut self, at: Duration, part: u64, whole: u64) {
        let paid =
            u128::from(nanos(at.saturating_sub(self.at))) * u128::from(part) / u128::from(whole.max(1));
        self.owed = self.owed.saturating_sub(u64::try_from(paid).unwrap_or(u64::MAX));
        self.at = at;
    }

    fn is_overdrawn(self) -> bool {
        self.owed > nanos(SLACK)
    }
}

impl<T> Line<T> {
    fn charge(&mut self, time: Duration) {
        self.spent = self.spent.saturating_add(self.cost(time));
    }

    fn cost(&self, time: Duration) -> u64 {
        nanos(time).saturating_mul(USUAL_WEIGHT) / self.weight
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running == 0
    }
}

impl<T> Shares<T> {
    /// Nobody has used anything of a machine with so many cores.
    pub(crate) fn new(cores: usize) -> Self {
        Self {
            lines: HashMap::new(),
            weights: HashMap::new(),
            now: 0,
            cores: cores as u64,
            load: Budget::default(),
            competing: 0,
            counted: Duration::ZERO,
        }
    }

    /// Sets every tenant's weight; who is not among them has the usual one.
    pub(crate) fn weigh(&mut self, weights: HashMap<Box<str>, NonZeroU32>) {
        self.weights = weights;
        for (tenant, line) in &mut self.lines {
            line.weight = weight(&self.weights, tenant);
        }
    }

    /// The tenant that has the host for itself, if one has: nothing needs to
    /// be counted until another comes.
    pub(crate) fn alone(&self) -> Option<&str> {
        let mut lines = self.lines.iter();
        match (lines.next(), lines.next()) {
            (Some((tenant, line)), None) if line.is_idle() => Some(tenant),
            _ => None,
        }
    }

    /// A call wants a turn.
    pub(crate) fn wait(&mut self, tenant: &str, turn: T, at: Duration) {
        let now = self.now;
        let line = self.line(tenant, at);
        line.spent = line.spent.max(now);
        line.waiting.push_back(turn);
    }

    /// The next turn. `None` only if nobody waits.
    pub(crate) fn next(&mut self) -> Option<(Box<str>, T)> {
        let waiting = self.lines.iter_mut().filter(|(_, line)| !line.waiting.is_empty());
        let (tenant, line) = waiting.min_by_key(|(_, line)| line.spent)?;
        let turn = line.waiting.pop_front()?;
        self.now = self.now.max(line.spent);
        line.running += 1;
        line.charge(GUESS);
        Some((tenant.clone(), turn))
    }

    /// Whether there is a next turn.
    pub(crate) fn somebody_waits(&self) -> bool {
        self.lines.values().any(|line| !line.waiting.is_empty())
    }

    /// A turn is over and took this much.
    pub(crate) fn used(&mut self, tenant: &str, time: Duration, at: Duration) {
        if let Some(line) = self.lines.get_mut(tenant) {
            line.running = line.running.saturating_sub(1);
            line.spent = line.spent.saturating_sub(line.cost(GUESS));
            line.charge(time);
            line.seen = at;
        }
    }

    /// A tenant used this much where it stood.
    pub(crate) fn charge(&mut self, tenant: &str, time: Duration, at: Duration) {
        let line = self.line(tenant, at);
        line.charge(time);
        line.here.owed = line.here.owed.saturating_add(nanos(time));
        self.load.owed = self.load.owed.saturating_add(nanos(time));
    }

    /// Makes a tenant's calls wait for turns until this moment, if others compete.
    pub(crate) fn bar(&mut self, tenant: &str, until: Duration, at: Duration) {
        self.line(tenant, at).barred_until = until;
    }

    /// Whether a tenant's call may run where it stands, `at` this moment.
    pub(crate) fn may_run_here(&mut self, tenant: &str, at: Duration) -> bool {
        self.recount(at);
        self.load.settle(at, self.cores, 2);
        let room = !self.load.is_overdrawn();
        let (whole, cores, others) = (self.competing, self.cores, self.lines.len() > 1);
        let line = self.line(tenant, at);
        line.here.settle(at, cores.saturating_mul(line.weight), whole.max(line.weight));
        let is_light = line.barred_until <= at && (room || !line.here.is_overdrawn());
        line.is_idle() && (is_light || !others)
    }

    /// Every turn that waits: for a pool that closes.
    pub(crate) fn take_all(&mut self) -> Vec<T> {
        self.lines.values_mut().flat_map(|line| line.waiting.drain(..)).collect()
    }

    /// Counts who competes and forgets who does not any more.
    fn recount(&mut self, at: Duration) {
        if at.saturating_sub(self.counted) < RECOUNT {
            return;
        }
        self.counted = at;
        self.lines.retain(|_, line| !line.is_idle() || at.saturating_sub(line.seen) < ACTIVE);
        self.competing = self.lines.values().map(|line| line.weight).sum();
    }

    fn line(&mut self, tenant: &str, at: Duration) -> &mut Line<T> {
        if !self.lines.contains_key(tenant) {
            let weight = weight(&self.weights, tenant);
            self.competing = self.competing.saturating_add(weight);
            let fresh = Line {
                weight,
                spent: self.now,
                waiting: VecDeque::new(),
                running: 0,
                here: Budget { owed: 0, at },
                barred_until: Duration::ZERO,
                seen: at,
            };
            self.lines.insert(tenant.into(), fresh);
        }
        #[expect(clippy::expect_used, reason = "inserted just above, and nobody else holds the map")]
        let line = self.lines.get_mut(tenant).expect("the line is there");
        line.seen = at;
        line
    }
}

fn weight(weights: &HashMap<Box<str>, NonZeroU32>, tenant: &str) -> u64 {
    weights.get(tenant).map_or(USUAL_WEIGHT, |weight| u64::from(weight.get()))
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
