//! `cargo fuzz run address`: see `tests_fuzz::address`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests_fuzz::address(data));
