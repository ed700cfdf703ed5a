//! Image file → pixels → masks → measurements.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wbc_morphology_fuzz::measure_image(bytes));
