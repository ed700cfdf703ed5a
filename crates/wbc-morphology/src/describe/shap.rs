//! Exact Shapley values of a forest's score, by the path-dependent TreeSHAP of Lundberg et al. 2018
//! (arXiv 1802.03888, algorithm 2): what a column's value adds to the score against not knowing it, averaged over all
//! orders of getting to know the columns; unknown columns follow both branches by the share of training cells there.

use super::forest::{Forest, Node};

/// One column on the path from the root, with the shares of the two ways to go on.
#[derive(Clone, Copy)]
struct Step {
    column: usize,
    /// Share of unknown columns' weight that takes this path.
    zero: f64,
    /// 1 where the row takes this path, else 0.
    one: f64,
    weight: f64,
}

/// Stands at the root, where no column was asked yet.
const NONE: usize = usize::MAX;

/// One value per column; with the mean score they add up to the row's score.
pub(super) fn contributions(forest: &Forest, row: &[f32], n_columns: usize) -> Vec<f64> {
    let mut out = vec![0.0; n_columns];
    for &start in &forest.starts {
        walk(forest, start as usize, row, &[], Step { column: NONE, zero: 1.0, one: 1.0, weight: 0.0 }, &mut out);
    }
    out
}

/// Score of a row of which nothing is known.
#[cfg(test)]
pub(super) fn mean_score(forest: &Forest) -> f64 {
    forest.starts.iter().fold(forest.base, |sum, &start| sum + mean(forest, start as usize))
}

#[cfg(test)]
fn mean(forest: &Forest, at: usize) -> f64 {
    match forest.nodes[at] {
        Node::Leaf { value } => f64::from(value),
        Node::Split { right, left_share, .. } => {
            let left = f64::from(left_share) / 65_535.0;
            left * mean(forest, at + 1) + (1.0 - left) * mean(forest, at + usize::from(right))
        }
    }
}

fn walk(forest: &Forest, at: usize, row: &[f32], above: &[Step], step: Step, out: &mut [f64]) {
    let mut path = Vec::with_capacity(above.len() + 1);
    path.extend_from_slice(above);
    extend(&mut path, step);
    match forest.nodes[at] {
        Node::Leaf { value } => {
            for i in 1..path.len() {
                let Step { column, zero, one, .. } = path[i];
                out[column] += unwound_sum(&path, i) * (one - zero) * f64::from(value);
            }
        }
        split @ Node::Split { column, right, left_share, .. } => {
            let column = usize::from(column);
            let (left, right) = (at + 1, at + usize::from(right));
            let left_share = f64::from(left_share) / 65_535.0;
            let hot = split.next(at, row);
            let (mut zero, mut one) = (1.0, 1.0);
            // a column that was asked before is taken off the path and put on again with both conditions
            if let Some(k) = path.iter().position(|s| s.column == column) {
                (zero, one) = (path[k].zero, path[k].one);
                unwind(&mut path, k);
            }
            for (child, share) in [(left, left_share), (right, 1.0 - left_share)] {
                let one = if child == hot { one } else { 0.0 };
                walk(forest, child, row, &path, Step { column, zero: zero * share, one, weight: 0.0 }, out);
            }
        }
    }
}

fn extend(path: &mut Vec<Step>, step: Step) {
    let depth = path.len();
    path.push(Step { weight: if depth == 0 { 1.0 } else { 0.0 }, ..step });
    let n = (depth + 1) as f64;
    for i in (0..depth).rev() {
        path[i + 1].weight += step.one * path[i].weight * (i + 1) as f64 / n;
        path[i].weight = step.zero * path[i].weight * (depth - i) as f64 / n;
    }
}

fn unwind(path: &mut Vec<Step>, k: usize) {
    let depth = path.len() - 1;
    let Step { zero, one, .. } = path[k];
    let n = (depth + 1) as f64;
    let mut next = path[depth].weight;
    for i in (0..depth).rev() {
        if one != 0.0 {
            let kept = path[i].weight;
            path[i].weight = next * n / ((i + 1) as f64 * one);
            next = kept - path[i].weight * zero * (depth - i) as f64 / n;
        } else {
            path[i].weight = path[i].weight * n / (zero * (depth - i) as f64);
        }
    }
    for i in k..depth {
        path[i] = Step { weight: path[i].weight, ..path[i + 1] };
    }
    path.pop();
}

/// Sum of the weights after step `k` is taken off the path.
fn unwound_sum(path: &[Step], k: usize) -> f64 {
    let depth = path.len() - 1;
    let Step { zero, one, .. } = path[k];
    let n = (depth + 1) as f64;
    let (mut next, mut total) = (path[depth].weight, 0.0);
    for i in (0..depth).rev() {
        if one != 0.0 {
            let weight = next * n / ((i + 1) as f64 * one);
            total += weight;
            next = path[i].weight - weight * zero * (depth - i) as f64 / n;
        } else {
            total += path[i].weight * n / (zero * (depth - i) as f64);
        }
    }
    total
}
