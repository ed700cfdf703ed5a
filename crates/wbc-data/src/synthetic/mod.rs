mod geometry;
mod paint;
mod scene;
mod traits;

use crate::synthetic::scene::Scene;
use crate::synthetic::traits::Traits;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use wbc_core::{Annotation, AttributeSchema, CellType, ImageSource, MaskSource, Optics, Sample, SampleId, seeded_rng};

/// How many synthetic cells, and of what size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SyntheticOptions {
    /// Cells of the split `train`.
    pub n_train: usize,
    /// Cells of the split `val`.
    pub n_val: usize,
    /// Cells of the split `test`.
    pub n_test: usize,
    /// Seed; a cell depends only on it, its split and its number, not on how many there are.
    pub seed: u64,
    /// Side of the square frame in pixels, clamped to 48..=1024; cells grow with it.
    pub side_px: u32,
}

impl Default for SyntheticOptions {
    /// 600, 150 and 200 cells of 240 px.
    fn default() -> Self {
        Self { n_train: 600, n_val: 150, n_test: 200, seed: 0, side_px: 240 }
    }
}

impl SyntheticOptions {
    /// The same cells, but only those of one split; of all where `None`.
    pub fn only(mut self, split: Option<&str>) -> Self {
        let counts = [("train", &mut self.n_train), ("val", &mut self.n_val), ("test", &mut self.n_test)];
        for (name, n) in counts {
            if split.is_some_and(|s| s != name) {
                *n = 0;
            }
        }
        self
    }
}

/// Cartoon white cells among red ones, drawn in memory with true masks: five types in equal numbers, each with the
/// attributes that are drawn, distributed within a type as in WBCAtt.
///
/// They stand in for real cells in tests and first steps; nothing measured on them says anything about real cells.
/// Attributes that `schema` does not have are left out.
///
/// ```
/// use wbc_core::AttributeSchema;
/// use wbc_data::{SyntheticOptions, synthetic_samples};
///
/// let options = SyntheticOptions { n_train: 5, n_val: 1, n_test: 0, ..Default::default() };
/// let cells = synthetic_samples(&options, &AttributeSchema::wbcatt());
/// assert_eq!(cells.len(), 6);
/// assert!(cells.iter().all(|c| c.annotation.is_complete() && c.mask.is_some()));
/// ```
pub fn synthetic_samples(options: &SyntheticOptions, schema: &AttributeSchema) -> Vec<Sample> {
    let splits = [("train", options.n_train), ("val", options.n_val), ("test", options.n_test)];
    let places: Vec<(usize, &str, usize)> =
        splits.iter().enumerate().flat_map(|(s, (name, n))| (0..*n).map(move |i| (s, *name, i))).collect();
    places.into_par_iter().map(|(s, name, i)| sample(options, schema, s, name, i)).collect()
}

fn sample(options: &SyntheticOptions, schema: &AttributeSchema, split: usize, name: &str, i: usize) -> Sample {
    let mut rng = seeded_rng(&[options.seed, split as u64, i as u64]);
    let traits = Traits::draw(i, &mut rng);
    let mut annotation = Annotation::unknown(schema);
    annotation.cell_type = Some(CellType::new(traits.cell_type));
    for (attribute, value) in traits.values() {
        if let Ok((a, v)) = schema.locate(attribute, value) {
            annotation.values[a] = Some(v as u8);
        }
    }
    let scene = Scene::draw(&traits, options.side_px.clamp(48, 1024) as usize, &mut rng);
    let (image, masks) = paint::paint(&scene, &mut rng);
    Sample {
        id: SampleId(format!("synthetic-{name}-{i:05}")),
        image: ImageSource::Memory(Arc::new(image)),
        annotation,
        split: Some(name.to_owned()),
        group: None,
        optics: Optics { name: Some("synthetic".into()), pixel_size_um: None },
        mask: Some(MaskSource::Memory(Arc::new(masks))),
    }
}

#[cfg(test)]
mod tests;
