use crate::batch::NormalisedMeasurements;
use crate::{DualEncoder, FactSpace, TrainError};
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::Array2;
use wbc_core::{Embeddings, PromptSet, PromptSets};
use wbc_data::{ViewSet, pixels_as_f32};
use wbc_encoders::{
    Branches, ImageEncoder, ImageInput, ImageOutput, MeasurementInput, Mode, Preprocess, TextEncoder, Tokenizer,
};

/// Cells or texts per forward pass.
const BATCH: usize = 128;

/// A model with everything that it needs to turn cell views and texts into embeddings.
#[derive(Debug)]
pub struct TrainedModel<I: ImageEncoder, T: TextEncoder> {
    /// The weights, without gradient tracking.
    pub model: DualEncoder<I, T>,
    /// The tokenizer of its texts.
    pub tokenizer: Tokenizer,
    /// How its cell views are made and its measurements normalised.
    pub preprocess: Preprocess,
    /// The prompts of its types and attributes.
    pub prompts: PromptSets,
    /// Its types and attributes.
    pub space: FactSpace,
    /// Where it runs.
    pub device: Device,
}

impl<I: ImageEncoder, T: TextEncoder> TrainedModel<I, T> {
    /// What the image encoder sees of some rows of a view set. `length_scale` has one factor per row of the whole set;
    /// see [`wbc_core::Optics::length_scale_to`].
    ///
    /// # Errors
    /// [`TrainError::Data`] when the views lack what the asked branches need.
    pub fn image_input(
        &self,
        views: &ViewSet,
        rows: &[usize],
        length_scale: &[Option<f64>],
        branches: Branches,
    ) -> Result<ImageInput, TrainError> {
        let measurements = self.measurements(views, length_scale, branches)?.map(|m| m.batch(rows, &self.device));
        self.input(views, rows, measurements, branches)
    }

    fn measurements(
        &self,
        views: &ViewSet,
        length_scale: &[Option<f64>],
        branches: Branches,
    ) -> Result<Option<NormalisedMeasurements>, TrainError> {
        if branches == Branches::Pixels {
            return Ok(None);
        }
        NormalisedMeasurements::seen(views, &self.preprocess, length_scale)
    }

    /// Normalised measurements and their mask, both `[n, n_measurements]` row-major, as the image encoder is given them: with
    /// what is read in them.
    ///
    /// # Panics
    /// If the readings lack their reader.
    pub fn measurement_input(&self, values: Vec<f32>, mask: Vec<f32>, n: usize) -> MeasurementInput {
        let readings = self.preprocess.readings.as_ref().map(|r| r.read(&values, &mask, n));
        MeasurementInput::of_rows(n, values, mask, readings, &self.device)
    }

    fn input(
        &self,
        views: &ViewSet,
        rows: &[usize],
        measurements: Option<MeasurementInput>,
        branches: Branches,
    ) -> Result<ImageInput, TrainError> {
        let features =
            if branches == Branches::Measurements { None } else { crate::batch::features(views, rows, &self.device) };
        let pixels = if branches == Branches::Measurements || views.pixels.is_none() || features.is_some() {
            None
        } else {
            let data = pixels_as_f32(views, rows);
            Some(Tensor::from_data(TensorData::new(data, [rows.len(), 3, views.side, views.side]), &self.device))
        };
        if pixels.is_none() && features.is_none() && measurements.is_none() {
            return Err(TrainError::Data { cause: "the views hold nothing that the asked branches can see".into() });
        }
        Ok(ImageInput { pixels, features, measurements })
    }

    /// Runs the image encoder on some rows, patch contributions included.
    ///
    /// # Errors
    /// As [`Self::image_input`].
    pub fn image_output(
        &self,
        views: &ViewSet,
        rows: &[usize],
        length_scale: &[Option<f64>],
        branches: Branches,
    ) -> Result<ImageOutput, TrainError> {
        Ok(self.model.image.forward(self.image_input(views, rows, length_scale, branches)?, &mut Mode::Eval))
    }

    /// Unit embeddings of all rows of a view set, `[n, embed_dim]`.
    ///
    /// # Errors
    /// As [`Self::image_input`], and [`TrainError::Core`] for weights that answer with something not finite.
    pub fn embed_views(
        &self,
        views: &ViewSet,
        length_scale: &[Option<f64>],
        branches: Branches,
    ) -> Result<Embeddings, TrainError> {
        let normalised = self.measurements(views, length_scale, branches)?;
        let rows: Vec<usize> = (0..views.len()).collect();
        let mut all = Vec::with_capacity(views.len() * self.model.image.embed_dim());
        for rows in rows.chunks(BATCH) {
            let measurements = normalised.as_ref().map(|n| n.batch(rows, &self.device));
            let input = self.input(views, rows, measurements, branches)?;
            all.extend(floats(self.model.image.forward(input, &mut Mode::Eval).pooled)?);
        }
        embeddings(views.len(), self.model.image.embed_dim(), all)
    }

    /// Unit embeddings of texts, `[n, embed_dim]`.
    ///
    /// # Errors
    /// [`TrainError::Encoder`] when a text cannot be tokenised.
    pub fn embed_texts<S: AsRef<str>>(&self, texts: &[S]) -> Result<Embeddings, TrainError> {
        let mut all = Vec::with_capacity(texts.len() * self.model.text.embed_dim());
        for chunk in texts.chunks(BATCH) {
            let chunk: Vec<&str> = chunk.iter().map(AsRef::as_ref).collect();
            let tokens = self.tokenizer.batch(&chunk, self.model.text.max_len(), &self.device)?;
            all.extend(floats(self.model.text.forward(tokens, &mut Mode::Eval).pooled)?);
        }
        embeddings(texts.len(), self.model.text.embed_dim(), all)
    }

    /// One unit embedding per value of a prompt set: the re-normalised mean of its normalised prompts.
    ///
    /// # Errors
    /// As [`Self::embed_texts`].
    pub fn prompt_ensembles(&self, set: &PromptSet) -> Result<Embeddings, TrainError> {
        let mut means = Array2::<f32>::zeros((set.values.len(), self.model.text.embed_dim()));
        for (mut mean, prompts) in means.rows_mut().into_iter().zip(&set.prompts) {
            let each = self.embed_texts(prompts)?;
            each.view().rows().into_iter().for_each(|row| mean += &row);
        }
        Ok(Embeddings::new(means)?.normalised())
    }

    /// Factor that turns cosines between a cell and prompt ensembles into logits: the learned scale of contrast sets.
    pub fn prompt_scale(&self) -> f32 {
        self.model.contrast_scale().into_scalar()
    }
}

fn floats(tensor: Tensor<2>) -> Result<Vec<f32>, TrainError> {
    tensor.into_data().convert::<f32>().try_to_vec().map_err(|e| TrainError::Data { cause: format!("{e:?}") })
}

fn embeddings(n: usize, dim: usize, data: Vec<f32>) -> Result<Embeddings, TrainError> {
    let rows = Array2::from_shape_vec((n, dim), data).map_err(|e| TrainError::Data { cause: e.to_string() })?;
    Ok(Embeddings::new(rows)?.normalised())
}
