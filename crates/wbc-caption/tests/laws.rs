//! Laws that join writer and reader.

#![expect(clippy::print_stderr, reason = "tests say what they measured and what they skipped")]

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use wbc_caption::{Grammar, GrammarOptions, MAX_WORDS, Outcome, Register, Verifier};
use wbc_core::{
    Annotation, AttributeSchema, Captioner, CellDescription, CellType, CellTypes, Fact, MeasurementDef,
    MeasurementSchema, Unit,
};

static SCHEMA: LazyLock<AttributeSchema> = LazyLock::new(AttributeSchema::wbcatt);
static TYPES: LazyLock<CellTypes> = LazyLock::new(CellTypes::builtin);
static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| Verifier::new(&SCHEMA, &TYPES));

fn measuring() -> (MeasurementSchema, Grammar) {
    let def = |(name, unit): (&str, Unit)| MeasurementDef {
        name: name.into(),
        unit,
        definition: String::new(),
        source: String::new(),
    };
    let names = [
        ("cell.equivalent_diameter_area", Unit::Px),
        ("nucleus.equivalent_diameter_area", Unit::Um),
        ("nucleus_fraction", Unit::Ratio),
        ("nuclear_cytoplasmic_ratio", Unit::Ratio),
        ("nucleus.solidity", Unit::Ratio),
        ("nucleus.eccentricity", Unit::Ratio),
        ("cell.solidity", Unit::Ratio),
    ];
    let measured = MeasurementSchema { name: "test".into(), version: 1, measurements: names.map(def).into() };
    let registers = Register::ALL.map(|r| (r, 1.0)).into();
    let options = GrammarOptions { measurements: true, everyday_words: 0.4, registers, ..GrammarOptions::default() };
    (measured, Grammar::new(&SCHEMA, options).unwrap())
}

fn annotations() -> impl Strategy<Value = Annotation> {
    let values: Vec<_> =
        SCHEMA.attributes.iter().map(|a| prop::option::weighted(0.85, 0..a.values.len() as u8)).collect();
    let names: Vec<CellType> = TYPES.iter().cloned().collect();
    (prop::option::weighted(0.9, prop::sample::select(names)), values)
        .prop_map(|(cell_type, values)| Annotation { cell_type, values })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn every_caption_reads_back_as_exactly_its_facts(
        cell in annotations(), seed: u64, row in prop::collection::vec(prop::option::of(0.0f64..400.0), 7),
    ) {
        let (measured, grammar) = measuring();
        let known = CellDescription { annotation: &cell, measured: Some((&measured, &row)) };
        prop_assume!(cell.cell_type.is_some() || cell.values.iter().any(Option::is_some));
        for caption in grammar.captions(&known, 8, seed).unwrap() {
            let v = VERIFIER.verify(&caption.text, Some(&caption.facts), Some(&cell), known.measured);
            prop_assert_eq!(v.outcome, Outcome::Faithful, "{}\n{:?}\n{:?}", caption.text, caption.facts, v);
            prop_assert_eq!(v.asserted.len(), caption.facts.len(), "{}", caption.text);
            prop_assert!(caption.text.split_whitespace().count() <= MAX_WORDS);
        }
    }

    #[test]
    fn a_changed_value_is_contradicted(cell in annotations(), seed: u64, pick: prop::sample::Index) {
        prop_assume!(cell.cell_type.is_some() || cell.values.iter().any(Option::is_some));
        let caption = &Grammar::wbcatt().captions(&CellDescription { annotation: &cell, measured: None }, 1, seed).unwrap()[0];
        let fact = pick.get(&caption.facts);
        let mut changed = cell.clone();
        match fact {
            Fact::Attribute { name, value } => {
                let i = SCHEMA.index(name).unwrap();
                let n = SCHEMA.attributes[i].values.len();
                let v = SCHEMA.attributes[i].value_index(value).unwrap();
                changed.values[i] = Some(((v + 1) % n) as u8);
            }
            _ => changed.cell_type = Some(CellType::new("quasar")),
        }
        let v = VERIFIER.verify(&caption.text, Some(&caption.facts), Some(&changed), None);
        prop_assert_eq!(v.outcome, Outcome::Unfaithful);
        prop_assert_eq!(&v.contradicted, &vec![fact.clone()], "{}", caption.text);
    }

    #[test]
    fn canonical_captions_name_their_combination(a in annotations(), b in annotations()) {
        let grammar = Grammar::wbcatt();
        prop_assert_eq!(grammar.canonical(&a) == grammar.canonical(&b), a.values == b.values);
        if a.values.iter().any(Option::is_some) {
            let mut untyped = a.clone();
            untyped.cell_type = None;
            let v = VERIFIER.verify(&grammar.canonical(&a), None, Some(&untyped), None);
            prop_assert_eq!(v.asserted.len(), untyped.facts(&SCHEMA).len());
            prop_assert!(v.contradicted.is_empty());
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,80}") {
        VERIFIER.verify(&text, None, None, None);
    }
}

fn eosinophil() -> Annotation {
    let mut cell = Annotation::unknown(&SCHEMA);
    cell.cell_type = Some(CellType::new("eosinophil"));
    let values = "big,round,segmented-bilobed,low,densely,no,clear,light blue,round,red,yes";
    for (a, v) in SCHEMA.attributes.iter().zip(values.split(',')) {
        cell.set(&SCHEMA, &a.name, v).unwrap();
    }
    cell
}

#[test]
fn captions_are_diverse_balanced_and_repeatable() {
    let cell = eosinophil();
    let known = CellDescription { annotation: &cell, measured: None };
    let grammar = Grammar::wbcatt();
    let all = grammar.captions(&known, 2000, 5).unwrap();
    assert_eq!(all, grammar.captions(&known, 2000, 5).unwrap());
    assert_eq!(all[7], grammar.captions(&known, 1, all[7].provenance.seed).unwrap()[0]);
    let distinct: BTreeSet<_> = all.iter().map(|c| &c.text).collect();
    assert!(distinct.len() > 1950, "{} of 2000 are distinct", distinct.len());
    let words = all.iter().map(|c| c.text.split_whitespace().count()).sum::<usize>() as f64 / 2000.0;
    assert!((15.0..26.0).contains(&words), "{words} words on average");
    let typed = all.iter().filter(|c| c.facts.iter().any(|f| f.name() == "type")).count();
    assert!((1000..1700).contains(&typed), "{typed} of 2000 name the type");
    let mut registers = BTreeMap::new();
    all.iter().for_each(|c| *registers.entry(c.provenance.register.as_str()).or_insert(0) += 1);
    assert_eq!(registers.len(), 5);
    assert!((900..1100).contains(&registers["list"]));
    eprintln!("{} distinct, {words:.1} words, {typed} typed, {registers:?}", distinct.len());
}

#[test]
fn an_agranular_cell_never_has_coloured_granules() {
    let mut cell = eosinophil();
    for (name, value) in [("granule_type", "nil"), ("granule_colour", "nil"), ("granularity", "no")] {
        cell.set(&SCHEMA, name, value).unwrap();
    }
    for caption in Grammar::wbcatt().captions(&CellDescription { annotation: &cell, measured: None }, 500, 1).unwrap() {
        for wrong in ["pink granules", "red granules", "with granules", "granules present", "of no type"] {
            assert!(!caption.text.contains(wrong), "{}", caption.text);
        }
    }
}

#[test]
fn a_foreign_schema_works_through_its_phrases() {
    let schema = AttributeSchema::from_toml(
        "name='toxic'\nversion=1\n[[attribute]]\nname='toxic'\ntitle='toxic change'\n\
         value=[{name='yes',phrases=['toxic granulation','Döhle bodies']},{name='no',phrases=['no toxic granulation']}]\n\
         [[attribute]]\nname='nucleus_shape'\ntitle='nucleus'\n\
         value=[{name='u',phrases=['unlobed nucleus']},{name='l',phrases=['lobed nucleus']}]",
    )
    .unwrap();
    let grammar = Grammar::new(&schema, GrammarOptions::default()).unwrap();
    let verifier = Verifier::new(&schema, &TYPES);
    for values in [[0, 0], [0, 1], [1, 0], [1, 1]] {
        let cell = Annotation { cell_type: Some(CellType::new("neutrophil")), values: values.map(Some).into() };
        for caption in grammar.captions(&CellDescription { annotation: &cell, measured: None }, 50, 3).unwrap() {
            let v = verifier.verify(&caption.text, Some(&caption.facts), Some(&cell), None);
            assert_eq!(v.outcome, Outcome::Faithful, "{} {v:?}", caption.text);
        }
    }
}

/// Annotations of WBCAtt's training cells; `None` where the data are not there.
fn real_cells() -> Option<Vec<Annotation>> {
    let Ok(data) = std::env::var("WBC_CLIP_DATA") else {
        eprintln!("skipped: WBC_CLIP_DATA is not set");
        return None;
    };
    let text = std::fs::read_to_string(format!("{data}/wbcatt/pbc_attr_v1_train.csv")).unwrap();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let cell = |line: &str| {
        let mut cell = Annotation::unknown(&SCHEMA);
        for (name, value) in header.iter().zip(line.split(',')) {
            match *name {
                "label" => cell.cell_type = TYPES.canonical(value),
                name if SCHEMA.index(name).is_some() => cell.set(&SCHEMA, name, value).unwrap(),
                _ => {}
            }
        }
        cell
    };
    Some(lines.map(cell).collect())
}

#[test]
fn captions_of_all_real_combinations_in_all_registers_are_accepted_and_any_flipped_fact_is_caught() {
    let Some(cells) = real_cells() else { return };
    let mut seen = std::collections::HashSet::new();
    let combinations: Vec<Annotation> = cells.into_iter().filter(|c| seen.insert(c.clone())).collect();
    let (mut n, mut flips) = (0, 0);
    for (seed, cell) in combinations.iter().enumerate() {
        let known = CellDescription { annotation: cell, measured: None };
        for register in Register::ALL {
            let caption = Grammar::wbcatt().in_register(&known, register, seed as u64).unwrap();
            let v = VERIFIER.verify(&caption.text, Some(&caption.facts), Some(cell), None);
            assert_eq!(v.outcome, Outcome::Faithful, "{} {:?}", caption.text, v.faults());
            n += 1;
            for (i, fact) in caption.facts.iter().enumerate() {
                let others: Vec<Fact> = match fact {
                    Fact::Attribute { name, value } => {
                        let attribute = &SCHEMA.attributes[SCHEMA.index(name).unwrap()];
                        let other = attribute.values.iter().filter(|v| v.name != *value);
                        other.map(|v| Fact::attribute(name, &v.name)).collect()
                    }
                    Fact::Type { value } => {
                        let other = TYPES.iter().filter(|t| *t != value);
                        other.map(|t| Fact::Type { value: t.clone() }).collect()
                    }
                    Fact::Measurement { .. } => Vec::new(),
                };
                for other in others {
                    let mut claimed = caption.facts.clone();
                    claimed[i] = other;
                    let v = VERIFIER.verify(&caption.text, Some(&claimed), None, None);
                    assert_eq!(v.outcome, Outcome::Unfaithful, "{} {claimed:?}", caption.text);
                    flips += 1;
                }
            }
        }
    }
    eprintln!("{} combinations, {n} captions accepted, {flips} flipped facts caught", combinations.len());
    assert_eq!(combinations.len(), 305);
}

#[test]
fn nothing_known_is_an_error() {
    let cell = Annotation::unknown(&SCHEMA);
    assert!(Grammar::wbcatt().captions(&CellDescription { annotation: &cell, measured: None }, 1, 0).is_err());
}

#[test]
fn real_annotations_have_distinct_canonical_texts_and_faithful_captions() {
    let Some(cells) = real_cells() else { return };
    let grammar = Grammar::wbcatt();
    let (mut combinations, mut texts) = (BTreeSet::new(), BTreeSet::new());
    let (mut n, mut words) = (0, 0);
    for (seed, cell) in cells.iter().enumerate() {
        combinations.insert(cell.values.clone());
        texts.insert(grammar.canonical(cell));
        for c in grammar.captions(&CellDescription { annotation: cell, measured: None }, 2, seed as u64).unwrap() {
            let v = VERIFIER.verify(&c.text, Some(&c.facts), Some(cell), None);
            assert_eq!(v.outcome, Outcome::Faithful, "{} {v:?}", c.text);
            n += 1;
            words += c.text.split_whitespace().count();
        }
    }
    assert_eq!(combinations.len(), texts.len());
    eprintln!("{} combinations, {n} faithful captions, {:.1} words", texts.len(), words as f64 / f64::from(n));
}
