use crate::lexicon::{Lexicon, Term, Value};
use crate::mention::{Head, Mention, Number, name};
use crate::rounding::{about_tolerance, tolerance};
use crate::verify::{MAX_CAPTION_WORDS, Problem};
use crate::vocabulary::Noun;
use crate::walk::Walk;
use crate::wording::QUANTITIES;
use wbc_core::{AttributeSchema, CellTypes, Fact, Unit};

/// Texts of more terms are not read: binding looks ahead, and nobody needs it.
const MAX_TERMS: usize = 8 * MAX_CAPTION_WORDS;

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
        if terms.len() > MAX_TERMS {
            return Reading { facts: Vec::new(), problems: vec![Problem::TooLong { words: terms.len() }] };
        }
        let walk = Walk::through(&terms);
        let mut reading = Reading { facts: Vec::new(), problems: walk.problems };
        let mut denied = Vec::new();
        for mention in &walk.mentions {
            self.resolve(mention, &mut reading, &mut denied);
        }
        for (attribute, value) in denied {
            self.exclude(attribute, value, &mut reading);
        }
        let type_of = |m: &Mention| match &m.head {
            Head::Type(value) if m.denied => Some(value.clone()),
            _ => None,
        };
        for denied in walk.mentions.iter().filter_map(type_of) {
            // `not a monocyte but a lymphocyte`
            let other = |f: &Fact| matches!(f, Fact::Type { value } if *value != denied);
            if !reading.facts.iter().any(other) || reading.facts.contains(&Fact::Type { value: denied.clone() }) {
                reading.problems.push(Problem::Denied { what: denied.to_string() });
            }
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

    fn resolve(&self, mention: &Mention, reading: &mut Reading, denied: &mut Vec<Value>) {
        let noun = match &mention.head {
            Head::Type(value) => {
                if !mention.denied {
                    reading.facts.push(Fact::Type { value: value.clone() });
                }
                Some(Noun::Cell)
            }
            Head::Whole(value) => {
                self.say(*value, mention.denied, reading, denied);
                None
            }
            Head::Quantity(_) => {
                if !mention.measured {
                    reading.problems.push(Problem::Unbound { word: name(&mention.head), noun: String::new() });
                }
                None
            }
            Head::Noun(noun) => Some(*noun),
        };
        for (modifier, alone) in &mention.modifiers {
            if let Some(values) =
                noun.and_then(|n| self.lexicon.excluded(n, modifier)).filter(|_| !alone && !mention.denied)
            {
                denied.extend(values);
                continue;
            }
            match noun.and_then(|n| self.lexicon.meaning(n, modifier)) {
                Some(value) => self.say(value, mention.denied || *alone, reading, denied),
                None => reading.problems.push(Problem::Unbound { word: modifier.clone(), noun: name(&mention.head) }),
            }
        }
        let (Head::Noun(noun), true) = (&mention.head, mention.modifiers.is_empty()) else { return };
        match (mention.denied, self.lexicon.absence(*noun), self.lexicon.meaning(*noun, "")) {
            (true, Some(value), _) => self.say(value, false, reading, denied),
            (true, None, _) => reading.problems.push(Problem::Denied { what: name(&mention.head) }),
            (false, _, Some(value)) if !mention.measured => self.say(value, false, reading, denied),
            _ => {}
        }
    }

    /// Asserts a value; denying one of two asserts the other, and one of many waits for what else is said.
    fn say(&self, (attribute, value): Value, denies: bool, reading: &mut Reading, denied: &mut Vec<Value>) {
        let value = match (denies, self.schema.attributes[attribute].values.len()) {
            (false, _) => value,
            (true, 2) => 1 - value,
            (true, _) => return denied.push((attribute, value)),
        };
        let attribute = &self.schema.attributes[attribute];
        reading.facts.push(Fact::attribute(&attribute.name, &attribute.values[value].name));
    }

    /// `blue, not pale blue` says nothing new; a denial alone leaves open what is so.
    fn exclude(&self, attribute: usize, value: usize, reading: &mut Reading) {
        let attribute = &self.schema.attributes[attribute];
        let denied = Fact::attribute(&attribute.name, &attribute.values[value].name);
        if reading.facts.contains(&denied) || !reading.facts.iter().any(|f| f.name() == attribute.name) {
            let what = format!("{} {}", attribute.name, attribute.values[value].name);
            reading.problems.push(Problem::Denied { what });
        }
    }
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
