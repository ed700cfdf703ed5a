use crate::Dataset;
use crate::masks::cell_size_px;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use wbc_core::{Limits, Warning, Warnings};

/// Smallest and largest image sides of a dataset, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeRange {
    /// Smallest width.
    pub min_width_px: u32,
    /// Largest width.
    pub max_width_px: u32,
    /// Smallest height.
    pub min_height_px: u32,
    /// Largest height.
    pub max_height_px: u32,
}

/// Counts of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetStats {
    /// The dataset, as asked for.
    pub id: String,
    /// Number of cells.
    pub n: usize,
    /// Cells per type.
    pub classes: BTreeMap<String, usize>,
    /// Cells without a type.
    pub n_unlabelled: usize,
    /// Cells per split; cells without one are not counted here.
    pub splits: BTreeMap<String, usize>,
    /// Cells per value of each attribute, all values of the schema; empty where nothing is annotated.
    pub attributes: BTreeMap<String, BTreeMap<String, usize>>,
    /// Cells with all attributes known.
    pub n_fully_annotated: usize,
    /// Distinct combinations of all attributes among these.
    pub n_attribute_combinations: usize,
    /// Distinct groups; cells without one are groups of their own and not counted here.
    pub n_groups: usize,
    /// Cells with true masks.
    pub n_masks: usize,
    /// Image sizes after cropping; `None` where no image could be read.
    pub image_size: Option<SizeRange>,
    /// Images whose header cannot be read.
    pub warnings: Vec<Warning>,
}

/// Counts a dataset; of images only the headers are looked at, in parallel, under default limits.
pub fn stats(dataset: &Dataset) -> DatasetStats {
    let limits = Limits::default();
    let unreadable = Warnings::new();
    dataset.warnings.iter().for_each(|w| unreadable.push(w.item.clone(), w.cause.clone()));
    let sizes: Vec<_> = dataset
        .samples
        .par_iter()
        .filter_map(|s| cell_size_px(s, &limits).map_err(|e| unreadable.push_error(&s.id.0, &e)).ok())
        .collect();
    let samples = &dataset.samples;
    let complete = samples.iter().filter(|s| s.annotation.is_complete());
    let combinations: BTreeSet<_> = complete.clone().map(|s| &s.annotation.values).collect();
    DatasetStats {
        id: dataset.id.clone(),
        n: samples.len(),
        classes: count(samples.iter().filter_map(|s| s.annotation.cell_type.as_ref().map(|t| t.as_str()))),
        n_unlabelled: samples.iter().filter(|s| s.annotation.cell_type.is_none()).count(),
        splits: count(samples.iter().filter_map(|s| s.split.as_deref())),
        attributes: attribute_counts(dataset),
        n_fully_annotated: complete.count(),
        n_attribute_combinations: combinations.len(),
        n_groups: samples.iter().filter_map(|s| s.group.as_ref()).collect::<BTreeSet<_>>().len(),
        n_masks: samples.iter().filter(|s| s.mask.is_some()).count(),
        image_size: size_range(&sizes),
        warnings: unreadable.sorted(),
    }
}

fn count<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name.to_owned()).or_insert(0) += 1;
    }
    counts
}

fn attribute_counts(dataset: &Dataset) -> BTreeMap<String, BTreeMap<String, usize>> {
    let annotations = || dataset.samples.iter().map(|s| &s.annotation);
    if annotations().all(|a| a.values.iter().all(Option::is_none)) {
        return BTreeMap::new();
    }
    let counts_of = |(i, attribute): (usize, &wbc_core::Attribute)| {
        let counts = attribute.values.iter().enumerate().map(|(v, value)| {
            let n = annotations().filter(|a| a.values.get(i).copied().flatten() == Some(v as u8)).count();
            (value.name.clone(), n)
        });
        (attribute.name.clone(), counts.collect())
    };
    dataset.schema.attributes.iter().enumerate().map(counts_of).collect()
}

fn size_range(sizes: &[(u32, u32)]) -> Option<SizeRange> {
    let (widths, heights) = (sizes.iter().map(|s| s.0), sizes.iter().map(|s| s.1));
    Some(SizeRange {
        min_width_px: widths.clone().min()?,
        max_width_px: widths.max()?,
        min_height_px: heights.clone().min()?,
        max_height_px: heights.max()?,
    })
}
