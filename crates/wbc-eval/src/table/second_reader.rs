//! Agreement with second annotators.

use super::{Table, share};
use crate::document::DatasetReport;

pub(super) fn table(datasets: &[DatasetReport]) -> Table {
    let rows = datasets.iter().filter_map(|d| Some((d, d.second_reader.as_ref()?))).flat_map(|(d, found)| {
        let pairs = [
            ("model, first", found.mean.model_first),
            ("model, second", found.mean.model_second),
            ("first, second", found.mean.first_second),
        ];
        pairs.map(|(who, agreement)| {
            let names = [d.id.clone(), who.to_owned(), found.n.to_string()];
            names.into_iter().chain([agreement.accuracy, agreement.macro_f1, agreement.kappa].map(share)).collect()
        })
    });
    let header = ["dataset", "annotators", "cells", "accuracy", "macro-F1", "kappa"];
    Table::new("Attributes that two annotators read", &header, rows.collect())
}

#[cfg(test)]
mod tests {
    use crate::document::Figure;
    use crate::document::tests::example;
    use crate::second_reader::{Agreement, Agreements, SecondReader};
    use crate::table::{TableStyle, render};

    #[test]
    fn model_and_annotators_stand_below_each_other() {
        let agreement = |accuracy: f64| Agreement {
            accuracy: Figure::new(accuracy, Some([0.5, 1.0])),
            kappa: Figure::new(2.0 * accuracy - 1.0, None),
            ..Agreement::default()
        };
        let mean =
            Agreements { model_first: agreement(0.75), model_second: agreement(0.625), first_second: agreement(0.875) };
        let mut document = example();
        document.datasets[0].second_reader =
            Some(SecondReader { n: 3, mean, per_attribute: [("cell_shape".into(), mean)].into() });
        let text = render(&document, TableStyle::Text);
        let expected = "\
Attributes that two annotators read
  dataset    annotators     cells  accuracy              macro-F1  kappa
  cells.csv  model, first   3      0.750 [0.500, 1.000]  –         0.500
  cells.csv  model, second  3      0.625 [0.500, 1.000]  –         0.250
  cells.csv  first, second  3      0.875 [0.500, 1.000]  –         0.750
";
        assert!(text.contains(expected), "{text}");
        let written = serde_json::to_value(&document).unwrap();
        assert_eq!(written["datasets"][1].get("second_reader"), None);
        assert_eq!(serde_json::from_value::<crate::EvalDocument>(written).unwrap(), document);
    }
}
