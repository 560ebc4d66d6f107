//! See `liaison_fuzz::peer_card`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| liaison_fuzz::peer_card(data));
