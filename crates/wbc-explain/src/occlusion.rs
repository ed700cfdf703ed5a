use crate::probability::argmax;
use crate::reference::GroupMoments;
use crate::row::Row;
use crate::{ExplainError, Moment, MovedBy};
use wbc_core::Unit;

/// Replaces each known measurement by its training mean, a flag by one that is not set, both 0 when normalised: the
/// predicted type, and by how much the logarithm of its probability falls, per column. `log_probabilities` answers for
/// several normalised rows at once.
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
///
/// `overall` are all training cells, `of_type` those of the predicted type. The statistics know no share of cells with a
/// flag, models see it as 0 or 1: it is compared with `overall`, and not listed without.
pub(crate) fn moved_by(
    row: &Row<'_>,
    mut effects: Vec<(usize, f64)>,
    overall: Option<&GroupMoments>,
    of_type: Option<&GroupMoments>,
    most: usize,
) -> Vec<MovedBy> {
    effects.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
    let statistics = row.statistics;
    let of_group = |group: Option<&GroupMoments>, c: usize| {
        let (mean, std) = (statistics.mean[c], statistics.std[c]);
        group.filter(|g| g.n[c] > 0).map(|g| Moment { mean: mean + std * g.mean[c], std: std * g.std[c] })
    };
    let listed = effects.into_iter().filter_map(|(c, effect)| {
        let def = &statistics.schema.measurements[c];
        let flag = def.unit == Unit::Flag;
        let training =
            if flag { of_group(overall, c)? } else { Moment { mean: statistics.mean[c], std: statistics.std[c] } };
        let away = row.raw[c] - training.mean;
        Some(MovedBy {
            name: def.name.clone(),
            unit: def.unit.symbol().into(),
            definition: def.definition.clone(),
            value: row.raw[c],
            // a flag that is the same in all training cells has no deviation: its distance stays as it is
            z: if training.std > 0.0 { away / training.std } else { away },
            effect: effect as f32,
            training,
            predicted_type: of_group(of_type, c),
        })
    });
    listed.take(most).collect()
}
