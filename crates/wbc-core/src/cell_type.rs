use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A cell type by its canonical name: lower case, words separated by `_`, for example `neutrophil`.
///
/// The set is open: datasets bring types of their own. [`CellTypes`] maps spellings to canonical names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct CellType(Arc<str>);

impl CellType {
    /// Normalises `name` (trimmed, lower case, spaces and hyphens to `_`); knows no synonyms.
    pub fn new(name: &str) -> Self {
        Self(normalised(name).into())
    }

    /// The canonical name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as written in a sentence, `immature granulocyte` for `immature_granulocyte`.
    pub fn spoken(&self) -> String {
        self.0.replace('_', " ")
    }
}

impl fmt::Display for CellType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for CellType {
    fn from(name: String) -> Self {
        Self::new(&name)
    }
}

impl From<CellType> for String {
    fn from(cell_type: CellType) -> Self {
        cell_type.0.to_string()
    }
}

fn normalised(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '-'], "_")
}

/// Canonical cell types with the names that haematologists, datasets and analysers use for them.
#[derive(Clone, Debug)]
pub struct CellTypes {
    by_spelling: BTreeMap<String, CellType>,
    synonyms: BTreeMap<CellType, Vec<String>>,
}

const BUILTIN: &[(&str, &[&str])] = &[
    ("basophil", &["basophils", "baso", "basos", "ba", "bas", "basophilic granulocyte", "basophil granulocyte"]),
    ("eosinophil", &["eosinophils", "eos", "eo", "eosino", "eosinophilic granulocyte", "eosinophil granulocyte"]),
    ("lymphocyte", &["lymphocytes", "lymph", "lymphs", "ly", "lym", "typical lymphocyte", "lyt"]),
    ("monocyte", &["monocytes", "mono", "monos", "mo", "mon"]),
    (
        "neutrophil",
        &[
            "neutrophils",
            "neut",
            "neuts",
            "ne",
            "neu",
            "segs",
            "seg",
            "sne",
            "bne",
            "ngs",
            "ngb",
            "polymorphonuclear",
            "pmn",
            "polymorph",
            "segmented neutrophil",
            "band neutrophil",
            "neutrophilic granulocyte",
            "neutrophil granulocyte",
            "polymorphonuclear neutrophil",
            "neutrophil segmented",
            "neutrophil band",
        ],
    ),
    ("immature_granulocyte", &["immature granulocytes", "ig", "igs"]),
    ("erythroblast", &["erythroblasts", "nrbc", "nucleated red blood cell", "normoblast", "ebo"]),
    ("platelet", &["platelets", "plt", "thrombocyte", "thrombocytes"]),
    ("atypical_lymphocyte", &["lya", "variant lymphocyte", "reactive lymphocyte", "lymphocyte atypical"]),
    ("myeloblast", &["myeloblasts", "myb", "myo"]),
    ("promyelocyte", &["promyelocytes", "pmo", "pmy"]),
    ("bilobed_promyelocyte", &["pmb", "promyelocyte bilobed"]),
    ("myelocyte", &["myelocytes", "my", "myc", "mmy"]),
    ("metamyelocyte", &["metamyelocytes", "mmz", "met"]),
    ("monoblast", &["monoblasts", "mob"]),
    ("smudge_cell", &["ksc", "smudge", "basket cell", "gumprecht shadow"]),
    ("hairy_cell", &["hairy cells"]),
    ("plasma_cell", &["plasma cells", "plasmacyte"]),
];

impl CellTypes {
    /// The types of PBC, WBCAtt, AML-Matek and MLL23 with their usual synonyms.
    pub fn builtin() -> Self {
        let mut types = Self { by_spelling: BTreeMap::new(), synonyms: BTreeMap::new() };
        for (name, synonyms) in BUILTIN {
            types.add(CellType::new(name), synonyms);
        }
        types
    }

    /// Adds a type, or synonyms to a known one. A spelling that exists already is kept as it is.
    pub fn add(&mut self, cell_type: CellType, synonyms: &[&str]) {
        let known = self.synonyms.entry(cell_type.clone()).or_default();
        self.by_spelling.entry(cell_type.as_str().to_owned()).or_insert_with(|| cell_type.clone());
        for synonym in synonyms {
            self.by_spelling.entry(normalised(synonym)).or_insert_with(|| {
                known.push((*synonym).to_owned());
                cell_type.clone()
            });
        }
    }

    /// The canonical type of any known spelling, `None` for a name that nobody declared.
    pub fn canonical(&self, spelling: &str) -> Option<CellType> {
        self.by_spelling.get(&normalised(spelling)).cloned()
    }

    /// Synonyms of a canonical type, without the name itself.
    pub fn synonyms(&self, cell_type: &CellType) -> &[String] {
        self.synonyms.get(cell_type).map_or(&[], Vec::as_slice)
    }

    /// All canonical types, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &CellType> {
        self.synonyms.keys()
    }
}

impl Default for CellTypes {
    fn default() -> Self {
        Self::builtin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_leads_to_its_canonical_type() {
        let types = CellTypes::builtin();
        for (spelling, expected) in [
            ("segs", "neutrophil"),
            ("Polymorphonuclear", "neutrophil"),
            ("SNE", "neutrophil"),
            (" Eosinophil ", "eosinophil"),
            ("Immature-Granulocyte", "immature_granulocyte"),
        ] {
            assert_eq!(types.canonical(spelling), Some(CellType::new(expected)), "{spelling}");
        }
        assert_eq!(types.canonical("quasar"), None);
    }

    #[test]
    fn no_builtin_synonym_is_claimed_twice() {
        let mut seen = BTreeMap::new();
        for (name, synonyms) in BUILTIN {
            for s in synonyms.iter().chain([name]) {
                assert_eq!(seen.insert(normalised(s), name), None, "{s} of {name}");
            }
        }
    }
}
