use crate::EvalError;
use crate::classification::{Confusion, mean};
use crate::gallery::attribute_gallery;
use crate::zero_shot::Ensembles;
use burn::tensor::Device;
use std::collections::BTreeMap;
use std::ops::Range;
use wbc_contrastive::{DualEncoder, FactSpace, TrainError, TrainedModel, Validation, Validator};
use wbc_core::{Annotation, Embeddings, PromptSets};
use wbc_data::ViewSet;
use wbc_encoders::{Branches, ImageEncoder, Preprocess, TextEncoder, Tokenizer};
use wbc_retrieval::{Relevance, evaluate_per_query};

/// Validates by what the model is for: zero-shot type, zero-shot attributes, and finding a cell's combination of
/// attributes among all that occur. Rows of shifted copies are judged apart, their figures named `shifted.…`: how the
/// model would fare in another hospital is a reason to prefer it. The score is the mean of balanced accuracy, attribute
/// accuracy, attribute macro-F1 and hit rate at 1, over both, as far as annotated.
pub struct ZeroShotValidator {
    views: ViewSet,
    annotations: Vec<Annotation>,
    length_scale: Vec<Option<f64>>,
    space: FactSpace,
    prompts: PromptSets,
    tokenizer: Tokenizer,
    preprocess: Preprocess,
    device: Device,
}

impl ZeroShotValidator {
    /// A validator over some views; `annotations` are per sample, `length_scale` per row of the views.
    #[expect(clippy::too_many_arguments, reason = "everything that a trained model holds, apart from the weights")]
    pub fn new(
        views: ViewSet,
        annotations: Vec<Annotation>,
        length_scale: Vec<Option<f64>>,
        space: FactSpace,
        prompts: PromptSets,
        tokenizer: Tokenizer,
        preprocess: Preprocess,
        device: Device,
    ) -> Self {
        Self { views, annotations, length_scale, space, prompts, tokenizer, preprocess, device }
    }

    /// What is compared between validations; `None` where there are no figures.
    pub fn score(metrics: &BTreeMap<String, f64>) -> Option<f64> {
        // plain accuracy is dominated by the frequent types: it is logged, not judged
        let judged = metrics.iter().filter(|(name, _)| !name.ends_with("zero_shot.accuracy"));
        mean(judged.map(|(_, value)| *value))
    }

    fn judge<I: ImageEncoder, T: TextEncoder>(&self, model: &DualEncoder<I, T>) -> Result<Validation, EvalError> {
        let trained = TrainedModel {
            model: model.clone(),
            tokenizer: self.tokenizer.clone(),
            preprocess: self.preprocess.clone(),
            prompts: self.prompts.clone(),
            space: self.space.clone(),
            device: self.device.clone(),
        };
        let cells = trained.embed_views(&self.views, &self.length_scale, Branches::All)?;
        let ensembles = Ensembles::new(&trained);
        let n_unshifted = self.views.n_unshifted();
        let mut metrics = self.figures(&trained, &ensembles, &cells, 0..n_unshifted, "")?;
        metrics.extend(self.figures(&trained, &ensembles, &cells, n_unshifted..self.views.len(), "shifted.")?);
        let score = Self::score(&metrics).ok_or_else(|| EvalError::Empty { cause: "no cell is annotated".into() })?;
        Ok(Validation { metrics, score })
    }

    /// Figures over some rows, their names prefixed.
    fn figures<I: ImageEncoder, T: TextEncoder>(
        &self,
        trained: &TrainedModel<I, T>,
        ensembles: &Ensembles<'_>,
        cells: &Embeddings,
        rows: Range<usize>,
        prefix: &str,
    ) -> Result<BTreeMap<String, f64>, EvalError> {
        let rows: Vec<usize> = rows.collect();
        let cells = cells.select(&rows);
        let annotations: Vec<&Annotation> = rows.iter().map(|r| &self.annotations[self.views.samples[*r]]).collect();
        let codes: Vec<Vec<i16>> = annotations.iter().map(|a| self.space.encode(a)).collect();
        let mut metrics = BTreeMap::new();
        let mut put = |name: &str, value: Option<f64>| {
            metrics.extend(value.map(|v| (format!("{prefix}{name}"), v)));
        };
        let (mut accuracies, mut f1s) = (Vec::new(), Vec::new());
        for (fact, set) in self.prompts.sets.iter().enumerate() {
            let known: Vec<usize> = (0..codes.len()).filter(|i| codes[*i][fact] >= 0).collect();
            if known.is_empty() {
                continue;
            }
            let guessed = ensembles.ask(fact, &cells)?.predicted();
            let truth: Vec<usize> = known.iter().map(|i| codes[*i][fact] as usize).collect();
            let predicted: Vec<usize> = known.iter().map(|i| guessed[*i]).collect();
            let confusion = Confusion::new(&truth, &predicted, set.values.len())?;
            if fact == 0 {
                put("zero_shot.accuracy", confusion.accuracy());
                put("zero_shot.balanced_accuracy", confusion.balanced_accuracy());
            } else {
                accuracies.extend(confusion.accuracy());
                f1s.extend(confusion.macro_f1_of_all());
            }
        }
        put("attributes.mean_accuracy", mean(accuracies));
        put("attributes.mean_macro_f1", mean(f1s));
        if let Some(gallery) = attribute_gallery(self.space.schema(), &annotations) {
            let texts = trained.embed_texts(&gallery.texts)?;
            let labels = (0..gallery.texts.len() as u32).collect();
            let relevance = Relevance::Labels { queries: gallery.labels, gallery: labels };
            let found = evaluate_per_query(&cells.select(&gallery.rows), &texts, &relevance, &[1])?.summarise(None);
            put("retrieval.same_attributes.hit_rate_1", found.map(|f| f.hit_rate[&1]));
        }
        Ok(metrics)
    }
}

impl<I: ImageEncoder, T: TextEncoder> Validator<I, T> for ZeroShotValidator {
    fn validate(&mut self, model: &DualEncoder<I, T>) -> Result<Validation, TrainError> {
        self.judge(model).map_err(|e| TrainError::Validation(Box::new(e)))
    }
}
