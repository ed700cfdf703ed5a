//! What trees read in measurements, for a model that hears it.

use crate::run::row_scales;
use crate::{Error, RunConfig, Session};
use ndarray::Array2;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use wbc_contrastive::HeldOutReadings;
use wbc_core::{Annotation, MeasurementRow, MeasurementSchema, Optics};
use wbc_data::{DataError, Dataset, ViewSet};
use wbc_encoders::{MeasurementReader, MeasurementStatistics, Preprocess, Readings};
use wbc_morphology::describe::{
    CellCopy, CrossFitted, DescribeError, Description, Descriptor, FitOptions, Origin, TrainingCells,
};

/// Values less probable than this are all the same.
const LEAST_PROBABILITY: f64 = 1e-4;

/// What is read of a row: the logarithm of each value's probability, attribute after attribute, and whether any length is
/// known: trees with sizes have seen one camera only and are better there, so a model has to know which of them it hears.
fn heard(described: &Description, sized: bool) -> Vec<f32> {
    let values = described.judgements.iter().flat_map(|j| &j.probabilities);
    let values = values.map(|(_, p)| p.max(LEAST_PROBABILITY).ln() as f32);
    values.chain([f32::from(u8::from(sized))]).collect()
}

fn measurement_row(row: &[f32]) -> MeasurementRow {
    row.iter().map(|v| v.is_finite().then_some(f64::from(*v))).collect()
}

/// Trees that were grown on normalised measurements.
#[derive(Debug)]
struct TreeReader {
    descriptor: Descriptor,
    /// Columns that are lengths or areas in pixels.
    absolute: Vec<usize>,
    n_readings: usize,
}

impl TreeReader {
    fn new(descriptor: Descriptor) -> Self {
        let values: usize = descriptor.targets().filter_map(|t| descriptor.values(t)).map(<[String]>::len).sum();
        Self { absolute: absolute(descriptor.measurements()), descriptor, n_readings: values + 1 }
    }
}

impl MeasurementReader for TreeReader {
    fn n_readings(&self) -> usize {
        self.n_readings
    }

    /// # Panics
    /// For a row of another length than the trees were grown on.
    fn read(&self, row: &[f32]) -> Vec<f32> {
        let described = self.descriptor.describe(&measurement_row(row)).expect("as many measurements as in training");
        heard(&described, any_known(row, &self.absolute))
    }
}

/// The trees of a training, and what they read in its views.
pub(crate) struct TreesReadings {
    pub(crate) descriptor: Descriptor,
    pub(crate) readings: Readings,
    pub(crate) held_out: HeldOutReadings,
}

/// Grows the trees that a configuration asks for; `None` where it asks for none. They learn attributes alone: types have
/// names, by which a model must not know them.
pub(crate) fn trees_readings(
    config: &RunConfig,
    statistics: Option<&MeasurementStatistics>,
    views: &ViewSet,
    training: &Dataset,
    session: &Session,
) -> Result<Option<TreesReadings>, Error> {
    let (Some(section), Some(statistics), Some(raw)) = (&config.model.readings, statistics, &views.measurements) else {
        return Ok(None);
    };
    let rows = TrainingRows::new(statistics, views, raw, training)?;
    let refused = |e: DescribeError| match e {
        DescribeError::TooFewCells { .. } => {
            let cause = format!("no attribute of {} can be read: {e}", training.id);
            Error::Config { place: "model.readings".into(), cause }
        }
        other => other.into(),
    };
    let pool = session.pool()?;
    session.progress.start("growing trees", None);
    let fitted = pool.install(|| rows.cross_fit(views, training, &section.fit_options(config.seed)));
    let fitted = fitted.map_err(refused)?;
    if session.cancel.is_cancelled() {
        return Err(DataError::Cancelled.into());
    }
    let (mut whole, mut without_sizes) = pool.install(|| rows.read(&fitted))?;
    session.progress.finish();
    let descriptor = fitted.into_descriptor().with_origin(of_a_run());
    let reader = Arc::new(TreeReader::new(descriptor.clone()));
    let m = reader.n_readings();
    // of the cells themselves, both ways
    let of_cells = [&whole[..rows.n * m], &without_sizes[..rows.n * m]].concat();
    let readings = Readings::new(reader, &of_cells, &fingerprint(&descriptor.to_bytes()))?;
    let normalised = |all: &mut Vec<f32>| {
        readings.normalise(all);
        Array2::from_shape_vec((all.len() / m, m), std::mem::take(all)).map_err(|e| Error::Data(e.to_string()))
    };
    let held_out = HeldOutReadings { whole: normalised(&mut whole)?, without_sizes: normalised(&mut without_sizes)? };
    Ok(Some(TreesReadings { descriptor, readings, held_out }))
}

/// Marks trees as grown on a run's normalised measurements: no images are measured so, `describe` refuses them.
fn of_a_run() -> Origin {
    Origin { optics: Optics::default(), segmenter: Some("normalised measurements of a run".into()) }
}

fn fingerprint(trees: &[u8]) -> String {
    blake3::hash(trees).to_hex().to_string()
}

/// Normalised measurements of all training views, as a reader is given them. Shifted copies have no sizes there: images of
/// other hospitals come without, and the trees without sizes are the ones that learn from copies.
struct TrainingRows<'s> {
    schema: &'s MeasurementSchema,
    rows: Vec<Vec<f32>>,
    /// The unshifted row of each row's cell.
    cell_of: Vec<usize>,
    /// Unshifted rows, which come first.
    n: usize,
}

impl<'s> TrainingRows<'s> {
    fn new(
        statistics: &'s MeasurementStatistics,
        views: &ViewSet,
        raw: &Array2<f32>,
        training: &Dataset,
    ) -> Result<Self, Error> {
        let optics = Optics::common(training.samples.iter().map(|s| &s.optics));
        let n = views.n_unshifted();
        // what is measured in pixels on a shifted copy means nothing
        let mut scales = row_scales(views, &training.samples, &optics);
        scales[n..].fill(None);
        let raw: Vec<f32> = raw.iter().copied().collect();
        let (values, mask) = statistics.rows(&raw, &scales);
        let width = statistics.schema.len();
        let known = |(v, k): (&f32, &f32)| if *k > 0.0 { *v } else { f32::NAN };
        let rows = values.chunks_exact(width).zip(mask.chunks_exact(width));
        let of_sample: BTreeMap<usize, usize> =
            views.samples.iter().take(n).enumerate().map(|(cell, sample)| (*sample, cell)).collect();
        // a cell that cannot be seen as it is has no copies either
        let cell_of = |sample: &usize| {
            let lost = || Error::Data(format!("`{}` has a shifted view alone", training.samples[*sample].id));
            of_sample.get(sample).copied().ok_or_else(lost)
        };
        Ok(Self {
            schema: &statistics.schema,
            rows: rows.map(|(values, mask)| values.iter().zip(mask).map(known).collect()).collect(),
            cell_of: views.samples.iter().map(cell_of).collect::<Result<_, Error>>()?,
            n,
        })
    }

    fn cross_fit(
        &self,
        views: &ViewSet,
        training: &Dataset,
        options: &FitOptions,
    ) -> Result<CrossFitted, DescribeError> {
        let without_type = |a: &Annotation| Annotation { cell_type: None, ..a.clone() };
        let cells = views.samples.iter().take(self.n);
        let annotations: Vec<Annotation> = cells.map(|s| without_type(&training.samples[*s].annotation)).collect();
        let rows: Vec<MeasurementRow> = self.rows[..self.n].iter().map(|row| measurement_row(row)).collect();
        // more copies than one cost the trees more than they teach them
        let copies = (self.n..self.rows.len()).filter(|row| views.copies[*row] == 1);
        let copies: Vec<CellCopy> =
            copies.map(|row| CellCopy { cell: self.cell_of[row], row: measurement_row(&self.rows[row]) }).collect();
        let cells = TrainingCells {
            rows: &rows,
            annotations: &annotations,
            copies: &copies,
            measurements: self.schema,
            attributes: &training.schema,
        };
        CrossFitted::new(&cells, options)
    }

    /// What trees read in each row that its cell was held out from: in the row as it is, and without sizes.
    fn read(&self, fitted: &CrossFitted) -> Result<(Vec<f32>, Vec<f32>), DescribeError> {
        let absolute = absolute(self.schema);
        let read = |row: usize, values: &[f32]| {
            let described = fitted.describe_held_out(self.cell_of[row], &measurement_row(values))?;
            Ok::<_, DescribeError>(heard(&described, any_known(values, &absolute)))
        };
        let both = |(i, row): (usize, &Vec<f32>)| {
            let mut hidden = row.clone();
            absolute.iter().for_each(|column| hidden[*column] = f32::NAN);
            Ok((read(i, row)?, read(i, &hidden)?))
        };
        let all: Vec<(Vec<f32>, Vec<f32>)> =
            self.rows.par_iter().enumerate().map(both).collect::<Result<_, DescribeError>>()?;
        let (whole, without_sizes): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        Ok((whole.concat(), without_sizes.concat()))
    }
}

fn any_known(row: &[f32], columns: &[usize]) -> bool {
    columns.iter().any(|column| !row[*column].is_nan())
}

/// Columns that are lengths or areas in pixels.
fn absolute(schema: &MeasurementSchema) -> Vec<usize> {
    let all = schema.measurements.iter().enumerate();
    all.filter(|(_, m)| m.unit.pixel_power() != 0).map(|(column, _)| column).collect()
}

/// Gives the readings of a run their trees.
///
/// # Errors
/// [`Error::Describe`] for bytes that are no trees of these measurements, [`Error::Encoder`] for trees of another run.
pub(crate) fn read_by(preprocess: Preprocess, bytes: &[u8]) -> Result<Preprocess, Error> {
    let (Some(statistics), Some(readings)) = (&preprocess.statistics, preprocess.readings.clone()) else {
        return Ok(preprocess);
    };
    let reader = TreeReader::new(Descriptor::from_bytes(bytes, &statistics.schema)?);
    Ok(Preprocess { readings: Some(readings.with_reader(Arc::new(reader), &fingerprint(bytes))?), ..preprocess })
}
