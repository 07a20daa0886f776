//! Bad days on order: `POST /faults {"status":503,"times":2,"delay_ms":50}`.

use serde::Deserialize;

/// How the next requests go wrong.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The status to answer with; without one the answer is the true one.
    pub status: Option<u16>,
    /// For how many requests; 0 switches the fault off.
    #[serde(default = "once")]
    pub times: u32,
    /// How long to wait before the answer.
    #[serde(default)]
    pub delay_ms: u64,
    /// Do what was asked first, then answer with the fault: a lost answer.
    #[serde(default)]
    pub after_effect: bool,
    /// The `retry-after` header of the answer, in seconds.
    #[serde(default)]
    pub retry_after: Option<u32>,
}

fn once() -> u32 {
    1
}

impl Fault {
    /// Answers the next `times` requests with `status` and does nothing else.
    pub fn status(status: u16, times: u32) -> Self {
        Self { status: Some(status), times, delay_ms: 0, after_effect: false, retry_after: None }
    }
}

/// A fault that is on, if any.
#[derive(Default)]
pub(crate) struct Faults(Option<Fault>);

impl Faults {
    pub(crate) fn set(&mut self, fault: Fault) {
        self.0 = Some(fault);
    }

    /// The fault for this request; counts it.
    pub(crate) fn take(&mut self) -> Option<Fault> {
        let fault = self.0.as_mut()?;
        if fault.times == 0 {
            self.0 = None;
            return None;
        }
        fault.times -= 1;
        Some(fault.clone())
    }
}

#[test]
fn a_fault_passes_after_its_times() {
    let mut faults = Faults::default();
    assert_eq!(faults.take(), None);
    faults.set(Fault::status(503, 2));
    assert!(faults.take().is_some() && faults.take().is_some());
    assert_eq!(faults.take(), None);
}
