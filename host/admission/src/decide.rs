//! The decision, apart from everything that carries it out.

/// What becomes of somebody who wants a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// There is a place.
    Run,
    /// There is none now, but room to wait for one.
    Wait,
    /// There is no room to wait either.
    Refuse,
}

/// How a tenant's line stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Places there are.
    pub places: usize,
    /// Places that are taken.
    pub taken: usize,
    /// How many may wait.
    pub seats: usize,
    /// How many do.
    pub waiting: usize,
}

/// Pure: no clock, no lock, no I/O. The caller brings the facts.
pub fn decide(line: Line) -> Decision {
    if line.taken < line.places && line.waiting == 0 {
        Decision::Run
    } else if line.waiting < line.seats {
        Decision::Wait
    } else {
        Decision::Refuse
    }
}

#[test]
fn a_full_tenant_waits_and_a_full_waiting_room_refuses() {
    let check = |taken, waiting, want| {
        let line = Line { places: 2, taken, seats: 2, waiting };
        assert_eq!(decide(line), want, "taken={taken} waiting={waiting}");
    };
    check(0, 0, Decision::Run);
    check(1, 0, Decision::Run);
    check(2, 0, Decision::Wait);
    check(2, 1, Decision::Wait);
    check(2, 2, Decision::Refuse);
    // The limit was lowered while more were running.
    check(3, 0, Decision::Wait);
    // A place is free, but it belongs to those who wait.
    check(1, 1, Decision::Wait);
    check(1, 2, Decision::Refuse);
}

#[test]
fn without_a_waiting_room_a_full_tenant_is_refused_at_once() {
    let line = Line { places: 1, taken: 1, seats: 0, waiting: 0 };
    assert_eq!(decide(line), Decision::Refuse);
}
