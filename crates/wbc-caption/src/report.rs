//! The clinical register: part by part, two or three sentences.

use crate::compose::{Pick, capital, of_part, one, subject, type_name};
use crate::grammar::Said;
use crate::wording::{Part, with_article};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Writes the facts as a report.
pub(crate) fn report(picks: &[Pick<'_>], rng: &mut ChaCha8Rng) -> String {
    let opening = opening(picks, rng);
    let mut clauses = clauses(picks, opening.is_none(), rng);
    let closing = type_name(picks, rng).filter(|_| opening.is_none());
    if let Some(opening) = opening {
        clauses.insert(0, opening);
    }
    if rng.random_bool(0.2) && !clauses.is_empty() {
        let mut text = format!("{}.", capital(&clauses.join("; ")));
        if let Some(name) = closing {
            text += &format!(" {}: {name}.", one(&["Impression", "Conclusion", "Diagnosis"], rng));
        }
        return text;
    }
    // Three sentences at most, the closing one included.
    let most = 3 - usize::from(closing.is_some());
    while clauses.len() > most {
        let i = (0..clauses.len() - 1).min_by_key(|i| clauses[*i].len() + clauses[i + 1].len()).unwrap_or(0);
        let second = clauses.remove(i + 1);
        clauses[i] = format!("{}, and {second}", clauses[i]);
    }
    let mut sentences: Vec<String> = clauses.iter().map(|c| format!("{}.", capital(c))).collect();
    if let Some(name) = closing {
        let templates = ["Impression: {a}.", "This is {a}.", "The findings indicate {a}.", "Conclusion: {a}."];
        sentences.push(one(&templates, rng).replace("{a}", &with_article(&name)));
    }
    sentences.join(" ")
}

/// The cell itself; `None` leaves a known type for the last sentence.
fn opening(picks: &[Pick<'_>], rng: &mut ChaCha8Rng) -> Option<String> {
    let typed = picks.iter().any(|p| matches!(p, Pick::Type { .. }));
    let only_cell = picks.iter().all(|p| match p {
        Pick::Type { .. } => true,
        Pick::Attribute { said, .. } => said.part == Part::Cell,
        Pick::Quantity { .. } => false,
    });
    if typed && (only_cell || rng.random_bool(0.5)) {
        return Some(format!("this is {}", with_article(&subject(picks, rng))));
    }
    None
}

/// One clause per part; the cell's own only where no opening holds its adjectives.
fn clauses(picks: &[Pick<'_>], with_cell: bool, rng: &mut ChaCha8Rng) -> Vec<String> {
    let mut clauses = Vec::new();
    if with_cell {
        clauses.extend(predicate("the cell", "is", &of_part(picks, Part::Cell), rng));
    }
    let nucleus = of_part(picks, Part::Nucleus);
    let chromatin = of_part(picks, Part::Chromatin);
    clauses.extend(predicate("the nucleus", "is", &nucleus, rng));
    clauses.extend(predicate("the chromatin", "is", &chromatin, rng));
    clauses.extend(predicate("the cytoplasm", "is", &of_part(picks, Part::Cytoplasm), rng));
    let granules = of_part(picks, Part::Granules);
    if granules.iter().all(|s| !s.adjectives.is_empty()) {
        clauses.extend(predicate("the granules", "are", &granules, rng));
    } else {
        clauses.extend(granules.iter().map(|s| there(s, rng)));
    }
    clauses.extend(of_part(picks, Part::Other).iter().map(|s| there(s, rng)));
    clauses.extend(picks.iter().filter_map(|p| match p {
        Pick::Quantity { quantity, stated, .. } => Some(quantity.clause.replace("{}", &stated.text)),
        _ => None,
    }));
    clauses
}

pub(crate) fn there(said: &Said, rng: &mut ChaCha8Rng) -> String {
    let phrase = one(&said.phrases, rng);
    format!("the cell shows {}", with_article(phrase))
}

/// `the cytoplasm is scant and light blue, without vacuoles`; `None` for nothing to say.
pub(crate) fn predicate(noun: &str, verb: &str, said: &[&Said], rng: &mut ChaCha8Rng) -> Option<String> {
    let [first, rest @ ..] = said else { return None };
    if rest.is_empty() && !first.predicates.is_empty() && rng.random_bool(0.6) {
        return Some(format!("{noun} {}", one(first.predicates, rng)));
    }
    let tail =
        if rest.is_empty() { None } else { said.iter().rposition(|s| !s.tails.is_empty() && rng.random_bool(0.7)) };
    let adjectives: Vec<&str> =
        said.iter().enumerate().filter(|(i, _)| Some(*i) != tail).map(|(_, s)| *one(s.adjectives, rng)).collect();
    let mut text = format!("{noun} {verb} {}", enumeration(&adjectives));
    if let Some(i) = tail {
        text += &format!(", {}", one(said[i].tails, rng));
    }
    Some(text)
}

fn enumeration(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [start @ .., last] => format!("{} and {last}", start.join(", ")),
    }
}
