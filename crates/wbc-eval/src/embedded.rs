//! Views as a model embeds them, once for all evaluations of the same cells.

use crate::EvalError;
use crate::zero_shot::Ensembles;
use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;
use wbc_contrastive::{TrainError, TrainedModel};
use wbc_core::Embeddings;
use wbc_data::ViewSet;
use wbc_encoders::{Branches, ImageEncoder, TextEncoder};

/// Embeds views by the scales of their lengths.
type EmbedViews<'a> = Box<dyn Fn(&ViewSet, &[Option<f64>]) -> Result<Embeddings, TrainError> + 'a>;

/// Views as the whole image encoder of a model embeds them, beside the prompt ensembles that they are compared with. Each is
/// embedded when an evaluation first asks for it, and then kept for all others.
pub struct EmbeddedViews<'a> {
    views: &'a ViewSet,
    length_scale: &'a [Option<f64>],
    cells: OnceCell<Embeddings>,
    model: Rc<Model<'a>>,
}

struct Model<'a> {
    embed: EmbedViews<'a>,
    ensembles: Ensembles<'a>,
}

impl<'a> EmbeddedViews<'a> {
    /// Views, and per row of them the factor that brings its lengths to the training optics. Nothing is embedded yet.
    pub fn new<I: ImageEncoder, T: TextEncoder>(
        trained: &'a TrainedModel<I, T>,
        views: &'a ViewSet,
        length_scale: &'a [Option<f64>],
    ) -> Self {
        let embed = Box::new(|views: &ViewSet, scale: &[Option<f64>]| trained.embed_views(views, scale, Branches::All));
        let model = Rc::new(Model { embed, ensembles: Ensembles::new(trained) });
        Self { views, length_scale, cells: OnceCell::new(), model }
    }

    /// Other views, or these by another scale, of the same model, whose prompts are not embedded again.
    pub fn others<'b>(&self, views: &'b ViewSet, length_scale: &'b [Option<f64>]) -> EmbeddedViews<'b>
    where
        'a: 'b,
    {
        EmbeddedViews { views, length_scale, cells: OnceCell::new(), model: self.model.clone() }
    }

    /// The views.
    pub fn views(&self) -> &'a ViewSet {
        self.views
    }

    /// Per row of the views, the factor that brings its lengths to the training optics.
    pub fn length_scale(&self) -> &'a [Option<f64>] {
        self.length_scale
    }

    /// One unit embedding per view, `[n, embed_dim]`.
    ///
    /// # Errors
    /// [`EvalError::Model`] for views that cannot be embedded.
    pub fn cells(&self) -> Result<&Embeddings, EvalError> {
        if let Some(known) = self.cells.get() {
            return Ok(known);
        }
        let embedded = (self.model.embed)(self.views, self.length_scale)?;
        Ok(self.cells.get_or_init(|| embedded))
    }

    pub(crate) fn ensembles(&self) -> &Ensembles<'a> {
        &self.model.ensembles
    }
}

impl fmt::Debug for EmbeddedViews<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = f.debug_struct("EmbeddedViews");
        written.field("n_views", &self.views.len()).field("embedded", &self.cells.get().is_some());
        written.finish_non_exhaustive()
    }
}
