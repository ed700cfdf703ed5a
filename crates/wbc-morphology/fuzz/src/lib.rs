//! What is fuzzed; also compiled into the tests of the crate, which replay the corpus.

include!("../../tests/common/fuzzed.rs");
