use crate::function_words::{NOUN_LIKE, TRAILING};
use crate::lexicon::{Lexicon, Term, Value, limited};
use crate::rounding::{about_tolerance, tolerance};
use crate::verify::Problem;
use crate::vocabulary::Noun;
use crate::wording::QUANTITIES;
use wbc_core::{AttributeSchema, CellType, CellTypes, Fact, Unit};

/// What a text says, as far as it was understood.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    /// Asserted facts in order of their first mention, each once.
    pub(crate) facts: Vec<Fact>,
    /// What is wrong with the text itself.
    pub(crate) problems: Vec<Problem>,
}

/// Reads captions back into facts.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    schema: AttributeSchema,
    lexicon: Lexicon,
}

#[derive(Clone, Debug)]
enum Head {
    Noun(Noun),
    Type(CellType),
    Quantity(usize),
    Whole(Value),
}

/// A thing that the text speaks of, with what it says about it.
struct Mention {
    head: Head,
    denied: bool,
    /// Modifiers, and whether each is denied by itself.
    modifiers: Vec<(String, bool)>,
    measured: bool,
    /// What is said to be inside it: `granules in the cytoplasm`.
    inside: Option<usize>,
}

impl Reader {
    /// A reader for one schema and its types. Phrases of the schema that nouns and modifiers do not explain are read whole.
    pub(crate) fn new(schema: &AttributeSchema, types: &CellTypes) -> Self {
        let mut reader = Self { schema: schema.clone(), lexicon: Lexicon::new(schema, types) };
        for (i, attribute) in schema.attributes.iter().enumerate() {
            for (v, value) in attribute.values.iter().enumerate() {
                for phrase in &value.phrases {
                    let reading = reader.read(phrase);
                    let exact = reading.facts == [Fact::attribute(&attribute.name, &value.name)];
                    if !exact || !reading.problems.is_empty() {
                        reader.lexicon.add_whole(phrase, (i, v));
                    }
                }
            }
        }
        reader
    }

    /// Whether a name is a known type, or has a word that means nothing else in a caption.
    pub(crate) fn has_own_word(&self, name: &str) -> bool {
        let own = |t: &Term| matches!(t, Term::Type(_) | Term::Unknown(_) | Term::Invention(_) | Term::Hedge(_));
        self.lexicon.terms(name).iter().any(own)
    }

    /// Reads one text.
    pub(crate) fn read(&self, text: &str) -> Reading {
        let terms = self.lexicon.terms(text);
        let mut walk = Walk::default();
        for at in 0..terms.len() {
            walk.step(&terms, at);
        }
        walk.flush();
        let mut reading = Reading { facts: Vec::new(), problems: walk.problems };
        for mention in &walk.mentions {
            self.resolve(mention, &mut reading);
        }
        for (mention, number) in &walk.numbers {
            let fact = mention.and_then(|m| measured_fact(&walk.mentions[m].head, number));
            match fact {
                Some(fact) => reading.facts.push(fact),
                None => reading.problems.push(Problem::Number { value: number.value }),
            }
        }
        let mut seen = Vec::new();
        reading.facts.retain(|f| {
            !seen.contains(f) && {
                seen.push(f.clone());
                true
            }
        });
        reading
    }

    fn resolve(&self, mention: &Mention, reading: &mut Reading) {
        let noun = match &mention.head {
            Head::Type(value) => {
                if mention.denied {
                    reading.problems.push(Problem::Denied { what: value.to_string() });
                } else {
                    reading.facts.push(Fact::Type { value: value.clone() });
                }
                Some(Noun::Cell)
            }
            Head::Whole(value) => {
                self.say(*value, mention.denied, reading);
                None
            }
            Head::Quantity(_) => None,
            Head::Noun(noun) => Some(*noun),
        };
        for (modifier, denied) in &mention.modifiers {
            match noun.and_then(|n| self.lexicon.meaning(n, modifier)) {
                Some(value) => self.say(value, mention.denied || *denied, reading),
                None => reading.problems.push(Problem::Unbound { word: modifier.clone(), noun: name(&mention.head) }),
            }
        }
        let (Head::Noun(noun), true) = (&mention.head, mention.modifiers.is_empty()) else { return };
        match (mention.denied, self.lexicon.absence(*noun), self.lexicon.meaning(*noun, "")) {
            (true, Some(value), _) => self.say(value, false, reading),
            (true, None, _) => reading.problems.push(Problem::Denied { what: name(&mention.head) }),
            (false, _, Some(value)) if !mention.measured => self.say(value, false, reading),
            _ => {}
        }
    }

    /// Asserts a value; denying one of two asserts the other.
    fn say(&self, (attribute, value): Value, denied: bool, reading: &mut Reading) {
        let attribute = &self.schema.attributes[attribute];
        let value = match (denied, attribute.values.len()) {
            (false, _) => value,
            (true, 2) => 1 - value,
            (true, _) => {
                let what = format!("{} {}", attribute.name, attribute.values[value].name);
                return reading.problems.push(Problem::Denied { what });
            }
        };
        reading.facts.push(Fact::attribute(&attribute.name, &attribute.values[value].name));
    }
}

fn name(head: &Head) -> String {
    match head {
        Head::Noun(noun) => format!("{noun:?}").to_lowercase(),
        Head::Type(value) => value.to_string(),
        Head::Quantity(i) => QUANTITIES[*i].name.to_owned(),
        Head::Whole(_) => "phrase".to_owned(),
    }
}

struct Number {
    value: f64,
    decimals: usize,
    about: bool,
    unit: Option<Unit>,
}

fn measured_fact(head: &Head, number: &Number) -> Option<Fact> {
    let name = match head {
        Head::Quantity(i) => QUANTITIES[*i].name,
        Head::Noun(Noun::Ratio) => "nuclear_cytoplasmic_ratio",
        _ => return None,
    };
    let length = name.ends_with("diameter_area");
    if length != matches!(number.unit, Some(Unit::Px | Unit::Um)) {
        return None;
    }
    let exact = tolerance(0.1_f64.powi(number.decimals as i32));
    let tolerance = if number.about { about_tolerance(number.value) } else { exact };
    let scale = if number.unit == Some(Unit::Percent) { 100.0 } else { 1.0 };
    Some(Fact::Measurement { name: name.into(), value: number.value / scale, tolerance: tolerance / scale })
}

/// Whether what follows speaks of the last mention.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Link {
    #[default]
    None,
    /// Up to the next comma: `stained pink, …`
    Short,
    /// Through an enumeration: `is pink, round, …`
    Long,
}

/// Goes through the terms once and binds modifiers, negations and numbers to the nearest noun of their clause.
#[derive(Default)]
struct Walk {
    mentions: Vec<Mention>,
    numbers: Vec<(Option<usize>, Number)>,
    problems: Vec<Problem>,
    /// Modifiers that wait for their noun.
    waiting: Vec<String>,
    /// Modifiers before any noun of the sentence.
    orphans: Vec<String>,
    /// Whether something in the sentence can carry them to a noun: `a hue`, `is seen`.
    carried: bool,
    /// First mention of the sentence and of the part between commas.
    sentence: usize,
    clause: usize,
    link: Link,
    /// What the link speaks of, where that is not the last mention.
    subject: Option<usize>,
    negated: bool,
    /// The mention before `is`, until something else than a determiner or an adjective follows.
    copula: Option<usize>,
    /// The mention before `in`.
    place: Option<usize>,
    /// The mention before `has`.
    owner: Option<usize>,
}

impl Walk {
    fn step(&mut self, terms: &[Term], at: usize) {
        let before = at.checked_sub(1).map(|i| &terms[i]);
        // `a small, irregular cell`
        let between = terms[at] == Term::Comma && !self.waiting.is_empty();
        if !is_head(&terms[at]) && !between && !matches!(terms[at], Term::Determiner | Term::Modifier(_)) {
            (self.copula, self.place, self.owner) = (None, None, None);
        }
        self.carried |= matches!(terms[at], Term::Dimension(_) | Term::Respect(_) | Term::Link | Term::Present);
        match &terms[at] {
            Term::Noun(noun) => self.mention(Head::Noun(*noun)),
            Term::Quantity(i) => self.mention(Head::Quantity(*i)),
            Term::Type(value) => self.mention(Head::Type(value.clone())),
            Term::Whole(value) => self.mention(Head::Whole(*value)),
            Term::Modifier(word) => self.modifier(word, terms, at),
            Term::Negation => self.negated = true,
            Term::Absent => match self.last() {
                Some(last) => self.deny(last),
                None => self.problems.push(Problem::Unread { word: "absent".into() }),
            },
            Term::Present => {
                if let (true, Some(last)) = (self.negated, self.last()) {
                    self.negated = false;
                    self.deny(last);
                }
            }
            Term::Respect(i) => self.limit(*i),
            Term::Link => {
                self.link = if self.last().is_some() { Link::Long } else { Link::None };
                self.copula = self.last();
                // `granules in the cytoplasm are pink`
                let beside = before.is_some_and(is_head);
                self.subject = self.last().filter(|_| beside).and_then(|i| self.mentions[i].inside);
            }
            Term::ShortLink => self.link = if self.last().is_some() { Link::Short } else { Link::None },
            Term::Colon => {
                self.dangling();
                let names = self.last().is_some() && before.is_some_and(is_head);
                self.link = if names { Link::Long } else { Link::None };
            }
            Term::Determiner => self.link = Link::None,
            Term::Break | Term::Within => {
                let within = terms[at] == Term::Within;
                if within && places_whole_cell(terms, at) {
                    self.problems.push(Problem::Unbound { word: "cell".into(), noun: "its part".into() });
                }
                self.place = self.last().filter(|_| within);
                self.owner = self.last().filter(|_| !within);
                // `does not contain` denies what follows; `not stained in any colour` denies nothing that is named.
                if !matches!(before, Some(Term::Negation)) {
                    self.dangling();
                }
                self.link = Link::None;
            }
            Term::Or => self.negated |= self.last().is_some_and(|l| self.mentions[l].denied),
            Term::And => self.dangling(),
            Term::Comma => {
                self.dangling();
                self.clause = self.mentions.len();
                if self.link == Link::Short {
                    self.link = Link::None;
                }
            }
            Term::Stop => self.stop(),
            Term::Number(value, decimals) => {
                let unit = match terms.get(at + 1) {
                    Some(Term::Unit(unit)) => Some(*unit),
                    _ => None,
                };
                let about = matches!(before, Some(Term::About));
                self.number(Number { value: *value, decimals: *decimals, about, unit });
            }
            Term::Hedge(word) => self.problems.push(Problem::Hedged { word: word.clone() }),
            Term::Invention(word) => self.problems.push(Problem::Invented { word: word.clone() }),
            Term::Unknown(word) => self.problems.push(Problem::Unread { word: word.clone() }),
            Term::Dimension(respect) => {
                let linked = matches!(at.checked_sub(2).map(|i| &terms[i]), Some(Term::Link));
                if linked && matches!(before, Some(Term::Determiner)) && respect.is_some() {
                    // `the neutrophil is a shape`
                    self.problems.push(Problem::Unbound { word: "is".into(), noun: "dimension".into() });
                }
                if let Some(i) = respect {
                    self.limit(*i);
                }
            }
            // The lexicon settles the last two.
            Term::About | Term::Filler | Term::Unit(_) | Term::Granulocyte | Term::Kind(_) => {}
        }
    }

    /// The last mention of the sentence.
    fn last(&self) -> Option<usize> {
        (self.mentions.len() > self.sentence).then(|| self.mentions.len() - 1)
    }

    /// Denies a mention; what is denied twice (`no vacuoles are not visible`) is not understood.
    fn deny(&mut self, mention: usize) {
        let mention = &mut self.mentions[mention];
        if std::mem::replace(&mut mention.denied, true) {
            self.problems.push(Problem::Denied { what: name(&mention.head) });
        }
    }

    /// A negation that denies nothing is not understood.
    fn dangling(&mut self) {
        if std::mem::take(&mut self.negated) {
            self.problems.push(Problem::Denied { what: "something unnamed".into() });
        }
    }

    /// `pink in colour` is a colour; `dense in colour` is nonsense. Limits the last modifier.
    fn limit(&mut self, respect: usize) {
        let last = self.last();
        let bound = match (self.waiting.last_mut(), self.orphans.last_mut()) {
            (Some(word), _) | (None, Some(word)) => Some(word),
            (None, None) => last.and_then(|i| self.mentions[i].modifiers.last_mut()).map(|m| &mut m.0),
        };
        if let Some(word) = bound {
            *word = limited(word, respect);
        }
    }

    fn mention(&mut self, head: Head) {
        let (place, owner) = (self.place.take(), self.owner.take());
        self.subject = None;
        if let Some(last) = place.filter(|i| self.misplaced(*i, &head)).or(owner.filter(|i| self.misowned(*i, &head))) {
            self.problems.push(Problem::Unbound { word: name(&self.mentions[last].head), noun: name(&head) });
        }
        // `the lymphocyte is a nucleus`
        if let (Some(last), Head::Noun(noun)) = (self.copula.take(), &head)
            && !matches!(noun, Noun::Cell | Noun::CellSize | Noun::CellShape)
        {
            self.problems.push(Problem::Unbound { word: name(&head), noun: name(&self.mentions[last].head) });
        }
        let mut modifiers: Vec<_> = std::mem::take(&mut self.waiting).into_iter().map(|m| (m, false)).collect();
        if self.last().is_none() && (self.carried || self.orphans.iter().all(|m| m.ends_with("lobes"))) {
            // `a frosted appearance is seen in the cytoplasm`, `two lobes in the nucleus`
            modifiers.extend(self.orphans.drain(..).map(|m| (m, false)));
        }
        let denied = std::mem::take(&mut self.negated);
        self.mentions.push(Mention { head, denied, modifiers, measured: false, inside: place });
        self.link = Link::None;
    }

    /// `an eosinophil in the cytoplasm`, `a nucleus in the nucleus`
    fn misplaced(&self, last: usize, place: &Head) -> bool {
        let head = |i: usize| &self.mentions[i].head;
        let of_cell = |h: &Head| {
            matches!(h, Head::Type(_) | Head::Noun(Noun::Cell | Noun::CellSize | Noun::CellShape | Noun::Ratio))
        };
        match place {
            Head::Noun(Noun::Cytoplasm) => {
                of_cell(head(last)) || matches!(head(last), Head::Noun(Noun::Chromatin | Noun::Cytoplasm))
            }
            Head::Noun(Noun::Chromatin | Noun::Granule | Noun::Vacuole) => true,
            Head::Noun(Noun::Nucleus) => {
                let nucleus = |i| matches!(head(i), Head::Noun(Noun::Nucleus));
                of_cell(head(last)) || (self.sentence..=last).any(nucleus)
            }
            // `a nucleus filling half of the cell in this monocyte` speaks of the nucleus.
            Head::Type(_) | Head::Noun(Noun::Cell) => match head(last) {
                Head::Type(_) => true,
                Head::Noun(Noun::Cell) => last == self.sentence,
                _ => false,
            },
            _ => false,
        }
    }

    /// `this cell has a lymphocyte`, `the nucleus contains a cytoplasm`
    fn misowned(&self, owner: usize, owned: &Head) -> bool {
        let owner = &self.mentions[owner].head;
        match owned {
            Head::Type(_) => true,
            Head::Noun(Noun::Cytoplasm) => matches!(owner, Head::Noun(Noun::Cytoplasm | Noun::Nucleus)),
            _ => false,
        }
    }

    fn modifier(&mut self, word: &str, terms: &[Term], at: usize) {
        let beside = at.checked_sub(1).is_some_and(|i| is_head(&terms[i]));
        let after_noun = self.link != Link::None || beside;
        let forward = match noun_ahead(&terms[at + 1..]) {
            Some(Ahead::Next) => true,
            Some(Ahead::Beyond) => !after_noun,
            None => false,
        };
        if forward {
            return self.waiting.push(word.to_owned());
        }
        let named = at.checked_sub(1).is_some_and(|i| terms[i] == Term::Determiner);
        let rest = terms[at + 1..].iter().find(|t| !matches!(t, Term::Modifier(_) | Term::Comma | Term::And));
        let dimension = matches!(rest, Some(Term::Dimension(_) | Term::Respect(_)));
        if named && !dimension && !NOUN_LIKE.iter().any(|end| word.ends_with(end)) {
            // `the monocyte is a round`
            return self.problems.push(Problem::Unbound { word: word.to_owned(), noun: String::new() });
        }
        // `a monocyte, irregular in shape`: behind a comma too, where no other noun follows.
        let apposed = matches!(at.checked_sub(1).map(|i| &terms[i]), Some(Term::Comma | Term::And));
        let about = matches!(terms.get(at + 1), Some(Term::Dimension(_)));
        let subject = self.subject.filter(|_| self.link != Link::None);
        let target =
            subject.or(self.last()).filter(|last| self.link != Link::None || *last >= self.clause || apposed || about);
        match target {
            Some(last) => {
                self.mentions[last].modifiers.push((word.to_owned(), std::mem::take(&mut self.negated)));
                let trailing = word.split(' ').next().is_some_and(|first| TRAILING.contains(&first));
                if self.link == Link::None && !trailing {
                    self.link = Link::Long;
                }
            }
            None => self.orphans.push(word.to_owned()),
        }
    }

    fn number(&mut self, number: Number) {
        let named = |m: &Mention| matches!(m.head, Head::Quantity(_) | Head::Noun(Noun::Ratio));
        let target = (self.sentence..self.mentions.len()).rev().find(|i| named(&self.mentions[*i]));
        if let Some(i) = target {
            self.mentions[i].measured = true;
        }
        self.numbers.push((target, number));
    }

    fn stop(&mut self) {
        self.flush();
        (self.link, self.carried) = (Link::None, false);
        (self.sentence, self.clause) = (self.mentions.len(), self.mentions.len());
    }

    fn flush(&mut self) {
        self.dangling();
        let waiting = self.orphans.drain(..).chain(self.waiting.drain(..));
        self.problems.extend(waiting.map(|word| Problem::Unbound { word, noun: String::new() }));
    }
}

/// `a cell with granules is visible in its cytoplasm`: what is visible is the cell, not the granules.
fn places_whole_cell(terms: &[Term], within: usize) -> bool {
    let [.., noun, Term::Link, Term::Present] = &terms[..within] else { return false };
    let joint = |t: &Term| matches!(t, Term::And | Term::Or | Term::Comma | Term::Colon | Term::Stop);
    let clause = &terms[terms[..within].iter().rposition(joint).map_or(0, |i| i + 1)..within];
    let whole = matches!(clause.iter().find(|t| is_head(t)), Some(Term::Type(_) | Term::Noun(Noun::Cell)));
    let part = terms[within..].iter().find(|t| is_head(t));
    let inner = matches!(part, Some(Term::Noun(Noun::Cytoplasm | Noun::Nucleus | Noun::Chromatin)));
    is_head(noun) && whole && clause.contains(&Term::Break) && inner
}

fn is_head(term: &Term) -> bool {
    matches!(term, Term::Noun(_) | Term::Type(_) | Term::Whole(_) | Term::Quantity(_))
}

enum Ahead {
    /// Only modifiers in between.
    Next,
    /// Behind a comma or `and`.
    Beyond,
}

fn noun_ahead(terms: &[Term]) -> Option<Ahead> {
    let mut beyond = false;
    for term in terms {
        match term {
            Term::Modifier(_) | Term::Unknown(_) | Term::Hedge(_) | Term::Invention(_) => {}
            Term::Comma | Term::And | Term::Or => beyond = true,
            term if is_head(term) => return Some(if beyond { Ahead::Beyond } else { Ahead::Next }),
            _ => return None,
        }
    }
    None
}
