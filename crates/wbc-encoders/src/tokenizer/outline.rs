//! Of a `tokenizer.json`, what the library neither checks nor knows.

use super::{TextCleaning, failed};
use crate::EncoderError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Under this name stands in `tokenizer.json` what the format has no place for.
const OURS: &str = "wbc_clip";

#[derive(Deserialize)]
struct Outline {
    model: Model,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    normalizer: Value,
    wbc_clip: Option<Ours>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    continuing_subword_prefix: Option<String>,
    dropout: Option<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ours {
    cleaning: TextCleaning,
}

/// The part that the library reads, and the cleaning.
///
/// # Errors
/// [`EncoderError::Tokenizer`] for JSON of another form and for what would make the library panic: template tokens that
/// are not declared or a second text where there is one, pieces of length 0, SentencePiece's tables, merges whose second
/// half lacks the prefix to be cut off; for merges left out at random, with which a text has no ids of its own.
pub(super) fn checked(bytes: &[u8]) -> Result<(Cow<'_, [u8]>, TextCleaning), EncoderError> {
    let outline: Outline = serde_json::from_slice(bytes).map_err(failed)?;
    let prefix = outline.model.continuing_subword_prefix.unwrap_or_default();
    if !prefix.is_empty() && outline.model.kind.as_deref() != Some("WordPiece") {
        return Err(failed(format!("byte pairs with the prefix `{prefix}` are not supported")));
    }
    if let Some(rate) = outline.model.dropout.filter(|rate| *rate != 0.0) {
        return Err(failed(format!("`dropout` = {rate} leaves merges out at random, which is not supported")));
    }
    check_templates(&outline.post_processor)?;
    check_parts(&outline.pre_tokenizer)?;
    check_parts(&outline.normalizer)?;
    let Some(ours) = outline.wbc_clip else { return Ok((Cow::Borrowed(bytes), TextCleaning::AsIs)) };
    let mut rest: Map<String, Value> = serde_json::from_slice(bytes).map_err(failed)?;
    rest.remove(OURS);
    Ok((Cow::Owned(serde_json::to_vec(&rest).map_err(failed)?), ours.cleaning))
}

/// Adds the cleaning to a `tokenizer.json`, unless there is none.
pub(super) fn with_cleaning(json: String, cleaning: TextCleaning) -> Result<String, EncoderError> {
    if cleaning == TextCleaning::AsIs {
        return Ok(json);
    }
    let mut whole: Map<String, Value> = serde_json::from_str(&json).map_err(failed)?;
    whole.insert(OURS.into(), serde_json::to_value(Ours { cleaning }).map_err(failed)?);
    serde_json::to_string_pretty(&whole).map_err(failed)
}

/// Looks for what the library panics at in normalisers and pre-tokenizers, sequences of them included.
fn check_parts(part: &Value) -> Result<(), EncoderError> {
    let kind = part.get("type").and_then(Value::as_str);
    if kind == Some("Precompiled") {
        return Err(failed("the normalizer `Precompiled` (SentencePiece) is not supported"));
    }
    if kind == Some("FixedLength") && part.get("length").and_then(Value::as_u64).is_none_or(|n| n == 0) {
        return Err(failed("the pre-tokenizer `FixedLength` has no length"));
    }
    let inner = ["normalizers", "pretokenizers"].iter().filter_map(|name| part.get(name)?.as_array()).flatten();
    inner.into_iter().try_for_each(check_parts)
}

fn check_templates(processor: &Value) -> Result<(), EncoderError> {
    if let Some(parts) = processor.get("processors").and_then(Value::as_array) {
        // the parser of JSON bounds how deep they lie
        return parts.iter().try_for_each(check_templates);
    }
    let of_one = processor.get("single").and_then(Value::as_array).into_iter().flatten();
    let second = |piece: &&Value| piece.get("Sequence").and_then(|s| s.get("id")).is_some_and(|id| id != "A");
    if of_one.into_iter().find(second).is_some() {
        return Err(failed("the template of one text asks for a second"));
    }
    let pieces = ["single", "pair"].iter().filter_map(|t| processor.get(t)?.as_array()).flatten();
    for piece in pieces {
        let Some(id) = piece.get("SpecialToken").and_then(|t| t.get("id")).and_then(Value::as_str) else { continue };
        if processor.get("special_tokens").and_then(|t| t.get(id)).is_none() {
            return Err(failed(format!("the template's token `{id}` is not declared")));
        }
    }
    Ok(())
}
