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
//! - [`HeatMap`]: what each place of the view contributes to the similarity with a text, exactly, since the pixel
//!   branch's embedding is the mean of its patches; averaged over turned and shifted views. Behind a class
//!   token or a perceptron nothing adds up like this, and there is none; the explanation's notes say so.
//! - [`Counterfactuals`]: the description with one attribute changed.
//!
//! # What it does not do
//! It makes no views, trains nothing, and shows why a model decided, not whether it is right.
#![recursion_limit = "256"]

mod captions;
mod colour;
mod error;
mod explanation;
mod heat;
mod html;
mod model;
mod occlusion;
mod pictures;
mod probability;
#[cfg(test)]
mod real_tests;
mod reference;
mod svg;
#[cfg(test)]
mod tests;

pub use colour::viridis;
pub use error::ExplainError;
pub use explanation::{
    AttributeEvidence, Candidate, Counterfactual, Counterfactuals, Decision, Explanation, HeatMap, MeasuredEvidence,
    Moment, MovedBy, NearestCaption, Voter,
};
pub use html::{html_fragment, html_page, html_style};
pub use model::{ExplainInput, ExplainOptions, Explainer, ModelExplainer};
pub use reference::{FactReference, GroupMoments, Separating, TrainingReference};
