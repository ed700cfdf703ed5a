//! How unlike the training cells the measurements of an image are.

use crate::TrainingReference;
use crate::reference::{FEWEST, GroupMoments, LEAST_STD, present};
use wbc_core::{MeasurementSchema, Unit};

impl TrainingReference {
    /// Distance of one normalised row from the nearest type of the training cells: the root of the mean, over the
    /// measurements that are known of both, of the squared distance from the type's mean in standard deviations of the
    /// type. This is a diagonal, per-type variant of Mahalanobis' distance (Lee et al. 2018, arXiv 1807.03888):
    /// measurements are taken as uncorrelated, and their number is divided by, so that rows of which less is known are not
    /// nearer for it. 1 is usual for a training cell.
    ///
    /// `schema` names the columns; flags among them do not count, since one that no training cell of a type has would
    /// alone put a row beyond all others. `None` where nothing is known of the row, or no type has as many as three
    /// training cells.
    pub fn type_distance(&self, schema: &MeasurementSchema, values: &[f32], mask: &[f32]) -> Option<f64> {
        let types = &self.facts.first()?.groups;
        present(types).filter_map(|group| distance(group, schema, values, mask)).min_by(f64::total_cmp)
    }
}

fn distance(group: &GroupMoments, schema: &MeasurementSchema, values: &[f32], mask: &[f32]) -> Option<f64> {
    let measures = |column: usize| schema.measurements.get(column).is_some_and(|def| def.unit != Unit::Flag);
    let of_type = |column: usize| group.n.get(column).is_some_and(|n| *n >= FEWEST);
    let known = values
        .iter()
        .zip(mask)
        .enumerate()
        .filter(|(column, (_, known))| **known > 0.0 && measures(*column) && of_type(*column));
    let (n, sum) = known.fold((0_u32, 0.0), |(n, sum), (column, (value, _))| {
        let std = f64::from(group.std[column]).max(LEAST_STD);
        (n + 1, sum + ((f64::from(*value) - f64::from(group.mean[column])) / std).powi(2))
    });
    (n > 0).then(|| (sum / f64::from(n)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FactReference;
    use wbc_core::MeasurementDef;

    fn group(cells: u32, mean: [f32; 2], std: [f32; 2]) -> GroupMoments {
        GroupMoments { cells, n: vec![cells, cells], mean: mean.into(), std: std.into() }
    }

    fn schema(units: [Unit; 2]) -> MeasurementSchema {
        let def = |(name, unit): (&str, Unit)| MeasurementDef {
            name: name.into(),
            unit,
            definition: String::new(),
            source: String::new(),
        };
        let measurements = [("a", units[0]), ("b", units[1])].map(def).to_vec();
        MeasurementSchema { name: "test".into(), version: 1, measurements }
    }

    /// Of two ratios.
    fn distance_of(reference: &TrainingReference, values: [f32; 2], mask: [f32; 2]) -> Option<f64> {
        reference.type_distance(&schema([Unit::Ratio; 2]), &values, &mask)
    }

    fn reference(groups: Vec<GroupMoments>) -> TrainingReference {
        let values = (0..groups.len()).map(|i| format!("type {i}")).collect();
        let types = FactReference { name: "type".into(), values, groups, voters: vec![], accuracy: None };
        TrainingReference {
            version: TrainingReference::VERSION,
            measurements: vec!["a".into(), "b".into()],
            overall: group(20, [0.0; 2], [1.0; 2]),
            facts: vec![types],
        }
    }

    #[test]
    fn the_nearest_type_counts_over_what_is_known() {
        let types = [group(10, [0.0, 0.0], [1.0, 2.0]), group(10, [5.0, 5.0], [1.0, 1.0])];
        let found = reference(types.to_vec());
        // (3 / 1)² and (4 / 2)² of the first type; the second is 2 and 1 away
        assert_eq!(distance_of(&found, [3.0, 4.0], [1.0, 1.0]), Some((5.0_f64 / 2.0).sqrt()));
        assert_eq!(distance_of(&found, [-3.0, 4.0], [1.0, 1.0]), Some((13.0_f64 / 2.0).sqrt()));
        assert_eq!(distance_of(&found, [-3.0, 4.0], [0.0, 1.0]), Some(1.0));
        assert_eq!(distance_of(&found, [-3.0, 4.0], [0.0, 0.0]), None);
    }

    #[test]
    fn a_flag_that_no_cell_of_a_type_has_puts_nothing_far_away() {
        let found = reference(vec![group(10, [0.0, 0.0], [1.0, 0.0])]);
        let flagged = |flag: f32| found.type_distance(&schema([Unit::Ratio, Unit::Flag]), &[2.0, flag], &[1.0, 1.0]);
        assert_eq!([flagged(0.0), flagged(1.0)], [Some(2.0); 2]);
        let flags_alone = found.type_distance(&schema([Unit::Flag; 2]), &[2.0, 1.0], &[1.0, 1.0]);
        assert_eq!(flags_alone, None);
    }

    #[test]
    fn types_of_few_cells_and_constant_measurements_do_not_decide() {
        let few = reference(vec![group(2, [0.0, 0.0], [1.0, 1.0])]);
        assert_eq!(distance_of(&few, [0.0, 0.0], [1.0, 1.0]), None);
        let constant = reference(vec![group(9, [0.0, 0.0], [0.0, 0.0])]);
        let far = distance_of(&constant, [1.0, 0.0], [1.0, 1.0]).unwrap();
        assert!((far - (0.5_f64).sqrt() / LEAST_STD).abs() < 1e-9, "{far}");
    }
}
