//! Data's size, as far as checking it costs something.

use serde_json::Value;

use crate::guard::Cost;

/// The deepest that data may nest to be checked: far deeper than business data
/// is, and with the guard's longest chain a bound on the stack.
pub const MAX_DATA_DEPTH: usize = 64;
/// The most that one check may cost, in units of some 30 ns: about a second.
pub const MAX_WORK: u64 = 30_000_000;
/// Up to here every violation is told. Each of them takes some hundred bytes
/// until the first fifty are picked.
pub(crate) const MAX_REPORT: u64 = 200_000;

/// What there is to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    values: u64,
    /// Bytes of texts and names.
    text: u64,
    /// The squares of the arrays' lengths, summed.
    squares: u64,
    pub(crate) depth: usize,
}

impl Size {
    pub(crate) fn of(value: &Value) -> Self {
        let mut size = Self::default();
        size.add(value, 1);
        size
    }

    fn add(&mut self, value: &Value, depth: usize) {
        self.values += 1;
        self.depth = self.depth.max(depth);
        match value {
            Value::String(text) => self.text += text.len() as u64,
            Value::Array(items) => {
                self.squares = self.squares.saturating_add((items.len() as u64).saturating_pow(2));
                items.iter().for_each(|item| self.add(item, depth + 1));
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    self.values += 1; // a name is one too
                    self.text += name.len() as u64;
                    self.add(value, depth + 1);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// What it costs to say whether it fits.
    pub(crate) fn work(&self, cost: &Cost) -> u64 {
        let values = self.values.saturating_mul(cost.value);
        let text = (self.text / 16).saturating_mul(cost.text);
        // Pairs are compared where hashes collide, which a stranger can arrange; each
        // nested array is compared with those above it too.
        let pairs = self.squares.saturating_mul(cost.unique) / 2;
        let hashed = self.values.saturating_mul(cost.unique).saturating_mul(self.depth as u64);
        values.saturating_add(text).saturating_add(pairs).saturating_add(hashed)
    }

    /// What it costs to say everything that does not fit.
    pub(crate) fn report(&self, cost: &Cost) -> u64 {
        let again = cost.again.saturating_mul(self.depth as u64).saturating_add(1);
        self.work(cost).saturating_mul(again)
    }
}
