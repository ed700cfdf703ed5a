//! What open_clip does to a text before its tokenizer sees it.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tokenizers::NormalizedString;

/// What happens to a text before it is tokenised.
///
/// transformers does nothing. open_clip mends the text with [ftfy], resolves HTML entities, and then does what its
/// `clean` says. All of that is done here but one: ftfy guesses whether a text is mojibake (UTF-8 that was read in
/// another encoding, as `â€œ` for `“`) and turns it back; here such a text stays as it is.
///
/// [ftfy]: https://ftfy.readthedocs.io
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextCleaning {
    /// Nothing.
    #[default]
    AsIs,
    /// Mends, and makes every run of white space one space: open_clip's way with Hugging Face tokenizers.
    Whitespace,
    /// As `Whitespace`, then lower case: open_clip's way with CLIP's own vocabulary.
    Lower,
    /// As `Lower`, without ASCII punctuation: open_clip's way with SigLIP's.
    Canonicalize,
}

impl TextCleaning {
    /// The cleaning by open_clip's name for it.
    pub fn from_open_clip(name: &str) -> Option<Self> {
        match name {
            "whitespace" => Some(Self::Whitespace),
            "lower" => Some(Self::Lower),
            "canonicalize" => Some(Self::Canonicalize),
            _ => None,
        }
    }

    /// open_clip's name for it. It always mends: for [`TextCleaning::AsIs`] this is the name of what comes nearest.
    pub fn open_clip_name(self) -> &'static str {
        match self {
            Self::AsIs | Self::Whitespace => "whitespace",
            Self::Lower => "lower",
            Self::Canonicalize => "canonicalize",
        }
    }

    /// The cleaned text.
    pub fn apply(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::AsIs => Cow::Borrowed(text),
            Self::Whitespace => Cow::Owned(single_spaces(&mended(text))),
            Self::Lower => Cow::Owned(single_spaces(&mended(text)).to_lowercase()),
            Self::Canonicalize => {
                let mut bare = mended(text).replace('_', " ");
                bare.retain(|c| !c.is_ascii_punctuation());
                Cow::Owned(single_spaces(&bare.to_lowercase()))
            }
        }
    }
}

/// ftfy's `fix_text` without its repair of encodings, then Python's `html.unescape` twice.
fn mended(text: &str) -> String {
    let mut fixed = String::with_capacity(text.len());
    let mut has_tags = false;
    for line in text.split_inclusive('\n') {
        // what looks like markup from here on keeps its entities, at first
        has_tags |= line.contains('<');
        fixed.push_str(&mended_line(line, !has_tags));
    }
    let once = htmlize::unescape(fixed);
    htmlize::unescape(once.as_ref()).into_owned()
}

fn mended_line(line: &str, unescape: bool) -> String {
    let mut line = line.to_owned();
    // each round only shortens or settles; the bound is for entities nested without end
    for _ in 0..16 {
        let before = line.clone();
        if unescape && line.contains('&') {
            line = unescape_whole(&line);
        }
        line = without_terminal_escapes(&standard_characters(&line)).into_owned();
        line.retain(|c| !is_stray_control(c));
        let mut normalised = NormalizedString::from(line.as_str());
        normalised.nfc();
        line = normalised.get().to_owned();
        if line == before {
            break;
        }
    }
    line
}

/// Resolves entities that end in a semicolon, names of lower-case entities in capitals, too.
fn unescape_whole(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let is_name = |b: &u8| b.is_ascii_alphanumeric() || *b == b'#';
        let n = rest.bytes().skip(1).take(25).take_while(is_name).count() + 1;
        let resolved = if rest.as_bytes().get(n) == Some(&b';') { entity(&rest[..=n]) } else { None };
        match resolved {
            Some(resolved) => {
                out.push_str(&resolved);
                rest = &rest[n + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}

/// What one entity stands for; `entity` starts with `&` and ends in a semicolon.
fn entity(entity: &str) -> Option<String> {
    let whole = |e: &str| {
        let resolved = htmlize::unescape(e).into_owned();
        // an entity of which only the beginning is known keeps its semicolon
        (resolved != e && (!resolved.ends_with(';') || e == "&semi;")).then_some(resolved)
    };
    whole(entity).or_else(|| {
        let capitals = entity.bytes().all(|b| !b.is_ascii_lowercase()) && !entity.starts_with("&#");
        let known_in_part = htmlize::unescape(entity) != entity;
        if capitals && !known_in_part { Some(whole(&entity.to_lowercase())?.to_uppercase()) } else { None }
    })
}

/// Control characters of Latin-1 as Windows means them, ligatures and wide or narrow forms as plain letters, straight
/// quotes, one kind of line break.
fn standard_characters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        if let Some(letters) = ligature(c) {
            out.push_str(letters);
            continue;
        }
        match c {
            '\u{80}'..='\u{9f}' => out.push(WINDOWS_1252[c as usize - 0x80]),
            '\u{3000}' => out.push(' '),
            '\u{ff01}'..='\u{ffef}' => {
                let mut normalised = NormalizedString::from(c.to_string());
                normalised.nfkc();
                out.push_str(normalised.get());
            }
            '\u{2bc}' | '\u{2018}'..='\u{201b}' => out.push('\''),
            '\u{201c}'..='\u{201f}' => out.push('"'),
            '\r' => {
                characters.next_if_eq(&'\n');
                out.push('\n');
            }
            '\u{2028}' | '\u{2029}' => out.push('\n'),
            c => out.push(c),
        }
    }
    out
}

/// What Windows-1252 has at 0x80 to 0x9F; the five places that it leaves empty stay.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

fn ligature(c: char) -> Option<&'static str> {
    Some(match c {
        'Ĳ' => "IJ",
        'ĳ' => "ij",
        'ŉ' => "ʼn",
        'Ǳ' => "DZ",
        'ǲ' => "Dz",
        'ǳ' => "dz",
        'Ǆ' => "DŽ",
        'ǅ' => "Dž",
        'ǆ' => "dž",
        'Ǉ' => "LJ",
        'ǈ' => "Lj",
        'ǉ' => "lj",
        'Ǌ' => "NJ",
        'ǋ' => "Nj",
        'ǌ' => "nj",
        'ﬀ' => "ff",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        'ﬃ' => "ffi",
        'ﬄ' => "ffl",
        'ﬅ' => "ſt",
        'ﬆ' => "st",
        _ => return None,
    })
}

/// Drops what colours text in terminals: escape, bracket, digits and semicolons, a letter.
fn without_terminal_escapes(text: &str) -> Cow<'_, str> {
    if !text.contains("\u{1b}[") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("\u{1b}[") {
        let (before, escape) = rest.split_at(start);
        out.push_str(before);
        let parameters = escape[2..].bytes().take_while(|b| b.is_ascii_digit() || *b == b';').count();
        let end = 2 + parameters;
        if escape.as_bytes().get(end).is_some_and(u8::is_ascii_alphabetic) {
            rest = &escape[end + 1..];
        } else {
            out.push_str(&escape[..2]);
            rest = &escape[2..];
        }
    }
    Cow::Owned(out + rest)
}

fn is_stray_control(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{e}'..='\u{1f}' | '\u{7f}' | '\u{206a}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffc}')
}

/// Every run of what Python takes for white space as one space, none at the ends.
fn single_spaces(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c));
    let mut out = String::with_capacity(text.len());
    for word in words.filter(|w| !w.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_mended_as_open_clip_does() {
        for (text, clean) in [
            ("  A \t “cell”\r\n’s ﬁne  ", "a \"cell\" 's fine"),
            ("a &amp;amp; b &lt;c&gt;", "a & b <c>"),
            ("P&EACUTE;REZ &nTILDE; &notit;", "pérez &ntilde; ¬it;"),
            ("ＬＯＵＤ　ﾉｲｽﾞ", "loud ノイズ"),
            ("\u{1b}[36;44mblue\u{1b}[0m\u{0}", "blue"),
            ("ΟΔΟΣ", "οδος"),
            ("<b> &amp;lt;", "<b> <"),
            ("", ""),
        ] {
            assert_eq!(TextCleaning::Lower.apply(text), clean, "{text:?}");
        }
        assert_eq!(TextCleaning::AsIs.apply(" “ "), " “ ");
        assert_eq!(TextCleaning::Canonicalize.apply("A_b, (C)!"), "a b c");
    }
}
