//! Inputs that the fuzzer found to be different, and those that once failed (`fuzz/corpus`), run once more.

#[path = "common/fuzzed.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets use it as a library")]
mod fuzzed;

use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut n = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        run(&std::fs::read(entry.unwrap().path()).unwrap());
        n += 1;
    }
    assert!(n > 0, "{} is empty", folder.display());
}

#[test]
fn images_are_measured_or_refused() {
    replay("measure_image", fuzzed::measure_image);
}

#[test]
fn masks_are_measured_or_refused() {
    replay("read_masks", fuzzed::read_masks);
}
