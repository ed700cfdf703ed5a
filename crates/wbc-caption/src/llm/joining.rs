//! Puts the texts of a template together.

use crate::config::Method;
use crate::grammar::Register;

/// How questions, teaching notes and reports begin; the verifier finds nothing said in them.
const QUESTIONS: [&str; 5] = [
    "What is seen here?",
    "How does this cell look?",
    "What does one find here?",
    "What can be seen here?",
    "What does the image show?",
];
const NOTES: [&str; 4] = ["Teaching example:", "For teaching:", "Note:", "Example:"];
const REPORTS: [&str; 6] = ["", "", "", "Findings:", "Microscopy:", "Blood smear:"];

/// One text from several; equal `style`, equal choices.
pub(super) fn joined(method: Method, register: Register, style: u32, texts: &[String]) -> String {
    let pick = |from: &[&'static str]| from[style as usize / 2 % from.len()];
    let body = match method {
        Method::Fact => texts.join(", "),
        Method::Sentence if style.is_multiple_of(2) => texts.join(" "),
        Method::Sentence => clauses(texts),
        Method::Caption => return texts.join(" "),
    };
    let opening = match (method, register) {
        (Method::Sentence, Register::Question) => pick(&QUESTIONS),
        (Method::Sentence, Register::Note) => pick(&NOTES),
        (Method::Sentence, Register::Report) => pick(&REPORTS),
        _ => "",
    };
    match opening {
        "" => body,
        opening if opening.ends_with(':') => format!("{opening} {}", small(&body)),
        opening => format!("{opening} {body}"),
    }
}

/// Sentences in one, set off by semicolons.
fn clauses(texts: &[String]) -> String {
    let mut whole = String::new();
    for (i, text) in texts.iter().enumerate() {
        let text = if i == 0 { text.clone() } else { small(text) };
        match text.strip_suffix('.').filter(|_| i + 1 < texts.len()) {
            Some(open) => whole.push_str(&format!("{open}; ")),
            None if i + 1 < texts.len() => whole.push_str(&format!("{text} ")),
            None => whole.push_str(&text),
        }
    }
    whole
}

/// The first letter in lower case, where it begins a word and not an abbreviation (`N:C ratio`).
fn small(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if first.is_ascii_uppercase() && (second.is_lowercase() || second == ' ') => {
            format!("{}{}", first.to_ascii_lowercase(), chars.as_str())
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::Verifier;
    use wbc_core::{AttributeSchema, CellTypes};

    fn texts() -> Vec<String> {
        ["This is a small basophil.", "N:C ratio is high.", "A clear cytoplasm is seen."].map(str::to_owned).to_vec()
    }

    #[test]
    fn texts_are_joined_as_sentences_or_clauses() {
        let join = |register, style| joined(Method::Sentence, register, style, &texts());
        let sentences = "This is a small basophil. N:C ratio is high. A clear cytoplasm is seen.";
        assert_eq!(join(Register::Sentence, 0), sentences);
        let clauses = "This is a small basophil; N:C ratio is high; a clear cytoplasm is seen.";
        assert_eq!(join(Register::Sentence, 1), clauses);
        assert_eq!(join(Register::Note, 0), format!("Teaching example: t{}", &sentences[1..]));
    }

    #[test]
    fn no_way_of_joining_changes_what_is_said() {
        let verifier = Verifier::new(&AttributeSchema::wbcatt(), &CellTypes::builtin());
        for style in 0..60 {
            for register in [Register::Sentence, Register::Question, Register::Note, Register::Report] {
                let text = joined(Method::Sentence, register, style, &texts());
                let verdict = verifier.verify(&text, None, None, None);
                assert!(verdict.problems.is_empty() && verdict.asserted.len() == 4, "{text}: {verdict:?}");
            }
        }
    }
}
