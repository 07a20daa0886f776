//! `cargo fuzz run documents`: see `tests_fuzz::documents`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests_fuzz::documents(data));
