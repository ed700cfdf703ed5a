use super::DescribeError;
use super::forest::{MAX_DEPTH, MAX_NODES};
use serde::{Deserialize, Serialize};

/// How a [`super::Descriptor`] is fitted. The defaults were chosen by cross-validation inside WBCAtt's training split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FitOptions {
    /// Seed of the folds and of the sampling of cells and measurements per tree.
    pub seed: u64,
    /// Folds of the cross-validation that chooses temperatures and decision weights; 2 to 20.
    pub folds: usize,
    /// Measurements that each target's trees keep, the most important ones; its trend looks at all.
    pub measurements: usize,
    /// Trees per value.
    pub trees: usize,
    /// Step size of each tree.
    pub learning_rate: f32,
    /// Leaves per tree; 2 to 128.
    pub leaves: usize,
    /// Questions from the root to a leaf; 1 to 32.
    pub depth: usize,
    /// Least weight of the cells in a leaf, as the sum of `p (1 - p)`.
    pub leaf_weight: f32,
    /// Shrinkage of leaves, the squared penalty on their values.
    pub l2: f32,
    /// Share of the measurements that a tree may ask.
    pub measurements_per_tree: f64,
    /// Share of the cells that a tree sees.
    pub cells_per_tree: f32,
    /// Shrinkage of the straight trends beside the trees, the squared penalty on their slopes; above 0.
    pub trend_l2: f64,
    /// Weight of each copy of a cell, where a cell itself has 1, for what reads rows without sizes: these are most often
    /// images of other hospitals. 0 leaves copies out.
    pub copy_weight: f64,
    /// Likewise for what reads rows with sizes, mostly images of the training cells' own camera, which copies make it
    /// read a little worse.
    pub copy_weight_with_sizes: f64,
    /// Also fit a second set of trees that uses no lengths and areas in pixels, for images of unknown pixel size.
    pub without_sizes: bool,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            folds: 5,
            measurements: 150,
            trees: 200,
            learning_rate: 0.06,
            leaves: 15,
            depth: 8,
            leaf_weight: 3.0,
            l2: 1.0,
            measurements_per_tree: 0.3,
            cells_per_tree: 0.8,
            trend_l2: 30.0,
            copy_weight: 0.5,
            copy_weight_with_sizes: 0.0,
            without_sizes: true,
        }
    }
}

impl FitOptions {
    /// Fails for a value outside its range.
    ///
    /// # Errors
    /// [`DescribeError::Option`] naming the first such field.
    pub fn check(&self) -> Result<(), DescribeError> {
        let share = |v: f64| v > 0.0 && v <= 1.0;
        let positive = |v: f32| v.is_finite() && v >= 0.0;
        let checks: [(&str, bool, &str, String); 13] = [
            ("folds", (2..=20).contains(&self.folds), "2 to 20", self.folds.to_string()),
            ("measurements", (1..=10_000).contains(&self.measurements), "1 to 10000", self.measurements.to_string()),
            ("trees", (1..=2_000).contains(&self.trees), "1 to 2000", self.trees.to_string()),
            (
                "learning_rate",
                share(f64::from(self.learning_rate)),
                "above 0, at most 1",
                self.learning_rate.to_string(),
            ),
            ("leaves", (2..=MAX_NODES / 2).contains(&self.leaves), "2 to 128", self.leaves.to_string()),
            ("depth", (1..=MAX_DEPTH).contains(&self.depth), "1 to 32", self.depth.to_string()),
            ("leaf_weight", positive(self.leaf_weight), "at least 0", self.leaf_weight.to_string()),
            ("l2", positive(self.l2), "at least 0", self.l2.to_string()),
            (
                "measurements_per_tree",
                share(self.measurements_per_tree),
                "above 0, at most 1",
                self.measurements_per_tree.to_string(),
            ),
            (
                "cells_per_tree",
                share(f64::from(self.cells_per_tree)),
                "above 0, at most 1",
                self.cells_per_tree.to_string(),
            ),
            ("trend_l2", self.trend_l2 > 0.0 && self.trend_l2.is_finite(), "above 0", self.trend_l2.to_string()),
            ("copy_weight", (0.0..=10.0).contains(&self.copy_weight), "0 to 10", self.copy_weight.to_string()),
            (
                "copy_weight_with_sizes",
                (0.0..=10.0).contains(&self.copy_weight_with_sizes),
                "0 to 10",
                self.copy_weight_with_sizes.to_string(),
            ),
        ];
        match checks.into_iter().find(|(_, good, ..)| !good) {
            None => Ok(()),
            Some((field, _, expected, found)) => Err(DescribeError::Option { field, expected, found }),
        }
    }
}
