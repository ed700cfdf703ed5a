//! What can be wrong with a text before anybody reads what it says: markup, leaks, cut ends, length.

use crate::verify::{MAX_CAPTION_WORDS, Problem};

/// Traces of chat templates, instructions and answers that talk about themselves, in lower case.
const LEAKS: &[&str] = &[
    "<|",
    "|>",
    "<s>",
    "</s>",
    "[inst",
    "[/inst",
    "<<sys",
    "### ",
    "system:",
    "user:",
    "assistant:",
    "as an ai",
    "language model",
    "reword",
    "sure,",
    "sure!",
    "certainly",
    "of course",
    "rewrite",
    "rewritten",
    "rephrase",
    "paraphrase",
    "caption",
    "instruction",
    "the given",
    "keep every",
    "plain text",
    "one sentence",
    "json",
    "output:",
    "input:",
    "answer:",
];

/// The same at the beginning of a sentence: `the point here is the nucleus` is none.
const OPENING_LEAKS: &[&str] = &["here is the", "here is your", "here's", "here are the"];

/// Words after which a text cannot end.
const OPEN_ENDS: &[&str] = &[
    "and", "or", "with", "without", "of", "the", "a", "an", "is", "are", "in", "no", "has", "have", "its", "by", "to",
    "for", "that", "which", "shows", "contains", "from", "as", "at", "on", "this", "not",
];

/// Problems of a text's form.
pub(crate) fn problems(text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let trimmed = text.trim();
    if trimmed.contains(['\n', '\r']) {
        problems.push(Problem::LineBreak);
    }
    let words = trimmed.split_whitespace().count();
    if words > MAX_CAPTION_WORDS {
        problems.push(Problem::TooLong { words });
    }
    if let Some(mark) = markup(trimmed) {
        problems.push(Problem::Markup { mark });
    }
    let lower = trimmed.to_lowercase();
    let whole_word =
        |leak: &str| lower.match_indices(leak).any(|(at, _)| !lower[..at].ends_with(char::is_alphanumeric));
    let opens = |leak: &str| {
        lower
            .match_indices(leak)
            .any(|(at, _)| lower[..at].trim_end().chars().last().is_none_or(|c| !c.is_alphanumeric()))
    };
    // `Question: … Answer: …` is a caption's form.
    let answers = lower.starts_with("question:") && lower.matches("answer:").count() == 1;
    let leak = LEAKS
        .iter()
        .find(|leak| whole_word(leak) && !(answers && **leak == "answer:"))
        .or(OPENING_LEAKS.iter().find(|leak| opens(leak)));
    if let Some(leak) = leak {
        problems.push(Problem::Leaked { text: (*leak).trim().to_owned() });
    }
    let end = lower.rsplit(|c: char| !c.is_alphanumeric()).find(|w| !w.is_empty()).unwrap_or("");
    let dangling = trimmed.ends_with([',', ';', ':', '-', '–', '…']) || trimmed.ends_with("...");
    if dangling || OPEN_ENDS.contains(&end) {
        let end = trimmed.rsplit(' ').next().unwrap_or("").to_owned();
        problems.push(Problem::CutOff { end });
    }
    problems
}

fn markup(text: &str) -> Option<String> {
    for line in text.lines() {
        let line = line.trim_start();
        let bullet = ["- ", "* ", "• ", "# ", "> ", "– "].iter().find(|b| line.starts_with(**b));
        if let Some(bullet) = bullet {
            return Some((*bullet).trim().to_owned());
        }
        let number: String = line.chars().take_while(char::is_ascii_digit).collect();
        if !number.is_empty()
            && line[number.len()..].starts_with([')', '.'])
            && line[number.len() + 1..].starts_with(' ')
        {
            return Some(format!("{number}."));
        }
    }
    ["**", "__", "`", "{", "}", "[", "]", "<", ">", "\"", "“", "”", "\\", "|", "=", "_", "#", "*"]
        .iter()
        .find(|mark| text.contains(**mark))
        .map(|mark| (*mark).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::FaultKind;

    #[test]
    fn every_flaw_of_form_has_its_kind() {
        for (text, kind) in [
            ("- large cell\n- pink granules", FaultKind::Markup),
            ("1. A large cell.", FaultKind::Markup),
            ("A **large** cell.", FaultKind::Markup),
            ("\"A large cell.\"", FaultKind::Markup),
            ("Sure! A large cell.", FaultKind::LeakedInstruction),
            ("A large cell.<|im_end|>", FaultKind::LeakedInstruction),
            ("A large cell with", FaultKind::CutOff),
            ("A large cell,", FaultKind::CutOff),
        ] {
            assert!(problems(text).iter().any(|p| p.kind() == kind), "{text}: {:?}", problems(text));
        }
        assert_eq!(problems("A large cell with 1.5 of it."), []);
        assert_eq!(problems("large cell, no granules"), []);
    }
}
