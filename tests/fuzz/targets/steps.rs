//! `cargo fuzz run steps`: see `tests_fuzz::steps`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests_fuzz::steps(data));
