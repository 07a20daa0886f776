//! `cargo fuzz run journal`: see `tests_fuzz::journal`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests_fuzz::journal(data));
