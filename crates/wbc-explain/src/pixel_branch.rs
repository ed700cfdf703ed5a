use crate::ExplainError;
use crate::row::{embeddings, floats};
use burn::tensor::{Tensor, TensorData};
use ndarray::{Axis, concatenate};
use rayon::prelude::*;
use wbc_contrastive::{TrainError, TrainedModel};
use wbc_core::Embeddings;
use wbc_encoders::{ImageEncoder, ImageInput, ImageOutput, Mode, TextEncoder, l2_normalised};

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
        // the weights have no tape: they are constants
        let pixels = self.tensor(planes, n, side).autodiff().require_grad();
        let pooled = self.model.model.image.look(pixels.clone()).pooled;
        let direction = TensorData::new(direction.to_vec(), [1, direction.len()]);
        let cosines = (l2_normalised(pooled) * Tensor::<2>::from_data(direction, &self.model.device)).sum();
        if !cosines.is_tracked() {
            return Ok(None);
        }
        let Some(gradient) = pixels.grad(&cosines.backward()) else { return Ok(None) };
        let gradient = floats(gradient.into_data())?;
        if gradient.iter().any(|v| !v.is_finite()) {
            return Err(not_finite());
        }
        Ok(Some(gradient))
    }
}

fn not_finite() -> ExplainError {
    TrainError::Data { cause: "the pixel branch answers with something not finite".into() }.into()
}
