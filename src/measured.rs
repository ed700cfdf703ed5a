//! Measurements of a run's views, as its training normalised them, beside what its training cells measured.

use crate::{Error, Run};
use wbc_data::ViewSet;
use wbc_encoders::MeasurementStatistics;
use wbc_explain::TrainingReference;

/// Views with measurements.
#[derive(Clone, Copy)]
pub(crate) struct MeasuredViews<'a> {
    /// What the training cells measured.
    pub(crate) reference: &'a TrainingReference,
    statistics: &'a MeasurementStatistics,
    rows: ndarray::ArrayView2<'a, f32>,
    length_scale: &'a [Option<f64>],
}

impl<'a> MeasuredViews<'a> {
    /// Views with one length scale per row; `None` for a run without measurements.
    ///
    /// # Errors
    /// [`Error::Explain`] where the run's reference is about other measurements or facts.
    pub(crate) fn of(run: &'a Run, views: &'a ViewSet, length_scale: &'a [Option<f64>]) -> Result<Option<Self>, Error> {
        let statistics = run.trained.preprocess.statistics.as_ref();
        let (Some(reference), Some(statistics), Some(rows)) = (&run.reference, statistics, &views.measurements) else {
            return Ok(None);
        };
        reference.check_fits(&run.trained.space, statistics)?;
        Ok(Some(Self { reference, statistics, rows: rows.view(), length_scale }))
    }

    /// Normalised values of one row, and which of them are known.
    pub(crate) fn row(&self, row: usize) -> (Vec<f32>, Vec<f32>) {
        self.statistics.rows(&self.rows.row(row).to_vec(), &self.length_scale[row..=row])
    }

    /// Distance of one row from the nearest type of the training cells ([`TrainingReference::type_distance`]).
    pub(crate) fn type_distance(&self, row: usize) -> Option<f64> {
        let (values, mask) = self.row(row);
        self.reference.type_distance(&self.statistics.schema, &values, &mask)
    }
}
