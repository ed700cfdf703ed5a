//! The tables of special wording. Everything here has a fallback built from the schema's own phrases.

/// What of the cell an attribute speaks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Cell,
    Nucleus,
    Chromatin,
    Cytoplasm,
    Granules,
    Other,
}

#[cfg(feature = "llm")]
impl Part {
    pub(crate) const ALL: [Self; 6] =
        [Self::Cell, Self::Nucleus, Self::Chromatin, Self::Cytoplasm, Self::Granules, Self::Other];
}

/// How one value is worded beyond the schema's phrases.
pub(crate) struct Saying {
    pub(crate) attribute: &'static str,
    pub(crate) value: &'static str,
    pub(crate) part: Part,
    /// Words before or after the part's noun.
    pub(crate) adjectives: &'static [&'static str],
    /// What follows `the <part>` in a sentence where no adjective does.
    pub(crate) predicates: &'static [&'static str],
    /// What may follow the part's noun in a noun phrase.
    pub(crate) tails: &'static [&'static str],
}

const fn saying(
    attribute: &'static str,
    value: &'static str,
    part: Part,
    adjectives: &'static [&'static str],
    predicates: &'static [&'static str],
    tails: &'static [&'static str],
) -> Saying {
    Saying { attribute, value, part, adjectives, predicates, tails }
}

use Part::{Cell, Chromatin, Cytoplasm, Granules, Nucleus};

/// WBCAtt's eleven attributes, in the order in which adjectives stand before a noun.
pub(crate) const SAYINGS: &[Saying] = &[
    saying("cell_size", "big", Cell, &["large", "big"], &[], &[]),
    saying("cell_size", "small", Cell, &["small"], &[], &[]),
    saying("cell_shape", "round", Cell, &["round", "rounded"], &["has a round outline"], &[]),
    saying("cell_shape", "irregular", Cell, &["irregular", "irregularly shaped"], &["has an irregular outline"], &[]),
    saying("nucleus_shape", "segmented-bilobed", Nucleus, &["bilobed"], &["has two lobes"], &[]),
    saying("nucleus_shape", "unsegmented-band", Nucleus, &["band-shaped"], &["is shaped like a band"], &[]),
    saying("nucleus_shape", "unsegmented-indented", Nucleus, &["indented", "kidney-shaped"], &[], &[]),
    saying("nucleus_shape", "segmented-multilobed", Nucleus, &["multilobed"], &["has several lobes"], &[]),
    saying("nucleus_shape", "unsegmented-round", Nucleus, &["round", "rounded"], &[], &[]),
    saying("nucleus_shape", "irregular", Nucleus, &["irregular", "irregularly shaped"], &[], &[]),
    saying("chromatin_density", "densely", Chromatin, &["dense", "densely packed", "condensed"], &[], &[]),
    saying("chromatin_density", "loosely", Chromatin, &["loose", "loosely packed", "open"], &[], &[]),
    saying("nuclear_cytoplasmic_ratio", "high", Cytoplasm, &["scant"], &[], &[]),
    saying("nuclear_cytoplasmic_ratio", "low", Cytoplasm, &["abundant"], &[], &[]),
    saying("granularity", "yes", Cytoplasm, &["granular"], &["contains granules"], &["with granules"]),
    saying(
        "granularity",
        "no",
        Cytoplasm,
        &["agranular"],
        &["contains no granules", "is free of granules"],
        &["without granules"],
    ),
    saying("cytoplasm_vacuole", "yes", Cytoplasm, &["vacuolated"], &["contains vacuoles"], &["with vacuoles"]),
    saying(
        "cytoplasm_vacuole",
        "no",
        Cytoplasm,
        &["vacuole-free"],
        &["contains no vacuoles", "is free of vacuoles"],
        &["without vacuoles", "free of vacuoles"],
    ),
    saying("cytoplasm_texture", "clear", Cytoplasm, &["clear"], &[], &[]),
    saying("cytoplasm_texture", "frosted", Cytoplasm, &["frosted"], &[], &[]),
    saying("cytoplasm_colour", "light blue", Cytoplasm, &["light blue", "pale blue"], &["stains light blue"], &[]),
    saying("cytoplasm_colour", "blue", Cytoplasm, &["blue"], &["stains blue"], &[]),
    saying("cytoplasm_colour", "purple blue", Cytoplasm, &["purple-blue"], &["stains purple-blue"], &[]),
    saying("granule_type", "small", Granules, &["small", "fine"], &[], &[]),
    saying("granule_type", "round", Granules, &["round", "rounded"], &[], &[]),
    saying("granule_type", "coarse", Granules, &["coarse"], &[], &[]),
    saying("granule_colour", "pink", Granules, &["pink"], &["stain pink"], &[]),
    saying("granule_colour", "red", Granules, &["red"], &["stain red"], &[]),
    saying("granule_colour", "purple", Granules, &["purple"], &["stain purple"], &[]),
];

/// An attribute and its value.
type Named = (&'static str, &'static str);

/// Phrases that fit a list of attributes but suggest the opposite inside a caption.
pub(crate) const AVOIDED: &[&str] = &["granules of no type", "granules of no colour"];

/// Facts that say nothing new once another is known, and sound odd: left out of whole sentences.
pub(crate) const IMPLIED: &[(Named, Named)] =
    &[(("granularity", "no"), ("granule_type", "nil")), (("granularity", "no"), ("granule_colour", "nil"))];

/// Facts that cannot both be true of one cell: the first excludes every value of the attribute but the named one.
pub(crate) const EXCLUSIONS: &[(Named, &str, &str)] =
    &[(("granularity", "no"), "granule_type", "nil"), (("granularity", "no"), "granule_colour", "nil")];

/// Words by which a type is called in a caption or prompt, the plain name apart.
pub(crate) const SPOKEN_TYPES: &[(&str, &[&str])] = &[
    ("basophil", &["basophil granulocyte", "basophilic granulocyte"]),
    ("eosinophil", &["eosinophil granulocyte", "eosinophilic granulocyte"]),
    ("neutrophil", &["neutrophil granulocyte", "neutrophilic granulocyte", "polymorphonuclear neutrophil"]),
    ("erythroblast", &["normoblast", "nucleated red blood cell"]),
    ("platelet", &["thrombocyte"]),
    ("atypical_lymphocyte", &["reactive lymphocyte", "variant lymphocyte"]),
    ("plasma_cell", &["plasmacyte"]),
];

/// Terms and the everyday words that stand for them.
pub(crate) const PLAIN_WORDS: &[(&str, &str)] =
    &[("granules", "grains"), ("nucleus", "core"), ("vacuoles", "bubbles"), ("cytoplasm", "cell fluid")];

/// What is usual for a type: the value that at least half of WBCAtt's training cells of the type have.
pub(crate) const NORMS: &[(&str, &[Named])] = &[
    (
        "basophil",
        &[
            ("cell_size", "small"),
            ("cell_shape", "round"),
            ("nuclear_cytoplasmic_ratio", "low"),
            ("chromatin_density", "densely"),
            ("cytoplasm_vacuole", "no"),
            ("cytoplasm_texture", "clear"),
            ("cytoplasm_colour", "light blue"),
            ("granule_type", "coarse"),
            ("granule_colour", "purple"),
            ("granularity", "yes"),
        ],
    ),
    (
        "eosinophil",
        &[
            ("cell_size", "big"),
            ("cell_shape", "round"),
            ("nucleus_shape", "segmented-bilobed"),
            ("nuclear_cytoplasmic_ratio", "low"),
            ("chromatin_density", "densely"),
            ("cytoplasm_vacuole", "no"),
            ("cytoplasm_texture", "clear"),
            ("cytoplasm_colour", "light blue"),
            ("granule_type", "round"),
            ("granule_colour", "red"),
            ("granularity", "yes"),
        ],
    ),
    (
        "lymphocyte",
        &[
            ("cell_size", "small"),
            ("cell_shape", "round"),
            ("nucleus_shape", "unsegmented-round"),
            ("nuclear_cytoplasmic_ratio", "high"),
            ("chromatin_density", "densely"),
            ("cytoplasm_vacuole", "no"),
            ("cytoplasm_texture", "frosted"),
            ("cytoplasm_colour", "blue"),
            ("granule_type", "nil"),
            ("granule_colour", "nil"),
            ("granularity", "no"),
        ],
    ),
    (
        "monocyte",
        &[
            ("cell_size", "big"),
            ("cell_shape", "irregular"),
            ("nucleus_shape", "unsegmented-indented"),
            ("nuclear_cytoplasmic_ratio", "low"),
            ("chromatin_density", "loosely"),
            ("cytoplasm_vacuole", "no"),
            ("cytoplasm_texture", "frosted"),
            ("granule_type", "nil"),
            ("granule_colour", "nil"),
            ("granularity", "no"),
        ],
    ),
    (
        "neutrophil",
        &[
            ("cell_size", "big"),
            ("cell_shape", "round"),
            ("nuclear_cytoplasmic_ratio", "low"),
            ("chromatin_density", "densely"),
            ("cytoplasm_vacuole", "no"),
            ("cytoplasm_texture", "clear"),
            ("cytoplasm_colour", "light blue"),
            ("granule_type", "small"),
            ("granule_colour", "pink"),
            ("granularity", "yes"),
        ],
    ),
];

/// How a stated number is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// Two significant digits, said with "about".
    About,
    /// Whole hundredths, said with "%".
    Percent,
    /// A number of decimals.
    Decimals(u8),
}

/// How one measurement is said.
pub(crate) struct Quantity {
    pub(crate) name: &'static str,
    /// Noun phrase, `{}` is the number with its unit.
    pub(crate) noun_phrase: &'static str,
    /// Clause without its full stop.
    pub(crate) clause: &'static str,
    pub(crate) rounding: Rounding,
    /// Names by which a reader recognises the quantity, as normalised words.
    pub(crate) nouns: &'static [&'static str],
}

/// Measurements that a caption can state.
pub(crate) const QUANTITIES: &[Quantity] = &[
    Quantity {
        name: "cell.equivalent_diameter_area",
        noun_phrase: "cell diameter of {}",
        clause: "the cell diameter is {}",
        rounding: Rounding::About,
        nouns: &["cell diameter", "diameter of the cell", "cellular diameter"],
    },
    Quantity {
        name: "nucleus.equivalent_diameter_area",
        noun_phrase: "nuclear diameter of {}",
        clause: "the nuclear diameter is {}",
        rounding: Rounding::About,
        nouns: &["nuclear diameter", "nucleus diameter", "diameter of the nucleus"],
    },
    Quantity {
        name: "nucleus_fraction",
        noun_phrase: "nucleus filling {} of the cell",
        clause: "the nucleus fills {} of the cell",
        rounding: Rounding::Percent,
        nouns: &[
            "nucleus fills",
            "nucleus filling",
            "nucleus occupies",
            "nucleus occupying",
            "nucleus fraction",
            "core fills",
            "core filling",
        ],
    },
    Quantity {
        name: "nuclear_cytoplasmic_ratio",
        noun_phrase: "nuclear-cytoplasmic ratio of {}",
        clause: "the nuclear-cytoplasmic ratio is {}",
        rounding: Rounding::Decimals(1),
        nouns: &[],
    },
    Quantity {
        name: "nucleus.solidity",
        noun_phrase: "nuclear solidity of {}",
        clause: "the nuclear solidity is {}",
        rounding: Rounding::Decimals(2),
        nouns: &["nuclear solidity", "nucleus solidity", "solidity of the nucleus"],
    },
    Quantity {
        name: "nucleus.eccentricity",
        noun_phrase: "nuclear eccentricity of {}",
        clause: "the nuclear eccentricity is {}",
        rounding: Rounding::Decimals(2),
        nouns: &["nuclear eccentricity", "nucleus eccentricity", "eccentricity of the nucleus"],
    },
    Quantity {
        name: "cell.solidity",
        noun_phrase: "cell solidity of {}",
        clause: "the cell solidity is {}",
        rounding: Rounding::Decimals(2),
        nouns: &["cell solidity", "solidity of the cell"],
    },
];

/// Head nouns that take no article.
pub(crate) const MASS_NOUNS: &[&str] = &["cytoplasm", "chromatin", "granulation", "vacuolation", "basophilia"];

/// `text` with `a` or `an`, by sound, where its head noun is a singular that needs one: `an eosinophil`, `clear cytoplasm`.
pub fn with_article(text: &str) -> String {
    if !needs_article(text) {
        return text.to_owned();
    }
    format!("{} {text}", article(text))
}

/// `a` or `an`, by sound: `a uniform…`, `an unsegmented…`.
pub(crate) fn article(text: &str) -> &'static str {
    let word = text.to_lowercase();
    let consonant_u = ["uni", "eu", "use", "one"].iter().any(|p| word.starts_with(p)) && !word.starts_with("unin");
    match word.chars().next() {
        Some('a' | 'e' | 'i' | 'o' | 'u') if !consonant_u => "an",
        _ => "a",
    }
}

fn needs_article(text: &str) -> bool {
    let mut words = text.split(' ').peekable();
    if matches!(words.peek(), Some(&("no" | "without" | "a" | "an" | "the"))) || text.ends_with("absent") {
        return false;
    }
    let ends_noun = |w: &str| {
        matches!(w, "of" | "with" | "without" | "stained" | "in" | "shaped" | "present" | "filling" | "free" | "like")
    };
    // `irregularly shaped nucleus`: a participle before the noun ends nothing.
    let all: Vec<&str> = text.split(' ').collect();
    let end = all
        .iter()
        .enumerate()
        .position(|(i, w)| i > 0 && ends_noun(w) && !(*w == "shaped" && all[i - 1].ends_with("ly")));
    let head = all[end.unwrap_or(all.len()) - 1];
    let plural = head.ends_with('s') && !head.ends_with("us") && !head.ends_with("is") && !head.ends_with("ss");
    !plural && !MASS_NOUNS.contains(&head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn articles_follow_number_and_sound() {
        for (text, expected) in [
            ("bilobed nucleus", "a bilobed nucleus"),
            ("indented nucleus", "an indented nucleus"),
            ("eosinophil", "an eosinophil"),
            ("basophil", "a basophil"),
            ("unsegmented band nucleus", "an unsegmented band nucleus"),
            ("irregularly shaped nucleus", "an irregularly shaped nucleus"),
            ("nucleus shaped like a band", "a nucleus shaped like a band"),
            ("granules stained pink", "granules stained pink"),
            ("no granules", "no granules"),
            ("clear cytoplasm", "clear cytoplasm"),
            ("cytoplasm with granules", "cytoplasm with granules"),
            ("high n:c ratio", "a high n:c ratio"),
            ("granule type absent", "granule type absent"),
            ("uniform nucleus", "a uniform nucleus"),
            ("nucleus filling 62 % of the cell", "a nucleus filling 62 % of the cell"),
        ] {
            assert_eq!(with_article(text), expected);
        }
    }
}
