mod cleaning;
mod outline;
mod published;

pub use cleaning::TextCleaning;
pub use published::WordPieceOptions;

use crate::{EncoderError, TextInput};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::io::Read;
use std::path::Path;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::normalizers::{Lowercase, NFKC, Sequence};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, NormalizerWrapper, PaddingParams, PostProcessor, TokenizerImpl, TruncationDirection};

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

/// Tokens that end a text, by which one is padded where no padding token is known.
const ENDS: [&str; 4] = ["<|endoftext|>", "<end_of_text>", "</s>", "[SEP]"];
/// Largest tokenizer or vocabulary file; the largest published ones have about 33 MB.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// Turns texts into token ids: this project's own lower-casing byte-pair encoding, or that of a published model.
///
/// All are stored as Hugging Face's `tokenizer.json`. A text of a tokenizer trained here is divided into clauses at
/// punctuation (see [`TextInput`]); a text of a published one is a single clause whose positions count from 0, as its
/// model learned it.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    pad_id: u32,
    /// Empty for published tokenizers, as are `separators`.
    leading: Vec<u32>,
    separators: Vec<u32>,
    cleaning: TextCleaning,
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

    /// Reads `tokenizer.json`, this project's or a published one. Truncation and padding that the file asks for are
    /// left to [`Self::ids`] and [`Self::pad`]; of the padding, its id is kept. Without any, texts are padded with
    /// `[PAD]` or `<pad>`, else with the token that ends a text, else with 0.
    ///
    /// # Errors
    /// [`EncoderError::Tokenizer`] when it does not parse, is larger than 64 MiB or contradicts itself.
    pub fn from_json(bytes: &[u8]) -> Result<Self, EncoderError> {
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(failed(format!("{} bytes where {MAX_FILE_BYTES} are allowed", bytes.len())));
        }
        let (plain, cleaning) = outline::checked(bytes)?;
        let inner = tokenizers::Tokenizer::from_bytes(plain).map_err(failed)?;
        let made = Self::from_inner(inner, cleaning);
        // a table of tokens has no row for such an id
        if made.pad_id as usize >= made.vocab_size().max(1) {
            return Err(failed(format!("padding by the id {} of {} tokens", made.pad_id, made.vocab_size())));
        }
        Ok(made)
    }

    fn from_inner(mut inner: tokenizers::Tokenizer, cleaning: TextCleaning) -> Self {
        let own = trained_here(&inner);
        let of_file = inner.get_padding().map(|p| p.pad_id);
        let by_name = || [PAD, "<pad>"].iter().chain(&ENDS).find_map(|t| inner.token_to_id(t));
        let pad_id = of_file.or_else(by_name).unwrap_or(0);
        let known = |tokens: &[&str]| match own {
            true => tokens.iter().filter_map(|t| inner.token_to_id(t)).collect(),
            false => vec![],
        };
        let (leading, separators) = (known(&[START]), known(&SEPARATORS));
        inner.with_padding(None);
        inner.with_truncation(None).expect("no truncation is always possible");
        Self { inner, pad_id, leading, separators, cleaning }
    }

    /// Reads `tokenizer.json` from a file.
    ///
    /// # Errors
    /// [`EncoderError::Io`], or as [`Self::from_json`].
    pub fn load(path: &Path) -> Result<Self, EncoderError> {
        Self::from_json(&read_limited(path)?)
    }

    /// The same tokenizer with another cleaning before it.
    pub fn with_cleaning(mut self, cleaning: TextCleaning) -> Self {
        self.cleaning = cleaning;
        self
    }

    /// What is done to texts first.
    pub fn cleaning(&self) -> TextCleaning {
        self.cleaning
    }

    /// Token id that fills up short texts.
    pub fn pad_id(&self) -> u32 {
        self.pad_id
    }

    /// Id of a token by its name in the vocabulary.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// A token by its id.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The content of `tokenizer.json`. Other programs read it, too, unless a [cleaning](TextCleaning) is set: that is
    /// stored under a name of ours, since the format has none for it.
    ///
    /// # Errors
    /// [`EncoderError::Tokenizer`] with what the library said.
    pub fn to_json(&self) -> Result<String, EncoderError> {
        if !self.leading.is_empty() {
            return outline::with_cleaning(self.inner.to_string(true).map_err(failed)?, self.cleaning);
        }
        let mut padded = self.inner.clone();
        padded.with_padding(Some(PaddingParams {
            pad_id: self.pad_id,
            pad_token: self.inner.id_to_token(self.pad_id).unwrap_or_default(),
            ..PaddingParams::default()
        }));
        outline::with_cleaning(padded.to_string(true).map_err(failed)?, self.cleaning)
    }

    /// Ids of tokens that stand before the first clause.
    pub fn leading(&self) -> &[u32] {
        &self.leading
    }

    /// Ids of tokens that end a clause.
    pub fn separators(&self) -> &[u32] {
        &self.separators
    }

    /// Rows that a table of tokens needs: one more than the largest id, whatever gaps the vocabulary has.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab(true).values().max().map_or(0, |id| *id as usize + 1)
    }

    /// Token ids per text, start and end tokens included, cut to `max_len`: words are lost, an end token is not.
    ///
    /// # Errors
    /// [`EncoderError::Tokenizer`] with what the library said.
    pub fn ids(&self, texts: &[&str], max_len: usize) -> Result<Vec<Vec<u32>>, EncoderError> {
        let n_added = self.inner.get_post_processor().map_or(0, |p| p.added_tokens(false));
        let one = |text: &&str| {
            let text: Cow<'_, str> = self.cleaning.apply(text);
            let mut encoding = self.inner.encode_fast(text.as_ref(), false).map_err(failed)?;
            encoding.truncate(max_len.saturating_sub(n_added), 0, TruncationDirection::Right);
            let whole = self.inner.post_process(encoding, None, true).map_err(failed)?;
            Ok(whole.get_ids().iter().take(max_len).copied().collect())
        };
        texts.iter().map(one).collect()
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

/// Whether a tokenizer was trained by [`Tokenizer::train`], whose texts are divided into clauses: a byte-pair encoding
/// with its three special tokens first and a start but no end.
fn trained_here(inner: &tokenizers::Tokenizer) -> bool {
    let first = [PAD, UNKNOWN, START].iter().zip(0..).all(|(token, id)| inner.token_to_id(token) == Some(id));
    let n_added = inner.get_post_processor().map_or(0, |p| p.added_tokens(false));
    first && n_added == 1 && matches!(inner.get_model(), tokenizers::ModelWrapper::BPE(_))
}

/// A whole file, unless it is too large to be a vocabulary.
fn read_limited(path: &Path) -> Result<Vec<u8>, EncoderError> {
    let io = |source| EncoderError::Io { path: path.to_owned(), source };
    let mut bytes = vec![];
    std::fs::File::open(path).map_err(io)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(in_file(path, format!("more than {MAX_FILE_BYTES} bytes")));
    }
    Ok(bytes)
}

fn in_file(path: &Path, cause: impl std::fmt::Display) -> EncoderError {
    EncoderError::TokenizerFile { cause: cause.to_string(), path: path.to_owned() }
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
