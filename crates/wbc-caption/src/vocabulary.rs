//! The reader's own words: nouns of haematology, helpers of grammar, and what adjectives mean at which noun.
//!
//! Kept apart from the writer's tables on purpose, so that a mistake there is not repeated here.

use Noun::{
    Cell, CellShape, CellSize, Chromatin, Cytoplasm, CytoplasmColour, CytoplasmTexture, Granule, GranuleColour,
    GranuleType, Nucleus, Ratio, Vacuole,
};

/// Things that adjectives belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Noun {
    Cell,
    CellSize,
    CellShape,
    Nucleus,
    Ratio,
    Chromatin,
    Cytoplasm,
    CytoplasmTexture,
    CytoplasmColour,
    Granule,
    GranuleType,
    GranuleColour,
    Vacuole,
}

/// Spellings of the nouns, as normalised words.
pub(crate) const NOUNS: &[(Noun, &[&str])] = &[
    (Cell, &["cell", "cells", "white blood cell", "white cell", "leukocyte", "leucocyte", "granulocyte"]),
    (CellSize, &["cell size", "size of the cell"]),
    (
        CellShape,
        &["cell shape", "cell outline", "cell body", "cell contour", "outline", "contour", "shape of the cell"],
    ),
    (Nucleus, &["nucleus", "nuclei", "nucleus shape", "nuclear shape", "nuclear outline", "nuclear contour"]),
    (
        Ratio,
        &[
            "nuclear cytoplasmic ratio",
            "nuclear to cytoplasmic ratio",
            "nucleus to cytoplasm ratio",
            "nucleocytoplasmic ratio",
            "n c ratio",
        ],
    ),
    (Chromatin, &["chromatin", "nuclear chromatin", "chromatin density", "chromatin pattern", "chromatin texture"]),
    (Cytoplasm, &["cytoplasm"]),
    (CytoplasmTexture, &["cytoplasm texture", "cytoplasmic texture", "texture of the cytoplasm"]),
    (
        CytoplasmColour,
        &["cytoplasm colour", "cytoplasm color", "cytoplasmic colour", "cytoplasmic color", "colour of the cytoplasm"],
    ),
    (Granule, &["granule", "granules", "cytoplasmic granules"]),
    (GranuleType, &["granule type", "granule size"]),
    (GranuleColour, &["granule colour", "granule color"]),
    (Vacuole, &["vacuole", "vacuoles", "cytoplasmic vacuole", "cytoplasmic vacuoles"]),
];

/// What a modifier says of a noun: attribute, value, nouns, modifiers. An empty modifier is the bare noun.
pub(crate) const MEANINGS: &[(&str, &str, &[Noun], &[&str])] = &[
    ("cell_size", "big", &[Cell, CellSize], &["large", "big", "large in size", "of large size", "of big size"]),
    ("cell_size", "small", &[Cell, CellSize], &["small", "small in size", "of small size"]),
    ("cell_shape", "round", &[Cell, CellShape], &["round", "rounded", "round in shape", "of round shape"]),
    (
        "cell_shape",
        "irregular",
        &[Cell, CellShape],
        &["irregular", "irregularly shaped", "irregular in shape", "irregular in outline", "of irregular shape"],
    ),
    ("nucleus_shape", "segmented-bilobed", &[Nucleus], &["bilobed", "two lobed", "two lobes", "with two lobes"]),
    (
        "nucleus_shape",
        "unsegmented-band",
        &[Nucleus],
        &["band", "band shaped", "band like", "shaped like a band", "in the shape of a band"],
    ),
    ("nucleus_shape", "unsegmented-band", &[Cell], &["band"]),
    (
        "nucleus_shape",
        "unsegmented-indented",
        &[Nucleus],
        &["indented", "kidney shaped", "reniform", "unsegmented indented", "shaped like a kidney"],
    ),
    (
        "nucleus_shape",
        "segmented-multilobed",
        &[Nucleus],
        &["multilobed", "multi lobed", "several lobes", "with several lobes", "multiple lobes", "with multiple lobes"],
    ),
    ("nucleus_shape", "unsegmented-round", &[Nucleus], &["round", "rounded", "round in shape", "of round shape"]),
    (
        "nucleus_shape",
        "irregular",
        &[Nucleus],
        &["irregular", "irregularly shaped", "irregular in shape", "of irregular shape"],
    ),
    ("nuclear_cytoplasmic_ratio", "high", &[Ratio], &["high", "increased"]),
    ("nuclear_cytoplasmic_ratio", "low", &[Ratio], &["low", "decreased"]),
    ("nuclear_cytoplasmic_ratio", "high", &[Cytoplasm], &["scant", "scanty", "sparse"]),
    ("nuclear_cytoplasmic_ratio", "low", &[Cytoplasm], &["abundant", "ample", "plentiful"]),
    (
        "chromatin_density",
        "densely",
        &[Chromatin],
        &["dense", "densely packed", "condensed", "densely condensed", "compact", "clumped"],
    ),
    ("chromatin_density", "loosely", &[Chromatin], &["loose", "loosely packed", "open"]),
    ("cytoplasm_vacuole", "yes", &[Cytoplasm], &["vacuolated"]),
    ("cytoplasm_vacuole", "yes", &[Cell], &["vacuolated"]),
    ("cytoplasm_vacuole", "yes", &[Vacuole], &[""]),
    ("cytoplasm_vacuole", "no", &[Cytoplasm], &["vacuole free", "unvacuolated", "non vacuolated"]),
    ("cytoplasm_texture", "clear", &[Cytoplasm, CytoplasmTexture], &["clear", "of clear texture"]),
    ("cytoplasm_texture", "frosted", &[Cytoplasm, CytoplasmTexture], &["frosted", "of frosted texture"]),
    ("cytoplasm_colour", "light blue", &[Cytoplasm, CytoplasmColour], &["light blue", "pale blue"]),
    ("cytoplasm_colour", "blue", &[Cytoplasm, CytoplasmColour], &["blue"]),
    ("cytoplasm_colour", "purple blue", &[Cytoplasm, CytoplasmColour], &["purple blue"]),
    ("granule_type", "small", &[Granule, GranuleType], &["small", "fine", "tiny"]),
    ("granule_type", "round", &[Granule, GranuleType], &["round", "rounded"]),
    ("granule_type", "coarse", &[Granule, GranuleType], &["coarse", "coarsely sized"]),
    ("granule_type", "nil", &[Granule], &["of no type"]),
    ("granule_colour", "nil", &[Granule], &["of no colour"]),
    ("granule_colour", "pink", &[Granule, GranuleColour], &["pink"]),
    ("granule_colour", "red", &[Granule, GranuleColour], &["red"]),
    ("granule_colour", "purple", &[Granule, GranuleColour], &["purple"]),
    ("granularity", "yes", &[Granule], &[""]),
    ("granularity", "yes", &[Cytoplasm, Cell], &["granular", "granulated"]),
    ("granularity", "no", &[Cytoplasm, Cell], &["agranular", "granule free", "non granular", "ungranulated"]),
];

/// What the absence of a noun says.
pub(crate) const ABSENCES: &[(&str, &str, Noun)] = &[
    ("cytoplasm_vacuole", "no", Vacuole),
    ("granularity", "no", Granule),
    ("granule_type", "nil", GranuleType),
    ("granule_colour", "nil", GranuleColour),
];

/// Words that steer the reading, as normalised words.
pub(crate) const NEGATIONS: &[&str] =
    &["no", "not", "without", "lacks", "lack", "lacking", "free of", "free from", "devoid of", "absence of", "neither"];
pub(crate) const ABSENT: &[&str] =
    &["absent", "free", "not present", "not seen", "not visible", "are not present", "is not present", "are not seen"];
pub(crate) const PRESENT: &[&str] = &["present", "seen", "visible"];
/// Verbs behind which an enumeration may speak of the same noun.
pub(crate) const LINKS: &[&str] = &["is", "are", "appears", "appear", "looks", "look", "stains", "stain", "remains"];
/// What joins a noun to what follows, up to the next comma only.
pub(crate) const SHORT_LINKS: &[&str] = &["of", "stained", "staining"];
/// First words of modifiers that stand behind their noun and end with themselves.
pub(crate) const TRAILING: &[&str] = &["shaped", "with", "of", "in", "two", "several", "multiple"];
pub(crate) const DETERMINERS: &[&str] = &["a", "an", "the", "this", "its", "that"];
pub(crate) const BREAKS: &[&str] =
    &["with", "in", "has", "have", "shows", "show", "showing", "contains", "contain", "containing", "for", "by"];
pub(crate) const DIMENSIONS: &[&str] = &["shape", "size", "colour", "color", "type", "texture", "density"];
pub(crate) const ABOUT: &[&str] = &["about", "approximately", "roughly", "around", "circa", "nearly"];
/// Words without a claim about the cell.
pub(crate) const FILLERS: &[&str] = &[
    "but",
    "which",
    "while",
    "there",
    "it",
    "both",
    "as",
    "to",
    "one",
    "we",
    "on",
    "at",
    "also",
    "image",
    "blood",
    "smear",
    "blood smear",
    "microscopy",
    "teaching",
    "example",
    "note",
    "observe",
    "recognise",
    "look for",
    "finds",
    "find",
    "find in",
    "findings",
    "finding",
    "indicate",
    "impression",
    "conclusion",
    "diagnosis",
    "whose",
    "identified",
    "peripheral",
    "microscopic",
    "photograph",
    "picture",
    "consistent with",
];
