//! Views as a model embeds them, once for all evaluations of the same cells.

use crate::EvalError;
use crate::classification::{MetricsError, check_lengths};
use crate::zero_shot::Ensembles;
use std::sync::Arc;
use wbc_contrastive::TrainedModel;
use wbc_core::Embeddings;
use wbc_data::ViewSet;
use wbc_encoders::{Branches, ImageEncoder, TextEncoder};

/// Views as the whole image tower embeds them, beside the prompt ensembles that they are compared with.
#[derive(Clone, Debug)]
pub struct EmbeddedViews {
    cells: Embeddings,
    ensembles: Arc<Ensembles>,
}

impl EmbeddedViews {
    /// Embeds views and all prompts of a model. `length_scale` holds, per row of the views, the factor that brings its
    /// lengths to the training optics.
    ///
    /// # Errors
    /// [`EvalError::Model`] for views or prompts that cannot be embedded.
    pub fn new<I: ImageEncoder, T: TextEncoder>(
        trained: &TrainedModel<I, T>,
        views: &ViewSet,
        length_scale: &[Option<f64>],
    ) -> Result<Self, EvalError> {
        let ensembles = Arc::new(Ensembles::new(trained)?);
        Ok(Self { cells: trained.embed_views(views, length_scale, Branches::All)?, ensembles })
    }

    /// Embeds other views, or these by another scale, of the same model, whose prompts are not embedded again.
    ///
    /// # Errors
    /// [`EvalError::Model`] for views that cannot be embedded.
    pub fn others<I: ImageEncoder, T: TextEncoder>(
        &self,
        trained: &TrainedModel<I, T>,
        views: &ViewSet,
        length_scale: &[Option<f64>],
    ) -> Result<Self, EvalError> {
        let cells = trained.embed_views(views, length_scale, Branches::All)?;
        Ok(Self { cells, ensembles: Arc::clone(&self.ensembles) })
    }

    /// One unit embedding per view, `[n, embed_dim]`.
    pub fn cells(&self) -> &Embeddings {
        &self.cells
    }

    pub(crate) fn ensembles(&self) -> &Ensembles {
        &self.ensembles
    }

    /// Fails unless there is one row per view.
    pub(crate) fn check(&self, views: &ViewSet) -> Result<(), MetricsError> {
        check_lengths("embedded views", views.len(), self.cells.len())
    }
}
