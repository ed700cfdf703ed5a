//! What the verifier reads in sentences whose grammar decides: owners, shared verbs, pronouns, questions, open statements.

use wbc_caption::{FaultKind, Outcome, Verifier};
use wbc_core::{AttributeSchema, CellType, CellTypes, Fact, TYPE_FACT};

fn verifier() -> Verifier {
    Verifier::new(&AttributeSchema::wbcatt(), &CellTypes::builtin())
}

fn fact((name, value): (&str, &str)) -> Fact {
    if name == TYPE_FACT { Fact::Type { value: CellType::new(value) } } else { Fact::attribute(name, value) }
}

#[test]
fn grammar_decides_what_a_word_belongs_to() {
    let verifier = verifier();
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("The chromatin of this lymphocyte is condensed.", &[("type", "lymphocyte"), ("chromatin_density", "densely")]),
        ("The granules of this eosinophil stain red.", &[("type", "eosinophil"), ("granule_colour", "red")]),
        ("The cell contains granules and is round.", &[("granularity", "yes"), ("cell_shape", "round")]),
        (
            "Granules are present in this basophil and appear purple.",
            &[("type", "basophil"), ("granule_colour", "purple")],
        ),
        (
            "This lymphocyte does contain granules; they are purple.",
            &[("type", "lymphocyte"), ("granule_colour", "purple")],
        ),
        ("It is a monocyte. It is large.", &[("type", "monocyte"), ("cell_size", "big")]),
        (
            "The cytoplasm is frosted, and the granules inside it are pink.",
            &[("cytoplasm_texture", "frosted"), ("granule_colour", "pink")],
        ),
        (
            "Both the cell and its nucleus are round.",
            &[("cell_shape", "round"), ("nucleus_shape", "unsegmented-round")],
        ),
        ("The cytoplasm is free of vacuoles and granules.", &[("cytoplasm_vacuole", "no"), ("granularity", "no")]),
        ("A cytoplasm lacking both vacuoles and granules.", &[("cytoplasm_vacuole", "no"), ("granularity", "no")]),
        (
            "Irregular in outline, the cell has blue cytoplasm.",
            &[("cell_shape", "irregular"), ("cytoplasm_colour", "blue")],
        ),
        ("What shape is the nucleus? Round.", &[("nucleus_shape", "unsegmented-round")]),
        ("Does the cell have granules? Yes, and they are pink.", &[("granule_colour", "pink")]),
        ("The chromatin is loose rather than dense.", &[("chromatin_density", "loosely")]),
        (
            "Not a monocyte but a lymphocyte, with no visible vacuoles.",
            &[("type", "lymphocyte"), ("cytoplasm_vacuole", "no")],
        ),
        ("The nucleus of this cell consists of two lobes.", &[("nucleus_shape", "segmented-bilobed")]),
        ("Its nucleus is unsegmented and indented.", &[("nucleus_shape", "unsegmented-indented")]),
        (
            "The cytoplasm lacks vacuoles but granules are present.",
            &[("cytoplasm_vacuole", "no"), ("granularity", "yes")],
        ),
        ("The nucleus of this cell also is round.", &[("nucleus_shape", "unsegmented-round")]),
        (
            "What shape is the nucleus of this lymphocyte? Round.",
            &[("type", "lymphocyte"), ("nucleus_shape", "unsegmented-round")],
        ),
        ("The chromatin is dispersed.", &[("chromatin_density", "loosely")]),
        ("The cell has granules. It is round.", &[("granularity", "yes"), ("cell_shape", "round")]),
        (
            "A cell with both granules and a nucleus that is round.",
            &[("granularity", "yes"), ("nucleus_shape", "unsegmented-round")],
        ),
        (
            "The nucleus is round and fills most of the cell.",
            &[("nucleus_shape", "unsegmented-round"), ("nuclear_cytoplasmic_ratio", "high")],
        ),
        ("The cytoplasm is not frosted or vacuolated.", &[("cytoplasm_texture", "clear"), ("cytoplasm_vacuole", "no")]),
    ];
    for (text, facts) in cases {
        let claimed: Vec<Fact> = facts.iter().copied().map(fact).collect();
        let verdict = verifier.verify(text, Some(&claimed), None, None);
        assert_eq!(verdict.outcome, Outcome::Faithful, "{text}: {:?}", verdict.faults());
    }
}

#[test]
fn open_or_misplaced_statements_are_refused() {
    let verifier = verifier();
    for (text, kind) in [
        ("A large or round cell.", FaultKind::Hedged),
        ("A cell with granules or vacuoles.", FaultKind::Hedged),
        ("A roughly round cell.", FaultKind::Hedged),
        ("Is this a small basophil?", FaultKind::Hedged),
        ("A small basophil?", FaultKind::Hedged),
        ("Does the neutrophil have pink granules?", FaultKind::Hedged),
        ("The nucleus of this monocyte is vacuolated.", FaultKind::WrongNoun),
        ("The cell has a nucleus and is dense.", FaultKind::WrongNoun),
        ("A lymphocyte is a cell that contains blood cells.", FaultKind::WrongNoun),
        ("The nucleus is unsegmented.", FaultKind::Contradicted),
        ("The nucleus is segmented and round.", FaultKind::Contradicted),
        ("Here is the caption: a round cell.", FaultKind::LeakedInstruction),
        ("The cell is not only round but large.", FaultKind::Hedged),
        ("Not all of the chromatin is dense.", FaultKind::Hedged),
        ("The granules are not readily visible.", FaultKind::Hedged),
        ("The cytoplasm is not free of vacuoles.", FaultKind::Contradicted),
        ("The cell does not lack granules.", FaultKind::Contradicted),
        ("The granules are pink, and the vacuoles are not.", FaultKind::Contradicted),
        ("The nuclear solidity is above 0.90.", FaultKind::Number),
        ("The cell diameter is over 14 µm.", FaultKind::Number),
        ("The cytoplasm fills most of the cell.", FaultKind::WrongNoun),
        ("The nucleus fills the round cell.", FaultKind::WrongNoun),
        ("A round cell next to a lymphocyte.", FaultKind::WrongNoun),
        ("A round cell surrounded by lymphocytes.", FaultKind::WrongNoun),
        ("Neutrophils can have pink granules.", FaultKind::Hedged),
        ("The cell is round, so to speak.", FaultKind::Hedged),
        ("How large is the cell?", FaultKind::Hedged),
        ("Which cell is a neutrophil?", FaultKind::Hedged),
        ("The nucleus has an irregular outline.", FaultKind::WrongNoun),
        ("Vacuoles in the nucleus.", FaultKind::WrongNoun),
        ("A clear cytoplasm shows in the nucleus.", FaultKind::WrongNoun),
        ("A large cell is seen with cytoplasm.", FaultKind::WrongNoun),
        ("A segmented, irregular nucleus.", FaultKind::Contradicted),
        ("A lymphocyte with a central nucleus.", FaultKind::Unread),
        ("A round nucleus and a second nucleus.", FaultKind::Unread),
    ] {
        let faults = verifier.verify(text, None, None, None).faults();
        assert!(faults.iter().any(|f| f.kind == kind), "{text}: {faults:?}");
    }
}

#[test]
fn what_follows_from_a_statement_is_said_with_it() {
    let verifier = verifier();
    let outcome = |text: &str, facts: &[(&str, &str)]| {
        let claimed: Vec<Fact> = facts.iter().copied().map(fact).collect();
        verifier.verify(text, Some(&claimed), None, None).outcome
    };
    let pink = [("granularity", "yes"), ("granule_colour", "pink")];
    assert_eq!(outcome("Pink granules.", &pink), Outcome::Faithful);
    assert_eq!(outcome("Granules are present.", &pink), Outcome::Incomplete);
    assert_eq!(outcome("Pink granules.", &[("granularity", "no")]), Outcome::Unfaithful);
    assert_eq!(outcome("No granules.", &[("granularity", "no"), ("granule_type", "nil")]), Outcome::Faithful);
}

#[test]
fn types_of_ones_own_are_read_or_known_to_be_unreadable() {
    let mut types = CellTypes::builtin();
    for name in ["blast", "healthy", "nk", "mast_cell", "round", "no"] {
        types.add(CellType::new(name), &[]);
    }
    let verifier = Verifier::new(&AttributeSchema::wbcatt(), &types);
    for (name, readable) in
        [("blast", true), ("healthy", true), ("nk", true), ("mast_cell", true), ("round", false), ("no", false)]
    {
        assert_eq!(verifier.reads_type(&CellType::new(name)), readable, "{name}");
    }
    let claimed = [fact(("type", "blast")), fact(("nucleus_shape", "unsegmented-round"))];
    let verdict = verifier.verify("a blast with a round nucleus", Some(&claimed), None, None);
    assert_eq!(verdict.outcome, Outcome::Faithful, "{:?}", verdict.faults());
}

#[test]
fn endless_texts_are_refused_unread() {
    let faults = verifier().verify(&"large ".repeat(200_000), None, None, None).faults();
    assert!(faults.iter().any(|f| f.kind == FaultKind::TooLong), "{faults:?}");
}
