//! From picked facts to text, one function per register.

use crate::grammar::{Register, Said};
use crate::rounding::Stated;
use crate::wording::{NORMS, PLAIN_WORDS, Part, Quantity, with_article};
use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;
use wbc_core::{CellType, Fact};

/// One fact that a caption will state.
#[derive(Clone, Debug)]
pub(crate) enum Pick<'a> {
    Type { cell_type: &'a CellType, spoken: &'static [&'static str] },
    Attribute { order: usize, said: &'a Said },
    Quantity { order: usize, quantity: &'static Quantity, stated: Stated },
}

impl std::fmt::Debug for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Pick<'_> {
    /// Position in a caption's list of facts.
    pub(crate) fn order(&self) -> usize {
        match self {
            Self::Type { .. } => 0,
            Self::Attribute { order, .. } | Self::Quantity { order, .. } => *order,
        }
    }

    pub(crate) fn fact(&self) -> Fact {
        match self {
            Self::Type { cell_type, .. } => Fact::Type { value: (*cell_type).clone() },
            Self::Attribute { said, .. } => said.fact.clone(),
            Self::Quantity { quantity, stated, .. } => {
                Fact::Measurement { name: quantity.name.into(), value: stated.value, tolerance: stated.tolerance }
            }
        }
    }
}

/// Writes the picked facts, at least one.
pub(crate) fn compose(picks: &[Pick<'_>], register: Register, rng: &mut ChaCha8Rng) -> String {
    match register {
        Register::List => list(picks, rng),
        Register::Label => label(picks, rng),
        Register::Sentence => sentence(picks, rng),
        Register::Report => crate::report::report(picks, rng),
        Register::Note => note(picks, rng),
        Register::Question => question(picks, rng),
        Register::Plain => in_everyday_words(&sentence(picks, rng)),
        Register::Comparison => comparison(picks, rng),
    }
}

pub(crate) fn one<'t, T>(from: &'t [T], rng: &mut ChaCha8Rng) -> &'t T {
    // Callers hand in lists that are never empty.
    from.choose(rng).expect("a list of wordings is not empty")
}

/// A type's name as spoken, without article.
pub(crate) fn type_name(picks: &[Pick<'_>], rng: &mut ChaCha8Rng) -> Option<String> {
    picks.iter().find_map(|p| match p {
        Pick::Type { cell_type, spoken } => Some(if spoken.is_empty() || rng.random_bool(0.6) {
            cell_type.spoken()
        } else {
            (*one(spoken, rng)).to_owned()
        }),
        _ => None,
    })
}

/// The attributes that speak of one part, in the order of adjectives.
pub(crate) fn of_part<'a>(picks: &[Pick<'a>], part: Part) -> Vec<&'a Said> {
    let mut said: Vec<&Said> = picks
        .iter()
        .filter_map(|p| match p {
            Pick::Attribute { said, .. } if said.part == part => Some(*said),
            _ => None,
        })
        .collect();
    said.sort_by_key(|s| s.rank);
    said
}

fn list(picks: &[Pick<'_>], rng: &mut ChaCha8Rng) -> String {
    let granules = of_part(picks, Part::Granules);
    let merge = granules.len() == 2 && rng.random_bool(0.25);
    let mut parts = Vec::with_capacity(picks.len());
    for pick in picks {
        match pick {
            Pick::Type { .. } => parts.extend(type_name(picks, rng)),
            Pick::Attribute { said, .. } if merge && said.part == Part::Granules => {}
            Pick::Attribute { said, .. } => parts.push(one(&said.phrases, rng).clone()),
            Pick::Quantity { quantity, stated, .. } => parts.push(quantity.noun_phrase.replace("{}", &stated.text)),
        }
    }
    if merge {
        let at = rng.random_range(0..=parts.len());
        parts.insert(at, before_noun(&granules, "granules", " ", rng));
    }
    parts.join(", ")
}

fn label(picks: &[Pick<'_>], rng: &mut ChaCha8Rng) -> String {
    if !picks.iter().any(|p| matches!(p, Pick::Type { .. })) {
        return list(picks, rng);
    }
    let (subject, items) = (subject(picks, rng), items(picks, rng));
    if items.is_empty() { subject } else { format!("{subject} with {}", join(&items)) }
}

fn sentence(picks: &[Pick<'_>], rng: &mut ChaCha8Rng) -> String {
    let (subject, items) = (subject(picks, rng), items(picks, rng));
    let a = with_article(&subject);
    if items.is_empty() {
        return capital(&one(&["{a}.", "The image shows {a}.", "This is {a}."], rng).replace("{a}", &a));
    }
    let templates = [
        "{a} with {items}.",
        "{a} with {items}.",
        "{a} showing {items}.",
        "This {s} has {items}.",
        "The image shows {a} with {items}.",
        "This is {a} with {items}.",
        "Blood smear image of {a} with {items}.",
        "Microscopy of {a} that shows {items}.",
    ];
    capital(&fill(one::<&str>(&templates, rng), &subject, &a, &items))
}

fn note(picks: &[Pick<'_>], rng: &mut ChaCha8Rng) -> String {
    let (subject, items) = (subject(picks, rng), items(picks, rng));
    let a = with_article(&subject);
    if items.is_empty() {
        return format!("Teaching example: {a}.");
    }
    let mut templates = vec![
        "Teaching example: {a} with {items}.",
        "Note {items} in this {s}.",
        "In this {s}, one finds {items}.",
        "For teaching: this {s} has {items}.",
    ];
    if items.iter().all(|i| i.kind == Kind::Plain) {
        templates.extend(["To recognise this {s}, look for {items}.", "Observe {items} in this {s}."]);
    }
    if picks.iter().any(|p| matches!(p, Pick::Type { .. })) {
        templates.push("Observe {items}: this is {a}.");
    }
    capital(&fill(one::<&str>(&templates, rng), &subject, &a, &items))
}

fn question(picks: &[Pick<'_>], rng: &mut ChaCha8Rng) -> String {
    let (subject, items) = (subject(picks, rng), items(picks, rng));
    let a = with_article(&subject);
    if items.is_empty() {
        return format!("Which cell is this? {}.", capital(&a));
    }
    let templates = [
        "What is seen here? {A} with {items}.",
        "Which cell is this? {A} with {items}.",
        "How does this {s} look? It has {items}.",
        "What does one find in this {s}? {Items}.",
    ];
    let template =
        one::<&str>(&templates, rng).replace("{A}", &capital(&a)).replace("{Items}", &capital(&join(&items)));
    fill(&template, &subject, &a, &items)
}

/// A text with everyday words for the parts of a cell.
pub(crate) fn in_everyday_words(text: &str) -> String {
    let words = text.split_inclusive(|c: char| !c.is_alphanumeric() && c != '-').map(|word| {
        let bare = word.trim_end_matches(|c: char| !c.is_alphanumeric());
        let lower = bare.to_lowercase();
        PLAIN_WORDS.iter().find(|(term, _)| *term == lower).map_or_else(
            || word.to_owned(),
            |(_, plain)| {
                let plain = if lower == bare { (*plain).to_owned() } else { capital(plain) };
                format!("{plain}{}", &word[bare.len()..])
            },
        )
    });
    words.collect()
}

fn comparison(picks: &[Pick<'_>], rng: &mut ChaCha8Rng) -> String {
    let Some(Pick::Type { cell_type, .. }) = picks.iter().find(|p| matches!(p, Pick::Type { .. })) else {
        return sentence(picks, rng);
    };
    let norm = NORMS.iter().find(|n| n.0 == cell_type.as_str()).map_or(&[][..], |n| n.1);
    let (mut like, mut unlike) = (Vec::new(), Vec::new());
    for pick in picks {
        match pick {
            Pick::Type { .. } => {}
            Pick::Quantity { quantity, stated, .. } => {
                unlike.push(Item::new(&quantity.noun_phrase.replace("{}", &stated.text)));
            }
            Pick::Attribute { said, .. } => {
                let cell = said.part == Part::Cell;
                let fits = |p: &&String| !cell || ["size", "shape", "outline"].iter().any(|w| p.contains(w));
                let phrases: Vec<&String> = said.phrases.iter().filter(fits).collect();
                let phrase = if phrases.is_empty() { &said.phrases[0] } else { one(&phrases, rng) };
                let usual = norm.iter().any(|(a, v)| said.fact == Fact::attribute(a, v));
                if usual { &mut like } else { &mut unlike }.push(Item::new(phrase));
            }
        }
    }
    if like.is_empty() && unlike.is_empty() {
        return sentence(picks, rng);
    }
    let name = with_article(&cell_type.spoken()).split_once(' ').map_or(String::new(), |(_, n)| n.to_owned());
    for items in [&mut like, &mut unlike] {
        items.sort_by_key(|i| i.kind);
    }
    match (like.is_empty(), unlike.is_empty()) {
        (false, true) => format!("Like a typical {name}, this one has {}.", join(&like)),
        (true, _) => format!("Unlike a typical {name}, this one has {}.", join(&unlike)),
        _ => format!("Like a typical {name}, this one has {}; unlike most, it has {}.", join(&like), join(&unlike)),
    }
}

fn fill(template: &str, subject: &str, a: &str, items: &[Item]) -> String {
    template.replace("{items}", &join(items)).replace("{s}", subject).replace("{a}", a)
}

/// The cell as a noun phrase without article: `large round eosinophil`.
pub(crate) fn subject(picks: &[Pick<'_>], rng: &mut ChaCha8Rng) -> String {
    let noun = type_name(picks, rng)
        .unwrap_or_else(|| (*one(&["cell", "cell", "white blood cell", "leukocyte"], rng)).to_owned());
    before_noun(&of_part(picks, Part::Cell), &noun, if rng.random_bool(0.5) { ", " } else { " " }, rng)
}

/// Adjectives in order, then the noun.
pub(crate) fn before_noun(said: &[&Said], noun: &str, separator: &str, rng: &mut ChaCha8Rng) -> String {
    let adjectives: Vec<&str> = said.iter().map(|s| *one(s.adjectives, rng)).collect();
    if adjectives.is_empty() { noun.to_owned() } else { format!("{} {noun}", adjectives.join(separator)) }
}

/// How an item stands in an enumeration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Plain,
    /// `no …`
    Negative,
    /// Ends in `without …`, which would swallow what follows.
    Tail,
}

/// A noun phrase with its article.
pub(crate) struct Item {
    pub(crate) text: String,
    pub(crate) kind: Kind,
}

impl Item {
    fn new(phrase: &str) -> Self {
        let kind = if phrase.starts_with("no ") || phrase.ends_with(" absent") {
            Kind::Negative
        } else if phrase.contains(" without ") || phrase.contains(" free of ") {
            Kind::Tail
        } else {
            Kind::Plain
        };
        Self { text: with_article(phrase), kind }
    }
}

/// Everything but the type and the adjectives of the cell, as noun phrases in random order.
pub(crate) fn items(picks: &[Pick<'_>], rng: &mut ChaCha8Rng) -> Vec<Item> {
    let mut items = Vec::new();
    let nucleus = of_part(picks, Part::Nucleus);
    let chromatin = of_part(picks, Part::Chromatin);
    match (nucleus.first(), chromatin.first()) {
        (Some(_), Some(_)) if rng.random_bool(0.4) => items.push(Item::new(&format!(
            "{} with {}",
            before_noun(&nucleus, "nucleus", " ", rng),
            before_noun(&chromatin, "chromatin", " ", rng)
        ))),
        _ => items.extend(nucleus.iter().chain(&chromatin).map(|s| Item::new(one::<String>(&s.phrases, rng)))),
    }
    let granules = of_part(picks, Part::Granules);
    if granules.len() == 2 && granules.iter().all(|s| !s.adjectives.is_empty()) {
        items.push(Item::new(&before_noun(&granules, "granules", " ", rng)));
    } else {
        items.extend(granules.iter().map(|s| Item::new(one::<String>(&s.phrases, rng))));
    }
    items.extend(of_part(picks, Part::Other).iter().map(|s| Item::new(one::<String>(&s.phrases, rng))));
    items.extend(cytoplasm(of_part(picks, Part::Cytoplasm), rng));
    items.extend(picks.iter().filter_map(|p| match p {
        Pick::Quantity { quantity, stated, .. } => Some(Item::new(&quantity.noun_phrase.replace("{}", &stated.text))),
        _ => None,
    }));
    items.shuffle(rng);
    items.sort_by_key(|i| i.kind);
    items
}

fn cytoplasm(mut said: Vec<&Said>, rng: &mut ChaCha8Rng) -> Vec<Item> {
    let mut items = Vec::new();
    // The ratio has a name of its own.
    said.retain(|s| {
        let own = s.adjectives.iter().any(|a| matches!(*a, "scant" | "abundant")) && rng.random_bool(0.6);
        if own {
            items.push(Item::new(one::<String>(&s.phrases, rng)));
        }
        !own
    });
    if said.len() == 1 {
        items.push(Item::new(one::<String>(&said[0].phrases, rng)));
    } else if !said.is_empty() {
        let tail = said.iter().position(|s| !s.tails.is_empty() && rng.random_bool(0.7)).map(|i| said.remove(i));
        let mut text = before_noun(&said, "cytoplasm", ", ", rng);
        if let Some(tail) = tail {
            text = format!("{text} {}", one(tail.tails, rng));
        }
        items.push(Item::new(&text));
    }
    items
}

/// `a, b and c`; a negative or open-ended item is set off by a comma.
pub(crate) fn join(items: &[Item]) -> String {
    let open = items.iter().any(|i| i.kind != Kind::Plain || i.text.contains(','));
    let mut text = String::new();
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            text.push_str(match (i + 1 == items.len(), open) {
                (true, false) => " and ",
                (true, true) => ", and ",
                _ => ", ",
            });
        }
        text.push_str(&item.text);
    }
    text
}

pub(crate) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enumerations_are_punctuated_by_what_they_hold() {
        let items = |texts: &[&str]| texts.iter().map(|t| Item::new(t)).collect::<Vec<_>>();
        assert_eq!(join(&items(&["bilobed nucleus", "red granules"])), "a bilobed nucleus and red granules");
        assert_eq!(join(&items(&["dense chromatin", "no granules"])), "dense chromatin, and no granules");
    }
}
