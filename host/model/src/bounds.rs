//! What one call may use. On by default; a package or a tenant lowers a
//! bound, nobody raises one above the operator's ceiling.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The bounds of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Work: about one unit a wasm instruction, and one a nanosecond of what the
    /// host does for the guest. 100 million is some 9 ms of a spinning guest and
    /// enough for an interpreter's call.
    pub fuel: u64,
    /// From the start to the end of the call, waiting included.
    pub wall: Duration,
    /// Bytes of all linear memories and tables of the instance together.
    pub memory: u64,
    /// Bytes that cross between guest and host in host calls, both ways.
    pub host_call_bytes: u64,
    /// Handles that the guest holds at once.
    pub handles: u32,
    /// Outbound requests.
    pub outbound_calls: u32,
    /// Bytes of one outbound request's or answer's body.
    pub body_bytes: u64,
    /// Bytes of log text.
    pub log_bytes: u64,
    /// Bytes of the call's answer.
    pub output_bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            fuel: 100_000_000,
            wall: Duration::from_secs(30),
            memory: 64 << 20,
            host_call_bytes: 64 << 20,
            handles: 1_000,
            outbound_calls: 100,
            body_bytes: 8 << 20,
            log_bytes: 64 << 10,
            output_bytes: 1 << 20,
        }
    }
}

impl Bounds {
    /// The default for a workflow: it waits for connectors, so its wall time is longer.
    pub fn for_workflows() -> Self {
        Self { wall: Duration::from_secs(300), ..Self::default() }
    }

    /// These bounds, lowered where `wish` asks for less. Asking for more changes nothing.
    #[must_use]
    pub fn lowered_by(&self, wish: &BoundsSpec) -> Self {
        let least = |have: u64, wish: Option<u64>| wish.map_or(have, |wish| wish.min(have));
        let least32 = |have: u32, wish: Option<u32>| wish.map_or(have, |wish| wish.min(have));
        Self {
            fuel: least(self.fuel, wish.fuel),
            wall: wish.wall_ms.map_or(self.wall, |ms| Duration::from_millis(ms).min(self.wall)),
            memory: least(self.memory, wish.memory_bytes),
            host_call_bytes: least(self.host_call_bytes, wish.host_call_bytes),
            handles: least32(self.handles, wish.handles),
            outbound_calls: least32(self.outbound_calls, wish.outbound_calls),
            body_bytes: least(self.body_bytes, wish.body_bytes),
            log_bytes: least(self.log_bytes, wish.log_bytes),
            output_bytes: least(self.output_bytes, wish.output_bytes),
        }
    }
}

/// `bounds` as people write them; what is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BoundsSpec {
    /// Units of work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_ms: Option<u64>,
    /// Bytes of memories and tables together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Bytes across host calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_call_bytes: Option<u64>,
    /// Handles at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handles: Option<u32>,
    /// Outbound requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbound_calls: Option<u32>,
    /// Bytes of one outbound body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_bytes: Option<u64>,
    /// Bytes of log text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_bytes: Option<u64>,
    /// Bytes of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
}

#[test]
fn a_wish_lowers_and_never_raises() {
    let ceiling = Bounds::default();
    let wish = BoundsSpec { fuel: Some(1), memory_bytes: Some(u64::MAX), ..BoundsSpec::default() };
    let bounds = ceiling.lowered_by(&wish);
    assert_eq!(bounds.fuel, 1);
    assert_eq!(bounds.memory, ceiling.memory);
}
