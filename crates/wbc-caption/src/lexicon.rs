use crate::function_words::{
    ABOUT, ABSENT, AUXILIARIES, BREAKS, COATED, DETERMINERS, DIMENSIONS, FILLERS, GRANULOCYTES, HEDGES, INVENTIONS,
    JOINTS, LINKS, MANY, NEGATIONS, NEIGHBOURS, ONE, PRESENT, QUESTIONS, RESPECT_NOUNS, RESPECTS, SHORT_LINKS,
    SPREADING_NEGATIONS, VERBS, WITHIN,
};
use crate::vocabulary::{ABSENCES, EXCLUDING, FILLS, LOBES, MADE_OF, MEANINGS, NOUNS, Noun};
use crate::wording::QUANTITIES;
use std::collections::HashMap;
use wbc_core::{AttributeSchema, CellType, CellTypes, Unit};

/// A modifier that the text limits to one respect: `pink in colour`.
pub(crate) fn limited(modifier: &str, respect: usize) -> String {
    format!("{modifier} {}", RESPECTS[respect].0[0])
}

/// An attribute's value by its positions in the schema.
pub(crate) type Value = (usize, usize);

/// What a run of words is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Term {
    Noun(Noun),
    /// Position in [`QUANTITIES`].
    Quantity(usize),
    Type(CellType),
    /// A whole phrase of the schema that the grammar of nouns and modifiers cannot take apart.
    Whole(Value),
    Modifier(String),
    /// `granulocyte`, which says something only beside its kind.
    Granulocyte,
    /// `basophilic`, which is a type only of a granulocyte.
    Kind(CellType),
    /// Whether it covers two things that `and` joins: `free of`, unlike `no`.
    Negation(bool),
    Absent,
    Present,
    Link,
    ShortLink,
    Of,
    Determiner,
    /// A preposition after which something is had.
    Break,
    /// A verb after which something is had.
    Verb,
    /// Any other word between two things.
    Joint,
    /// What follows is a neighbour.
    Beside,
    Within,
    /// `does`, and at the beginning of a sentence a question.
    Aux(&'static str),
    Yes,
    /// `what`, `which`: a question that holds it asks for more, and leaves nothing open that it names.
    Which,
    How,
    /// `that`, which begins what is said of the word before.
    That,
    Both,
    /// `rather than`
    Instead,
    Pronoun {
        plural: bool,
    },
    /// Position in [`RESPECTS`] where it has one.
    Dimension(Option<usize>),
    /// Position in [`RESPECTS`].
    Respect(usize),
    About(&'static str),
    And,
    But,
    Or,
    Filler,
    Unit(Unit),
    /// Value and number of decimals.
    Number(f64, usize),
    Comma,
    Colon,
    Stop,
    /// A question mark.
    Asked,
    Hedge(String),
    Invention(String),
    Unknown(String),
}

/// Words and what they mean for one schema and one set of types.
#[derive(Clone, Debug)]
pub(crate) struct Lexicon {
    terms: HashMap<String, Vec<(Vec<String>, Term)>>,
    meanings: HashMap<(Noun, String), Value>,
    exclusions: HashMap<(Noun, String), Vec<Value>>,
    absences: HashMap<Noun, Value>,
}

impl Lexicon {
    pub(crate) fn new(schema: &AttributeSchema, types: &CellTypes) -> Self {
        let mut new = Self {
            terms: HashMap::new(),
            meanings: HashMap::new(),
            exclusions: HashMap::new(),
            absences: HashMap::new(),
        };
        for (noun, spellings) in NOUNS {
            new.add_all(spellings, &Term::Noun(*noun));
        }
        for (i, quantity) in QUANTITIES.iter().enumerate() {
            new.add_all(quantity.nouns, &Term::Quantity(i));
        }
        for (words, term) in [
            (NEGATIONS, Term::Negation(false)),
            (SPREADING_NEGATIONS, Term::Negation(true)),
            (ABSENT, Term::Absent),
            (PRESENT, Term::Present),
            (LINKS, Term::Link),
            (SHORT_LINKS, Term::ShortLink),
            (DETERMINERS, Term::Determiner),
            (&["of"], Term::Of),
            (BREAKS, Term::Break),
            (VERBS, Term::Verb),
            (JOINTS, Term::Joint),
            (NEIGHBOURS, Term::Beside),
            (&["yes"], Term::Yes),
            (&["that"], Term::That),
            (&["both"], Term::Both),
            (&["rather than", "instead of"], Term::Instead),
            (ONE, Term::Pronoun { plural: false }),
            (MANY, Term::Pronoun { plural: true }),
            (WITHIN, Term::Within),
            (DIMENSIONS, Term::Dimension(None)),
            (&["and", "as well as", "along with", "together with"], Term::And),
            (&["but", "yet"], Term::But),
            (&["or", "nor"], Term::Or),
            (&["px", "pixels"], Term::Unit(Unit::Px)),
            (&["µm", "μm", "um", "micrometres", "microns"], Term::Unit(Unit::Um)),
            (&["%", "percent"], Term::Unit(Unit::Percent)),
        ] {
            new.add_all(words, &term);
        }
        for (i, (phrases, _)) in RESPECTS.iter().enumerate() {
            new.add_all(phrases, &Term::Respect(i));
            new.add_all(RESPECT_NOUNS[i], &Term::Dimension(Some(i)));
        }
        for word in AUXILIARIES {
            new.add(word, Term::Aux(word));
        }
        for phrase in FILLERS {
            let term = match phrase.split(' ').next() {
                Some("how") => Term::How,
                Some(word) if QUESTIONS.contains(&word) => Term::Which,
                _ => Term::Filler,
            };
            new.add(phrase, term);
        }
        for word in ABOUT {
            new.add(word, Term::About(word));
        }
        for word in HEDGES {
            new.add(word, Term::Hedge((*word).to_owned()));
        }
        for word in INVENTIONS {
            new.add(word, Term::Invention((*word).to_owned()));
        }
        for (attribute, value, nouns, modifiers) in MEANINGS {
            let Ok(place) = schema.locate(attribute, value) else { continue };
            for modifier in *modifiers {
                new.meanings.extend(nouns.iter().map(|n| ((*n, (*modifier).to_owned()), place)));
                for (i, _) in RESPECTS.iter().enumerate().filter(|(_, r)| r.1.contains(attribute)) {
                    new.meanings.extend(nouns.iter().map(|n| ((*n, limited(modifier, i)), place)));
                }
                if RESPECTS[0].1.contains(attribute) && !modifier.is_empty() {
                    // `a blue-coloured cytoplasm`
                    for coloured in COATED {
                        new.add(&format!("{modifier} {coloured}"), Term::Modifier((*modifier).to_owned()));
                    }
                }
                if !modifier.is_empty() {
                    new.add(modifier, Term::Modifier((*modifier).to_owned()));
                }
            }
        }
        for (value, counts) in LOBES {
            let Ok(place) = schema.locate("nucleus_shape", value) else { continue };
            for count in *counts {
                let lobes = |via: &str, end: &str| format!("{via}{count} {end}");
                for end in ["lobes", "segments"] {
                    for via in MADE_OF {
                        let modifier = lobes(via, end);
                        new.meanings.insert((Noun::Nucleus, modifier.clone()), place);
                        new.add(&modifier, Term::Modifier(modifier.clone()));
                    }
                    new.add(&lobes("", &format!("nuclear {end}")), Term::Whole(place));
                }
            }
        }
        if let Ok(high) = schema.locate("nuclear_cytoplasmic_ratio", "high") {
            let fills = FILLS[0].iter().flat_map(|v| FILLS[1].iter().map(move |m| format!("{v} {m}")));
            let nearly = ["nearly", "almost"].iter().flat_map(|n| [format!("{n} fills"), format!("{n} filling")]);
            for fills in fills.chain(nearly) {
                for cell in ["cell", "the cell", "this cell", "its cell"] {
                    let phrase = format!("{fills} {cell}");
                    new.add(&phrase, Term::Modifier(phrase.clone()));
                    // `nucleus fills` alone is a quantity.
                    new.add(&format!("nucleus {phrase}"), Term::Whole(high));
                    new.meanings.insert((Noun::Nucleus, phrase), high);
                }
            }
        }
        for (modifier, nouns, attribute, values) in EXCLUDING {
            let places: Vec<Value> = values.iter().filter_map(|v| schema.locate(attribute, v).ok()).collect();
            if places.is_empty() {
                continue;
            }
            new.exclusions.extend(nouns.iter().map(|n| ((*n, (*modifier).to_owned()), places.clone())));
            new.add(modifier, Term::Modifier((*modifier).to_owned()));
        }
        for (attribute, value, noun) in ABSENCES {
            new.absences.extend(schema.locate(attribute, value).ok().map(|place| (*noun, place)));
        }
        for cell_type in types.iter() {
            new.add_type(cell_type, types);
        }
        new.add_all(&["granulocyte", "granulocytes"], &Term::Granulocyte);
        for (kind, name) in GRANULOCYTES {
            new.add(kind, Term::Kind(CellType::new(name)));
        }
        new
    }

    fn add_type(&mut self, cell_type: &CellType, types: &CellTypes) {
        let name = cell_type.spoken();
        let plural = |n: &str| format!("{n}s");
        let synonyms = types.synonyms(cell_type);
        let all: Vec<String> = std::iter::once(&name).chain(synonyms).flat_map(|n| [n.clone(), plural(n)]).collect();
        for spelling in &all {
            // Short codes collide with English (`met`, `my`), and `band neutrophil` says more than the type.
            let codes = spelling.chars().count() < 4 && spelling != "eos";
            let more = spelling.split(' ').any(|w| matches!(w, "band" | "segmented"));
            if *spelling == name || !codes && !more {
                self.add(spelling, Term::Type(cell_type.clone()));
            }
        }
    }

    /// Adds a phrase that reads as one value, whatever its words mean alone.
    pub(crate) fn add_whole(&mut self, phrase: &str, value: Value) {
        self.add(phrase, Term::Whole(value));
    }

    fn add_all(&mut self, phrases: &[&str], term: &Term) {
        for phrase in phrases {
            self.add(phrase, term.clone());
        }
    }

    fn add(&mut self, phrase: &str, term: Term) {
        let words: Vec<String> = words_of(phrase).into_iter().map(|w| w.text).collect();
        let Some(first) = words.first() else { return };
        let list = self.terms.entry(first.clone()).or_default();
        if list.iter().any(|(known, _)| *known == words) {
            // A type may be called what nothing else may: `blast`, `healthy`.
            let unsaid = |t: &Term| matches!(t, Term::Invention(_) | Term::Hedge(_));
            let named = matches!(term, Term::Type(_)) && list.iter().any(|(k, t)| *k == words && unsaid(t));
            if !named && !matches!(term, Term::Whole(_)) {
                return;
            }
            list.retain(|(known, _)| *known != words);
        }
        list.push((words, term));
        list.sort_by_key(|(words, _)| std::cmp::Reverse(words.len()));
    }

    /// What a modifier says of a noun; the empty modifier is the bare noun.
    pub(crate) fn meaning(&self, noun: Noun, modifier: &str) -> Option<Value> {
        // Borrowed look-up of a pair needs an owned key; texts are short.
        self.meanings.get(&(noun, modifier.to_owned())).copied()
    }

    /// What a modifier of a noun rules out without saying what is so.
    pub(crate) fn excluded(&self, noun: Noun, modifier: &str) -> Option<&[Value]> {
        self.exclusions.get(&(noun, modifier.to_owned())).map(Vec::as_slice)
    }

    /// What the absence of a noun says.
    pub(crate) fn absence(&self, noun: Noun) -> Option<Value> {
        self.absences.get(&noun).copied()
    }

    /// Splits a text into terms, the longest match first.
    pub(crate) fn terms(&self, text: &str) -> Vec<Term> {
        let words = words_of(text);
        let mut terms = Vec::with_capacity(words.len());
        let mut at = 0;
        while let Some(word) = words.get(at) {
            let found = self.terms.get(&word.text).and_then(|list| {
                list.iter().find(|(known, _)| {
                    words.len() >= at + known.len() && known.iter().zip(&words[at..]).all(|(a, b)| *a == b.text)
                })
            });
            let (term, length) = match found {
                Some((known, term)) => (term.clone(), known.len()),
                None => (word.alone(), 1),
            };
            terms.push(term);
            at += length;
        }
        for sentence in terms.split_mut(|t| matches!(t, Term::Stop | Term::Asked)) {
            settle_granulocytes(sentence);
        }
        self.settle_contrasts(terms)
    }

    /// `loose rather than dense` says `loose`; any other contrast is not understood.
    fn settle_contrasts(&self, terms: Vec<Term>) -> Vec<Term> {
        let mut settled: Vec<Term> = Vec::with_capacity(terms.len());
        let mut terms = terms.into_iter().peekable();
        while let Some(term) = terms.next() {
            match (&term, settled.last(), terms.peek()) {
                (Term::Instead, Some(Term::Modifier(said)), Some(Term::Modifier(other)))
                    if self.exclude_each_other(said, other) =>
                {
                    terms.next();
                }
                (Term::Instead, ..) => settled.push(Term::Unknown("rather".into())),
                _ => settled.push(term),
            }
        }
        settled
    }

    /// Whether two modifiers are different values of one attribute of some noun.
    fn exclude_each_other(&self, one: &str, other: &str) -> bool {
        NOUNS.iter().any(|(noun, _)| match (self.meaning(*noun, one), self.meaning(*noun, other)) {
            (Some(a), Some(b)) => a.0 == b.0 && a.1 != b.1,
            _ => false,
        })
    }
}

/// `A granulocyte is basophilic` names a type; `granulocyte` and `basophilic` alone do not.
fn settle_granulocytes(sentence: &mut [Term]) {
    let kind = |t: &Term| match t {
        Term::Kind(_) => true,
        Term::Type(value) => GRANULOCYTES.iter().any(|(_, name)| *name == value.as_str()),
        _ => false,
    };
    let both = sentence.contains(&Term::Granulocyte) && sentence.iter().any(kind);
    for term in sentence {
        *term = match (&*term, both) {
            (Term::Granulocyte, true) => Term::Noun(Noun::Cell),
            (Term::Kind(value), true) => Term::Type(value.clone()),
            (Term::Granulocyte, false) => Term::Unknown("granulocyte".into()),
            (Term::Kind(value), false) => Term::Unknown(format!("{value}ic")),
            _ => continue,
        };
    }
}

struct Word {
    text: String,
}

impl Word {
    fn alone(&self) -> Term {
        match self.text.as_str() {
            "," => Term::Comma,
            ":" => Term::Colon,
            "." => Term::Stop,
            "?" => Term::Asked,
            word => match word.parse::<f64>() {
                Ok(value) if word.starts_with(|c: char| c.is_ascii_digit()) => {
                    Term::Number(value, word.split_once('.').map_or(0, |(_, d)| d.len()))
                }
                _ => Term::Unknown(word.to_owned()),
            },
        }
    }
}

/// Normalised words and punctuation marks: lower case, hyphens opened, `n:c` as two words.
fn words_of(text: &str) -> Vec<Word> {
    let chars: Vec<char> = text.to_lowercase().chars().collect();
    let mut words = Vec::new();
    let mut word = String::new();
    let mut possessive = false;
    let beside = |i: usize, f: fn(&char) -> bool| i > 0 && f(&chars[i - 1]) && chars.get(i + 1).is_some_and(f);
    for (i, c) in chars.iter().enumerate() {
        if std::mem::take(&mut possessive) {
            continue;
        }
        if c.is_alphanumeric() || (*c == '.' && beside(i, |c| c.is_ascii_digit())) {
            word.push(*c);
            continue;
        }
        if !word.is_empty() {
            words.push(Word { text: std::mem::take(&mut word) });
        }
        let mark = match c {
            ',' | '(' | ')' => ",",
            ':' | '/' if beside(i, |c| c.is_alphabetic()) => continue,
            ':' => ":",
            '.' | ';' | '!' | '\n' => ".",
            '?' => "?",
            // `the cell's outline`
            '\'' | '’' if chars.get(i + 1) == Some(&'s') => {
                possessive = true;
                continue;
            }
            '-' | '–' | '\'' => continue,
            c if c.is_whitespace() => continue,
            '%' => "%",
            _ => {
                words.push(Word { text: c.to_string() });
                continue;
            }
        };
        words.push(Word { text: mark.to_owned() });
    }
    if !word.is_empty() {
        words.push(Word { text: word });
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_that_means_something_is_read_as_another() {
        let lexicon = Lexicon::new(&AttributeSchema::wbcatt(), &CellTypes::builtin());
        for (noun, modifier) in lexicon.meanings.keys().chain(lexicon.exclusions.keys()).filter(|k| !k.1.is_empty()) {
            let limited = RESPECTS.iter().any(|(phrases, _)| modifier.ends_with(&format!(" {}", phrases[0])));
            let read = lexicon.terms(modifier);
            assert!(limited || read == [Term::Modifier(modifier.clone())], "{noun:?} {modifier}: {read:?}");
        }
    }
}
