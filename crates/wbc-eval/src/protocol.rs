use crate::EvalError;
use crate::bootstrap::Bootstrap;
use crate::described::{ClassDescriptions, DescribedScores, described_scores};
use crate::document::DatasetReport;
use crate::embedded::EmbeddedViews;
use crate::judge::{Judge, Told};
use crate::selective::selective_types;
use crate::words::{WordsOptions, words};
use crate::zero_shot::Answers;
use std::collections::BTreeMap;
use std::fmt;
use wbc_contrastive::TrainedModel;
use wbc_core::{Annotation, Captioner, CellType, Sample};
use wbc_data::ViewSet;
use wbc_encoders::{Branches, ImageTower, TextEncoder};

/// Scores of how far to trust the decision about each row's type, higher being more, by name: one number per row of the
/// views. They are told what the whole image tower says of each attribute of the rows, in the schema's order.
pub type Trust<'a> = dyn Fn(&[Answers]) -> BTreeMap<String, Vec<f64>> + 'a;

/// Cells to be evaluated: samples with their views.
#[derive(Clone, Copy)]
pub struct EvalInput<'a> {
    /// As asked for, `wbcatt:val`.
    pub id: &'a str,
    /// Samples.
    pub samples: &'a [Sample],
    /// Views of the samples, without shifted copies, and how the evaluated model embeds them.
    pub embedded: &'a EmbeddedViews<'a>,
    /// Further scores for [`EvalOptions::selective`] to compare beside its own, whose names (`confidence`, `branches`,
    /// `mask`) they must not take.
    pub trust: Option<&'a Trust<'a>>,
}

impl<'a> EvalInput<'a> {
    pub(crate) fn views(&self) -> &'a ViewSet {
        self.embedded.views()
    }
}

impl fmt::Debug for EvalInput<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n_samples, n_views, trust) = (self.samples.len(), self.views().len(), self.trust.is_some());
        let mut written = f.debug_struct("EvalInput");
        written.field("id", &self.id).field("n_samples", &n_samples).field("n_views", &n_views);
        written.field("trust", &trust).finish_non_exhaustive()
    }
}

/// How it is evaluated.
#[derive(Clone, Debug, Default)]
pub struct EvalOptions {
    /// Restricts candidates and cells to these types; all types of the run where `None`. Descriptions keep their own
    /// classes and cells.
    pub classes: Option<Vec<CellType>>,
    /// Intervals.
    pub bootstrap: Bootstrap,
    /// Seed of the captions that are retrieved and of those in other tones.
    pub seed: u64,
    /// Classes by descriptions instead of names, scored beside the run's types: over all cells of a described type,
    /// whatever `classes` says.
    pub described: Option<ClassDescriptions>,
    /// Also whether every word of a caption is understood, of the whole image tower.
    pub words: Option<WordsOptions>,
    /// Also which decisions about types to trust, of the whole image tower.
    pub selective: bool,
}

/// Evaluates a model on one dataset: zero-shot types and attributes, retrieval both ways, calibration, each branch alone
/// beside both.
///
/// Cells whose type is unknown or no candidate are left out of the type figures; without `classes` they still count for
/// attributes and retrieval by attributes. Where nothing is left to compare but some cells are of a described type, the
/// report has `n` 0 and nothing but their figures.
///
/// # Errors
/// [`EvalError::UnknownClass`], [`EvalError::Empty`], [`EvalError::ReservedScore`], or what the model says.
pub fn evaluate_dataset<T: TextEncoder>(
    trained: &TrainedModel<ImageTower, T>,
    input: EvalInput<'_>,
    captioner: &dyn Captioner,
    options: &EvalOptions,
) -> Result<DatasetReport, EvalError> {
    let candidates = candidates(trained.space.types(), options.classes.as_deref())?;
    let annotation = |row: usize| &input.samples[input.views().samples[row]].annotation;
    let label = |row: usize| position(annotation(row), trained.space.types(), &candidates);
    let rows: Vec<usize> =
        (0..input.views().len()).filter(|row| is_comparable(annotation(*row), label(*row), options)).collect();
    // cells of which the run knows nothing may still be told apart by descriptions
    if rows.is_empty() && options.described.is_none() {
        return Err(nothing_comparable(input.id));
    }
    let ensembles = input.embedded.ensembles();
    let all = input.embedded.cells()?;
    let trust = input.trust.filter(|_| options.selective);
    // descriptions and scores of trust want every attribute of every view, whoever annotated what
    let said: Option<Vec<Answers>> = (options.described.is_some() || trust.is_some())
        .then(|| (0..ensembles.n_attributes()).map(|a| ensembles.ask_attribute(a, all)).collect())
        .transpose()?;
    let described = match &said {
        Some(said) => described(trained, input, options, said)?,
        None => None,
    };
    let classes = candidates.iter().map(|c| trained.space.types()[*c].to_string()).collect();
    if rows.is_empty() {
        let Some(described) = described else { return Err(nothing_comparable(input.id)) };
        return Ok(DatasetReport { described: Some(described), ..DatasetReport::of(input.id, 0, classes) });
    }
    let judge = Judge::new(trained, candidates, input, &rows, captioner, options)?;
    let whole = match &said {
        Some(said) => judge.tell_known(all.select(&rows), said, &rows)?,
        None => judge.tell(all.select(&rows))?,
    };
    let alone = |branches| -> Result<Told, EvalError> {
        judge.tell(trained.embed_views(input.views(), input.embedded.length_scale(), branches)?.select(&rows))
    };
    let tower = &trained.model.image;
    let both = tower.has_pixels() && tower.has_measurements();
    let each = both.then(|| Ok::<_, EvalError>([alone(Branches::Pixels)?, alone(Branches::Measurements)?]));
    let each = each.transpose()?;
    let branches = each.as_ref().map(|[pixels, measurements]| {
        Ok::<_, EvalError>(BTreeMap::from([
            ("pixels".to_owned(), judge.scores(pixels)?),
            ("measurements".to_owned(), judge.scores(measurements)?),
        ]))
    });
    let selective = options.selective.then(|| {
        let trust = trust.zip(said.as_ref()).map(|(of, said)| of(said)).unwrap_or_default();
        selective_types(&judge, input.views(), &rows, trust, &whole, each.as_ref())
    });
    Ok(DatasetReport {
        scores: judge.scores(&whole)?,
        branches: branches.transpose()?,
        described,
        words: match &options.words {
            Some(asked) => words(&judge, asked, &whole)?,
            None => None,
        },
        selective: selective.transpose()?.flatten(),
        ..DatasetReport::of(input.id, rows.len(), classes)
    })
}

/// Scores of the descriptions of the options, over every cell of a described type, whatever the run knows.
fn described<T: TextEncoder>(
    trained: &TrainedModel<ImageTower, T>,
    input: EvalInput<'_>,
    options: &EvalOptions,
    said: &[Answers],
) -> Result<Option<DescribedScores>, EvalError> {
    let Some(classes) = &options.described else { return Ok(None) };
    let samples = || input.views().samples.iter().map(|s| &input.samples[*s]);
    let types: Vec<Option<&CellType>> = samples().map(|s| s.annotation.cell_type.as_ref()).collect();
    let groups: Vec<Option<&str>> = samples().map(|s| s.group.as_deref()).collect();
    described_scores(classes, said, &types, trained.space.types(), &groups, &options.bootstrap)
}

/// Position of a cell's type among the candidates.
pub(crate) fn position(annotation: &Annotation, types: &[CellType], candidates: &[usize]) -> Option<usize> {
    let cell_type = annotation.cell_type.as_ref()?;
    candidates.iter().position(|c| types[*c] == *cell_type)
}

/// Whether anything is known of a cell that could be compared; others are not evaluated.
pub(crate) fn is_comparable(annotation: &Annotation, label: Option<usize>, options: &EvalOptions) -> bool {
    let attributes = annotation.values.iter().any(Option::is_some);
    label.is_some() || (options.classes.is_none() && attributes)
}

pub(crate) fn nothing_comparable(id: &str) -> EvalError {
    EvalError::Empty { cause: format!("{id} has no cell of a candidate type or with attributes") }
}

/// Positions of the asked classes among the known types, in their order.
pub(crate) fn candidates(types: &[CellType], classes: Option<&[CellType]>) -> Result<Vec<usize>, EvalError> {
    let Some(classes) = classes else { return Ok((0..types.len()).collect()) };
    if let Some(unknown) = classes.iter().find(|c| !types.contains(c)) {
        return Err(EvalError::UnknownClass {
            class: unknown.to_string(),
            known: types.iter().map(CellType::as_str).collect::<Vec<_>>().join(", "),
        });
    }
    Ok((0..types.len()).filter(|i| classes.contains(&types[*i])).collect())
}
