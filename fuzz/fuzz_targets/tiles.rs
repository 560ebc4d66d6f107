//! See `liaison_fuzz::tiles`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| liaison_fuzz::tiles(data));
