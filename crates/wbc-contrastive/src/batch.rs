use crate::{HeldOutReadings, OptimiserConfig, TrainError};
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array2, Axis};
use rand::{Rng, RngCore};
use std::collections::BTreeMap;
use wbc_data::ViewSet;
use wbc_encoders::{MeasurementInput, MeasurementStatistics, Preprocess, gaussian_pair};

/// Rows of what a frozen encoder answered, where a view set has it.
pub(crate) fn features(views: &ViewSet, rows: &[usize], device: &Device) -> Option<Tensor<2>> {
    let all = views.features.as_ref()?;
    let data: Vec<f32> = rows.iter().flat_map(|r| all.row(*r)).copied().collect();
    Some(Tensor::from_data(TensorData::new(data, [rows.len(), all.ncols()]), device))
}

/// Longest stretch of measurements that is masked, as a share of all.
const LONGEST_STRETCH: f64 = 0.7;

/// Masks a stretch of one row's measurements, of any length up to [`LONGEST_STRETCH`] and from anywhere, past the end from
/// the front on: SpecAugment's frequency masking (Park et al. 2019), where neighbours measure like things, too.
fn mask_stretch(mask: &mut [f32], rng: &mut dyn RngCore) {
    let width = mask.len();
    let length = (rng.random::<f64>() * width as f64 * LONGEST_STRETCH) as usize;
    let first = rng.random_range(0..width);
    (first..first + length).for_each(|j| mask[j % width] = 0.0);
}

/// Measurements of all rows of a view set, normalised once; rows are gathered per batch.
pub(crate) struct NormalisedMeasurements {
    width: usize,
    values: Vec<f32>,
    mask: Vec<f32>,
    /// Columns that are lengths or areas in pixels.
    absolute: Vec<usize>,
    /// What is read in each row as it is, and with its absolute sizes hidden; the latter in training only.
    readings: Option<(Array2<f32>, Option<Array2<f32>>)>,
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
        Ok(Self { width: rows.ncols(), values, mask, absolute, readings: None })
    }

    /// The same rows as the model sees them after training: with what is read in them.
    pub(crate) fn seen(
        views: &ViewSet,
        preprocess: &Preprocess,
        length_scale: &[Option<f64>],
    ) -> Result<Option<Self>, TrainError> {
        let Some(statistics) = &preprocess.statistics else { return Ok(None) };
        let mut all = Self::new(views, statistics, length_scale)?;
        if let Some(readings) = &preprocess.readings {
            if !readings.has_reader() {
                return Err(TrainError::Data { cause: "the readings of measurements lack their reader".into() });
            }
            let n = length_scale.len();
            let read = Array2::from_shape_vec((n, readings.len()), readings.read(&all.values, &all.mask, n));
            all.readings = Some((read.map_err(|e| TrainError::Data { cause: e.to_string() })?, None));
        }
        Ok(Some(all))
    }

    /// Takes what was read in the rows while their cells were held out.
    pub(crate) fn take_held_out(&mut self, readings: &HeldOutReadings) -> Result<(), TrainError> {
        let n = self.values.len() / self.width;
        let HeldOutReadings { whole, without_sizes } = readings;
        if whole.nrows() != n || whole.dim() != without_sizes.dim() {
            let cause = format!("readings of {} and {} rows for {n}", whole.nrows(), without_sizes.nrows());
            return Err(TrainError::Data { cause });
        }
        self.readings = Some((whole.clone(), Some(without_sizes.clone())));
        Ok(())
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
        let readings = self.readings.as_ref().map(|(all, _)| all.select(Axis(0), rows).into_iter().collect());
        MeasurementInput::of_rows(rows.len(), values, mask, readings, device)
    }

    /// Rows with Gaussian noise on known values and readings and, for shares of cells, without a stretch of measurements
    /// and without absolute sizes.
    pub(crate) fn noisy_batch(
        &self,
        rows: &[usize],
        config: &OptimiserConfig,
        rng: &mut dyn RngCore,
        device: &Device,
    ) -> MeasurementInput {
        let (mut values, mut mask) = self.gather(rows);
        if config.measurement_masking > 0.0 {
            for row in mask.chunks_exact_mut(self.width) {
                if rng.random_bool(config.measurement_masking) {
                    mask_stretch(row, rng);
                }
            }
        }
        let mut readings = self.readings.as_ref().map(|(all, _)| all.select(Axis(0), rows));
        for (i, row) in mask.chunks_exact_mut(self.width).enumerate() {
            if rng.random_bool(config.absolute_dropout) {
                self.absolute.iter().for_each(|j| row[*j] = 0.0);
                if let (Some(read), Some((_, Some(hidden)))) = (&mut readings, &self.readings) {
                    read.row_mut(i).assign(&hidden.row(rows[i]));
                }
            }
        }
        let mut disturb = |values: &mut [f32]| {
            for pair in values.chunks_mut(2) {
                pair.iter_mut().zip(gaussian_pair(rng)).for_each(|(x, n)| *x += config.measurement_noise as f32 * n);
            }
        };
        disturb(&mut values);
        if let Some(read) = readings.as_mut().and_then(|read| read.as_slice_mut()) {
            disturb(read);
        }
        let readings = readings.map(|read| read.into_iter().collect());
        MeasurementInput::of_rows(rows.len(), values, mask, readings, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::seeded_rng;

    #[test]
    fn masking_hides_from_a_share_of_the_rows_what_is_known() {
        const ROWS: usize = 400;
        let of_row = [1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        let all = NormalisedMeasurements {
            width: of_row.len(),
            values: vec![0.5; ROWS * of_row.len()],
            mask: of_row.repeat(ROWS),
            absolute: Vec::new(),
            readings: None,
        };
        let rows: Vec<usize> = (0..ROWS).collect();
        let whole = |measurement_masking| {
            let config = OptimiserConfig { measurement_masking, ..OptimiserConfig::default() };
            let batch = all.noisy_batch(&rows, &config, &mut seeded_rng(&[5]), &Device::flex());
            let mask = batch.mask.into_data().try_to_vec::<f32>().unwrap();
            assert!(mask.chunks(of_row.len()).all(|row| row.iter().zip(&of_row).all(|(m, known)| m <= known)));
            mask.chunks(of_row.len()).filter(|row| **row == of_row).count()
        };
        assert_eq!(whole(0.0), ROWS);
        // a stretch may be empty, or hide the unknown alone
        let (half, few) = (whole(0.5), whole(1.0));
        assert!((200..280).contains(&half) && (40..120).contains(&few), "{half} and {few} rows are whole");
    }

    #[test]
    fn masks_one_stretch_of_up_to_seven_tenths() {
        let mut rng = seeded_rng(&[3]);
        let (mut longest, mut places) = (0, vec![0; 100]);
        for _ in 0..400 {
            let mut mask = vec![1.0f32; 100];
            mask_stretch(&mut mask, &mut rng);
            let hidden = mask.iter().filter(|m| **m == 0.0).count();
            // around the ring, what is hidden begins at most once
            let begins = (0..100).filter(|j| mask[*j] == 0.0 && mask[(j + 99) % 100] == 1.0).count();
            assert!(hidden < 70 && begins == usize::from(hidden > 0), "{hidden} hidden, {begins} stretches");
            longest = longest.max(hidden);
            (0..100).filter(|j| mask[*j] == 0.0).for_each(|j| places[j] += 1);
        }
        assert!(longest > 60, "{longest}");
        // a third of the time each, whether it stands first, last or between
        assert!(places.iter().all(|n| (90..190).contains(n)), "{places:?}");
    }
}
