use crate::cells::{opening_warnings, shown_path};
use crate::{Error, Run, Session};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use wbc_core::{QualityFlags, TYPE_FACT, Warning};
use wbc_encoders::Branches;
use wbc_eval::{Answers, ask};

/// A value with its probability.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Guess {
    /// The most probable value.
    pub value: String,
    /// Its probability among the run's candidates.
    pub probability: f32,
    /// Of every candidate, in the run's order.
    pub probabilities: Vec<(String, f32)>,
}

/// What a run says of one cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Classification {
    /// Item id.
    pub id: String,
    /// Its file.
    pub path: String,
    /// What makes the view doubtful, joined by `;`.
    pub flags: String,
    /// Cell type.
    #[serde(rename = "type")]
    pub cell_type: Guess,
    /// Attributes by name.
    pub attributes: BTreeMap<String, Guess>,
}

/// What [`classify`] did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassifySummary {
    /// One entry per cell, in order of ids.
    pub cells: Vec<Classification>,
    /// Images that failed.
    pub errors: Vec<Warning>,
}

/// Type and attributes of all images of an input, with probabilities.
///
/// # Errors
/// [`Error::Dataset`] for an input that cannot be opened, [`Error::Eval`] when the model cannot be asked.
pub fn classify(run: &Run, input: &str, session: &Session) -> Result<ClassifySummary, Error> {
    let dataset = session.open(input)?;
    let warnings = opening_warnings(dataset.warnings);
    let (views, scales) = run.views(&dataset.samples, session, &warnings)?;
    let mut cells = Vec::with_capacity(views.len());
    if !views.is_empty() {
        let embedded = run.trained.embed_views(&views, &scales, Branches::All)?;
        let sets = &run.trained.prompts.sets;
        let answers = sets.iter().map(|set| ask(&run.trained, &embedded, set)).collect::<Result<Vec<Answers>, _>>()?;
        for (row, sample) in views.samples.iter().enumerate() {
            let guess = |fact: usize| {
                let (value, probability) = answers[fact].top(row);
                let (values, given) = (&sets[fact].values, answers[fact].probabilities.row(row));
                let probabilities = values.iter().cloned().zip(given.iter().copied()).collect();
                Guess { value: values[value].clone(), probability, probabilities }
            };
            let sample = &dataset.samples[*sample];
            cells.push(Classification {
                id: sample.id.to_string(),
                path: shown_path(sample),
                flags: views.flags[row].to_string(),
                cell_type: guess(0),
                attributes: (1..sets.len()).map(|fact| (sets[fact].name.clone(), guess(fact))).collect(),
            });
        }
    }
    Ok(ClassifySummary { cells, errors: warnings.sorted() })
}

impl ClassifySummary {
    /// Writes a CSV: `id,path,flags,type,probability`, then `<attribute>,<attribute>.probability` in the run's order.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_csv(&self, run: &Run, path: &Path) -> Result<(), Error> {
        let attributes: Vec<&str> = run.trained.prompts.sets.iter().skip(1).map(|s| s.name.as_str()).collect();
        let names = [TYPE_FACT].into_iter().chain(attributes.iter().copied());
        let rows = self.cells.iter().map(|cell| {
            let guesses = std::iter::once(&cell.cell_type).chain(attributes.iter().map(|a| &cell.attributes[*a]));
            let decisions = guesses.map(|g| (g.value.as_str(), f64::from(g.probability)));
            ([&*cell.id, &*cell.path, &*cell.flags], decisions.collect())
        });
        write_decisions(path, names, rows)
    }
}

/// Writes what was decided about cells as a CSV: `id,path,flags`, then per name its value and `<name>.probability`, for
/// the type simply `probability`.
pub(crate) fn write_decisions<'a>(
    path: &Path,
    names: impl Iterator<Item = &'a str>,
    rows: impl Iterator<Item = ([&'a str; 3], Vec<(&'a str, f64)>)>,
) -> Result<(), Error> {
    let mut table = csv::Writer::from_writer(Vec::new());
    let failed = |e: csv::Error| Error::Io { path: path.to_owned(), source: e.into() };
    let mut header: Vec<String> = ["id", "path", "flags"].map(String::from).into();
    header.extend(names.flat_map(|name| match name {
        TYPE_FACT => [name.to_owned(), "probability".to_owned()],
        _ => [name.to_owned(), format!("{name}.probability")],
    }));
    table.write_record(&header).map_err(failed)?;
    for (keys, decisions) in rows {
        let mut row = keys.map(String::from).to_vec();
        row.extend(decisions.iter().flat_map(|(value, p)| [(*value).to_owned(), format!("{p:.4}")]));
        table.write_record(&row).map_err(failed)?;
    }
    let content = table.into_inner().map_err(|e| Error::Data(e.to_string()))?;
    crate::files::write_atomic(path, content)
}

/// Flags of a row as stored in indexes.
pub(crate) fn flags_or_none(flags: &[QualityFlags], row: usize) -> QualityFlags {
    flags.get(row).copied().unwrap_or(QualityFlags::NONE)
}
