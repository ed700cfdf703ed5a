//! What has to be asked: templates, and the shares that they are put together from, each once.

use super::run::{ModelCaptioner, RunOptions};
use crate::config::Method;
use crate::grammar::{Register, caption_seed};
use crate::shares::{Cut, Numbers, Share, ShareOptions};
use crate::template::DescriptionKey;
use std::collections::HashMap;
use wbc_core::{CellDescription, seeded_rng};

/// Most facts of a label.
const LABEL_FACTS: usize = 3;

/// One text that a model is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    pub(crate) share: Share,
    pub(crate) register: Register,
    pub(crate) variant: u32,
}

/// One template, put together from units.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) key: DescriptionKey,
    /// Position among the descriptions.
    pub(crate) cell: usize,
    pub(crate) register: Register,
    pub(crate) units: Vec<usize>,
    /// How they are put together.
    pub(crate) style: u32,
}

/// Everything that one model is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) units: Vec<Unit>,
    pub(crate) templates: Vec<Planned>,
}

impl Plan {
    pub(crate) fn new(
        member: &ModelCaptioner,
        position: usize,
        cells: &[(DescriptionKey, CellDescription<'_>)],
        options: &RunOptions<'_>,
    ) -> Self {
        let mut plan = Self::default();
        let mut known: HashMap<(String, Register, u32), usize> = HashMap::new();
        // Its captions would never be drawn.
        let cells = if member.weight > 0.0 { cells } else { &[] };
        for (cell, (key, description)) in cells.iter().enumerate() {
            for t in 0..options.templates {
                let seed = caption_seed(seed_of(*key, options.seed), (t * 64 + position) as u64);
                let mut rng = seeded_rng(&[seed]);
                let register = member.registers[rand::Rng::random_range(&mut rng, 0..member.registers.len())];
                let share_options = ShareOptions {
                    cut: match member.method {
                        Method::Caption => Cut::Whole,
                        Method::Sentence => Cut::Sentence,
                        Method::Fact => Cut::Fact,
                    },
                    numbers: match (member.measurements && register != Register::Label, options.per_cell) {
                        (false, _) => Numbers::None,
                        (true, false) => Numbers::Holes,
                        (true, true) => Numbers::Stated,
                    },
                    max_facts: if register == Register::Label {
                        LABEL_FACTS.min(member.max_facts)
                    } else {
                        member.max_facts
                    },
                    variants: member.wordings,
                };
                let shares = member.grammar.shares(description, share_options, seed);
                let units = shares
                    .into_iter()
                    .map(|(share, variant)| {
                        // Whole captions are asked for anew each time: their facts differ anyway.
                        let variant = if member.method == Method::Caption { t as u32 } else { variant };
                        let name = (format!("{:?} {:?} {}", share.facts, share.hole, share.text), register, variant);
                        *known.entry(name).or_insert_with(|| {
                            plan.units.push(Unit { share, register, variant });
                            plan.units.len() - 1
                        })
                    })
                    .collect();
                let style = rand::Rng::random(&mut rng);
                plan.templates.push(Planned { key: *key, cell, register, units, style });
            }
        }
        plan
    }
}

fn seed_of(key: DescriptionKey, seed: u64) -> u64 {
    key.seed() ^ seed.rotate_left(17)
}
