use crate::TrainError;
use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, RngCore};
use std::collections::BTreeMap;
use wbc_data::ViewSet;
use wbc_encoders::{MeasurementInput, MeasurementStatistics, gaussian_pair};

/// Rows of what a frozen encoder answered, where a view set has it.
pub(crate) fn features(views: &ViewSet, rows: &[usize], device: &Device) -> Option<Tensor<2>> {
    let all = views.features.as_ref()?;
    let data: Vec<f32> = rows.iter().flat_map(|r| all.row(*r)).copied().collect();
    Some(Tensor::from_data(TensorData::new(data, [rows.len(), all.ncols()]), device))
}

/// Measurements of all rows of a view set, normalised once; rows are gathered per batch.
pub(crate) struct NormalisedMeasurements {
    width: usize,
    values: Vec<f32>,
    mask: Vec<f32>,
    /// Columns that are lengths or areas in pixels.
    absolute: Vec<usize>,
}

impl NormalisedMeasurements {
    /// `length_scale` is per row.
    pub(crate) fn new(
        views: &ViewSet,
        statistics: &MeasurementStatistics,
        length_scale: &[Option<f64>],
    ) -> Result<Self, TrainError> {
        let rows = views.measurements.as_ref().ok_or_else(|| TrainError::Data {
            cause: "the model needs measurements, but the views have none".into(),
        })?;
        if rows.ncols() != statistics.mean.len() {
            return Err(TrainError::Data {
                cause: format!("{} measurements where {} are expected", rows.ncols(), statistics.mean.len()),
            });
        }
        let raw: Vec<f32> = rows.iter().copied().collect();
        let (values, mask) = statistics.rows(&raw, length_scale);
        let powers = statistics.schema.measurements.iter().map(|m| m.unit.pixel_power());
        let absolute = powers.enumerate().filter(|(_, p)| *p != 0).map(|(j, _)| j).collect();
        Ok(Self { width: rows.ncols(), values, mask, absolute })
    }

    /// Gives shifted copies the absolute sizes of the cell itself: the simulated hospital's camera is known to be the
    /// training set's, whatever the simulation did to the frame.
    pub(crate) fn copy_absolute_sizes(&mut self, views: &ViewSet) {
        let unshifted: BTreeMap<usize, usize> =
            views.samples.iter().take(views.n_unshifted()).enumerate().map(|(row, sample)| (*sample, row)).collect();
        for row in views.n_unshifted()..views.len() {
            let Some(own) = unshifted.get(&views.samples[row]) else { continue };
            for column in &self.absolute {
                let (to, from) = (row * self.width + column, own * self.width + column);
                self.values[to] = self.values[from];
                self.mask[to] = self.mask[from];
            }
        }
    }

    fn gather(&self, rows: &[usize]) -> (Vec<f32>, Vec<f32>) {
        let take =
            |from: &[f32]| rows.iter().flat_map(|r| &from[r * self.width..(r + 1) * self.width]).copied().collect();
        (take(&self.values), take(&self.mask))
    }

    /// Rows as they are.
    pub(crate) fn batch(&self, rows: &[usize], device: &Device) -> MeasurementInput {
        let (values, mask) = self.gather(rows);
        self.tensors(rows.len(), values, mask, device)
    }

    /// Rows with Gaussian noise on known values and, for a share of cells, without absolute sizes.
    pub(crate) fn noisy_batch(
        &self,
        rows: &[usize],
        noise: f64,
        absolute_dropout: f64,
        rng: &mut dyn RngCore,
        device: &Device,
    ) -> MeasurementInput {
        let (mut values, mut mask) = self.gather(rows);
        for row in mask.chunks_exact_mut(self.width) {
            if rng.random_bool(absolute_dropout) {
                self.absolute.iter().for_each(|j| row[*j] = 0.0);
            }
        }
        for pair in values.chunks_mut(2) {
            pair.iter_mut().zip(gaussian_pair(rng)).for_each(|(x, n)| *x += noise as f32 * n);
        }
        self.tensors(rows.len(), values, mask, device)
    }

    fn tensors(&self, n: usize, values: Vec<f32>, mask: Vec<f32>, device: &Device) -> MeasurementInput {
        let tensor = |v| Tensor::from_data(TensorData::new(v, [n, self.width]), device);
        MeasurementInput { values: tensor(values), mask: tensor(mask) }
    }
}
