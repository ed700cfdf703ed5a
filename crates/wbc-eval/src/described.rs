//! Classes that are described in morphological facts instead of named.

use crate::EvalError;
use crate::bootstrap::{Bootstrap, Groups};
use crate::document::{Figure, ZeroShot};
use crate::figures::{TypeGuess, type_figures};
use crate::zero_shot::Answers;
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use wbc_core::{AttributeSchema, CellType, CoreError};

/// Least probability of a stated value, so that one impossible fact among many does not decide alone.
const LEAST: f64 = 1e-3;

/// Cell types by what is typical of them: values of attributes, no names.
///
/// ```
/// use wbc_core::AttributeSchema;
/// use wbc_eval::ClassDescriptions;
///
/// let text = r#"
///     [[class]]
///     type = "eosinophil"
///     granule_colour = ["red"]
///     nucleus_shape = ["segmented-bilobed", "unsegmented-band"]
///
///     [[class]]
///     type = "lymphocyte"
///     granularity = ["no"]
/// "#;
/// let classes = ClassDescriptions::from_toml(text, &AttributeSchema::wbcatt())?;
/// assert_eq!(classes.types().map(|t| t.as_str()).collect::<Vec<_>>(), ["eosinophil", "lymphocyte"]);
/// # Ok::<(), wbc_core::CoreError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ClassDescriptions {
    classes: Vec<Described>,
}

#[derive(Clone, Debug, PartialEq)]
struct Described {
    cell_type: CellType,
    /// Attribute with the values that are typical.
    facts: Vec<(usize, Vec<usize>)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    class: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    cell_type: CellType,
    #[serde(flatten)]
    facts: BTreeMap<String, Vec<String>>,
}

impl ClassDescriptions {
    /// Reads `[[class]]` tables: `type`, and per attribute the list of values that are typical.
    ///
    /// # Errors
    /// [`CoreError::Invalid`] for TOML that does not parse, fewer than two classes, a type twice, a class without facts
    /// or an attribute without values; [`CoreError::Unknown`] for an attribute or value that the schema lacks.
    pub fn from_toml(text: &str, schema: &AttributeSchema) -> Result<Self, CoreError> {
        let invalid = |cause: String| CoreError::Invalid { what: "class descriptions".into(), cause };
        let file: File = toml::from_str(text).map_err(|e| invalid(e.to_string()))?;
        let mut seen = BTreeSet::new();
        let mut classes = Vec::new();
        for Entry { cell_type, facts } in file.class {
            if !seen.insert(cell_type.clone()) {
                return Err(invalid(format!("`{cell_type}` is described twice")));
            }
            if facts.is_empty() || facts.values().any(Vec::is_empty) {
                return Err(invalid(format!("`{cell_type}` has no facts, or an attribute without values")));
            }
            let facts = facts.iter().map(|(name, values)| {
                let located = values.iter().map(|v| schema.locate(name, v)).collect::<Result<Vec<_>, _>>()?;
                let distinct: BTreeSet<usize> = located.iter().map(|(_, value)| *value).collect();
                Ok::<_, CoreError>((located[0].0, distinct.into_iter().collect()))
            });
            classes.push(Described { cell_type, facts: facts.collect::<Result<_, _>>()? });
        }
        if classes.len() < 2 {
            return Err(invalid("at least two classes are needed".into()));
        }
        Ok(Self { classes })
    }

    /// The described types.
    pub fn types(&self) -> impl Iterator<Item = &CellType> {
        self.classes.iter().map(|c| &c.cell_type)
    }

    /// Probability of each class for each cell, from the probabilities of all attributes' values (`[n_cells, n_values]`
    /// per attribute, in the schema's order): direct attribute prediction (Lampert, Nickisch and Harmeling 2014, "Attribute-
    /// based classification for zero-shot visual object categorization", equation 2), where a fact is that one of the
    /// listed values holds and its prior is the share of the values that are listed, so that what a class says nothing of
    /// counts neither for nor against it.
    fn answers(&self, attributes: &[Answers]) -> Answers {
        let n = attributes.first().map_or(0, |a| a.probabilities.nrows());
        let log_odds = |cell: usize, (attribute, values): &(usize, Vec<usize>)| {
            let row = attributes[*attribute].probabilities.row(cell);
            let told: f64 = values.iter().map(|v| f64::from(row[*v])).sum();
            let prior = values.len() as f64 / row.len() as f64;
            (told.max(LEAST) / prior).ln()
        };
        let score = |(cell, class): (usize, usize)| -> f32 {
            self.classes[class].facts.iter().map(|fact| log_odds(cell, fact)).sum::<f64>() as f32
        };
        Answers::from_logits(Array2::from_shape_fn((n, self.classes.len()), score))
    }
}

/// How types are told apart by descriptions alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescribedScores {
    /// The described classes, in the order of the confusion matrix.
    pub classes: Vec<String>,
    /// Cells of these classes.
    pub n: usize,
    /// Recall of the classes whose names the model never learned, their mean; undefined where it knows all names.
    pub unnamed_recall: Figure,
    /// The figures of types, among the described classes.
    pub scores: ZeroShot,
}

/// Scores descriptions on cells: `answers` are per attribute in the schema's order, `types` and `groups` per cell;
/// `named` are the types whose names the model learned. `None` where no cell is of a described class.
pub(crate) fn described_scores(
    classes: &ClassDescriptions,
    answers: &[Answers],
    types: &[Option<&CellType>],
    named: &[CellType],
    groups: &[Option<&str>],
    bootstrap: &Bootstrap,
) -> Result<Option<DescribedScores>, EvalError> {
    let position = |t: &CellType| classes.types().position(|known| known == t);
    let answers = classes.answers(answers);
    let known: Vec<(usize, usize)> =
        types.iter().enumerate().filter_map(|(cell, t)| Some((cell, position((*t)?)?))).collect();
    if known.is_empty() {
        return Ok(None);
    }
    let guesses: Vec<TypeGuess> = known
        .iter()
        .map(|(cell, truth)| {
            let (predicted, confidence) = answers.top(*cell);
            TypeGuess { truth: *truth, predicted, confidence: f64::from(confidence) }
        })
        .collect();
    let names: Vec<&str> = classes.types().map(CellType::as_str).collect();
    let groups = Groups::new(&known.iter().map(|(cell, _)| groups[*cell]).collect::<Vec<_>>());
    let scores = type_figures(&names, &guesses, &groups, bootstrap)?;
    let unnamed = classes.types().filter(|t| !named.contains(t));
    let recalls = unnamed.filter_map(|t| scores.per_class[t.as_str()].recall.value());
    Ok(Some(DescribedScores {
        classes: names.iter().map(|n| (*n).to_owned()).collect(),
        n: known.len(),
        unnamed_recall: crate::mean(recalls).into(),
        scores,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn schema() -> AttributeSchema {
        AttributeSchema::from_toml(
            r#"
            name = "test"
            version = 1
            [[attribute]]
            name = "colour"
            title = "colour"
            value = [
                { name = "red", phrases = ["red"] },
                { name = "blue", phrases = ["blue"] },
                { name = "none", phrases = ["colourless"] },
            ]
            [[attribute]]
            name = "size"
            title = "size"
            value = [{ name = "big", phrases = ["big"] }, { name = "small", phrases = ["small"] }]
            "#,
        )
        .unwrap()
    }

    const TWO: &str = "[[class]]\ntype = \"eosinophil\"\ncolour = [\"red\", \"blue\"]\n[[class]]\ntype = \"monocyte\"\nsize = [\"big\"]\n";

    #[test]
    fn facts_count_against_their_prior() {
        let classes = ClassDescriptions::from_toml(TWO, &schema()).unwrap();
        let answers = [
            Answers { probabilities: array![[0.8_f32, 0.1, 0.1], [0.1, 0.1, 0.8]] },
            Answers { probabilities: array![[0.5_f32, 0.5], [0.9, 0.1]] },
        ];
        // first: 0.9 / (2/3) = 1.35 against 0.5 / 0.5 = 1; second: 0.3 against 1.8
        let p = classes.answers(&answers).probabilities;
        assert!((p[[0, 0]] - 1.35 / 2.35).abs() < 1e-6, "{p:?}");
        assert!((p[[1, 1]] - 1.8 / 2.1).abs() < 1e-6, "{p:?}");
        let (eosinophil, monocyte) = (CellType::new("eosinophil"), CellType::new("monocyte"));
        let types = [Some(&eosinophil), Some(&monocyte)];
        let bootstrap = Bootstrap { n_resamples: 0, ..Bootstrap::default() };
        let named = [monocyte.clone()];
        let found = described_scores(&classes, &answers, &types, &named, &[None, None], &bootstrap).unwrap().unwrap();
        assert_eq!((found.n, found.scores.accuracy.value()), (2, Some(1.0)));
        assert_eq!(found.unnamed_recall.value(), Some(1.0));
        let nobody = described_scores(&classes, &answers, &[None, None], &named, &[None, None], &bootstrap).unwrap();
        assert!(nobody.is_none());
    }

    #[test]
    fn descriptions_are_checked() {
        let refused = |text: &str| ClassDescriptions::from_toml(text, &schema()).unwrap_err().to_string();
        assert!(refused(&TWO.replace("\"blue\"", "\"green\"")).contains("green"));
        assert!(refused(&TWO.replace("size", "smell")).contains("smell"));
        assert!(refused(&TWO.replace("monocyte", "eosinophil")).contains("twice"));
        assert!(refused(&TWO.replace("size = [\"big\"]", "")).contains("no facts"));
        assert!(refused("[[class]]\ntype = \"x\"\nsize = [\"big\"]").contains("two classes"));
        assert!(refused("version = 3").contains("class descriptions"));
    }
}
