//! What configurations of encoders have in common: checks that refuse before anything is allocated.

use crate::EncoderError;

/// Widest layer; a larger number is a slip of the keyboard and would end in a failed allocation.
const MAX_WIDTH: usize = 1 << 16;
/// Most transformer blocks.
const MAX_DEPTH: usize = 256;
/// Longest text, in tokens.
const MAX_LEN: usize = 8192;
/// Largest vocabulary; that of a large multilingual model has a quarter of it.
const MAX_VOCABULARY: usize = 1 << 20;

pub(crate) fn refused(field: &'static str, cause: String) -> Result<(), EncoderError> {
    Err(EncoderError::Config { field, cause })
}

pub(crate) fn width(field: &'static str, value: usize) -> Result<(), EncoderError> {
    if (1..=MAX_WIDTH).contains(&value) { Ok(()) } else { refused(field, format!("{value} is not in 1..={MAX_WIDTH}")) }
}

pub(crate) fn depth(field: &'static str, value: usize) -> Result<(), EncoderError> {
    if value <= MAX_DEPTH { Ok(()) } else { refused(field, format!("{value} is more than {MAX_DEPTH}")) }
}

pub(crate) fn dropout(field: &'static str, value: f64) -> Result<(), EncoderError> {
    if (0.0..1.0).contains(&value) { Ok(()) } else { refused(field, format!("{value} is not in 0..1")) }
}

/// Longest text, in tokens.
pub(crate) fn length(field: &'static str, value: usize) -> Result<(), EncoderError> {
    if (2..=MAX_LEN).contains(&value) { Ok(()) } else { refused(field, format!("{value} is not in 2..={MAX_LEN}")) }
}

/// Number of tokens that an encoder knows.
pub(crate) fn vocabulary(field: &'static str, value: usize) -> Result<(), EncoderError> {
    let fits = (1..=MAX_VOCABULARY).contains(&value);
    if fits { Ok(()) } else { refused(field, format!("{value} is not in 1..={MAX_VOCABULARY}")) }
}

/// What is added to a variance before it divides.
pub(crate) fn epsilon(field: &'static str, value: f64) -> Result<(), EncoderError> {
    if value > 0.0 && value < 1.0 { Ok(()) } else { refused(field, format!("{value} is not in 0..1")) }
}

/// A width that is shared between attention heads.
pub(crate) fn heads(field: &'static str, value: usize, heads: usize) -> Result<(), EncoderError> {
    width(field, value)?;
    if heads > 0 && value.is_multiple_of(heads) {
        Ok(())
    } else {
        refused(field, format!("{value} is not a multiple of heads {heads}"))
    }
}
