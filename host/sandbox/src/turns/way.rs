//! How a thread of the pool makes way for those that serve sockets.
//!
//! It yields the core after each turn. To Linux's scheduler (EEVDF, 6.6 and
//! later) a yield gives up the rest of the slice, and whoever has used less than
//! others may take the core from them the moment that it has something to do.
//! With the usual slice of some 3 ms that credit is soon spent, and a socket
//! that has just been served waits to the end of the next turn; with a long one
//! it lasts. While sockets keep a core busy, a thread that gave up a long slice
//! would wait as long as that, again and again: so it makes way only as far as
//! it gets half of the core.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::getpriority_process;

use super::shares::nanos;

/// The slice. Shorter ones leave a victim's slowest of a hundred requests beside
/// ten attackers at twice what it is alone (3 ms) or 1.5 times (10 ms).
const SLICE: Duration = Duration::from_millis(20);
/// What a thread may lose by making way, beyond as much as it used of the core:
/// then it makes way no more until it has used as much. Half of the core is its own.
const PATIENCE: Duration = Duration::from_millis(2);

/// What one thread has lost by making way.
#[derive(Default)]
pub(super) struct Way {
    lost: Duration,
}

impl Way {
    /// Makes way after a turn that used so much, if it may.
    pub(super) fn make(&mut self, used: Duration) {
        if self.may(used) {
            let before = Instant::now();
            std::thread::yield_now();
            self.lost += before.elapsed();
        }
    }

    fn may(&mut self, used: Duration) -> bool {
        self.lost = self.lost.saturating_sub(used);
        self.lost <= PATIENCE
    }
}

/// Gives this thread its long slice. Kernels before 6.12 take no notice.
#[expect(unsafe_code, reason = "nobody has a safe sched_setattr(2) for other policies than deadlines")]
pub(super) fn lengthen_slice() -> io::Result<()> {
    /// `SCHED_FLAG_KEEP_POLICY` of linux/sched.h.
    const KEEP_POLICY: u64 = 0x08;
    let attributes = libc::sched_attr {
        size: u32::try_from(size_of::<libc::sched_attr>()).map_err(io::Error::other)?,
        sched_policy: 0,
        sched_flags: KEEP_POLICY,
        sched_nice: getpriority_process(None)?, // as it is
        sched_priority: 0,
        sched_runtime: nanos(SLICE),
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads `size` bytes from the pointer, which are
    // `attributes`, alive until after the call, and writes to none; 0 is this
    // thread, and no flags.
    match unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURN: Duration = Duration::from_micros(100);

    #[test]
    fn a_thread_that_loses_too_much_keeps_the_core_for_its_half() {
        let mut way = Way::default();
        assert!(way.may(TURN));
        way.lost += Duration::from_millis(20); // the sockets were busy
        let kept = (0..).take_while(|_| !way.may(TURN)).count();
        // 18 ms beyond its patience, 0.1 ms less with each turn.
        assert_eq!(kept, 179);
        assert!(way.may(TURN));
    }

    #[test]
    fn a_thread_that_loses_little_always_makes_way() {
        let mut way = Way::default();
        for _ in 0..1_000 {
            assert!(way.may(TURN));
            way.lost += TURN;
        }
    }

    #[test]
    fn a_thread_may_have_its_slice() {
        std::thread::spawn(|| lengthen_slice().unwrap()).join().unwrap();
    }
}
