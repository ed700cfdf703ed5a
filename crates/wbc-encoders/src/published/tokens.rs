//! The tokenizer of a published text encoder, as the library that published the encoder uses it.

use super::configs::{OPEN_CLIP_LENGTH, Section};
use super::text::TextLayout;
use crate::{EncoderError, PublishedTextConfig, TextCleaning, Tokenizer};
use serde_json::Value;
use std::path::Path;

const OPEN_CLIP_CONFIG: &str = "open_clip_config.json";

impl TextLayout {
    /// The tokenizer of a published folder for an encoder that came with it: [`Tokenizer::published`] and, for OpenCLIP's
    /// layouts, the [cleaning](TextCleaning) that `tokenizer_kwargs.clean` of `open_clip_config.json` names. Where that
    /// is silent, OpenCLIP's `lower` for its own tokenizer and `whitespace` for that of a BERT or of another library.
    ///
    /// # Errors
    /// As [`Tokenizer::published`]; [`EncoderError::Unsupported`] naming an option of OpenCLIP's that is not known, or a
    /// `context_length` that is not the encoder's; [`EncoderError::Published`] for a tokenizer with more tokens than the
    /// encoder knows.
    pub fn tokenizer(self, folder: &Path, config: &PublishedTextConfig) -> Result<Tokenizer, EncoderError> {
        let mut tokenizer = Tokenizer::published(folder)?;
        if matches!(self, Self::OpenClip | Self::OpenClipCustom | Self::OpenClipBert) {
            tokenizer = tokenizer.with_cleaning(self.open_clip_cleaning(&folder.join(OPEN_CLIP_CONFIG), config)?);
        }
        let (n_tokens, known) = (tokenizer.vocab_size(), config.vocab_size());
        if n_tokens > known {
            let cause = format!("a tokenizer of {n_tokens} tokens beside an encoder that knows {known}");
            return Err(EncoderError::Published { cause, path: folder.to_owned() });
        }
        Ok(tokenizer)
    }

    fn open_clip_cleaning(self, path: &Path, config: &PublishedTextConfig) -> Result<TextCleaning, EncoderError> {
        let of_a_bert = self == Self::OpenClipBert;
        if !path.is_file() {
            return Ok(usual_cleaning(of_a_bert));
        }
        let root = Section::read(path)?;
        let model = if root.value("model_cfg").is_some() { root.section("model_cfg")? } else { root };
        let text = model.section("text_cfg")?;
        // `clips` puts the special tokens elsewhere
        if text.text("tokenizer_mode")?.is_some_and(|mode| !mode.is_empty()) {
            return Err(text.unsupported("tokenizer_mode"));
        }
        if let PublishedTextConfig::Clip(clip) = config {
            // OpenCLIP would stretch the table of positions
            let length = text.value("context_length").map_or(Some(OPEN_CLIP_LENGTH as u64), Value::as_u64);
            if length != Some(clip.max_len as u64) {
                return Err(text.unsupported("context_length"));
            }
        }
        let options = text.section("tokenizer_kwargs")?;
        let named = text.value("tokenizer_kwargs").and_then(Value::as_object).into_iter().flatten();
        for (name, value) in named {
            // whether the tokenizer runs in Python or in Rust changes no token
            let known = ["clean", "use_fast"].contains(&name.as_str());
            if !known && !says_nothing(value) {
                return Err(options.unsupported(name));
            }
        }
        let foreign = of_a_bert || text.text("hf_tokenizer_name")?.is_some_and(|name| !name.is_empty());
        let cleaning = match options.text("clean")? {
            Some(name) => TextCleaning::from_open_clip(name),
            None => Some(usual_cleaning(foreign)),
        };
        // CLIP's own tokenizer would read capitals then, which the files that are published of it turn into small letters
        let readable = cleaning.filter(|cleaning| foreign || *cleaning != TextCleaning::Whitespace);
        readable.ok_or_else(|| options.unsupported("clean"))
    }
}

/// What OpenCLIP does unless told otherwise with texts for its own tokenizer and for a foreign one.
fn usual_cleaning(foreign: bool) -> TextCleaning {
    if foreign { TextCleaning::Whitespace } else { TextCleaning::Lower }
}

/// Whether an option is as good as not given.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}
