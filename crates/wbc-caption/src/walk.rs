//! Goes through the terms of a text once and binds modifiers, negations and numbers to the nearest noun of their clause.

use crate::function_words::{NOUN_LIKE, TRAILING};
use crate::lexicon::{Term, limited};
use crate::lookahead::{Ahead, ends_clause, is_head, is_open, noun_ahead, places_whole_cell};
use crate::mention::{Head, Mention, Number, name};
use crate::verify::Problem;
use crate::vocabulary::Noun;

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

/// The state of a reading.
#[derive(Default)]
pub(crate) struct Walk {
    pub(crate) mentions: Vec<Mention>,
    pub(crate) numbers: Vec<(Option<usize>, Number)>,
    pub(crate) problems: Vec<Problem>,
    /// Modifiers that wait for their noun.
    waiting: Vec<String>,
    /// Modifiers before any noun of the sentence.
    orphans: Vec<String>,
    /// Whether something in the sentence can carry them to a noun: `a hue`, `is seen`, `irregular in shape, the cell …`.
    carried: bool,
    /// First mention of the sentence before, of the sentence, and of the part between commas.
    earlier: usize,
    sentence: usize,
    clause: usize,
    /// First term of the sentence.
    start: usize,
    /// The sentence before was a question.
    asked: bool,
    link: Link,
    /// What the link speaks of, where that is not the last mention.
    subject: Option<usize>,
    /// What the last verb spoke of: `the cell has granules and is round`.
    topic: Option<usize>,
    /// What `it` or `they` stands for.
    pronoun: Option<usize>,
    /// The first of two mentions that `both` joins.
    both: Option<usize>,
    negated: bool,
    /// Whether that negation covers `granules and vacuoles` as a whole, and the mention that it met.
    spreads: bool,
    spread: Option<usize>,
    /// The mention before `is`, until something else than a determiner or an adjective follows.
    copula: Option<usize>,
    /// The mention before `in`.
    place: Option<usize>,
    /// The mention before `of this`.
    genitive: Option<usize>,
    /// The mention before `has`.
    owner: Option<usize>,
    /// A cell or part that something has.
    owned: Option<usize>,
    /// What follows is a neighbour.
    beside: bool,
}

impl Walk {
    pub(crate) fn through(terms: &[Term]) -> Self {
        let mut walk = Self::default();
        for at in 0..terms.len() {
            walk.step(terms, at);
        }
        walk.stop(None, terms.len());
        walk
    }

    fn step(&mut self, terms: &[Term], at: usize) {
        let before = at.checked_sub(1).map(|i| &terms[i]);
        let next = terms.get(at + 1);
        // `a small, irregular cell`
        let between = terms[at] == Term::Comma && !self.waiting.is_empty();
        if !is_head(&terms[at]) && !between && !matches!(terms[at], Term::Determiner | Term::Modifier(_)) {
            (self.copula, self.place, self.owner, self.genitive) = (None, None, None, None);
            self.beside = false;
        }
        self.carried |= matches!(terms[at], Term::Dimension(_) | Term::Respect(_) | Term::Link | Term::Present);
        match &terms[at] {
            Term::Noun(noun) => self.mention(Head::Noun(*noun), terms, at),
            Term::Quantity(i) => self.mention(Head::Quantity(*i), terms, at),
            Term::Type(value) => self.mention(Head::Type(value.clone()), terms, at),
            Term::Whole(value) => self.mention(Head::Whole(*value), terms, at),
            Term::Modifier(word) => self.modifier(word, terms, at),
            // `vacuoles are lacking`, `granules are seen, vacuoles are not`
            Term::Negation(lacking)
                if before == Some(&Term::Link)
                    && next.is_none_or(ends_clause)
                    && (*lacking || terms[self.start..at].contains(&Term::Present)) =>
            {
                self.absent();
            }
            Term::Negation(spreads) => {
                if self.negated && before != Some(&Term::Or) {
                    // `not free of vacuoles`
                    self.problems.push(Problem::Denied { what: "a denial".into() });
                }
                (self.negated, self.spreads) = (true, *spreads);
            }
            Term::Absent => self.absent(),
            // `no visible granules`
            Term::Present if next.is_some_and(|t| is_head(t) || matches!(t, Term::Modifier(_))) => {}
            Term::Present => {
                if let (true, Some(last)) = (self.negated, self.spoken_of()) {
                    self.negated = false;
                    self.deny(last);
                }
            }
            Term::Respect(i) => self.limit(*i),
            Term::Link => {
                let subject = self.subject_of(before);
                // `both granules and a nucleus that is round`
                self.both = self.both.filter(|_| before.is_some_and(is_head));
                self.link = if subject.is_some() { Link::Long } else { Link::None };
                (self.copula, self.subject, self.topic) = (subject, subject, subject);
            }
            Term::Verb => {
                let subject = self.subject_of(before);
                (self.owner, self.topic, self.subject) = (subject, subject, None);
                self.detach(before);
            }
            Term::Of => {
                self.link = if self.last().is_some() { Link::Short } else { Link::None };
                self.genitive = self.last().filter(|_| matches!(next, Some(Term::Determiner | Term::Type(_))));
            }
            Term::ShortLink => self.link = if self.last().is_some() { Link::Short } else { Link::None },
            Term::Colon => {
                self.dangling();
                let names = self.last().is_some() && before.is_some_and(is_head);
                self.link = if names { Link::Long } else { Link::None };
            }
            Term::Determiner => self.link = Link::None,
            Term::Break => {
                // `the nucleus is round, with pink granules`
                self.owner = self.last().filter(|_| !matches!(before, Some(Term::Comma | Term::And | Term::But)));
                self.detach(before);
            }
            Term::Joint => self.detach(before),
            Term::Beside => {
                self.beside = true;
                self.detach(before);
            }
            Term::Within => {
                if places_whole_cell(terms, at) {
                    self.problems.push(Problem::Unbound { word: "cell".into(), noun: "its part".into() });
                }
                self.place = self.last();
                self.detach(before);
            }
            Term::Or => self.or(),
            Term::And | Term::But => self.dangling(),
            Term::Comma => {
                self.dangling();
                // `irregular in shape, the cell …`
                self.carried |= self.last().is_none();
                self.clause = self.mentions.len();
                if self.link == Link::Short {
                    self.link = Link::None;
                }
            }
            Term::Stop => self.stop(None, at),
            Term::Asked => self.stop(Some((&terms[self.start..at], next)), at),
            Term::Number(value, decimals) => {
                let unit = match next {
                    Some(Term::Unit(unit)) => Some(*unit),
                    _ => None,
                };
                let about = matches!(before, Some(Term::About(_)));
                let ahead = at.checked_sub(1 + usize::from(about)).map(|i| &terms[i]);
                if matches!(ahead, Some(Term::Joint | Term::Beside | Term::Within)) {
                    // `above 0.90`
                    self.problems.push(Problem::Number { value: *value });
                }
                self.number(Number { value: *value, decimals: *decimals, about, unit });
            }
            Term::About(word) if !matches!(next, Some(Term::Number(..))) => {
                if *word == "around" {
                    self.detach(before);
                } else {
                    self.problems.push(Problem::Hedged { word: (*word).to_owned() });
                }
            }
            // `the granules inside it are red`
            Term::Pronoun { .. } if matches!(before, Some(Term::Within | Term::Break | Term::Joint | Term::Of)) => {
                self.pronoun = self.last();
            }
            Term::Pronoun { plural } => self.pronoun = self.antecedent(*plural),
            Term::Both => self.both = Some(self.mentions.len()),
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
            // `not only round`, `not all of the chromatin`
            Term::Filler if matches!(before, Some(Term::Negation(_))) => {
                self.problems.push(Problem::Hedged { word: "not".into() });
            }
            // `neutrophils can have pink granules`
            Term::Aux(word) if *word == "can" && at > self.start => {
                self.problems.push(Problem::Hedged { word: "can".into() });
            }
            Term::About(_) | Term::Aux(_) | Term::Yes | Term::Which | Term::How | Term::That | Term::Unit(_) => {}
            Term::Filler => {}
            // The lexicon settles these.
            Term::Granulocyte | Term::Kind(_) | Term::Instead => {}
        }
    }

    /// The last mention of the sentence.
    fn last(&self) -> Option<usize> {
        (self.mentions.len() > self.sentence).then(|| self.mentions.len() - 1)
    }

    /// What a predicate at this place is about.
    fn spoken_of(&self) -> Option<usize> {
        self.subject.filter(|_| self.link != Link::None).or(self.last())
    }

    /// What a verb speaks of.
    fn subject_of(&self, before: Option<&Term>) -> Option<usize> {
        let first = (self.mentions.len() > self.sentence).then_some(self.sentence);
        match before {
            // `granules in the cytoplasm are pink`
            Some(term) if is_head(term) => self.last().map(|i| self.whole_of(i)),
            Some(Term::Pronoun { .. }) => self.pronoun,
            // `the cell has granules and is round`
            Some(Term::And | Term::But | Term::Comma) => self.topic.or(first),
            // `the nucleus of this cell also is round`
            Some(Term::Filler) => self.last().map(|i| self.whole_of(i)),
            _ => self.last(),
        }
    }

    /// What a mention is only the place or owner of.
    fn whole_of(&self, mut mention: usize) -> usize {
        while let Some(inner) = self.mentions[mention].inside {
            mention = inner;
        }
        mention
    }

    /// What a pronoun stands for: things that are many, or what the sentence before was about.
    fn antecedent(&self, plural: bool) -> Option<usize> {
        let many = |i: &usize| matches!(self.mentions[*i].head, Head::Noun(Noun::Granule | Noun::Vacuole));
        let mut earlier = self.earlier..self.mentions.len();
        match plural {
            true => earlier.clone().rev().find(many).or(earlier.next()),
            false if self.last().is_some() => self.topic.or(Some(self.sentence)),
            false => earlier.find(|i| !many(i)),
        }
    }

    fn absent(&mut self) {
        match self.spoken_of() {
            Some(mention) => self.deny(mention),
            None => self.problems.push(Problem::Unread { word: "absent".into() }),
        }
    }

    /// A preposition or verb ends what came before it; `does not contain` denies what follows, and `not stained in any
    /// colour` denies nothing that is named.
    fn detach(&mut self, before: Option<&Term>) {
        if !matches!(before, Some(Term::Negation(_))) {
            self.dangling();
        }
        self.link = Link::None;
    }

    /// `or` goes on denying what was denied; otherwise it leaves open which of two is so.
    fn or(&mut self) {
        let denied = self.spoken_of().is_some_and(|i| {
            let mention = &self.mentions[i];
            let modifier = mention.modifiers.last().filter(|_| self.link != Link::None);
            mention.denied || modifier.is_some_and(|m| m.1)
        });
        if denied {
            self.negated = true;
        } else if !self.negated {
            self.problems.push(Problem::Hedged { word: "or".into() });
        }
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
        let subject = self.spoken_of();
        let bound = match (self.waiting.last_mut(), self.orphans.last_mut()) {
            (Some(word), _) | (None, Some(word)) => Some(word),
            (None, None) => subject.and_then(|i| self.mentions[i].modifiers.last_mut()).map(|m| &mut m.0),
        };
        if let Some(word) = bound {
            *word = limited(word, respect);
        }
    }

    fn mention(&mut self, head: Head, terms: &[Term], at: usize) {
        let (place, owner, genitive) = (self.place.take(), self.owner.take(), self.genitive.take());
        self.subject = None;
        if std::mem::take(&mut self.beside) && matches!(head, Head::Type(_) | Head::Noun(Noun::Cell)) {
            // another cell than the one that is described
            self.problems.push(Problem::Unbound { word: name(&head), noun: "neighbours".into() });
        }
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
        let denied =
            std::mem::take(&mut self.negated) || (modifiers.is_empty() && self.shares_denial(&head, terms, at));
        if denied && self.spreads {
            self.spread = Some(self.mentions.len());
        }
        if owner.is_some() && matches!(head, Head::Noun(Noun::Cell | Noun::Nucleus | Noun::Chromatin | Noun::Cytoplasm))
        {
            self.owned = Some(self.mentions.len());
        }
        let whole = matches!(head, Head::Type(_) | Head::Noun(Noun::Cell | Noun::Nucleus | Noun::Cytoplasm));
        let inside = place.or(genitive.filter(|_| whole));
        self.mentions.push(Mention { head, denied, modifiers, measured: false, inside });
        self.link = Link::None;
    }

    /// `free of vacuoles and granules`, `lacks both vacuoles and granules`
    fn shares_denial(&self, head: &Head, terms: &[Term], at: usize) -> bool {
        let Some(last) = self.mentions.len().checked_sub(1) else { return false };
        let joined = matches!(terms[..at], [.., ref noun, Term::And] if is_head(noun));
        let after = terms[at + 1..].iter().find(|t| **t != Term::Filler);
        let seen = matches!(after, Some(Term::Present | Term::Link | Term::Verb | Term::Aux(_)));
        let many = matches!(head, Head::Noun(Noun::Granule | Noun::Vacuole));
        self.mentions[last].denied && joined && many && !seen && (self.spread == Some(last) || self.both == Some(last))
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
            Head::Noun(Noun::Nucleus)
                if matches!(head(last), Head::Noun(Noun::Granule | Noun::Vacuole | Noun::Cytoplasm)) =>
            {
                true
            }
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
            // `the nucleus has an irregular outline`
            Head::Noun(Noun::CellShape | Noun::CellSize) => !matches!(owner, Head::Noun(Noun::Cell) | Head::Type(_)),
            Head::Noun(Noun::Granule | Noun::Vacuole) => matches!(owner, Head::Noun(Noun::Nucleus | Noun::Chromatin)),
            _ => false,
        }
    }

    fn modifier(&mut self, word: &str, terms: &[Term], at: usize) {
        let before = at.checked_sub(1).map(|i| &terms[i]);
        let beside = before.is_some_and(is_head);
        let after_noun = self.link != Link::None || beside;
        let forward = match noun_ahead(&terms[at + 1..]) {
            Some(Ahead::Next) => true,
            Some(Ahead::Beyond) => !after_noun,
            None => false,
        };
        if forward {
            return self.waiting.push(word.to_owned());
        }
        let named = before == Some(&Term::Determiner);
        let rest =
            terms[at + 1..].iter().find(|t| !matches!(t, Term::Modifier(_) | Term::Comma | Term::And | Term::But));
        let dimension = matches!(rest, Some(Term::Dimension(_) | Term::Respect(_)));
        // `a light blue`, and `the nucleus is a band` but not `has a band`
        let alone =
            NOUN_LIKE.iter().any(|end| word.ends_with(end)) && (self.subject.is_some() || !word.ends_with("band"));
        if named && !dimension && !alone {
            // `the monocyte is a round`
            return self.problems.push(Problem::Unbound { word: word.to_owned(), noun: String::new() });
        }
        // `a monocyte, irregular in shape`: behind a comma too, where no other noun follows.
        let apposed = matches!(before, Some(Term::Comma | Term::And | Term::But));
        let about = matches!(terms.get(at + 1), Some(Term::Dimension(_)));
        // `the cytoplasm of this cell takes on a blue tint`
        let subject = self.subject.filter(|_| self.link != Link::None || about || named);
        // `the nucleus of this cell consists of two lobes`
        let verb = word.starts_with("consists ") || word.starts_with("is composed ") || word.ends_with(" cell");
        let subject = if verb { self.subject_of(before) } else { subject };
        let target =
            subject.or(self.last()).filter(|i| self.link != Link::None || *i >= self.clause || apposed || about);
        match target {
            Some(last) => {
                let denied = std::mem::take(&mut self.negated);
                let other = self.both.filter(|both| both + 1 == last && self.link != Link::None);
                for mention in other.into_iter().chain([last]) {
                    self.mentions[mention].modifiers.push((word.to_owned(), denied));
                }
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

    /// Ends a sentence at a term; `question` holds its terms and what follows, where it is one.
    fn stop(&mut self, question: Option<(&[Term], Option<&Term>)>, at: usize) {
        if let Some((terms, answer)) = question
            && is_open(terms)
            && answer != Some(&Term::Yes)
        {
            self.problems.push(Problem::Hedged { word: "?".into() });
        }
        if let (true, None, Some(asked)) = (self.asked, self.last(), self.sentence.checked_sub(1)) {
            // `What shape is the nucleus? Round.`
            let answer: Vec<_> = self.orphans.drain(..).map(|m| (m, false)).collect();
            let asked = self.whole_of(asked);
            self.mentions[asked].modifiers.extend(answer);
        }
        if let Some(owned) = self.owned.take() {
            let (last, mention) = (owned + 1 == self.mentions.len(), &self.mentions[owned]);
            let cell = matches!(mention.head, Head::Noun(Noun::Cell));
            if mention.modifiers.is_empty() && (last || cell) {
                // `a lymphocyte contains cells`, `it is seen with cytoplasm`
                self.problems.push(Problem::Unbound { word: name(&mention.head), noun: "nothing said of it".into() });
            }
        }
        self.flush();
        self.asked = question.is_some() && self.last().is_some();
        if self.last().is_some() {
            self.earlier = self.sentence;
        }
        (self.link, self.carried, self.start) = (Link::None, false, at + 1);
        (self.sentence, self.clause) = (self.mentions.len(), self.mentions.len());
        (self.subject, self.topic, self.pronoun, self.both, self.spread) = (None, None, None, None, None);
    }

    fn flush(&mut self) {
        self.dangling();
        let waiting = self.orphans.drain(..).chain(self.waiting.drain(..));
        self.problems.extend(waiting.map(|word| Problem::Unbound { word, noun: String::new() }));
    }
}
