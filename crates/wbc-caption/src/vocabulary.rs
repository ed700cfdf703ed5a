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
    (Cell, &[
        "cell", "cells", "white blood cell", "white cell", "leukocyte", "leucocyte", "blood cell", "blood cells",
        "white blood cells", "white cells", "leukocytes", "leucocytes", "type of cell", "type of white blood cell",
        "kind of cell", "kind of white blood cell", "kind of leukocyte", "sort of cell", "type of leukocyte",
        "cell type",
    ]),
    (CellSize, &["cell size", "size of the cell", "cellular size", "overall size", "size of this cell"]),
    (CellShape, &[
        "cell shape", "cell outline", "cell body", "cell contour", "outline", "contour", "shape of the cell",
        "cell border", "cell borders", "cell margin", "cell margins", "cell boundary", "cell edge", "cell edges",
        "border", "borders", "margin", "margins", "boundary", "silhouette", "cell profile", "cellular outline",
        "cellular shape", "cellular contour", "cellular border", "cell form", "outline of the cell",
        "contour of the cell", "shape of this cell", "outline of this cell", "cell outlines", "outlines", "contours",
        "overall shape",
    ]),
    (Nucleus, &[
        "core", "nucleus", "nuclei", "nucleus shape", "nuclear shape", "nuclear outline", "nuclear contour",
        "nuclear form", "nuclear profile", "nuclear margin", "nuclear morphology", "shape of the nucleus",
        "outline of the nucleus", "contour of the nucleus", "form of the nucleus", "nuclear border",
        "nucleus outline", "nucleus contour", "nucleus border",
    ]),
    (Ratio, &[
        "nuclear cytoplasmic ratio", "nuclear to cytoplasmic ratio", "nucleus to cytoplasm ratio",
        "nucleocytoplasmic ratio", "n c ratio", "ratio of nucleus to cytoplasm",
        "ratio of the nucleus to the cytoplasm", "nucleus cytoplasm ratio", "nuclear to cytoplasm ratio",
        "nuclear cytoplasm ratio", "nucleo cytoplasmic ratio", "n to c ratio", "nc ratio",
        "ratio of the nucleus to cytoplasm", "ratio between nucleus and cytoplasm",
        "ratio between the nucleus and the cytoplasm", "ratio of nuclear to cytoplasmic area",
        "ratio of nucleus to cell fluid", "ratio of core to cell fluid",
    ]),
    (Chromatin, &[
        "chromatin", "nuclear chromatin", "chromatin density", "chromatin pattern", "chromatin texture",
        "chromatin structure", "chromatin network", "chromatin arrangement", "chromatin packing",
        "packing of the chromatin", "density of the chromatin", "texture of the chromatin",
        "pattern of the chromatin", "chromatin material",
    ]),
    (Cytoplasm, &["cytoplasm", "cell fluid"]),
    (CytoplasmTexture, &["cytoplasm texture", "cytoplasmic texture", "texture of the cytoplasm"]),
    (CytoplasmColour, &[
        "cytoplasm colour", "cytoplasm color", "cytoplasmic colour", "cytoplasmic color", "colour of the cytoplasm",
        "color of the cytoplasm", "staining of the cytoplasm", "staining in the cytoplasm", "staining cytoplasm",
        "cytoplasmic stain", "cytoplasmic staining", "cytoplasmic tint", "cytoplasmic hue", "cytoplasmic tone",
    ]),
    (Granule, &[
        "granules", "grains", "cytoplasmic granules", "cytoplasmic grains", "granulation", "granularity",
        "cytoplasmic granulation", "cytoplasmic granularity",
    ]),
    (GranuleType, &["granule type", "granule size", "size of the granules", "type of the granules"]),
    (GranuleColour, &["granule colour", "granule color", "colour of the granules", "color of the granules"]),
    (Vacuole, &[
        "vacuole", "vacuoles", "bubbles", "cytoplasmic vacuole", "cytoplasmic vacuoles", "cytoplasmic bubbles",
        "vacuolation", "vacuolations", "vacuolization", "vacuolisation", "cytoplasmic vacuolation",
        "cytoplasmic vacuolization", "cytoplasmic vacuolisation",
    ]),
];

/// What a modifier says of a noun: attribute, value, nouns, modifiers. An empty modifier is the bare noun.
pub(crate) const MEANINGS: &[(&str, &str, &[Noun], &[&str])] = &[
    ("cell_size", "big", &[Cell, CellSize], &[
        "large", "big", "large in size", "of large size", "of big size", "sizeable", "sizable", "larger than usual",
        "larger than average", "bigger than usual", "bigger than average", "larger than most", "large sized",
    ]),
    ("cell_size", "small", &[Cell, CellSize], &[
        "small", "tiny", "small in size", "of small size", "smaller than usual", "smaller than average",
        "smaller than most", "small sized", "little",
    ]),
    ("cell_shape", "round", &[Cell, CellShape], &[
        "round", "rounded", "round shaped", "round in shape", "of round shape", "spherical", "circular",
        "round bodied", "of round outline", "of round contour", "rounded in outline", "round like a ball",
    ]),
    ("cell_shape", "irregular", &[Cell, CellShape], &[
        "irregular", "irregularly shaped", "irregular shaped", "irregular in shape", "irregular in outline",
        "of irregular shape", "irregularity in shape", "not circular", "not shaped uniformly",
        "irregularly outlined", "irregularly contoured", "of irregular outline", "of irregular contour",
        "of irregular form", "uneven", "irregularly formed",
    ]),
    ("nucleus_shape", "segmented-bilobed", &[Nucleus], &[
        "bilobed", "segmented bilobed", "two lobed", "two lobes", "with two lobes", "bi lobed", "bilobate",
        "bilobular", "double lobed", "bisegmented",
    ]),
    ("nucleus_shape", "unsegmented-band", &[Nucleus], &[
        "band", "unsegmented band", "band shaped", "band like", "shaped like a band", "resembles a band",
        "in the shape of a band", "banded", "like a band", "band type", "of band form", "in the form of a band",
        "single band", "single unsegmented band", "in the shape of an unsegmented band", "drawn out into a band",
        "shaped into a band", "a band without segments",
    ]),
    ("nucleus_shape", "unsegmented-band", &[Cell], &["band"]),
    ("nucleus_shape", "unsegmented-indented", &[Nucleus], &[
        "indented", "indentated", "indentation", "kidney shaped", "shaped like a kidney", "reniform",
        "unsegmented indented", "bean shaped", "kidney bean shaped", "kidney like", "like a kidney",
        "like a kidney bean", "shaped like a kidney bean", "shaped like a bean", "notched", "dented",
        "with an indentation", "in the shape of a kidney", "indented like a kidney",
    ]),
    ("nucleus_shape", "segmented-multilobed", &[Nucleus], &[
        "multilobed", "segmented multilobed", "multi lobed", "several lobes", "with several lobes", "multiple lobes",
        "with multiple lobes", "multilobular", "multilobulated", "multilobate", "multisegmented", "multi segmented",
        "polylobed",
    ]),
    ("nucleus_shape", "unsegmented-round", &[Nucleus], &[
        "round", "unsegmented round", "rounded", "round shaped", "round in shape", "of round shape", "circular",
        "spherical", "of round outline", "of round contour", "of round form", "rounded in outline",
        "round like a ball",
    ]),
    ("nucleus_shape", "irregular", &[Nucleus], &[
        "irregular", "irregularly shaped", "irregular shaped", "irregular in shape", "of irregular shape",
        "irregularly outlined", "irregularly contoured", "of irregular outline", "of irregular contour",
        "of irregular form", "irregularly formed",
    ]),
    ("nuclear_cytoplasmic_ratio", "high", &[Ratio], &["high", "increased", "elevated", "raised", "large"]),
    ("nuclear_cytoplasmic_ratio", "low", &[Ratio], &["low", "decreased", "reduced", "diminished", "small"]),
    ("nuclear_cytoplasmic_ratio", "high", &[Cytoplasm], &[
        "scant", "scanty", "sparse", "little", "minimal", "small amount of", "limited", "meagre", "meager", "scarce",
        "sparing", "minimal amount of", "limited amount of", "little room for", "slim border of", "thin border of",
        "scant amount of", "small quantity of", "small volume of", "thin ring of", "narrow ring of",
        "narrow band of", "thin band of", "thin rim of", "narrow rim of", "slim rim of", "slender rim of",
        "small rim of", "thin peripheral rim of",
    ]),
    ("nuclear_cytoplasmic_ratio", "low", &[Cytoplasm], &[
        "abundant", "ample", "plentiful", "lots of", "lot of", "much", "extensive", "substantial amount of",
        "substantial quantity of", "large quantity of", "plenty of", "large amount of", "generous", "copious",
        "voluminous", "generous amount of", "ample amount of", "large amounts of", "abundance of", "large volume of",
        "good deal of", "wide rim of", "broad rim of", "generous rim of", "broad expanse of", "wide expanse of",
        "wealth of",
    ]),
    ("chromatin_density", "densely", &[Chromatin], &[
        "dense", "densely", "densely packed", "condensed", "densely condensed", "compact", "tightly compacted",
        "densely compacted", "compacted", "clumped", "tightly packed", "tightly condensed", "densely arranged",
        "closely packed", "tightly clumped", "densely clumped", "packed densely", "packed tightly",
        "tightly arranged", "compactly arranged", "dense and clumped", "dense looking", "heavily condensed",
        "well condensed", "densely textured", "of high density", "tightly wound", "tightly bound",
    ]),
    ("chromatin_density", "loosely", &[Chromatin], &[
        "loose", "loosely", "loosely packed", "loosely arranged", "loosely compacted", "loose in structure", "open",
        "loosely woven", "loosely textured", "loosely organised", "loosely organized", "loosely distributed",
        "loosely spread", "loosely structured", "loosely dispersed", "uncondensed", "decondensed", "dispersed",
        "packed loosely", "open textured", "relaxed", "lightly packed", "of low density", "lacy", "loosely knit",
        "spread loosely",
    ]),
    ("cytoplasm_vacuole", "yes", &[Cytoplasm], &["vacuolated", "vacuole containing", "vacuole bearing", "vacuolar"]),
    ("cytoplasm_vacuole", "yes", &[Cell], &["vacuolated"]),
    ("cytoplasm_vacuole", "yes", &[Vacuole], &[""]),
    ("cytoplasm_vacuole", "no", &[Cytoplasm], &[
        "vacuole free", "unvacuolated", "non vacuolated", "nonvacuolated", "avacuolar",
    ]),
    ("cytoplasm_texture", "clear", &[Cytoplasm, CytoplasmTexture], &["clear", "of clear texture"]),
    ("cytoplasm_texture", "frosted", &[Cytoplasm, CytoplasmTexture], &[
        "frosted", "frosty", "of frosted texture", "frosted glass", "like frosted glass", "frosted glass like",
        "ground glass", "like ground glass", "frost like", "frosted looking", "frosty looking",
    ]),
    ("cytoplasm_colour", "light blue", &[Cytoplasm, CytoplasmColour], &[
        "light blue", "pale blue", "faint blue", "lightly blue", "light bluish", "pale bluish", "lighter blue",
        "palely blue", "delicate blue", "soft blue",
    ]),
    ("cytoplasm_colour", "blue", &[Cytoplasm, CytoplasmColour], &["blue"]),
    ("cytoplasm_colour", "purple blue", &[Cytoplasm, CytoplasmColour], &[
        "purple blue", "purplish blue", "blue purple", "bluish purple", "violet blue", "blue violet",
        "bluish violet", "purple tinged blue",
    ]),
    ("granule_type", "small", &[Granule, GranuleType], &[
        "small", "fine", "tiny", "small in size", "fine in size", "of small size", "of fine size", "delicate",
        "minute", "small sized", "fine grained",
    ]),
    ("granule_type", "round", &[Granule, GranuleType], &[
        "round", "rounded", "round in shape", "rounded in shape", "of round shape", "of rounded shape", "spherical",
        "circular", "globular", "ball shaped",
    ]),
    ("granule_type", "coarse", &[Granule, GranuleType], &[
        "coarse", "large", "big", "coarsely sized", "coarse in size", "of coarse type", "of coarse size",
        "coarse grained", "coarsely textured", "large sized", "chunky",
    ]),
    ("granule_type", "nil", &[Granule], &["of no type"]),
    ("granule_colour", "nil", &[Granule], &["of no colour"]),
    ("granule_colour", "pink", &[Granule, GranuleColour], &["pink", "pinkish", "rose pink"]),
    ("granule_colour", "red", &[Granule, GranuleColour], &["red", "reddish"]),
    ("granule_colour", "purple", &[Granule, GranuleColour], &["purple", "purplish", "violet"]),
    ("granularity", "yes", &[Granule], &[""]),
    ("granularity", "yes", &[Cytoplasm, Cell], &[
        "granular", "granulated", "granule bearing", "granule containing", "granule filled",
    ]),
    ("granularity", "no", &[Cytoplasm, Cell], &[
        "agranular", "granule free", "non granular", "ungranulated", "nongranular", "granule less", "granuleless",
        "nongranulated", "non granulated",
    ]),
    ("nuclear_cytoplasmic_ratio", "low", &[Nucleus], &[
        "small in proportion to the cytoplasm", "small in relation to the cytoplasm",
        "small relative to the cytoplasm", "small relative to its cytoplasm", "small compared with the cytoplasm",
        "small compared to the cytoplasm", "small compared with its cytoplasm",
    ]),
    ("nuclear_cytoplasmic_ratio", "high", &[Nucleus], &[
        "large in proportion to the cytoplasm", "large in relation to the cytoplasm",
        "large relative to the cytoplasm", "large relative to its cytoplasm", "large compared with the cytoplasm",
        "large compared to the cytoplasm", "large compared with its cytoplasm",
    ]),
    ("cytoplasm_vacuole", "yes", &[Cell], &["vacuole containing", "vacuole bearing"]),
    ("cytoplasm_vacuole", "no", &[Cell], &["vacuole free", "unvacuolated", "non vacuolated", "nonvacuolated"]),
    ("granule_type", "small", &[Cytoplasm, Cell], &["finely granular", "finely granulated"]),
    ("granule_type", "coarse", &[Cytoplasm, Cell], &["coarsely granular", "coarsely granulated"]),
];

/// Counts of a nucleus's lobes and the shape that they mean.
pub(crate) const LOBES: &[(&str, &[&str])] = &[
    ("segmented-bilobed", &["two", "two distinct", "two connected", "two separate"]),
    ("segmented-multilobed", &[
        "several", "multiple", "several distinct", "several connected", "more than two", "three or more",
    ]),
];

/// What may stand before them, as parts of the whole nucleus.
pub(crate) const MADE_OF: &[&str] = &[
    "", "with ", "of ", "in ", "into ", "divided into ", "segmented into ", "split into ", "separated into ",
    "lobed into ", "made of ", "made up of ", "composed of ", "is composed of ", "consisting of ", "consists of ",
    "comprising ", "comprised of ", "arranged in ", "constricted into ", "partitioned into ", "formed of ",
    "built of ", "broken into ", "drawn into ",
];

/// How a nucleus leaves little room for the cytoplasm: what it does with how much of the cell.
pub(crate) const FILLS: [&[&str]; 2] = [
    &["fills", "fill", "filling", "occupies", "occupying", "takes up", "taking up"],
    &[
        "most of", "nearly all of", "almost all of", "nearly the whole", "almost the whole", "nearly the entire",
        "almost the entire", "much of", "the bulk of", "the majority of",
    ],
];

/// What a modifier of a noun rules out without saying what is so: attribute and values.
pub(crate) const EXCLUDING: &[(&str, &[Noun], &str, &[&str])] = &[
    ("segmented", &[Nucleus, Cell], "nucleus_shape", &[
        "unsegmented-band", "unsegmented-indented", "unsegmented-round", "irregular",
    ]),
    ("unsegmented", &[Nucleus, Cell], "nucleus_shape", &["segmented-bilobed", "segmented-multilobed", "irregular"]),
    ("non segmented", &[Nucleus, Cell], "nucleus_shape", &["segmented-bilobed", "segmented-multilobed", "irregular"]),
];

/// What the absence of a noun says.
pub(crate) const ABSENCES: &[(&str, &str, Noun)] = &[
    ("cytoplasm_vacuole", "no", Vacuole),
    ("granularity", "no", Granule),
    ("granule_type", "nil", GranuleType),
    ("granule_colour", "nil", GranuleColour),
];
