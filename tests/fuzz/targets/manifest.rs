//! `cargo fuzz run manifest`: see `tests_fuzz::manifest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests_fuzz::manifest(data));
