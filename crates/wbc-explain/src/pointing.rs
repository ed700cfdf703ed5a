//! Does a map point to what its phrase is about?

use crate::HeatField;
use wbc_core::{Attribute, Mask};
use wbc_morphology::Compartment;

/// Words that only the nucleus and only the cytoplasm are described by.
const OF_NUCLEUS: [&str; 5] = ["nucleus", "nuclei", "nuclear", "chromatin", "nucleol"];
const OF_CYTOPLASM: [&str; 3] = ["cytoplasm", "granul", "vacuole"];

/// What the phrases of an attribute are about, by the words in its names: chromatin is in the nucleus, granules and
/// vacuoles are in the cytoplasm, and what names both or neither is about the whole cell.
pub fn compartment_of_attribute(attribute: &Attribute) -> Compartment {
    let names = format!("{} {}", attribute.name, attribute.title).to_lowercase();
    let any = |words: &[&str]| words.iter().any(|w| names.contains(w));
    match (any(&OF_NUCLEUS), any(&OF_CYTOPLASM)) {
        (true, false) => Compartment::Nucleus,
        (false, true) => Compartment::Cytoplasm,
        _ => Compartment::Cell,
    }
}

/// How well a map points to a part of the cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pointing {
    /// Whether the largest value lies in the part: the pointing game (Zhang et al. 2018, section 4.1), without tolerance.
    /// A flat map points nowhere, which is a miss.
    pub hit: bool,
    /// Share of all positive values that lies in the part: the energy-based pointing game (Wang et al. 2020, Score-CAM,
    /// section 4.3). `None` for a map without positive values.
    pub energy: Option<f64>,
    /// Whether the centre of the view lies in the part: what a map that knows nothing of the cell would hit.
    pub centre: bool,
    /// Share of the view's area that the part takes: what a random map would hit.
    pub area: f64,
}

impl Pointing {
    /// Compares a map with a part of the cell in the same coordinates; `None` for an empty part or one of another size.
    pub fn new(field: &HeatField, part: &Mask) -> Option<Self> {
        let side = field.side();
        let inside = part.as_slice();
        let area = part.area_px();
        if area == 0 || (part.width(), part.height()) != (side, side) {
            return None;
        }
        let mut largest = 0;
        for (i, v) in field.values().iter().enumerate() {
            if *v > field.values()[largest] {
                largest = i;
            }
        }
        let positive = |all: bool| -> f64 {
            let pixels = field.values().iter().zip(inside).filter(|(_, inside)| all || **inside);
            pixels.map(|(v, _)| f64::from(v.max(0.0))).sum()
        };
        let total = positive(true);
        Some(Self {
            hit: inside[largest] && !field.is_flat(),
            energy: (total > 0.0).then(|| positive(false) / total),
            centre: part.get(side as isize / 2, side as isize / 2),
            area: area as f64 / (side * side) as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::AttributeSchema;

    #[test]
    fn phrases_are_about_what_their_words_say() {
        let schema = AttributeSchema::wbcatt();
        let of = |part: Compartment| -> Vec<&str> {
            schema.attributes.iter().filter(|a| compartment_of_attribute(a) == part).map(|a| a.name.as_str()).collect()
        };
        assert_eq!(of(Compartment::Nucleus), ["nucleus_shape", "chromatin_density"]);
        let cytoplasm =
            ["cytoplasm_vacuole", "cytoplasm_texture", "cytoplasm_colour", "granule_type", "granule_colour"];
        assert_eq!(of(Compartment::Cytoplasm), [&cytoplasm[..], &["granularity"]].concat());
        assert_eq!(of(Compartment::Cell), ["cell_size", "cell_shape", "nuclear_cytoplasmic_ratio"]);
    }

    #[test]
    fn hits_and_energy_are_counted_by_hand() {
        let mut values = vec![0.0; 16];
        (values[5], values[6], values[15]) = (2.0, 1.0, 1.0);
        values[0] = -9.0;
        let field = HeatField::new(4, values).unwrap();
        let part = Mask::from_fn(4, 4, |x, y| y == 1 && x < 3);
        let pointing = Pointing::new(&field, &part).unwrap();
        assert_eq!(pointing, Pointing { hit: true, energy: Some(0.75), centre: false, area: 3.0 / 16.0 });
        let corner = Mask::from_fn(4, 4, |x, y| x > 1 && y > 1);
        assert_eq!(
            Pointing::new(&field, &corner).unwrap(),
            Pointing { hit: false, energy: Some(0.25), centre: true, area: 0.25 }
        );
        let nothing = HeatField::new(4, vec![-1.0; 16]).unwrap();
        assert_eq!(Pointing::new(&nothing, &part).unwrap().energy, None);
        let everywhere = Mask::from_fn(4, 4, |_, _| true);
        for flat in [-1.0, 0.0, 2.0] {
            let flat = HeatField::new(4, vec![flat; 16]).unwrap();
            assert!(!Pointing::new(&flat, &everywhere).unwrap().hit, "a flat map points nowhere");
        }
        assert!(Pointing::new(&field, &everywhere).unwrap().hit);
        assert!(Pointing::new(&field, &Mask::new(4, 4)).is_none());
        assert!(Pointing::new(&field, &Mask::from_fn(5, 5, |_, _| true)).is_none());
        assert!(HeatField::new(4, vec![0.0; 15]).is_none());
    }
}
