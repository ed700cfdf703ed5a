//! What the terms around a place tell, before anything is bound to a noun.

use crate::lexicon::Term;
use crate::vocabulary::Noun;

/// Whether a question leaves open what it names: `is it round?`, `how large is the cell?`, `which cell is a neutrophil?`
pub(crate) fn is_open(question: &[Term]) -> bool {
    match question {
        [Term::Aux(_) | Term::Link | Term::Verb, ..] | [Term::How, Term::Modifier(_), ..] => true,
        [Term::Which, Term::Noun(Noun::Cell), Term::Link, ..] => question.iter().any(|t| matches!(t, Term::Type(_))),
        _ => !question.iter().any(|t| matches!(t, Term::Which | Term::How)),
    }
}

/// `a cell with granules is visible in its cytoplasm`: what is visible is the cell, not the granules.
pub(crate) fn places_whole_cell(terms: &[Term], within: usize) -> bool {
    let [.., noun, Term::Link, Term::Present] = &terms[..within] else { return false };
    let joint =
        |t: &Term| matches!(t, Term::And | Term::But | Term::Or | Term::Comma | Term::Colon | Term::Stop | Term::Asked);
    let clause = &terms[terms[..within].iter().rposition(joint).map_or(0, |i| i + 1)..within];
    let whole = matches!(clause.iter().find(|t| is_head(t)), Some(Term::Type(_) | Term::Noun(Noun::Cell)));
    let part = terms[within..].iter().find(|t| is_head(t));
    let inner = matches!(part, Some(Term::Noun(Noun::Cytoplasm | Noun::Nucleus | Noun::Chromatin)));
    is_head(noun) && whole && clause.iter().any(|t| matches!(t, Term::Break | Term::Verb)) && inner
}

pub(crate) fn is_head(term: &Term) -> bool {
    matches!(term, Term::Noun(_) | Term::Type(_) | Term::Whole(_) | Term::Quantity(_))
}

pub(crate) fn ends_clause(term: &Term) -> bool {
    matches!(term, Term::Stop | Term::Comma)
}

pub(crate) enum Ahead {
    /// Only modifiers in between.
    Next,
    /// Behind a comma or `and`.
    Beyond,
}

pub(crate) fn noun_ahead(terms: &[Term]) -> Option<Ahead> {
    let mut beyond = false;
    for term in terms {
        match term {
            Term::Modifier(_) | Term::Unknown(_) | Term::Hedge(_) | Term::Invention(_) => {}
            Term::Comma | Term::And | Term::But | Term::Or => beyond = true,
            term if is_head(term) => return Some(if beyond { Ahead::Beyond } else { Ahead::Next }),
            _ => return None,
        }
    }
    None
}
