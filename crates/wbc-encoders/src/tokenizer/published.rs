//! Tokenizers of published models, from the files that come with them.

use super::{MAX_FILE_BYTES, TextCleaning, Tokenizer, failed, in_file, read_limited};
use crate::EncoderError;
use flate2::read::GzDecoder;
use serde_json::Value;
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::{BertNormalizer, Lowercase, NFC, Replace, Sequence, replace::ReplacePattern};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::bert::BertProcessing;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{AddedToken, ModelWrapper, NormalizerWrapper, SplitDelimiterBehavior};

const WORD_END: &str = "</w>";
/// Merges that CLIP uses of its file: 49,152 tokens less the bytes, at the end of a word or not.
const N_CLIP_MERGES: usize = 49_152 - 256 - 2;
/// Names of start and end token, as transformers and as open_clip call them.
const CLIP_SPECIAL: [&str; 2] = ["<|startoftext|>", "<|endoftext|>"];
const OPEN_CLIP_SPECIAL: [&str; 2] = ["<start_of_text>", "<end_of_text>"];
/// CLIP's words: contractions, letters, single digits, everything else but white space.
const CLIP_WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// Files of a folder that make a tokenizer, the first that is there.
const KNOWN_FILES: [&str; 4] = ["tokenizer.json", "vocab.txt", "merges.txt", "bpe_simple_vocab_16e6.txt.gz"];

/// How BERT's tokenizer reads a text before it looks words up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordPieceOptions {
    /// Whether capitals become small.
    pub lowercase: bool,
    /// Whether accents are dropped; as `lowercase` where `None`.
    pub strip_accents: Option<bool>,
    /// Whether each CJK ideograph is a word of its own.
    pub split_cjk: bool,
}

impl Default for WordPieceOptions {
    /// Those of the uncased BERT.
    fn default() -> Self {
        Self { lowercase: true, strip_accents: None, split_cjk: true }
    }
}

impl Tokenizer {
    /// BERT's tokenizer from its `vocab.txt`, one token a line: `[CLS]`, the words, `[SEP]`; padded with `[PAD]`.
    ///
    /// # Errors
    /// [`EncoderError::Io`]; [`EncoderError::TokenizerFile`] for a file that is no UTF-8, larger than 64 MiB or lacks
    /// one of `[UNK]`, `[CLS]`, `[SEP]`.
    pub fn from_wordpiece(vocab_txt: &Path, options: WordPieceOptions) -> Result<Self, EncoderError> {
        let text = utf8(vocab_txt, read_limited(vocab_txt)?)?;
        let vocab: HashMap<String, u32> = text.lines().zip(0..).map(|(token, id)| (token.to_owned(), id)).collect();
        let id = |token: &str| match vocab.get(token) {
            Some(id) => Ok((token.to_owned(), *id)),
            None => Err(in_file(vocab_txt, format!("no token `{token}`"))),
        };
        id("[UNK]")?;
        let template = BertProcessing::new(id("[SEP]")?, id("[CLS]")?);
        let special: Vec<AddedToken> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
            .into_iter()
            .filter(|t| vocab.contains_key(*t))
            .map(|t| AddedToken::from(t, true))
            .collect();
        let model = WordPiece::builder()
            .vocab(vocab.into_iter().collect::<Vocab>())
            .unk_token("[UNK]".into())
            .build()
            .map_err(|e| in_file(vocab_txt, e))?;
        let mut inner = tokenizers::Tokenizer::new(ModelWrapper::WordPiece(model));
        inner.with_normalizer(Some(BertNormalizer::new(
            true,
            options.split_cjk,
            options.strip_accents,
            options.lowercase,
        )));
        inner.with_pre_tokenizer(Some(BertPreTokenizer));
        inner.with_post_processor(Some(template));
        inner.with_decoder(Some(tokenizers::decoders::wordpiece::WordPiece::default()));
        inner.add_special_tokens(&special);
        Ok(Self::from_inner(inner, TextCleaning::AsIs))
    }

    /// CLIP's tokenizer as transformers runs it, from its merges (`merges.txt`, or gzipped as open_clip ships them):
    /// `<|startoftext|>`, the words, `<|endoftext|>`; padded with the end token. Without `vocab.json`, the vocabulary
    /// follows from the merges.
    ///
    /// # Errors
    /// [`EncoderError::Io`]; [`EncoderError::TokenizerFile`] for a file larger than 64 MiB, that is none of the kind,
    /// or for merges that the vocabulary lacks.
    pub fn from_clip_bpe(merges_txt: &Path, vocab_json: Option<&Path>) -> Result<Self, EncoderError> {
        let vocab = vocab_json.map(read_vocab).transpose()?;
        clip(merges_txt, vocab, CLIP_SPECIAL, false)
    }

    /// CLIP's tokenizer as open_clip's `SimpleTokenizer` runs it, from `bpe_simple_vocab_16e6.txt.gz`: texts are
    /// [cleaned](TextCleaning::Lower) first and padded with 0. The token ids are those of [`Self::from_clip_bpe`].
    ///
    /// # Errors
    /// As [`Self::from_clip_bpe`].
    pub fn from_open_clip_bpe(merges_txt: &Path) -> Result<Self, EncoderError> {
        let made = clip(merges_txt, None, OPEN_CLIP_SPECIAL, true)?;
        Ok(Self { pad_id: 0, cleaning: TextCleaning::Lower, ..made })
    }

    /// The tokenizer of a published model's folder: of `tokenizer.json`, `vocab.txt` (BERT's), `merges.txt` (CLIP's,
    /// with `vocab.json` if that is there) and `bpe_simple_vocab_16e6.txt.gz` (open_clip's) the first that exists.
    /// `tokenizer_config.json` and `special_tokens_map.json`, where they exist, say what pads and, for BERT, what
    /// becomes of capitals and accents.
    ///
    /// # Errors
    /// [`EncoderError::TokenizerFile`] naming what was looked for, or a `pad_token` that is not in the vocabulary; errors of
    /// the files.
    pub fn published(folder: &Path) -> Result<Self, EncoderError> {
        let settings = Settings::read(folder)?;
        let [json, vocab_txt, merges, open_clip] = KNOWN_FILES.map(|name| folder.join(name));
        let mut made = if json.is_file() {
            let mut made = Self::load(&json).map_err(|e| match e {
                EncoderError::Tokenizer { cause } => in_file(&json, cause),
                other => other,
            })?;
            if let Some(NormalizerWrapper::BertNormalizer(stored)) = made.inner.get_normalizer().cloned() {
                let options = settings.wordpiece(WordPieceOptions {
                    lowercase: stored.lowercase,
                    strip_accents: stored.strip_accents,
                    split_cjk: stored.handle_chinese_chars,
                });
                made.inner.with_normalizer(Some(BertNormalizer::new(
                    stored.clean_text,
                    options.split_cjk,
                    options.strip_accents,
                    options.lowercase,
                )));
            }
            made
        } else if vocab_txt.is_file() {
            Self::from_wordpiece(&vocab_txt, settings.wordpiece(WordPieceOptions::default()))?
        } else if merges.is_file() {
            let vocab = folder.join("vocab.json");
            Self::from_clip_bpe(&merges, vocab.is_file().then_some(vocab.as_path()))?
        } else if open_clip.is_file() {
            Self::from_open_clip_bpe(&open_clip)?
        } else {
            return Err(in_file(folder, format!("none of {} found", KNOWN_FILES.join(", "))));
        };
        if let Some((token, said_by)) = settings.pad_token {
            let id = made.inner.token_to_id(&token);
            made.pad_id = id.ok_or_else(|| in_file(&said_by, format!("`pad_token` = `{token}` is no known token")))?;
        }
        Ok(made)
    }
}

/// What `tokenizer_config.json` and `special_tokens_map.json` say, as far as it is read.
#[derive(Default)]
struct Settings {
    lowercase: Option<bool>,
    /// `Some(None)` where the file leaves it to `lowercase`.
    strip_accents: Option<Option<bool>>,
    split_cjk: Option<bool>,
    /// Which token pads, and the file that says so.
    pad_token: Option<(String, PathBuf)>,
}

impl Settings {
    fn read(folder: &Path) -> Result<Self, EncoderError> {
        let mut settings = Self::default();
        // the configuration is read last: where both name a token, it decides
        for name in ["special_tokens_map.json", "tokenizer_config.json"] {
            let path = folder.join(name);
            if !path.is_file() {
                continue;
            }
            let value: Value = serde_json::from_slice(&read_limited(&path)?).map_err(|e| in_file(&path, e))?;
            let flag = |key: &str| value.get(key).and_then(Value::as_bool);
            settings.lowercase = flag("do_lower_case").or(settings.lowercase);
            settings.strip_accents =
                value.get("strip_accents").map(|_| flag("strip_accents")).or(settings.strip_accents);
            settings.split_cjk = flag("tokenize_chinese_chars").or(settings.split_cjk);
            let pad = value.get("pad_token").and_then(|t| t.get("content").unwrap_or(t).as_str());
            settings.pad_token = pad.map(|token| (token.to_owned(), path.clone())).or(settings.pad_token);
        }
        Ok(settings)
    }

    fn wordpiece(&self, unsaid: WordPieceOptions) -> WordPieceOptions {
        WordPieceOptions {
            lowercase: self.lowercase.unwrap_or(unsaid.lowercase),
            strip_accents: self.strip_accents.unwrap_or(unsaid.strip_accents),
            split_cjk: self.split_cjk.unwrap_or(unsaid.split_cjk),
        }
    }
}

/// CLIP's pipeline. `special_late`: whether special tokens are looked for in the cleaned text, not in the raw one.
fn clip(
    merges_txt: &Path,
    vocab: Option<HashMap<String, u32>>,
    special: [&str; 2],
    special_late: bool,
) -> Result<Tokenizer, EncoderError> {
    let mut merges = read_merges(merges_txt)?;
    let vocab = vocab.unwrap_or_else(|| {
        merges.truncate(N_CLIP_MERGES);
        vocab_from_merges(&merges, special)
    });
    let id = |token: &str| match vocab.get(token) {
        Some(id) => Ok((token.to_owned(), *id)),
        None => Err(in_file(merges_txt, format!("the vocabulary lacks `{token}`"))),
    };
    let [start, end] = special;
    let processor = RobertaProcessing::new(id(end)?, id(start)?).trim_offsets(false).add_prefix_space(false);
    let model = BPE::builder()
        .vocab_and_merges(vocab.into_iter().collect::<Vocab>(), merges)
        .end_of_word_suffix(WORD_END.into())
        .unk_token(end.into())
        .build()
        .map_err(|e| in_file(merges_txt, e))?;
    let mut inner = tokenizers::Tokenizer::new(ModelWrapper::BPE(model));
    let spaces = Replace::new(ReplacePattern::Regex(r"\s+".into()), " ").map_err(failed)?;
    inner.with_normalizer(Some(Sequence::new(vec![NFC.into(), spaces.into(), Lowercase.into()])));
    let special_words = special.map(|t| t.replace('|', r"\|")).join("|");
    let words = SplitPattern::Regex(format!("{special_words}|{CLIP_WORDS}"));
    let split = Split::new(words, SplitDelimiterBehavior::Removed, true).map_err(failed)?;
    inner.with_pre_tokenizer(Some(PreTokenizers::new(vec![split.into(), ByteLevel::new(false, true, true).into()])));
    inner.with_post_processor(Some(processor));
    inner.with_decoder(Some(ByteLevel::default()));
    inner.add_special_tokens(&special.map(|t| AddedToken::from(t, true).normalized(special_late)));
    Ok(Tokenizer::from_inner(inner, TextCleaning::AsIs))
}

/// Pairs in the order in which they are merged, one a line; a first line with the version is skipped.
fn read_merges(path: &Path) -> Result<Vec<(String, String)>, EncoderError> {
    let mut bytes = read_limited(path)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut text = vec![];
        let mut unpacked = GzDecoder::new(bytes.as_slice()).take(MAX_FILE_BYTES + 1);
        unpacked.read_to_end(&mut text).map_err(|source| EncoderError::Io { path: path.to_owned(), source })?;
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(in_file(path, format!("more than {MAX_FILE_BYTES} bytes when unpacked")));
        }
        bytes = text;
    }
    let text = utf8(path, bytes)?;
    let mut merges = vec![];
    for (line, n) in text.lines().zip(1..) {
        if line.is_empty() || (n == 1 && line.contains("#version")) {
            continue;
        }
        let pair = line.split_once(' ').filter(|(a, b)| !a.is_empty() && !b.is_empty() && !b.contains(' '));
        let Some((a, b)) = pair else { return Err(in_file(path, format!("line {n} is not a pair of tokens"))) };
        merges.push((a.to_owned(), b.to_owned()));
    }
    Ok(merges)
}

fn read_vocab(path: &Path) -> Result<HashMap<String, u32>, EncoderError> {
    serde_json::from_slice(&read_limited(path)?).map_err(|e| in_file(path, e))
}

/// All bytes, all bytes that end a word, what merges make of them, special tokens: in this order from 0.
fn vocab_from_merges(merges: &[(String, String)], special: [&str; 2]) -> HashMap<String, u32> {
    let bytes = byte_characters();
    let inside = bytes.iter().map(char::to_string);
    let at_end = bytes.iter().map(|c| format!("{c}{WORD_END}"));
    let merged = merges.iter().map(|(a, b)| format!("{a}{b}"));
    inside.chain(at_end).chain(merged).chain(special.map(ToOwned::to_owned)).zip(0..).collect()
}

/// The printable character that stands for each byte, in the order of the vocabulary: printable bytes for themselves,
/// then all others by characters from 256 on.
fn byte_characters() -> Vec<char> {
    let printable = |b: &u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let shown = (0..=u8::MAX).filter(printable).map(char::from);
    let hidden = (0..=u8::MAX).filter(|b| !printable(b)).zip(256..).filter_map(|(_, n)| char::from_u32(n));
    shown.chain(hidden).collect()
}

fn utf8(path: &Path, bytes: Vec<u8>) -> Result<String, EncoderError> {
    String::from_utf8(bytes).map_err(|e| in_file(path, e))
}
