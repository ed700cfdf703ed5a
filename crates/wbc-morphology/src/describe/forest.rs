//! Boosted trees in the form that is stored and asked: what the learner grew, packed.

use super::error::format_error;
use super::{DescribeError, bytes::Bytes};
use forust_ml::GradientBooster;
use forust_ml::tree::Tree as GrownTree;

/// Deepest tree that is grown or loaded; bounds the recursion of [`super::shap`].
pub(super) const MAX_DEPTH: usize = 32;
/// Most nodes of one tree: the step to a right child is stored in a byte.
pub(super) const MAX_NODES: usize = 256;
/// Most trees of one forest that are loaded.
const MAX_TREES: usize = 10_000;
/// Marks a leaf where other nodes have their column.
const LEAF: u16 = u16::MAX;
/// Set in a column where missing values go left.
const MISSING_LEFT: u16 = 1 << 15;

/// One node of a tree stored in preorder: the left child is the next node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Node {
    /// Adds `value` to the score.
    Leaf { value: f32 },
    /// Values below `threshold` go left.
    Split {
        column: u16,
        threshold: f32,
        missing_left: bool,
        /// Nodes from this one to the right child.
        right: u8,
        /// Share of the training cells' weight that went left, in 65,535ths.
        left_share: u16,
    },
}

/// A sum of trees: the log-odds of one value of a target.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Forest {
    pub(super) base: f64,
    pub(super) nodes: Vec<Node>,
    /// Where each tree starts.
    pub(super) starts: Vec<u32>,
}

impl Forest {
    /// Always the same score; for a value that never or always occurs.
    pub(super) fn constant(base: f64) -> Self {
        Self { base, ..Self::default() }
    }

    /// Packs what the learner grew. Thresholds become `f32`, as the values that it was given were.
    pub(super) fn from_booster(booster: &GradientBooster) -> Self {
        let mut forest = Self::constant(booster.base_score);
        for tree in &booster.trees {
            forest.starts.push(forest.nodes.len() as u32);
            forest.push(tree, 0);
        }
        forest
    }

    fn push(&mut self, tree: &GrownTree, at: usize) {
        let grown = &tree.nodes[at];
        if grown.is_leaf {
            return self.nodes.push(Node::Leaf { value: grown.weight_value });
        }
        let here = self.nodes.len();
        let share = f64::from(tree.nodes[grown.left_child].hessian_sum) / f64::from(grown.hessian_sum);
        self.nodes.push(Node::Leaf { value: 0.0 });
        self.push(tree, grown.left_child);
        let right = (self.nodes.len() - here) as u8;
        self.push(tree, grown.right_child);
        self.nodes[here] = Node::Split {
            column: grown.split_feature as u16,
            threshold: grown.split_value as f32,
            missing_left: grown.missing_node == grown.left_child,
            right,
            // neither child is empty, and neither may look so after rounding
            left_share: (share * 65_535.0).round().clamp(1.0, 65_534.0) as u16,
        };
    }

    /// The score of a row; missing values are NaN.
    pub(super) fn score(&self, row: &[f32]) -> f64 {
        self.starts.iter().fold(self.base, |sum, &start| sum + f64::from(self.leaf(start as usize, row)))
    }

    fn leaf(&self, mut at: usize, row: &[f32]) -> f32 {
        loop {
            match self.nodes[at] {
                Node::Leaf { value } => return value,
                split @ Node::Split { .. } => at = split.next(at, row),
            }
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.base.to_le_bytes());
        out.extend((self.starts.len() as u32).to_le_bytes());
        out.extend((self.nodes.len() as u32).to_le_bytes());
        for node in &self.nodes {
            match *node {
                Node::Leaf { value } => {
                    out.extend(LEAF.to_le_bytes());
                    out.extend(value.to_le_bytes());
                }
                Node::Split { column, threshold, missing_left, right, left_share } => {
                    out.extend((column | if missing_left { MISSING_LEFT } else { 0 }).to_le_bytes());
                    out.extend(threshold.to_le_bytes());
                    out.push(right);
                    out.extend(left_share.to_le_bytes());
                }
            }
        }
    }

    /// Reads a forest over `n_columns` columns, checking that every walk stays inside a tree and ends in a leaf.
    pub(super) fn read(bytes: &mut Bytes, n_columns: usize) -> Result<Self, DescribeError> {
        let base = bytes.f64()?;
        let n_trees = bytes.u32()? as usize;
        let n_nodes = bytes.u32()? as usize;
        if n_trees > MAX_TREES || n_nodes > n_trees * MAX_NODES || n_nodes * 6 > bytes.left() {
            return Err(format_error(format!("{n_trees} trees of {n_nodes} nodes")));
        }
        let mut forest = Self { base, nodes: Vec::with_capacity(n_nodes), starts: Vec::with_capacity(n_trees) };
        for _ in 0..n_nodes {
            let (head, value) = (bytes.u16()?, bytes.f32()?);
            forest.nodes.push(match head {
                LEAF => Node::Leaf { value },
                _ => Node::Split {
                    column: head & !MISSING_LEFT,
                    threshold: value,
                    missing_left: head & MISSING_LEFT != 0,
                    right: bytes.u8()?,
                    left_share: bytes.u16()?,
                },
            });
        }
        let mut at = 0;
        for _ in 0..n_trees {
            forest.starts.push(at as u32);
            at = forest.check(at, 0, n_columns)?;
        }
        match at == n_nodes && base.is_finite() {
            true => Ok(forest),
            false => Err(format_error("nodes outside any tree")),
        }
    }

    /// Checks the subtree that starts at a node; where it ends.
    fn check(&self, at: usize, depth: usize, n_columns: usize) -> Result<usize, DescribeError> {
        match self.nodes.get(at) {
            Some(Node::Leaf { value }) if value.is_finite() => Ok(at + 1),
            Some(Node::Split { column, threshold, right, left_share, .. })
                if usize::from(*column) < n_columns
                    && threshold.is_finite()
                    && (1..u16::MAX).contains(left_share)
                    && depth < MAX_DEPTH =>
            {
                let middle = self.check(at + 1, depth + 1, n_columns)?;
                match middle == at + usize::from(*right) {
                    true => self.check(middle, depth + 1, n_columns),
                    false => Err(format_error("a right child that does not follow the left one")),
                }
            }
            _ => Err(format_error("a tree that does not end in leaves")),
        }
    }
}

impl Node {
    /// Index of the child that a row goes to; of a leaf, the leaf itself.
    pub(super) fn next(self, at: usize, row: &[f32]) -> usize {
        match self {
            Self::Leaf { .. } => at,
            Self::Split { column, threshold, missing_left, right, .. } => {
                let value = row[usize::from(column)];
                let left = if value.is_nan() { missing_left } else { value < threshold };
                if left { at + 1 } else { at + usize::from(right) }
            }
        }
    }
}
