//! The smallest change of measurements that makes a cell another type.

use crate::probability::argmax;
use crate::reference::GroupMoments;
use crate::row::Row;
use crate::{ExplainError, MeasuredChange, MeasuredCounterfactual, MeasuredFlip};

/// Steps of the first look along a line.
const STEPS: usize = 8;
/// Halvings of the step in which the decision flips.
const HALVINGS: usize = 5;
/// Measurements that are also changed in pairs.
const PAIRED: usize = 16;
/// Flips that are told.
const TOLD: usize = 3;

/// A change along the line from the cell to the mean of the runner-up's training cells.
#[derive(Clone, Debug)]
struct Line {
    columns: Vec<usize>,
    /// Where the decision was seen not to flip and to flip, as parts of the line.
    below: f32,
    part: f32,
}

/// One or two measurements are moved towards the mean of the training cells of the runner-up, alone and together, until
/// the runner-up is decided for; `log_probabilities` answers for several normalised rows at once, in the order of `types`.
///
/// Pairs are tried among the sixteen measurements that bring the runner-up nearest, and only where no single one flips.
/// The smallest flips are told, by the length of the change in training standard deviations. `None` where the runner-up
/// had no training cells.
pub(crate) fn other_type(
    row: &Row<'_>,
    types: &[String],
    groups: &[GroupMoments],
    log_probabilities: impl Fn(&[Vec<f32>]) -> Result<Vec<Vec<f64>>, ExplainError>,
) -> Result<Option<MeasuredCounterfactual>, ExplainError> {
    let base = log_probabilities(std::slice::from_ref(&row.values))?.swap_remove(0);
    let predicted = argmax(&base);
    let mut rest = base.clone();
    rest[predicted] = f64::NEG_INFINITY;
    let runner_up = argmax(&rest);
    let Some(target) = groups.get(runner_up).filter(|g| runner_up != predicted && g.cells > 0) else { return Ok(None) };
    let moved = |columns: &[usize], part: f32| {
        let mut values = row.values.clone();
        columns.iter().for_each(|c| values[*c] += part * (target.mean[*c] - values[*c]));
        values
    };
    let scanned = |sets: Vec<Vec<usize>>| -> Result<(Vec<Line>, Vec<f64>), ExplainError> {
        let rows: Vec<Vec<f32>> =
            sets.iter().flat_map(|s| (1..=STEPS).map(move |i| moved(s, i as f32 / STEPS as f32))).collect();
        let logs = log_probabilities(&rows)?;
        let (mut lines, mut gains) = (Vec::new(), Vec::new());
        for (columns, logs) in sets.into_iter().zip(logs.chunks_exact(STEPS)) {
            let gain = |l: &Vec<f64>| l[runner_up] - l[predicted];
            gains.push(logs.iter().map(gain).fold(f64::NEG_INFINITY, f64::max));
            if let Some(i) = logs.iter().position(|l| argmax(l) == runner_up) {
                let part = |i: usize| i as f32 / STEPS as f32;
                lines.push(Line { columns, below: part(i), part: part(i + 1) });
            }
        }
        Ok((lines, gains))
    };
    let columns: Vec<usize> = row.known().filter(|c| target.n[*c] > 0).collect();
    let (mut lines, gains) = scanned(columns.iter().map(|c| vec![*c]).collect())?;
    if lines.is_empty() {
        let mut best: Vec<usize> = (0..columns.len()).collect();
        best.sort_by(|a, b| gains[*b].total_cmp(&gains[*a]).then(a.cmp(b)));
        best.truncate(PAIRED);
        let pairs = best.iter().enumerate().flat_map(|(i, a)| best[i + 1..].iter().map(move |b| (*a, *b)));
        lines = scanned(pairs.map(|(a, b)| vec![columns[a], columns[b]]).collect())?.0;
    }
    for _ in 0..HALVINGS {
        let middle = |l: &Line| (l.below + l.part) / 2.0;
        let logs = log_probabilities(&lines.iter().map(|l| moved(&l.columns, middle(l))).collect::<Vec<_>>())?;
        for (line, log) in lines.iter_mut().zip(&logs) {
            let middle = middle(line);
            if argmax(log) == runner_up { line.part = middle } else { line.below = middle }
        }
    }
    let size = |l: &Line| {
        let squares = l.columns.iter().map(|c| (l.part * (target.mean[*c] - row.values[*c])).powi(2));
        squares.sum::<f32>().sqrt()
    };
    lines.sort_by(|a, b| size(a).total_cmp(&size(b)).then(a.columns.cmp(&b.columns)));
    let statistics = row.statistics;
    let change = |column: usize, part: f32| {
        let def = &statistics.schema.measurements[column];
        let needed = row.values[column] + part * (target.mean[column] - row.values[column]);
        MeasuredChange {
            name: def.name.clone(),
            unit: def.unit.symbol().into(),
            definition: def.definition.clone(),
            value: row.raw[column],
            needed: statistics.mean[column] + statistics.std[column] * needed,
        }
    };
    let flips = lines
        .iter()
        .take(TOLD)
        .map(|l| MeasuredFlip { changes: l.columns.iter().map(|c| change(*c, l.part)).collect(), size: size(l) });
    Ok(Some(MeasuredCounterfactual {
        from: types[predicted].clone(),
        to: types[runner_up].clone(),
        flips: flips.collect(),
    }))
}
