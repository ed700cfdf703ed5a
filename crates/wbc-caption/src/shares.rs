//! A random caption cut into shares that a single sentence states, so that each can be reworded and checked by itself.

use crate::compose::{Pick, before_noun, capital, items, join, of_part, one, subject};
use crate::grammar::{Grammar, Register, Said, caption_seed, spoken};
use crate::report::{predicate, there};
use crate::rounding::Stated;
use crate::template::hole_text;
use crate::wording::{Part, QUANTITIES, with_article};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use wbc_core::{CellDescription, Fact, seeded_rng};

/// How much of a caption one share holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Everything.
    Whole,
    /// What a sentence says about one part of the cell.
    Sentence,
    /// One fact.
    Fact,
}

/// Facts, and a text of the grammar that states them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Share {
    /// What the text asserts, apart from its hole.
    pub(crate) facts: Vec<Fact>,
    /// Sentence with its full stop; a noun phrase without one where the share is a single fact.
    pub(crate) text: String,
    /// Measurement whose number the text leaves open as `{name}`.
    pub(crate) hole: Option<&'static str>,
}

/// What the numbers of a caption are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// None.
    None,
    /// Holes for each cell's own.
    Holes,
    /// Those of the described cell.
    Stated,
}

/// What shares a caption is cut into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShareOptions {
    pub(crate) cut: Cut,
    pub(crate) numbers: Numbers,
    /// Most facts, at least one.
    pub(crate) max_facts: usize,
    /// Wordings per set of facts: the fewer, the more often a share is met again.
    pub(crate) variants: u32,
}

impl Grammar {
    /// A random subset of the known facts, cut into shares; equal facts with an equal `variant` give equal shares.
    pub(crate) fn shares(&self, cell: &CellDescription<'_>, options: ShareOptions, seed: u64) -> Vec<(Share, u32)> {
        let mut rng = seeded_rng(&[seed, 1]);
        let picks = self.picks_of(cell, options.numbers, options.max_facts, &mut rng);
        let mut shares = Vec::new();
        for group in groups(picks, options.cut) {
            let variant = rng.random_range(0..options.variants.max(1));
            shares.push((share(&group, options, variant), variant));
        }
        shares
    }
}

impl Grammar {
    /// Every one of some facts, measurements apart.
    pub(crate) fn all_picks<'a>(&'a self, facts: &'a [Fact]) -> Vec<Pick<'a>> {
        let pick = |fact: &'a Fact| match fact {
            Fact::Type { value } => Some(Pick::Type { cell_type: value, spoken: spoken(value) }),
            Fact::Attribute { name, value } => {
                let (a, v) = self.schema.locate(name, value).ok()?;
                Some(Pick::Attribute { order: a + 1, said: &self.said[a][v] })
            }
            Fact::Measurement { .. } => None,
        };
        facts.iter().filter_map(pick).collect()
    }

    /// A random subset of what is known, for texts that others write: the type more often than not, `most` facts.
    pub(crate) fn picks_of<'a>(
        &'a self,
        cell: &CellDescription<'a>,
        numbers: Numbers,
        most: usize,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Pick<'a>> {
        // What is said must not depend on whose numbers stand by: a text with holes serves many cells.
        let unmeasured = CellDescription { measured: None, ..*cell };
        let mut picks = self.picks(&unmeasured, Register::Sentence, rng);
        picks.truncate(most.max(1));
        match numbers {
            Numbers::None => {}
            Numbers::Stated => self.add_quantities(&mut picks, cell, rng),
            Numbers::Holes => {
                let i = rng.random_range(0..QUANTITIES.len());
                let stated = Stated { text: hole_text(QUANTITIES[i].name), value: 0.0, tolerance: 0.0 };
                picks.push(Pick::Quantity { order: 1000 + i, quantity: &QUANTITIES[i], stated });
            }
        }
        picks
    }

    /// Sentences that state all of some facts, measurements apart.
    pub(crate) fn sentences_of(&self, facts: &[Fact], variant: u32) -> Vec<Share> {
        let picks = self.all_picks(facts);
        let options = ShareOptions { cut: Cut::Sentence, numbers: Numbers::None, max_facts: facts.len(), variants: 1 };
        groups(picks, Cut::Sentence).iter().map(|group| share(group, options, variant)).collect()
    }
}

/// Picks that one sentence states, the cell itself first.
fn groups(picks: Vec<Pick<'_>>, cut: Cut) -> Vec<Vec<Pick<'_>>> {
    let mut groups: Vec<(u8, Vec<Pick<'_>>)> = Vec::new();
    for (i, pick) in picks.into_iter().enumerate() {
        let key = match cut {
            Cut::Whole => 0,
            Cut::Fact => i as u8,
            Cut::Sentence => key(&pick),
        };
        match groups.iter_mut().find(|g| g.0 == key) {
            Some((_, group)) => group.push(pick),
            None => groups.push((key, vec![pick])),
        }
    }
    if cut == Cut::Sentence {
        groups.sort_by_key(|g| g.0 != 0);
    }
    for (_, group) in &mut groups {
        group.sort_by_key(Pick::order);
    }
    groups.into_iter().map(|g| g.1).collect()
}

fn key(pick: &Pick<'_>) -> u8 {
    match pick {
        Pick::Type { .. } => 0,
        Pick::Quantity { order, .. } => 100 + (order % 100) as u8,
        Pick::Attribute { order, said } => match (said.part, said.fact.name()) {
            (_, "cytoplasm_vacuole") => 3,
            (_, "nuclear_cytoplasmic_ratio") => 4,
            (_, "granularity") => 5,
            (Part::Cell, _) => 0,
            (Part::Nucleus | Part::Chromatin, _) => 1,
            (Part::Cytoplasm, _) => 2,
            (Part::Granules, _) => 6,
            (Part::Other, _) => 10 + (order % 80) as u8,
        },
    }
}

fn share(group: &[Pick<'_>], options: ShareOptions, variant: u32) -> Share {
    let mut facts: Vec<Fact> = Vec::new();
    let mut hole = None;
    for pick in group {
        match pick {
            Pick::Quantity { quantity, .. } if options.numbers == Numbers::Holes => hole = Some(quantity.name),
            pick => facts.push(pick.fact()),
        }
    }
    // The wording hangs on the facts alone, so that other cells with the same facts share it.
    let names: Vec<u64> =
        facts.iter().flat_map(|f| hash(&format!("{f:?}"))).chain(hole.iter().flat_map(|h| hash(h))).collect();
    let seed = names.iter().fold(u64::from(variant), |seed, part| caption_seed(seed ^ part, 1));
    let mut rng = seeded_rng(&[seed, 2]);
    let text = match options.cut {
        Cut::Fact => phrase(&group[0], &mut rng),
        Cut::Sentence => format!("{}.", capital(&sentence(group, &mut rng))),
        Cut::Whole => whole(group, &mut rng),
    };
    Share { facts, text, hole }
}

fn hash(text: &str) -> [u64; 1] {
    // FNV-1a: stable across platforms and versions.
    [text.bytes().fold(0xCBF2_9CE4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3))]
}

fn phrase(pick: &Pick<'_>, rng: &mut ChaCha8Rng) -> String {
    match pick {
        Pick::Type { .. } => subject(std::slice::from_ref(pick), rng),
        Pick::Attribute { said, .. } => one(&said.phrases, rng).clone(),
        Pick::Quantity { quantity, stated, .. } => quantity.noun_phrase.replace("{}", &stated.text),
    }
}

/// One clause about one part, without its full stop.
fn sentence(group: &[Pick<'_>], rng: &mut ChaCha8Rng) -> String {
    if let Pick::Quantity { quantity, stated, .. } = &group[0] {
        return quantity.clause.replace("{}", &stated.text);
    }
    if group.iter().any(|p| matches!(p, Pick::Type { .. })) {
        let frames = ["this is {a}", "this is {a}", "the image shows {a}", "one sees {a}", "shown here is {a}"];
        return one::<&str>(&frames, rng).replace("{a}", &with_article(&subject(group, rng)));
    }
    let said: Vec<&Said> = Part::ALL.iter().flat_map(|part| of_part(group, *part)).collect();
    let noun = |part| match part {
        Part::Nucleus => ("the nucleus", "is"),
        Part::Chromatin => ("the chromatin", "is"),
        Part::Cytoplasm => ("the cytoplasm", "is"),
        Part::Granules => ("the granules", "are"),
        Part::Cell | Part::Other => ("the cell", "is"),
    };
    if said.iter().any(|s| s.adjectives.is_empty()) {
        return said.iter().map(|s| there(s, rng)).collect::<Vec<_>>().join(" and ");
    }
    if let [nucleus, chromatin] = said[..]
        && chromatin.part == Part::Chromatin
    {
        let clauses = [nucleus, chromatin].map(|s| predicate(noun(s.part).0, noun(s.part).1, &[s], rng));
        return clauses.into_iter().flatten().collect::<Vec<_>>().join(" and ");
    }
    if rng.random_bool(0.5) {
        return noticed(&said, rng);
    }
    let (noun, verb) = noun(said[0].part);
    predicate(noun, verb, &said, rng).unwrap_or_default()
}

/// The same as a noun phrase: `one sees scant, light blue cytoplasm`.
fn noticed(said: &[&Said], rng: &mut ChaCha8Rng) -> String {
    let phrase = match said {
        [only] => one::<String>(&only.phrases, rng).clone(),
        several => {
            let noun = match several[0].part {
                Part::Nucleus => "nucleus",
                Part::Chromatin => "chromatin",
                Part::Cytoplasm => "cytoplasm",
                Part::Granules => "granules",
                Part::Cell | Part::Other => "cell",
            };
            before_noun(several, noun, if rng.random_bool(0.5) { ", " } else { " " }, rng)
        }
    };
    let frames = ["the cell shows {a}", "the cell has {a}", "one sees {a}", "note {a}", "there is {a}"];
    let fits = match said[0].part {
        // a cell has no cell
        Part::Cell | Part::Other => &frames[2..],
        // `there is` wants a singular
        Part::Granules => &frames[..4],
        _ if phrase.starts_with("no ") => &frames[..4],
        _ => &frames,
    };
    one::<&str>(fits, rng).replace("{a}", &with_article(&phrase))
}

fn whole(group: &[Pick<'_>], rng: &mut ChaCha8Rng) -> String {
    let numbers: Vec<String> = group
        .iter()
        .filter(|p| matches!(p, Pick::Quantity { .. }))
        .map(|p| format!(" {}.", capital(&sentence(std::slice::from_ref(p), rng))))
        .collect();
    let rest: Vec<Pick<'_>> = group.iter().filter(|p| !matches!(p, Pick::Quantity { .. })).cloned().collect();
    let subject = with_article(&subject(&rest, rng));
    let items = items(&rest, rng);
    let body = if items.is_empty() { subject } else { format!("{subject} with {}", join(&items)) };
    format!("{}.{}", capital(&body), numbers.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::GrammarOptions;
    use crate::verify::{Outcome, Verifier};
    use crate::wording::Quantity;
    use wbc_core::{Annotation, AttributeSchema, CellType, CellTypes, MeasurementDef, MeasurementSchema, Unit};

    #[test]
    fn every_wording_of_a_share_states_its_facts() {
        let schema = AttributeSchema::wbcatt();
        let (grammar, verifier) = (Grammar::wbcatt(), Verifier::new(&schema, &CellTypes::builtin()));
        let types = ["basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil", "plasma_cell"];
        let mut rng = seeded_rng(&[3]);
        let mut texts = std::collections::BTreeSet::new();
        for seed in 0..600 {
            let mut cell = Annotation::unknown(&schema);
            cell.cell_type = Some(CellType::new(one::<&str>(&types, &mut rng)));
            for (value, attribute) in cell.values.iter_mut().zip(&schema.attributes) {
                *value = Some(rng.random_range(0..attribute.values.len()) as u8);
            }
            let description = CellDescription { annotation: &cell, measured: None };
            for cut in [Cut::Whole, Cut::Sentence, Cut::Fact] {
                let options = ShareOptions { cut, numbers: Numbers::None, max_facts: 9, variants: 20 };
                for (share, _) in grammar.shares(&description, options, seed) {
                    let verdict = verifier.verify(&share.text, Some(&share.facts), Some(&cell), None);
                    assert_eq!(verdict.outcome, Outcome::Faithful, "{}: {verdict:?}", share.text);
                    texts.insert(share.text);
                }
            }
        }
        assert!(texts.len() > 1200, "only {} wordings", texts.len());
    }

    #[test]
    fn numbers_of_the_cell_at_hand_change_no_text_with_holes() {
        let schema = AttributeSchema::wbcatt();
        let options = GrammarOptions { measurements: true, ..GrammarOptions::default() };
        let grammar = Grammar::new(&schema, options).unwrap();
        let mut cell = Annotation::unknown(&schema);
        cell.cell_type = Some(CellType::new("monocyte"));
        cell.values.fill(Some(0));
        let def = |q: &Quantity| MeasurementDef {
            name: q.name.into(),
            unit: Unit::Ratio,
            definition: String::new(),
            source: String::new(),
        };
        let measurements =
            MeasurementSchema { name: "some".into(), version: 1, measurements: QUANTITIES.iter().map(def).collect() };
        let row = vec![Some(0.5); QUANTITIES.len()];
        for numbers in [Numbers::Holes, Numbers::None] {
            let options = ShareOptions { cut: Cut::Sentence, numbers, max_facts: 5, variants: 3 };
            for seed in 0..50 {
                let of = |measured| grammar.shares(&CellDescription { annotation: &cell, measured }, options, seed);
                assert_eq!(of(None), of(Some((&measurements, &row))));
            }
        }
    }
}
