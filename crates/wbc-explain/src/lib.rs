//! Explains a decision about a cell in morphological terms: attribute evidence, heat maps and nearest captions.
//!
//! ```
//! use std::path::Path;
//! use wbc_core::{CellViewer, RgbImage};
//! use wbc_explain::{ExplainError, ExplainInput, Explainer};
//!
//! /// Why did the model decide as it did? The folder then holds a page, its pictures and the numbers as JSON.
//! fn explain(
//!     explainer: &dyn Explainer,
//!     viewer: &dyn CellViewer,
//!     image: &RgbImage,
//!     folder: &Path,
//! ) -> Result<String, ExplainError> {
//!     let view = viewer.view(image);
//!     let explanation = explainer.explain(&ExplainInput::new("cell-1", image, &view))?;
//!     explanation.write(folder)?;
//!     Ok(explanation.cell_type.value)
//! }
//! ```
//!
//! # Concepts
//! - [`ModelExplainer`] is the [`Explainer`] of a trained model; [`ExplainInput`] is one cell, [`ExplainOptions`] how much
//!   is said about it.
//! - [`Explanation`] is plain data with pictures; it writes itself as PNGs, JSON and one self-contained HTML page, and
//!   [`html_fragment`] puts it into a page of your own.
//! - Every attribute has two witnesses: the model through its prompts, and the measurements alone through a
//!   [`TrainingReference`], which knows how they are distributed among training cells ([`MeasuredEvidence`]).
//! - [`MovedBy`]: occlusion, the decision without one measurement (Zeiler and Fergus 2014, applied to measurements).
//! - [`HeatMap`]: which places of the view speak for a text. [`HeatMethod`] is a way to find out, [`HeatKind`] names those
//!   that are built in: what each patch contributes, exactly, where the pixel branch's embedding is the mean of its
//!   patches; where a class token or a perceptron mixes them by gradients, by superpixels, by both, by
//!   covering squares, or by what each place adds to the layers that the perceptron reads.
//! - [`Counterfactuals`]: the description with attributes changed; [`MeasuredCounterfactual`]: the smallest change found of
//!   measurements that would make it another type. Both searches are greedy and no
//!   proof; [`MeasuredCounterfactual::searched`] says what was tried of measurements, [`OtherType`] of descriptions.
//! - [`ModelExplainer::score`]: explanations can be wrong, and are scored. [`Pointing`]: does the map of a phrase point to
//!   the [`Compartment`] of the cell that it is about? [`Curves`]: is the decision lost when what is called important is taken
//!   away, and found again when it is given back, in a better [`Order`] than by chance?
//!
//! # What it does not do
//! It makes no views, trains nothing, and shows why a model decided, not whether it is right.
#![recursion_limit = "256"]

mod captions;
mod colour;
mod distance;
mod error;
mod explanation;
mod faithfulness;
mod filters;
mod heat;
mod heat_methods;
mod html;
mod layers;
#[cfg(test)]
mod method_tests;
mod model;
mod occlusion;
mod other_type;
mod pictures;
mod pixel_branch;
mod pointing;
mod probability;
#[cfg(test)]
mod real_tests;
mod reference;
mod row;
mod score;
mod superpixels;
mod surrogate;
mod svg;
#[cfg(test)]
mod tests;

pub use colour::viridis;
pub use error::ExplainError;
pub use explanation::{
    AttributeEvidence, Candidate, ChangedFact, Counterfactual, Counterfactuals, Decision, Explanation, HeatMap,
    MeasuredChange, MeasuredCounterfactual, MeasuredEvidence, MeasuredFlip, Moment, MovedBy, NearestCaption, OtherType,
    Voter,
};
pub use faithfulness::Curves;
pub use heat::HeatField;
pub use heat_methods::{HeatKind, HeatMethod};
pub use html::{html_fragment, html_page, html_style};
pub use model::{ExplainInput, ExplainOptions, Explainer, ModelExplainer};
pub use pointing::{Pointing, compartment_of_attribute};
pub use reference::{FactReference, GroupMoments, Separating, TrainingReference};
pub use score::{CellScores, Order, PointingScore, ScoreInput};
pub use wbc_morphology::Compartment;
