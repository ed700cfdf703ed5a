//! The training cells as the learner sees them.

use super::{CellCopy, DescribeError};
use wbc_core::{Annotation, AttributeSchema, MeasurementRow, MeasurementSchema, TYPE_FACT};

/// What depends on where a cell lies in its frame or how it is turned, or is exactly another measurement.
const LEFT_OUT: [&str; 9] = [
    "bbox-",
    "centroid-",
    "centroid_local-",
    "inertia_tensor-",
    "moments-",
    "moments_central-",
    "moments_normalized-",
    "num_pixels",
    "orientation",
];

/// Measurements that may be used, by index; those that scale with the pixel size only with `sizes`.
pub(super) fn candidates(schema: &MeasurementSchema, sizes: bool) -> Vec<usize> {
    let usable = |name: &str| {
        let quantity = name.split_once('.').map_or(name, |(_, quantity)| quantity);
        !LEFT_OUT.iter().any(|start| quantity.starts_with(start))
    };
    let all = schema.measurements.iter().enumerate();
    all.filter(|(_, m)| usable(&m.name) && (sizes || m.unit.pixel_power() == 0)).map(|(i, _)| i).collect()
}

/// A row as the trees see it: NaN is undefined.
pub(super) fn row_f32(row: &[Option<f64>]) -> Vec<f32> {
    row.iter().map(|v| v.map_or(f32::NAN, |v| v as f32)).map(|v| if v.is_finite() { v } else { f32::NAN }).collect()
}

/// One row after the other, all of one length.
pub(super) fn rows_f32(rows: &[MeasurementRow], n_columns: usize) -> Result<Vec<Vec<f32>>, DescribeError> {
    match rows.iter().find(|r| r.len() != n_columns) {
        Some(r) => Err(DescribeError::Shape { what: "measurements of a cell", expected: n_columns, found: r.len() }),
        None => Ok(rows.iter().map(|r| row_f32(r)).collect()),
    }
}

/// Copies that belong to one of the cells, with the cell's own lengths and areas in pixels: what changed the image
/// changed neither the cell nor the camera's pixels on it.
pub(super) fn copies_f32(
    copies: &[CellCopy],
    cells: &[Vec<f32>],
    measurements: &MeasurementSchema,
) -> Result<Vec<(usize, Vec<f32>)>, DescribeError> {
    let sized: Vec<bool> = measurements.measurements.iter().map(|m| m.unit.pixel_power() != 0).collect();
    let copy = |copy: &CellCopy| {
        let cell = cells.get(copy.cell).ok_or(DescribeError::Shape {
            what: "cells of which there are copies",
            expected: cells.len(),
            found: copy.cell + 1,
        })?;
        if copy.row.len() != sized.len() {
            let (expected, found) = (sized.len(), copy.row.len());
            return Err(DescribeError::Shape { what: "measurements of a copy", expected, found });
        }
        let mut row = row_f32(&copy.row);
        row.iter_mut().zip(cell).zip(&sized).filter(|(_, sized)| **sized).for_each(|((to, from), _)| *to = *from);
        Ok((copy.cell, row))
    };
    copies.iter().map(copy).collect()
}

/// What is learnt: a name, its values, and the value of each cell where it is known.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) values: Vec<String>,
    pub(super) truth: Vec<Option<usize>>,
}

/// The type and each attribute, where at least two values have `least` cells each. Types with fewer cells count as
/// unknown; values of attributes with fewer are learnt from what there is.
pub(super) fn targets(annotations: &[Annotation], attributes: &AttributeSchema, least: usize) -> Vec<Target> {
    let enough = |truth: &[Option<usize>], v: usize| truth.iter().filter(|t| **t == Some(v)).count() >= least;
    let mut types: Vec<_> = annotations.iter().filter_map(|a| a.cell_type.clone()).collect();
    types.sort();
    types.dedup();
    types.retain(|t| annotations.iter().filter(|a| a.cell_type.as_ref() == Some(t)).count() >= least);
    let type_of = |a: &Annotation| types.iter().position(|t| Some(t) == a.cell_type.as_ref());
    let cell_type = Target {
        name: TYPE_FACT.into(),
        values: types.iter().map(|t| t.as_str().to_owned()).collect(),
        truth: annotations.iter().map(type_of).collect(),
    };
    let attributes = attributes.attributes.iter().enumerate().map(|(i, attribute)| Target {
        name: attribute.name.clone(),
        values: attribute.values.iter().map(|v| v.name.clone()).collect(),
        truth: annotations
            .iter()
            .map(|a| a.values.get(i).copied().flatten().map(usize::from).filter(|&v| v < attribute.values.len()))
            .collect(),
    });
    std::iter::once(cell_type)
        .chain(attributes)
        .filter(|t| (0..t.values.len()).filter(|&v| enough(&t.truth, v)).count() >= 2)
        .collect()
}

/// A fold per cell: each value's cells are dealt out in an order that depends on the seed and the cell's position only.
pub(super) fn folds(truth: &[usize], folds: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..truth.len()).collect();
    order.sort_by_key(|&i| (truth[i], mixed(seed ^ mixed(i as u64))));
    let mut fold_of = vec![0; truth.len()];
    for (k, i) in order.into_iter().enumerate() {
        fold_of[i] = k % folds;
    }
    fold_of
}

/// The finaliser of SplitMix64 (Steele et al. 2014).
pub(super) fn mixed(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
