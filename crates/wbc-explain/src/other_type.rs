//! A small change of measurements that makes a cell another type.

use crate::probability::argmax;
use crate::reference::GroupMoments;
use crate::row::Row;
use crate::{ExplainError, MeasuredChange, MeasuredCounterfactual, MeasuredFlip};
use wbc_core::Unit;

/// Steps of the first look along a line.
const STEPS: usize = 8;
/// Halvings of the step in which the decision flips.
const HALVINGS: usize = 5;
/// Measurements that are also changed in pairs.
const PAIRED: usize = 16;
/// Flips that are told.
const TOLD: usize = 3;
/// Standard deviations up to this are those of measurements that are the same in all training cells: the statistics add
/// 1e-6 to each, and what little a cell differs would count as 100,000 deviations.
const CONSTANT: f32 = 2e-6;

/// A change along the line from the cell to the mean of the runner-up's training cells.
#[derive(Clone, Debug)]
struct Line {
    columns: Vec<usize>,
    /// Where the decision was seen not to flip and to flip, as parts of the line.
    below: f32,
    part: f32,
}

impl MeasuredCounterfactual {
    /// Which changes are tried, to be told beside what was found and what was not: the search is no proof.
    pub fn searched(&self) -> String {
        format!(
            "each continuous measurement alone and, where none flips the decision, pairs of the {PAIRED} that bring it \
             nearest, moved in {STEPS} steps to the mean of the {} cells in training",
            self.to.replace('_', " ")
        )
    }
}

/// One or two continuous measurements are moved towards the mean of the training cells of the runner-up, alone and
/// together, until the runner-up is decided for; `log_probabilities` answers for several normalised rows at once, in the
/// order of `types`.
///
/// Pairs are tried among the sixteen measurements that bring the runner-up nearest, and only where no single one flips.
/// The smallest flips found are told, by the length of the change in training standard deviations, from the cell's own
/// value and not the clipped one that the model sees. Flags and counts stay: no cell has half a lobe, and a doubt about
/// masks is no property of a cell. So does what is the same in all training cells. `None` where the runner-up had no
/// training cells.
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
    // where a measurement is after a part of its way, normalised
    let reached = |column: usize, part: f32| row.values[column] + part * (target.mean[column] - row.values[column]);
    let moved = |columns: &[usize], part: f32| {
        let mut values = row.values.clone();
        columns.iter().for_each(|c| values[*c] = reached(*c, part));
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
    let continuous = |c: &usize| !matches!(row.unit(*c), Unit::Flag | Unit::Count) && row.statistics.std[*c] > CONSTANT;
    let columns: Vec<usize> = row.known().filter(|c| target.n[*c] > 0).filter(continuous).collect();
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
    let size = |l: &Line| l.columns.iter().map(|c| (reached(*c, l.part) - row.z(*c)).powi(2)).sum::<f32>().sqrt();
    lines.sort_by(|a, b| size(a).total_cmp(&size(b)).then(a.columns.cmp(&b.columns)));
    let statistics = row.statistics;
    let change = |column: usize, part: f32| {
        let def = &statistics.schema.measurements[column];
        MeasuredChange {
            name: def.name.clone(),
            unit: def.unit.symbol().into(),
            definition: def.definition.clone(),
            value: row.raw[column],
            needed: statistics.mean[column] + statistics.std[column] * reached(column, part),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ExplainInput;
    use crate::tests::{disc, measurements, training, view};
    use wbc_core::CellView;
    use wbc_encoders::MeasurementStatistics;

    fn statistics(first: Unit) -> MeasurementStatistics {
        let mut schema = measurements();
        schema.measurements[0].unit = first;
        MeasurementStatistics::compute(&schema, training().0.as_slice().unwrap()).unwrap()
    }

    /// A cell whose measurements lie so many standard deviations from the mean.
    fn row(statistics: &MeasurementStatistics, z: [f32; 4]) -> Row<'_> {
        let raw = (0..4).map(|c| Some(f64::from(statistics.mean[c] + statistics.std[c] * z[c])));
        let (image, view) = (disc(), CellView { measurements: Some(raw.collect()), ..view(None) });
        let input = ExplainInput { length_scale: Some(1.0), ..ExplainInput::new("c", &image, &view) };
        Row::new(statistics, &input).unwrap()
    }

    /// Type b lies at -1 of the first two measurements, type c was never seen.
    fn told(row: &Row<'_>, threshold: f64) -> MeasuredCounterfactual {
        let group =
            |mean: [f32; 4], cells| GroupMoments { cells, n: vec![cells; 4], mean: mean.to_vec(), std: vec![1.0; 4] };
        let groups = [group([0.0; 4], 9), group([-1.0, -1.0, 0.5, 0.0], 9), group([0.0; 4], 0)];
        // type b as soon as the weighted sum is below the threshold
        let judge = |rows: &[Vec<f32>]| {
            let sum = |r: &Vec<f32>| 2.0 * f64::from(r[0]) + f64::from(r[1]);
            Ok(rows.iter().map(|r| vec![sum(r) - threshold, 0.0, -50.0]).collect())
        };
        other_type(row, &["a", "b", "c"].map(String::from), &groups, judge).unwrap().unwrap()
    }

    #[test]
    fn the_smallest_change_of_measurements_is_where_the_decision_flips() {
        let statistics = statistics(Unit::Px);
        let row = row(&statistics, [1.0, 1.0, 0.5, 0.0]);
        let one = told(&row, 0.5);
        assert_eq!((one.from.as_str(), one.to.as_str(), one.flips.len()), ("a", "b", 1), "the second alone reaches 1");
        let flip = &one.flips[0];
        // 2 (1 - d) + 1 = 0.5 at d = 1.25
        assert!((1.249..1.27).contains(&flip.size), "{flip:?}");
        let needed = statistics.mean[0] + statistics.std[0] * (1.0 - flip.size);
        assert!((flip.changes[0].needed - needed).abs() < 1e-3);
        assert_eq!((flip.changes[0].name.as_str(), flip.changes[0].value), ("cell.diameter", row.raw[0]));
        // 2 (1 - d) + 1 - d = -2 at d = 5/3: only both together
        let two = told(&row, -2.0);
        assert!(two.flips.len() == 1 && two.flips[0].changes.len() == 2);
        assert!((two.flips[0].size - 2.0_f32.sqrt() * 5.0 / 3.0).abs() < 0.02, "{two:?}");
        assert!(told(&row, -9.0).flips.is_empty());
        let group = GroupMoments { cells: 0, n: vec![0; 4], mean: vec![0.0; 4], std: vec![0.0; 4] };
        let unseen = other_type(&row, &["a", "b"].map(String::from), &[group.clone(), group], |rows| {
            Ok(rows.iter().map(|_| vec![1.0, 0.0]).collect())
        });
        assert!(unseen.unwrap().is_none(), "the runner-up was never seen");
    }

    #[test]
    fn how_far_away_it_is_counts_from_the_cell_and_not_from_what_the_model_sees_of_it() {
        let statistics = statistics(Unit::Px);
        let row = row(&statistics, [10.0, 1.0, 0.5, 0.0]);
        assert_eq!(row.values[0], 4.0, "clipped");
        let other = told(&row, 0.5);
        // 2 x + 1 = 0.5 at x = -0.25
        assert!((other.flips[0].size - 10.25).abs() < 0.04, "{other:?}");
        let change = &other.flips[0].changes[0];
        let told = (change.value - change.needed) / statistics.std[0];
        assert!((told - other.flips[0].size).abs() < 1e-3, "the values shown are as far apart as it says");
    }

    #[test]
    fn what_is_the_same_in_all_training_cells_stays_as_it_is() {
        let statistics = statistics(Unit::Px);
        assert!(statistics.std[3] <= CONSTANT && statistics.std[..3].iter().all(|s| *s > CONSTANT));
        let group = GroupMoments { cells: 9, n: vec![9; 4], mean: vec![0.0; 4], std: vec![1.0; 4] };
        let groups = [group.clone(), group];
        // type b as soon as one measurement is below 0.5
        let flips = |row: &Row<'_>, column: usize| {
            let judge = |rows: &[Vec<f32>]| Ok(rows.iter().map(|r| vec![f64::from(r[column]) - 0.5, 0.0]).collect());
            other_type(row, &["a", "b"].map(String::from), &groups, judge).unwrap().unwrap().flips
        };
        // a tenth off what never varied
        let odd = row(&statistics, [0.0, 0.0, 0.0, 1e5]);
        assert!((odd.raw[3] - 1.1).abs() < 1e-3 && odd.values[3] == 4.0, "{:?}", odd.values);
        assert!(flips(&odd, 3).is_empty());
        let wide = row(&statistics, [0.0, 4.0, 0.0, 0.0]);
        assert_eq!(flips(&wide, 1).len(), 1, "a measurement that varies does flip it");
    }

    #[test]
    fn flags_and_counts_stay_as_they_are() {
        for unit in [Unit::Flag, Unit::Count] {
            let statistics = statistics(unit);
            let row = row(&statistics, [1.0, 1.0, 0.5, 0.0]);
            assert!(told(&row, 0.5).flips.is_empty(), "{unit:?}: only the first measurement could flip it");
            // the second alone reaches 1
            let other = told(&row, 1.5);
            assert_eq!(other.flips.len(), 1, "{unit:?}");
            assert_eq!(other.flips[0].changes[0].name, "cell.solidity", "{unit:?}");
        }
    }
}
