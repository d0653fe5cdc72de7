#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tidegate_proxy::fuzz::handover(input));
