//! `cargo fuzz run cron`: see `tests_fuzz::cron`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests_fuzz::cron(data));
