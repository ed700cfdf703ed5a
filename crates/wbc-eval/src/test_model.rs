//! As many cells as a test likes, for the model of the other tests.

pub(crate) use crate::model_tests::{SIDE, model};

use crate::model_tests::sample;
use wbc_core::{Annotation, AttributeSchema, CellType, QualityFlags, Sample};
use wbc_data::ViewSet;

/// Monocytes of which nothing else is known, one per group.
pub(crate) fn samples(groups: &[Option<&str>]) -> Vec<Sample> {
    let schema = AttributeSchema::wbcatt();
    let monocyte = Annotation { cell_type: Some(CellType::new("monocyte")), ..Annotation::unknown(&schema) };
    let of_group =
        |(i, group): (usize, &Option<&str>)| Sample { group: group.map(str::to_owned), ..sample(i, monocyte.clone()) };
    groups.iter().enumerate().map(of_group).collect()
}

/// A view per sample without flags, each of another colour; `shade` tells sets apart.
pub(crate) fn views(n: usize, shade: u8) -> ViewSet {
    let pixels = (0..n).flat_map(|i| {
        let colour = [shade, (i * 37 % 251) as u8, (i * 91 % 241) as u8];
        std::iter::repeat_n(colour, SIDE * SIDE).flatten()
    });
    ViewSet {
        samples: (0..n).collect(),
        copies: vec![0; n],
        side: SIDE,
        pixels: Some(pixels.collect()),
        measurements: Some(ndarray::Array2::from_shape_fn((n, 2), |(i, j)| (i * (j + 2) % 7) as f32)),
        features: None,
        flags: vec![QualityFlags::NONE; n],
    }
}
