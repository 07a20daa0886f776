//! Numbers as people read them.

/// `840 µs`, `12 ms`, `4.5 s`, `3 min 20 s`.
pub(crate) fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{} ms", short(us, 1_000)),
        1_000_000..60_000_000 => format!("{} s", short(us, 1_000_000)),
        _ => format!("{} min {} s", us / 60_000_000, us % 60_000_000 / 1_000_000),
    }
}

/// `512 B`, `64 KiB`, `1.2 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{} KiB", short(bytes, 1_024)),
        _ => format!("{} MiB", short(bytes, 1_048_576)),
    }
}

/// `950`, `12 k`, `1.2 M`.
pub(crate) fn count(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        1_000..1_000_000 => format!("{} k", short(number, 1_000)),
        _ => format!("{} M", short(number, 1_000_000)),
    }
}

/// One decimal below ten units, none from there on.
fn short(number: u64, unit: u64) -> String {
    let (whole, tenth) = (number / unit, number % unit * 10 / unit);
    if whole < 10 && tenth != 0 { format!("{whole}.{tenth}") } else { whole.to_string() }
}

#[test]
fn numbers_are_short_and_say_their_unit() {
    assert_eq!(micros(840), "840 µs");
    assert_eq!(micros(1_290), "1.2 ms");
    assert_eq!(micros(84_000), "84 ms");
    assert_eq!(micros(4_560_000), "4.5 s");
    assert_eq!(micros(200_000_000), "3 min 20 s");
    assert_eq!(bytes(64 << 10), "64 KiB");
    assert_eq!(bytes(1_300_000), "1.2 MiB");
    assert_eq!(count(123_456), "123 k");
    assert_eq!(count(u64::MAX), "18446744073709 M");
}
