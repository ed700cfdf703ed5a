use crate::probability::argmax;
use crate::reference::GroupMoments;
use crate::row::Row;
use crate::{ExplainError, Moment, MovedBy};

/// Replaces each known measurement by its training mean, 0 when normalised: the predicted type, and by how much the
/// logarithm of its probability falls, per column. `log_probabilities` answers for several normalised rows at once.
pub(crate) fn effects(
    row: &Row<'_>,
    log_probabilities: impl Fn(&[Vec<f32>]) -> Result<Vec<Vec<f64>>, ExplainError>,
) -> Result<(usize, Vec<(usize, f64)>), ExplainError> {
    let columns: Vec<usize> = row.known().collect();
    let without = |column: usize| {
        let mut values = row.values.clone();
        values[column] = 0.0;
        values
    };
    let rows: Vec<Vec<f32>> = std::iter::once(row.values.clone()).chain(columns.iter().map(|c| without(*c))).collect();
    let logs = log_probabilities(&rows)?;
    let predicted = argmax(&logs[0]);
    Ok((
        predicted,
        columns.into_iter().zip(&logs[1..]).map(|(c, log)| (c, logs[0][predicted] - log[predicted])).collect(),
    ))
}

/// Lists the measurements with the strongest [`effects`], the strongest first.
pub(crate) fn moved_by(
    row: &Row<'_>,
    mut effects: Vec<(usize, f64)>,
    of_type: Option<&GroupMoments>,
    most: usize,
) -> Vec<MovedBy> {
    effects.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
    let statistics = row.statistics;
    let listed = effects.into_iter().take(most).map(|(c, effect)| {
        let def = &statistics.schema.measurements[c];
        let (mean, std) = (statistics.mean[c], statistics.std[c]);
        MovedBy {
            name: def.name.clone(),
            unit: def.unit.symbol().into(),
            definition: def.definition.clone(),
            value: row.raw[c],
            z: (row.raw[c] - mean) / std,
            effect: effect as f32,
            training: Moment { mean, std },
            predicted_type: of_type
                .filter(|g| g.n[c] > 0)
                .map(|g| Moment { mean: mean + std * g.mean[c], std: std * g.std[c] }),
        }
    });
    listed.collect()
}
