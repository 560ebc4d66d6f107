//! See `liaison_fuzz::bundle_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| liaison_fuzz::bundle_file(data));
