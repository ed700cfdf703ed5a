use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Shares of an attribute's values.
type Shares = &'static [(&'static str, f64)];

/// A type with the shares of its attributes' values.
struct TypeTable {
    name: &'static str,
    shares: [Shares; 11],
}

/// WBCAtt's attributes in its order.
pub(super) const ATTRIBUTES: [&str; 11] = [
    "cell_size",
    "cell_shape",
    "nucleus_shape",
    "nuclear_cytoplasmic_ratio",
    "chromatin_density",
    "cytoplasm_vacuole",
    "cytoplasm_texture",
    "cytoplasm_colour",
    "granule_type",
    "granule_colour",
    "granularity",
];

/// Shares counted in the train split of WBCAtt (Tsutsui et al. 2023); values below half a percent are left out.
const TYPES: [TypeTable; 5] = [
    TypeTable {
        name: "neutrophil",
        shares: [
            &[("big", 0.60), ("small", 0.40)],
            &[("round", 0.77), ("irregular", 0.23)],
            &[
                ("unsegmented-band", 0.67),
                ("segmented-bilobed", 0.19),
                ("segmented-multilobed", 0.13),
                ("irregular", 0.01),
            ],
            &[("low", 1.0)],
            &[("densely", 0.99), ("loosely", 0.01)],
            &[("no", 0.97), ("yes", 0.03)],
            &[("clear", 1.0)],
            &[("light blue", 1.0)],
            &[("small", 1.0)],
            &[("pink", 0.975), ("purple", 0.025)],
            &[("yes", 1.0)],
        ],
    },
    TypeTable {
        name: "eosinophil",
        shares: [
            &[("big", 0.635), ("small", 0.365)],
            &[("round", 0.92), ("irregular", 0.08)],
            &[
                ("segmented-bilobed", 0.695),
                ("segmented-multilobed", 0.18),
                ("unsegmented-band", 0.11),
                ("irregular", 0.01),
                ("unsegmented-indented", 0.005),
            ],
            &[("low", 1.0)],
            &[("densely", 0.99), ("loosely", 0.01)],
            &[("no", 1.0)],
            &[("clear", 1.0)],
            &[("light blue", 1.0)],
            &[("round", 1.0)],
            &[("red", 1.0)],
            &[("yes", 1.0)],
        ],
    },
    TypeTable {
        name: "basophil",
        shares: [
            &[("small", 0.74), ("big", 0.26)],
            &[("round", 0.89), ("irregular", 0.11)],
            &[
                ("irregular", 0.41),
                ("segmented-bilobed", 0.29),
                ("segmented-multilobed", 0.18),
                ("unsegmented-band", 0.075),
                ("unsegmented-round", 0.03),
                ("unsegmented-indented", 0.015),
            ],
            &[("low", 1.0)],
            &[("densely", 1.0)],
            &[("no", 1.0)],
            &[("clear", 1.0)],
            &[("light blue", 0.995), ("purple blue", 0.005)],
            &[("coarse", 1.0)],
            &[("purple", 1.0)],
            &[("yes", 1.0)],
        ],
    },
    TypeTable {
        name: "lymphocyte",
        shares: [
            &[("small", 0.99), ("big", 0.01)],
            &[("round", 0.675), ("irregular", 0.325)],
            &[("unsegmented-round", 0.78), ("unsegmented-indented", 0.19), ("irregular", 0.03)],
            &[("high", 0.92), ("low", 0.08)],
            &[("densely", 0.98), ("loosely", 0.02)],
            &[("no", 1.0)],
            &[("frosted", 0.64), ("clear", 0.36)],
            &[("blue", 0.61), ("purple blue", 0.355), ("light blue", 0.035)],
            &[("nil", 1.0)],
            &[("nil", 1.0)],
            &[("no", 1.0)],
        ],
    },
    TypeTable {
        name: "monocyte",
        shares: [
            &[("big", 0.87), ("small", 0.13)],
            &[("irregular", 0.57), ("round", 0.43)],
            &[("unsegmented-indented", 0.73), ("irregular", 0.20), ("unsegmented-round", 0.07)],
            &[("low", 0.925), ("high", 0.075)],
            &[("loosely", 0.59), ("densely", 0.41)],
            &[("no", 0.53), ("yes", 0.47)],
            &[("frosted", 0.88), ("clear", 0.12)],
            &[("blue", 0.457), ("purple blue", 0.457), ("light blue", 0.086)],
            &[("nil", 1.0)],
            &[("nil", 1.0)],
            &[("no", 1.0)],
        ],
    },
];

/// What a cell is to look like.
#[derive(Clone, Debug)]
pub(super) struct Traits {
    pub(super) cell_type: &'static str,
    values: [&'static str; 11],
}

impl Traits {
    /// Types take turns; attributes are drawn independently within the type.
    pub(super) fn draw(number: usize, rng: &mut ChaCha8Rng) -> Self {
        let table = &TYPES[number % TYPES.len()];
        Self { cell_type: table.name, values: table.shares.map(|shares| pick(shares, rng)) }
    }

    /// Attribute names with their values.
    pub(super) fn values(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        ATTRIBUTES.into_iter().zip(self.values)
    }

    pub(super) fn get(&self, attribute: &str) -> &'static str {
        self.values().find(|(name, _)| *name == attribute).map_or("", |(_, value)| value)
    }

    pub(super) fn is(&self, attribute: &str, value: &str) -> bool {
        self.get(attribute) == value
    }
}

fn pick(shares: Shares, rng: &mut ChaCha8Rng) -> &'static str {
    let total: f64 = shares.iter().map(|(_, share)| share).sum();
    let mut left = rng.random::<f64>() * total;
    for (value, share) in shares {
        if left < *share {
            return value;
        }
        left -= share;
    }
    shares[0].0
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::{AttributeSchema, CellTypes, seeded_rng};

    #[test]
    fn every_name_is_one_of_wbcatt() {
        let (schema, types) = (AttributeSchema::wbcatt(), CellTypes::builtin());
        assert_eq!(ATTRIBUTES.len(), schema.attributes.len());
        for table in &TYPES {
            assert!(types.canonical(table.name).is_some());
            for (attribute, shares) in ATTRIBUTES.iter().zip(&table.shares) {
                assert!((shares.iter().map(|s| s.1).sum::<f64>() - 1.0).abs() < 0.011, "{} {attribute}", table.name);
                shares.iter().for_each(|(value, _)| assert!(schema.locate(attribute, value).is_ok(), "{value}"));
            }
        }
    }

    #[test]
    fn shares_are_met() {
        let mut rng = seeded_rng(&[1]);
        let bands = (0..2000).filter(|_| Traits::draw(0, &mut rng).is("nucleus_shape", "unsegmented-band")).count();
        assert!((1270..1420).contains(&bands), "{bands}");
    }
}
