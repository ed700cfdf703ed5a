use crate::ExplainError;
use crate::row::{embeddings, floats};
use burn::tensor::{Tensor, TensorData};
use ndarray::{Axis, concatenate};
use rayon::prelude::*;
use wbc_contrastive::{TrainError, TrainedModel};
use wbc_core::Embeddings;
use wbc_encoders::{FeatureLayer, ImageEncoder, ImageInput, ImageOutput, Mode, TextEncoder, l2_normalised};

/// Views per forward pass; passes run beside each other.
const BATCH: usize = 16;

/// A model's pixels, asked without measurements: what a heat map is about.
pub(crate) struct PixelBranch<'m, I: ImageEncoder, T: TextEncoder> {
    pub(crate) model: &'m TrainedModel<I, T>,
}

impl<I: ImageEncoder, T: TextEncoder> Clone for PixelBranch<'_, I, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I: ImageEncoder, T: TextEncoder> Copy for PixelBranch<'_, I, T> {}

impl<I: ImageEncoder, T: TextEncoder> PixelBranch<'_, I, T> {
    /// Width of an embedding.
    pub(crate) fn dim(&self) -> usize {
        self.model.model.image.embed_dim()
    }

    /// Planes of `n` views as a tensor, `[n, 3, side, side]`.
    pub(crate) fn tensor(&self, planes: Vec<f32>, n: usize, side: usize) -> Tensor<4> {
        Tensor::from_data(TensorData::new(planes, [n, 3, side, side]), &self.model.device)
    }

    /// Unit embeddings of views `[3, side, side]`: what the model says of them.
    pub(crate) fn embed(&self, side: usize, views: impl Iterator<Item = Vec<f32>>) -> Result<Embeddings, ExplainError> {
        let image = &self.model.model.image;
        let whole =
            |pixels| image.forward(ImageInput { pixels: Some(pixels), ..ImageInput::default() }, &mut Mode::Eval);
        self.embed_by(side, views, whole)
    }

    /// As [`Self::embed`], of views as they lie ([`ImageEncoder::look`]).
    pub(crate) fn look(&self, side: usize, views: impl Iterator<Item = Vec<f32>>) -> Result<Embeddings, ExplainError> {
        self.embed_by(side, views, |pixels| self.model.model.image.look(pixels))
    }

    fn embed_by(
        &self,
        side: usize,
        mut views: impl Iterator<Item = Vec<f32>>,
        forward: impl Fn(Tensor<4>) -> ImageOutput + Sync,
    ) -> Result<Embeddings, ExplainError> {
        let batches = std::iter::from_fn(|| {
            let batch: Vec<Vec<f32>> = views.by_ref().take(BATCH).collect();
            (!batch.is_empty()).then_some(batch)
        });
        let part = |batch: Vec<Vec<f32>>| embeddings(forward(self.tensor(batch.concat(), batch.len(), side)).pooled);
        let parts = batches.collect::<Vec<_>>().into_par_iter().map(part).collect::<Result<Vec<_>, _>>()?;
        let rows: Vec<_> = parts.iter().map(Embeddings::view).collect();
        let all = concatenate(Axis(0), &rows).map_err(|e| TrainError::Data { cause: e.to_string() })?;
        Ok(Embeddings::new(all)?.normalised())
    }

    /// What each patch of each view as it lies contributes to the embedding, `[n, n_patches, dim]`; `None` where patches
    /// do not add up to it.
    pub(crate) fn patches(
        &self,
        side: usize,
        views: impl Iterator<Item = Vec<f32>>,
    ) -> Result<Option<(usize, Vec<f32>)>, ExplainError> {
        let views: Vec<Vec<f32>> = views.collect();
        let (mut all, mut n_patches) = (Vec::new(), 0);
        for batch in views.chunks(BATCH) {
            let seen = self.model.model.image.look(self.tensor(batch.concat(), batch.len(), side));
            let Some(patches) = seen.patches else { return Ok(None) };
            n_patches = patches.dims()[1];
            all.extend(floats(patches.into_data())?);
        }
        if all.iter().any(|v| !v.is_finite()) {
            return Err(not_finite());
        }
        Ok(Some((n_patches, all)))
    }

    /// Gradient, by the pixels, of the cosine between each view as it lies and a direction; the views are one after the
    /// other, and so is the answer. `None` for an encoder that lets no gradient through.
    pub(crate) fn gradient(
        &self,
        side: usize,
        planes: Vec<f32>,
        n: usize,
        direction: &[f32],
    ) -> Result<Option<Vec<f32>>, ExplainError> {
        self.slope(self.tensor(planes, n, side), |pixels| self.model.model.image.look(pixels), direction)
    }

    /// The same by the features of `n` views ([`ImageEncoder::layers`]), which are one after the other.
    pub(crate) fn feature_gradient(
        &self,
        features: Vec<f32>,
        n: usize,
        direction: &[f32],
    ) -> Result<Option<Vec<f32>>, ExplainError> {
        let width = features.len() / n.max(1);
        let features = Tensor::<2>::from_data(TensorData::new(features, [n, width]), &self.model.device);
        let embed = |features| {
            let input = ImageInput { features: Some(features), ..ImageInput::default() };
            self.model.model.image.forward(input, &mut Mode::Eval)
        };
        self.slope(features, embed, direction)
    }

    /// Gradient of the cosine between a direction and what `embed` makes of each row of the input.
    fn slope<const D: usize>(
        &self,
        input: Tensor<D>,
        embed: impl Fn(Tensor<D>) -> ImageOutput,
        direction: &[f32],
    ) -> Result<Option<Vec<f32>>, ExplainError> {
        // the weights have no tape: they are constants
        let input = input.autodiff().require_grad();
        let pooled = embed(input.clone()).pooled;
        let direction = TensorData::new(direction.to_vec(), [1, direction.len()]);
        let cosines = (l2_normalised(pooled) * Tensor::<2>::from_data(direction, &self.model.device)).sum();
        if !cosines.is_tracked() {
            return Ok(None);
        }
        let Some(gradient) = input.grad(&cosines.backward()) else { return Ok(None) };
        Ok(Some(finite(floats(gradient.into_data())?)?))
    }

    /// The features of views as they lie, and the layers that they are made of; `None` where they are made of anything else.
    pub(crate) fn layers(&self, side: usize, views: Vec<Vec<f32>>) -> Result<Option<SeenLayers>, ExplainError> {
        let n = views.len();
        let Some(seen) = self.model.model.image.layers(self.tensor(views.concat(), n, side)) else { return Ok(None) };
        let width = seen.features.dims()[1];
        let mut layers = Vec::with_capacity(seen.layers.len());
        let mut first = 0;
        for FeatureLayer { map, with_spread } in seen.layers {
            let [rows, channels, positions] = map.dims();
            if positions.isqrt().pow(2) != positions || positions == 0 {
                return Ok(None);
            }
            if rows != n {
                return Err(unfit());
            }
            layers.push(SeenLayer { channels, positions, with_spread, first, map: finite(floats(map.into_data())?)? });
            first += channels * if with_spread { 2 } else { 1 };
        }
        if first != width || seen.features.dims()[0] != n {
            return Err(unfit());
        }
        Ok(Some(SeenLayers { width, features: finite(floats(seen.features.into_data())?)?, layers }))
    }
}

/// Features of views, and the layers that they are made of.
pub(crate) struct SeenLayers {
    /// Number of features.
    pub(crate) width: usize,
    /// `[n, width]`.
    pub(crate) features: Vec<f32>,
    pub(crate) layers: Vec<SeenLayer>,
}

/// A layer: the means of its channels are features from `first` on, and their spreads may follow.
pub(crate) struct SeenLayer {
    pub(crate) channels: usize,
    /// On a square grid.
    pub(crate) positions: usize,
    pub(crate) with_spread: bool,
    pub(crate) first: usize,
    /// `[n, channels, positions]`.
    pub(crate) map: Vec<f32>,
}

impl SeenLayer {
    /// Positions per side.
    pub(crate) fn grid(&self) -> usize {
        self.positions.isqrt()
    }
}

fn unfit() -> ExplainError {
    TrainError::Data { cause: "the encoder's features are not the means and spreads of its layers".into() }.into()
}

fn finite(values: Vec<f32>) -> Result<Vec<f32>, ExplainError> {
    if values.iter().all(|v| v.is_finite()) { Ok(values) } else { Err(not_finite()) }
}

fn not_finite() -> ExplainError {
    TrainError::Data { cause: "the pixel branch answers with something not finite".into() }.into()
}
