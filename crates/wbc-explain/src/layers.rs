//! Heat maps by the layers that a perceptron reads.

use crate::ExplainError;
use crate::filters::{planes, surroundings};
use crate::heat::{HeatField, Look, smooth_mean, upsampled};
use crate::heat_methods::{HeatKind, HeatMethod};
use crate::pixel_branch::{PixelBranch, SeenLayer, SeenLayers};
use image::RgbImage;
use rayon::prelude::*;
use wbc_encoders::{ImageEncoder, TextEncoder};

/// Points of the way from an empty view's features to the view's.
const STEPS: usize = 16;

/// What every position of every layer adds to the cosine. Between an empty view and the view the cosine changes by the sum of
/// what each feature adds (integrated gradients by the features, Sundararajan et al. 2017), a feature is the mean or the
/// spread of a channel, and to these every position adds its own: but for the steps of integration and for smoothing nothing is
/// left over. Averaged over the eight symmetries.
pub(crate) struct Layers<'m, I: ImageEncoder, T: TextEncoder>(pub(crate) PixelBranch<'m, I, T>);

impl<I: ImageEncoder, T: TextEncoder> HeatMethod for Layers<'_, I, T> {
    fn kind(&self) -> HeatKind {
        HeatKind::Layers
    }

    fn maps(&self, view: &RgbImage, directions: &[Vec<f32>]) -> Result<Option<Vec<HeatField>>, ExplainError> {
        if !self.0.model.model.image.sees_pixels() {
            return Ok(None);
        }
        let side = view.width() as usize;
        let looks = Look::all(0);
        let empty = RgbImage::from_pixel(view.width(), view.height(), surroundings(view));
        let views = std::iter::once(planes(&empty)).chain(looks.iter().map(|look| look.pixels(view)));
        let Some(seen) = self.0.layers(side, views.collect())? else { return Ok(None) };
        if seen.layers.iter().any(|layer| layer.grid() > side) {
            return Ok(None);
        }
        let map = |direction: &Vec<f32>| {
            let Some(slopes) = self.slopes(&seen, direction)? else { return Ok(None) };
            let mut sum = vec![0.0; side * side];
            for ((i, look), slopes) in looks.iter().enumerate().zip(slopes.chunks_exact(seen.width)) {
                for layer in &seen.layers {
                    let coarse = shares(&seen, layer, i + 1, slopes);
                    look.add_back(&upsampled(&coarse, layer.grid(), side), side, &mut sum);
                }
            }
            Ok(Some(smooth_mean(sum, looks.len(), side)))
        };
        let maps: Vec<Option<HeatField>> = directions.par_iter().map(map).collect::<Result<_, ExplainError>>()?;
        Ok(maps.into_iter().collect())
    }
}

impl<I: ImageEncoder, T: TextEncoder> Layers<'_, I, T> {
    /// The mean gradient of the cosine by the features, on the way from the first view to each other, `[n - 1, width]`.
    fn slopes(&self, seen: &SeenLayers, direction: &[f32]) -> Result<Option<Vec<f32>>, ExplainError> {
        let (empty, views) = seen.features.split_at(seen.width);
        let n = views.len() / seen.width;
        let on_the_way: Vec<f32> = views
            .chunks_exact(seen.width)
            .flat_map(|view| (0..STEPS).map(move |step| (view, (step as f32 + 0.5) / STEPS as f32)))
            .flat_map(|(view, part)| empty.iter().zip(view).map(move |(from, to)| from + part * (to - from)))
            .collect();
        let gradients = self.0.feature_gradient(on_the_way, n * STEPS, direction)?;
        Ok(gradients.map(|gradients| {
            let mut means = vec![0.0; n * seen.width];
            for (i, gradient) in gradients.chunks_exact(seen.width).enumerate() {
                let mean = &mut means[i / STEPS * seen.width..][..seen.width];
                mean.iter_mut().zip(gradient).for_each(|(m, g)| *m += g / STEPS as f32);
            }
            means
        }))
    }
}

/// What each position of a layer of view `row` adds to the cosine, more than it does in the first view; `slopes` are by the
/// features. Its mean is the sum of all.
fn shares(seen: &SeenLayers, layer: &SeenLayer, row: usize, slopes: &[f32]) -> Vec<f32> {
    let n = layer.positions;
    let channels = |row: usize| layer.map[row * layer.channels * n..][..layer.channels * n].chunks_exact(n);
    let features = |row: usize| &seen.features[row * seen.width..][..seen.width];
    let mut shares = vec![0.0; n];
    for (c, (own, empty)) in channels(row).zip(channels(0)).enumerate() {
        let mean = layer.first + c;
        let slope = slopes[mean];
        for (share, (x, e)) in shares.iter_mut().zip(own.iter().zip(empty)) {
            *share += slope * (x - e);
        }
        if !layer.with_spread {
            continue;
        }
        // s - e = (s² - e²) / (s + e), and variances are means of squares
        let spread = mean + layer.channels;
        let (s, e) = (features(row)[spread], features(0)[spread]);
        if s + e > 0.0 {
            let slope = slopes[spread] * n as f32 / ((n - 1).max(1) as f32 * (s + e));
            let (m, k) = (features(row)[mean], features(0)[mean]);
            for (share, (x, y)) in shares.iter_mut().zip(own.iter().zip(empty)) {
                *share += slope * ((x - m).powi(2) - (y - k).powi(2));
            }
        }
    }
    shares
}
