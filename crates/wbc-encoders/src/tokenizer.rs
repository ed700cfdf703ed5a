use crate::{EncoderError, TextInput};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::path::Path;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::normalizers::{Lowercase, NFKC, Sequence};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, NormalizerWrapper, TokenizerImpl};

const PAD: &str = "[PAD]";
const UNKNOWN: &str = "[UNK]";
const START: &str = "[CLS]";
/// Tokens that end a clause.
const SEPARATORS: [&str; 5] = [",", ";", ".", ":", "?"];
/// Characters that every trained vocabulary contains, so that no English text is unreadable.
const ALPHABET: std::ops::RangeInclusive<char> = ' '..='~';

/// How a tokenizer is trained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenizerConfig {
    /// Largest vocabulary.
    pub vocab_size: usize,
}

impl Default for TokenizerConfig {
    /// 2,048 tokens: every word of the caption grammar becomes one token.
    fn default() -> Self {
        Self { vocab_size: 2048 }
    }
}

/// Lower-casing byte-pair encoding, stored as Hugging Face's `tokenizer.json`.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    pad_id: u32,
    leading: Vec<u32>,
    separators: Vec<u32>,
}

impl Tokenizer {
    /// Trains on texts; the same texts give the same tokenizer.
    ///
    /// # Errors
    /// [`EncoderError::Tokenizer`] with what the library said.
    pub fn train<'t>(
        texts: impl Iterator<Item = &'t str> + Send,
        config: &TokenizerConfig,
    ) -> Result<Self, EncoderError> {
        let special = [PAD, UNKNOWN, START].map(|t| AddedToken::from(t, true));
        let mut trainer = BpeTrainerBuilder::new()
            .vocab_size(config.vocab_size)
            .min_frequency(1)
            .show_progress(false)
            .special_tokens(special.to_vec())
            .initial_alphabet(ALPHABET.map(|c| c.to_ascii_lowercase()).collect())
            .build();
        let model = BPE::builder().unk_token(UNKNOWN.into()).build().map_err(failed)?;
        let mut trained: TokenizerImpl<
            BPE,
            NormalizerWrapper,
            BertPreTokenizer,
            TemplateProcessing,
            tokenizers::decoders::bpe::BPEDecoder,
        > = TokenizerImpl::new(model);
        trained.with_normalizer(Some(Sequence::new(vec![NFKC.into(), Lowercase.into()])));
        trained.with_pre_tokenizer(Some(BertPreTokenizer));
        trained.train(&mut trainer, texts).map_err(failed)?;
        let start = trained.token_to_id(START).ok_or_else(|| failed("no start token"))?;
        let template = TemplateProcessing::builder()
            .try_single(format!("{START} $A"))
            .map_err(failed)?
            .special_tokens(vec![(START, start)])
            .build()
            .map_err(failed)?;
        trained.with_post_processor(Some(template));
        // by way of the file format, so that a trained and a loaded tokenizer are the same thing
        Self::from_json(trained.to_string(false).map_err(failed)?.as_bytes())
    }

    /// Reads `tokenizer.json`.
    ///
    /// # Errors
    /// [`EncoderError::Tokenizer`] when it does not parse or has no padding token.
    pub fn from_json(bytes: &[u8]) -> Result<Self, EncoderError> {
        let inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(failed)?;
        let pad_id = [PAD, "<pad>", "<|endoftext|>"]
            .iter()
            .find_map(|t| inner.token_to_id(t))
            .ok_or_else(|| failed("no padding token"))?;
        let known = |tokens: &[&str]| tokens.iter().filter_map(|t| inner.token_to_id(t)).collect();
        let (leading, separators) = (known(&[START]), known(&SEPARATORS));
        Ok(Self { inner, pad_id, leading, separators })
    }

    /// Reads `tokenizer.json` from a file.
    ///
    /// # Errors
    /// [`EncoderError::Io`], or as [`Self::from_json`].
    pub fn load(path: &Path) -> Result<Self, EncoderError> {
        Self::from_json(&std::fs::read(path).map_err(|source| EncoderError::Io { path: path.to_owned(), source })?)
    }

    /// The content of `tokenizer.json`.
    ///
    /// # Errors
    /// [`EncoderError::Tokenizer`] with what the library said.
    pub fn to_json(&self) -> Result<String, EncoderError> {
        self.inner.to_string(true).map_err(failed)
    }

    /// Id that fills short texts of a batch up.
    pub fn pad_id(&self) -> u32 {
        self.pad_id
    }

    /// Ids of tokens that stand before the first clause.
    pub fn leading(&self) -> &[u32] {
        &self.leading
    }

    /// Ids of tokens that end a clause.
    pub fn separators(&self) -> &[u32] {
        &self.separators
    }

    /// Number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Token ids per text, start token included, cut to `max_len`.
    ///
    /// # Errors
    /// [`EncoderError::Tokenizer`] with what the library said.
    pub fn ids(&self, texts: &[&str], max_len: usize) -> Result<Vec<Vec<u32>>, EncoderError> {
        texts
            .iter()
            .map(|t| {
                let encoding = self.inner.encode_fast(*t, true).map_err(failed)?;
                Ok(encoding.get_ids().iter().take(max_len).copied().collect())
            })
            .collect()
    }

    /// Token lists as a padded batch on a device.
    pub fn pad(&self, ids: &[Vec<u32>], device: &Device) -> TextInput {
        TextInput::from_ids(ids, self.pad_id, &self.leading, &self.separators, device)
    }

    /// Tokenised texts as a padded batch on a device.
    ///
    /// # Errors
    /// As [`Self::ids`].
    pub fn batch(&self, texts: &[&str], max_len: usize, device: &Device) -> Result<TextInput, EncoderError> {
        Ok(self.pad(&self.ids(texts, max_len)?, device))
    }
}

fn failed(cause: impl std::fmt::Display) -> EncoderError {
    EncoderError::Tokenizer { cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 4] =
        ["a large neutrophil", "pink granules", "light blue cytoplasm, no vacuoles", "a large, round nucleus"];

    #[test]
    fn training_is_deterministic_and_survives_the_file() {
        let train = || Tokenizer::train(TEXTS.into_iter(), &TokenizerConfig { vocab_size: 120 }).unwrap();
        let (a, b) = (train(), train());
        assert_eq!(a.to_json().unwrap(), b.to_json().unwrap());
        let loaded = Tokenizer::from_json(a.to_json().unwrap().as_bytes()).unwrap();
        assert_eq!(loaded.ids(&TEXTS, 64).unwrap(), a.ids(&TEXTS, 64).unwrap());
    }

    #[test]
    fn known_words_are_single_tokens_and_case_does_not_matter() {
        let t = Tokenizer::train(TEXTS.into_iter(), &TokenizerConfig::default()).unwrap();
        assert_eq!(t.ids(&["Large NEUTROPHIL"], 64).unwrap()[0].len(), 3);
        assert_eq!(t.ids(&["Large"], 64).unwrap(), t.ids(&["large"], 64).unwrap());
    }

    #[test]
    fn unknown_words_are_spelled_out_and_long_texts_cut() {
        let t = Tokenizer::train(TEXTS.into_iter(), &TokenizerConfig::default()).unwrap();
        let ids = t.ids(&["xylophone"], 64).unwrap();
        assert!(ids[0].len() > 2 && !ids[0].contains(&1), "{ids:?}");
        assert_eq!(t.ids(&["large large large large"], 3).unwrap()[0].len(), 3);
        assert!(Tokenizer::from_json(b"{}").is_err());
    }
}
