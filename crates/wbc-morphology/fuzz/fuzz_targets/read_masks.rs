//! Mask file → masks → measurements of a plain image.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wbc_morphology_fuzz::read_masks(bytes));
