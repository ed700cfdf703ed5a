use crate::EvalError;
use crate::answered::Answered;
use crate::bootstrap::Groups;
use crate::document::{DatasetReport, Scores};
use crate::figures::{AttributeGuesses, TypeGuess, attribute_figures, type_figures};
use crate::protocol::{EvalOptions, candidates, is_comparable, nothing_comparable, position};
use wbc_core::{AttributeSchema, CellType, Sample};

/// What a classifier without words says of one cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CellGuess {
    /// Probability of each type that the classifier knows, in their order.
    pub types: Vec<f64>,
    /// The type that it decided for, by its position; need not be the most probable one.
    pub decided: Option<usize>,
    /// Decided value per attribute of the schema; `None` where the classifier reads it not at all.
    pub values: Vec<Option<u8>>,
    /// Probability of each decided value; `None`, or too short a list, where the classifier says none.
    pub confidence: Vec<Option<f64>>,
}

impl CellGuess {
    /// Position among the candidates and its probability among theirs.
    fn among(&self, candidates: &[usize]) -> Option<(usize, f64)> {
        let probability = |c: usize| self.types.get(c).copied().unwrap_or(0.0);
        let sum: f64 = candidates.iter().map(|c| probability(*c)).sum();
        let most_probable =
            || (0..candidates.len()).max_by(|a, b| probability(candidates[*a]).total_cmp(&probability(candidates[*b])));
        let chosen = self.decided.and_then(|d| candidates.iter().position(|c| *c == d)).or_else(most_probable)?;
        Some((chosen, if sum > 0.0 { probability(candidates[chosen]) / sum } else { 0.0 }))
    }
}

/// Evaluates the guesses of any classifier as [`crate::evaluate_dataset`] evaluates a model, on the same cells: types,
/// attributes, calibration. Retrieval needs words and is left empty.
///
/// `guesses` has one entry per sample, `None` for an image that could not be read; `types` are those that the classifier
/// knows.
///
/// # Errors
/// [`EvalError::UnknownClass`], [`EvalError::Empty`].
pub fn evaluate_guesses(
    id: &str,
    samples: &[Sample],
    guesses: &[Option<CellGuess>],
    types: &[CellType],
    schema: &AttributeSchema,
    options: &EvalOptions,
) -> Result<DatasetReport, EvalError> {
    let candidates = candidates(types, options.classes.as_deref())?;
    let label = |s: &Sample| position(&s.annotation, types, &candidates);
    let cells: Vec<(&Sample, &CellGuess)> = samples
        .iter()
        .zip(guesses)
        .filter_map(|(s, g)| Some((s, g.as_ref()?)))
        .filter(|(s, _)| is_comparable(&s.annotation, label(s), options))
        .collect();
    if cells.is_empty() {
        return Err(nothing_comparable(id));
    }
    let groups =
        |of: &[(&Sample, &CellGuess)]| Groups::new(&of.iter().map(|(s, _)| s.group.as_deref()).collect::<Vec<_>>());
    let typed: Vec<(&Sample, &CellGuess)> =
        cells.iter().copied().filter(|(s, g)| label(s).is_some() && !g.types.is_empty()).collect();
    let type_guesses: Vec<TypeGuess> = typed
        .iter()
        .filter_map(|(s, g)| {
            let (predicted, confidence) = g.among(&candidates)?;
            Some(TypeGuess { truth: label(s)?, predicted, confidence })
        })
        .collect();
    let names: Vec<&str> = candidates.iter().map(|c| types[*c].as_str()).collect();
    let read = schema.attributes.iter().enumerate().filter_map(|(a, attribute)| {
        let value = |values: &[Option<u8>]| values.get(a).copied().flatten().map(usize::from);
        let pair = |(s, g): &(&Sample, &CellGuess)| Some((value(&s.annotation.values)?, value(&g.values)?));
        let pairs: Vec<_> = cells.iter().map(pair).collect();
        // calibration needs the probability of every judged guess
        let confidence = cells.iter().zip(&pairs).map(|((_, g), pair)| match pair {
            Some(_) => g.confidence.get(a).copied().flatten(),
            None => Some(0.0),
        });
        let confidence = confidence.collect();
        let values = attribute.values.iter().map(|v| v.name.as_str()).collect();
        pairs.iter().any(Option::is_some).then_some(AttributeGuesses {
            name: &attribute.name,
            values,
            answered: Answered { n_values: attribute.values.len(), pairs },
            confidence,
        })
    });
    let zero_shot = match type_guesses.is_empty() {
        true => None,
        false => Some(type_figures(&names, &type_guesses, &groups(&typed), &options.bootstrap)?),
    };
    let classes = names.iter().map(|n| (*n).to_owned()).collect();
    Ok(DatasetReport {
        scores: Scores {
            zero_shot,
            attributes: attribute_figures(&read.collect::<Vec<_>>(), &groups(&cells), &options.bootstrap)?,
            retrieval: Vec::new(),
        },
        ..DatasetReport::of(id, cells.len(), classes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::Bootstrap;
    use std::sync::Arc;
    use wbc_core::{Annotation, ImageSource, Optics, RgbImage, SampleId};

    fn sample(schema: &AttributeSchema, cell_type: &str, size: u8) -> Sample {
        let mut annotation = Annotation::unknown(schema);
        annotation.cell_type = Some(CellType::new(cell_type));
        annotation.values[0] = Some(size);
        Sample {
            id: SampleId(format!("{cell_type}-{size}")),
            image: ImageSource::Memory(Arc::new(RgbImage::new(1, 1))),
            annotation,
            mask: None,
            split: None,
            group: None,
            optics: Optics::default(),
        }
    }

    fn guess(schema: &AttributeSchema, types: [f64; 3], decided: usize, size: u8) -> Option<CellGuess> {
        let mut values = vec![None; schema.attributes.len()];
        values[0] = Some(size);
        Some(CellGuess { types: types.into(), decided: Some(decided), values, confidence: Vec::new() })
    }

    #[test]
    fn guesses_are_scored_on_the_cells_of_the_asked_types() {
        let schema = AttributeSchema::wbcatt();
        let types = ["monocyte", "neutrophil", "lymphocyte"].map(CellType::new);
        let cell = |t, size| sample(&schema, t, size);
        let samples = [cell("monocyte", 0), cell("neutrophil", 1), cell("lymphocyte", 1), cell("monocyte", 0)];
        let guesses = [
            guess(&schema, [0.5, 0.2, 0.3], 0, 0),
            guess(&schema, [0.1, 0.2, 0.7], 2, 0),
            guess(&schema, [0.0, 0.3, 0.7], 2, 1),
            None,
        ];
        let options =
            EvalOptions { bootstrap: Bootstrap { n_resamples: 0, ..Bootstrap::default() }, ..EvalOptions::default() };
        let all = evaluate_guesses("x", &samples, &guesses, &types, &schema, &options).unwrap();
        let typed = all.scores.zero_shot.unwrap();
        assert_eq!((all.n, typed.accuracy.value()), (3, Some(2.0 / 3.0)));
        assert_eq!(typed.confusion, [[1, 0, 0], [0, 0, 1], [0, 0, 1]]);
        // confidences 0.5, 0.7, 0.7 against 1, 0, 1 right
        let expected = (1.0_f64 - 0.5).abs() / 3.0 + (0.5_f64 - 0.7).abs() * 2.0 / 3.0;
        assert!((typed.ece.value().unwrap() - expected).abs() < 1e-12);
        let attributes = all.scores.attributes.unwrap();
        assert_eq!(attributes.mean_accuracy.value(), Some(2.0 / 3.0));
        assert_eq!(attributes.per_attribute.len(), 1);
        let first = |a: &crate::Attributes| a.per_attribute.values().next().unwrap().clone();
        assert_eq!((first(&attributes).ece, attributes.mean_ece), (None, None), "no probabilities were given");

        // sizes 0, 0, 1 against 0, 1, 1: sure 0.9 and right, 0.6 and wrong, 0.8 and right
        let sure = guesses.clone().into_iter().zip([0.9, 0.6, 0.8, 0.5]);
        let sure: Vec<_> = sure.map(|(g, p)| Some(CellGuess { confidence: vec![Some(p)], ..g? })).collect();
        let sized =
            evaluate_guesses("x", &samples, &sure, &types, &schema, &options).unwrap().scores.attributes.unwrap();
        let close = |f: Option<crate::Figure>, expected: f64| (f.unwrap().value().unwrap() - expected).abs() < 1e-12;
        assert!(close(first(&sized).ece, (0.1 + 0.6 + 0.2) / 3.0) && close(sized.mean_ece, 0.3), "{sized:?}");
        let values = schema.attributes[0].values.iter().map(|v| first(&sized).per_value[&v.name].clone());
        let eces: Vec<_> = values.map(|v| v.ece).collect();
        assert!(close(eces[0], (0.1 + 0.6) / 2.0) && close(eces[1], 0.2), "{eces:?}");
        // one missing probability, and nothing is said
        let gap = [sure[0].clone(), guesses[1].clone(), sure[2].clone(), None];
        let sized =
            evaluate_guesses("x", &samples, &gap, &types, &schema, &options).unwrap().scores.attributes.unwrap();
        assert_eq!((first(&sized).ece, sized.mean_ece), (None, None));

        // without lymphocytes the second cell is what is most probable of the rest, with its share of their probability
        let classes = Some(vec![types[0].clone(), types[1].clone()]);
        let two = EvalOptions { classes, ..options };
        let two = evaluate_guesses("x", &samples, &guesses, &types, &schema, &two).unwrap();
        let typed = two.scores.zero_shot.unwrap();
        assert_eq!((two.n, typed.accuracy.value()), (2, Some(1.0)));
        assert_eq!(typed.confusion, [[1, 0], [0, 1]]);
    }

    #[test]
    fn nothing_comparable_is_refused() {
        let schema = AttributeSchema::wbcatt();
        let types = [CellType::new("monocyte")];
        let refused = evaluate_guesses("x", &[], &[], &types, &schema, &EvalOptions::default());
        assert!(matches!(refused, Err(EvalError::Empty { .. })));
    }
}
