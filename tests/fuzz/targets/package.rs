//! `cargo fuzz run package`: see `tests_fuzz::package`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests_fuzz::package(data));
