//! `cargo fuzz run signature`: see `tests_fuzz::signature`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests_fuzz::signature(data));
