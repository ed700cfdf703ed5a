use super::data::{candidates, folds};
use super::forest::{Forest, Node};
use super::*;
use std::path::Path;
use wbc_core::{CellType, CoreError, Limits, MeasurementDef, Unit};

/// Two attributes and a type over four measurements: `length` tells the first, `grey` the second, both the type.
fn schemas() -> (MeasurementSchema, AttributeSchema) {
    let def = |(name, unit): (&str, Unit)| MeasurementDef {
        name: name.into(),
        unit,
        definition: "made up".into(),
        source: "this test".into(),
    };
    let measurements = MeasurementSchema {
        name: "test".into(),
        version: 1,
        measurements: [
            ("cell.length", Unit::Px),
            ("cell.grey", Unit::Colour),
            ("cell.noise", Unit::Ratio),
            ("cell.bbox-0", Unit::Px),
        ]
        .map(def)
        .into(),
    };
    let attributes = AttributeSchema::from_toml(
        "name='test'\nversion=1\n\
         [[attribute]]\nname='size'\ntitle='size'\nvalue=[{name='small',phrases=['small']},{name='big',phrases=['big']}]\n\
         [[attribute]]\nname='shade'\ntitle='shade'\n\
         value=[{name='dark',phrases=['dark']},{name='grey',phrases=['grey']},{name='bright',phrases=['bright']}]",
    );
    (measurements, attributes.unwrap())
}

/// A number in 0..1 that depends on the cell and a stream.
fn draw(cell: u64, stream: u64) -> f64 {
    (data::mixed(data::mixed(cell) ^ stream) >> 11) as f64 / (1_u64 << 53) as f64
}

fn cells(n: u64) -> (Vec<MeasurementRow>, Vec<Annotation>) {
    let (_, attributes) = schemas();
    (0..n)
        .map(|cell| {
            let (length, grey) = (draw(cell, 1), draw(cell, 2));
            let size = usize::from(length > 0.5);
            let shade = ((grey * 3.0) as usize).min(2);
            let mut annotation = Annotation::unknown(&attributes);
            annotation.values = vec![Some(size as u8), Some(shade as u8)];
            annotation.cell_type = Some(CellType::new(["a", "b", "c"][(size + shade) % 3]));
            let missing = draw(cell, 5) < 0.03;
            let row = vec![
                Some(100.0 * length),
                Some(255.0 * grey).filter(|_| !missing),
                Some(draw(cell, 3)),
                Some(draw(cell, 4)),
            ];
            (row, annotation)
        })
        .unzip()
}

fn options() -> FitOptions {
    FitOptions { trees: 30, learning_rate: 0.2, measurements_per_tree: 1.0, ..FitOptions::default() }
}

fn learn(
    rows: &[MeasurementRow],
    annotations: &[Annotation],
    copies: &[CellCopy],
    options: &FitOptions,
) -> Result<Descriptor, DescribeError> {
    let (measurements, attributes) = &schemas();
    Descriptor::fit(&TrainingCells { rows, annotations, copies, measurements, attributes }, options)
}

fn fitted(n: u64) -> Descriptor {
    fitted_with(&[], n, &options())
}

#[test]
fn separable_values_are_learnt_with_their_reasons() {
    let (descriptor, (rows, annotations), (_, attributes)) = (fitted(400), cells(700), schemas());
    assert_eq!(descriptor.targets().collect::<Vec<_>>(), ["type", "size", "shade"]);
    let (unseen, truth) = (&rows[400..], &annotations[400..]);
    for scores in descriptor.evaluate(unseen, truth, &attributes).unwrap() {
        assert!(scores.scores.accuracy > 0.93, "{scores:?}");
        assert_eq!(scores.scores.n, 300);
    }
    for (row, annotation) in unseen.iter().zip(truth) {
        let description = descriptor.describe(row).unwrap();
        for j in &description.judgements {
            assert!((j.probabilities.iter().map(|(_, p)| p).sum::<f64>() - 1.0).abs() < 1e-9);
            assert!(j.probabilities.contains(&(j.value.clone(), j.probability)));
        }
        if row[0].is_some_and(|v| (v - 50.0).abs() > 5.0) {
            assert_eq!(description.annotation(&attributes).values[0], annotation.values[0]);
            let reasons = descriptor.reasons(row, "size", 2).unwrap();
            assert_eq!((reasons[0].measurement.as_str(), reasons[0].unit), ("cell.length", Unit::Px));
            assert_eq!(reasons[0].value.map(|v| v as f32), row[0].map(|v| v as f32));
            assert!(reasons[0].log_odds > 1.0, "{reasons:?}");
            let typical = reasons[0].typical.unwrap();
            assert!((typical.median - 50.0).abs() < 8.0 && typical.p10 < 15.0 && typical.p90 > 85.0);
        }
    }
}

#[test]
fn what_is_said_of_cells_that_are_held_out_is_what_cross_validation_scores() {
    let ((rows, mut annotations), (measurements, attributes)) = (cells(300), schemas());
    annotations[7].values[0] = None;
    let (rows, annotations, measurements, attributes) = (&rows, &annotations, &measurements, &attributes);
    let cells = TrainingCells { rows, annotations, copies: &[], measurements, attributes };
    let fitted = CrossFitted::new(&cells, &options()).unwrap();
    let held_out: Vec<Description> =
        rows.iter().enumerate().map(|(cell, row)| fitted.describe_held_out(cell, row).unwrap()).collect();
    let descriptor = fitted.descriptor();
    assert_eq!(*descriptor, Descriptor::fit(&cells, &options()).unwrap());
    let size = |described: &Description| described.get("size").unwrap().probabilities.clone();
    let by_all = |cell: usize| descriptor.describe(&rows[cell]).unwrap();
    // nothing was grown on the cell of unknown size
    assert!(size(&held_out[7]) == size(&by_all(7)) && size(&held_out[6]) != size(&by_all(6)));
    assert!(fitted.describe_held_out(300, &rows[0]).unwrap_err().to_string().contains("expected 300, found 301"));
    for target in descriptor.cross_validation(true) {
        let truth = |a: &Annotation| match target.name.as_str() {
            TYPE_FACT => a.cell_type.as_ref().map(|t| t.as_str().to_owned()),
            name => a.value(attributes, name).map(str::to_owned),
        };
        let judged = held_out.iter().zip(annotations).filter_map(|(cell, annotation)| {
            Some((cell.judgements.iter().find(|j| j.name == target.name)?, truth(annotation)?))
        });
        let right: Vec<bool> = judged.map(|(judgement, truth)| judgement.value == truth).collect();
        let share = right.iter().filter(|right| **right).count() as f64 / right.len() as f64;
        assert!((share - target.scores.accuracy).abs() < 1e-12 && right.len() == target.scores.n, "{target:?}");
    }
}

#[test]
fn rows_without_sizes_are_read_by_trees_that_never_saw_sizes() {
    let (descriptor, (rows, annotations), (_, attributes)) = (fitted(400), cells(700), schemas());
    let masked: Vec<MeasurementRow> = rows[400..].iter().map(|r| vec![None, r[1], r[2], None]).collect();
    let scores = descriptor.evaluate(&masked, &annotations[400..], &attributes).unwrap();
    assert!(scores[2].scores.accuracy > 0.93 && scores[1].scores.accuracy < 0.65, "{scores:?}");
    // no sizes, no hint: the probabilities say so
    assert!(scores[1].scores.log_loss < 0.75 && scores[1].scores.calibration_error < 0.1, "{scores:?}");
    for row in &masked {
        assert!(descriptor.reasons(row, "type", 9).unwrap().iter().all(|r| r.unit != Unit::Px));
    }
    let named = |sizes| descriptor.cross_validation(sizes).into_iter().map(|s| s.n_measurements).collect::<Vec<_>>();
    assert_eq!((named(true).len(), named(false).len()), (3, 3));
}

#[test]
fn where_a_cell_lies_is_never_asked() {
    let (measurements, _) = schemas();
    assert_eq!(candidates(&measurements, true), [0, 1, 2]);
    assert_eq!(candidates(&measurements, false), [1, 2]);
    let builtin = crate::measurement_schema();
    let names: Vec<_> = candidates(&builtin, true).into_iter().map(|c| &builtin.measurements[c].name).collect();
    assert!(names.iter().any(|n| *n == "nucleus.solidity") && names.iter().any(|n| *n == "cell.area"));
    assert!(!names.iter().any(|n| n.contains("centroid-") || n.ends_with(".orientation") || n.contains(".moments-")));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let on = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| fitted(150));
    let one = on(1).to_bytes();
    assert!(one == on(3).to_bytes());
    let other = fitted_with(&[], 150, &FitOptions { seed: 1, ..options() });
    assert!(one != other.to_bytes());
}

#[test]
fn a_saved_descriptor_loads_to_the_same() {
    let (descriptor, (measurements, _)) = (fitted(150), schemas());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.wbcdesc");
    descriptor.save(&path).unwrap();
    assert!(Descriptor::load(&path, &measurements, &Limits::default()).unwrap() == descriptor);
    let tight = Limits { max_file_bytes: 100, ..Limits::default() };
    let refused = Descriptor::load(&path, &measurements, &tight).unwrap_err();
    assert!(matches!(refused, DescribeError::Read(CoreError::OverLimit { .. })), "{refused}");
    assert!(matches!(
        Descriptor::load(Path::new("/nowhere/at/all"), &measurements, &tight),
        Err(DescribeError::Read(CoreError::Read { .. }))
    ));
    let renamed = |change: fn(&mut MeasurementSchema)| {
        let mut schema = measurements.clone();
        change(&mut schema);
        Descriptor::load(&path, &schema, &Limits::default()).unwrap_err()
    };
    for refused in [
        renamed(|s| s.version = 2),
        renamed(|s| s.name = "other".into()),
        renamed(|s| s.measurements.swap(0, 1)),
        renamed(|s| drop(s.measurements.pop())),
    ] {
        assert!(matches!(refused, DescribeError::Definitions(_)), "{refused}");
    }
}

#[test]
fn damaged_files_are_refused_and_never_panic() {
    let (descriptor, (measurements, _)) = (fitted(100), schemas());
    let bytes = descriptor.to_bytes();
    let refuse = |bytes: &[u8]| match Descriptor::from_bytes(bytes, &measurements) {
        Err(DescribeError::Format { .. } | DescribeError::Definitions(_)) => true,
        Err(e) => panic!("{e}"),
        Ok(_) => false,
    };
    for n in (0..bytes.len()).step_by(7) {
        assert!(refuse(&bytes[..n]), "cut at {n}");
    }
    assert!(refuse(&[bytes.as_slice(), &[0]].concat()));
    let mut newer = bytes.clone();
    newer[8] += 1;
    let (next, refusal) = (DESCRIPTOR_VERSION + 1, Descriptor::from_bytes(&newer, &measurements).unwrap_err());
    assert!(refusal.to_string().contains(&format!("version is {next}")));
    // any byte may be anything: what is still accepted must answer without a panic
    let row = vec![Some(30.0), None, Some(0.5), None];
    for k in 0..4000_u64 {
        let mut damaged = bytes.clone();
        let at = (draw(k, 8) * bytes.len() as f64) as usize;
        damaged[at] = (draw(k, 9) * 256.0) as u8;
        if let Ok(d) = Descriptor::from_bytes(&damaged, &measurements) {
            d.describe(&row).unwrap();
            for target in d.targets().map(str::to_owned).collect::<Vec<_>>() {
                d.reasons(&row, &target, 3).unwrap();
            }
        }
    }
}

#[test]
fn bad_input_is_a_typed_error() {
    let (rows, annotations) = cells(60);
    let fit = |rows: &[MeasurementRow], annotations: &[Annotation], options: &FitOptions| {
        learn(rows, annotations, &[], options)
    };
    let error = |r: Result<Descriptor, DescribeError>| r.unwrap_err().to_string();
    assert!(error(fit(&rows, &annotations[1..], &options())).contains("annotations: expected 60, found 59"));
    assert!(error(fit(&[vec![None]], &annotations[..1], &options())).contains("measurements of a cell"));
    assert!(error(fit(&rows[..4], &annotations[..4], &options())).contains("nothing to learn"));
    assert!(error(fit(&rows, &annotations, &FitOptions { folds: 1, ..options() })).contains("folds must be 2 to 20"));
    assert!(error(fit(&rows, &annotations, &FitOptions { l2: f32::NAN, ..options() })).contains("l2 must be"));
    let descriptor = fit(&rows, &annotations, &options()).unwrap();
    assert!(matches!(descriptor.describe(&[None]), Err(DescribeError::Shape { .. })));
    let unknown = descriptor.reasons(&rows[0], "mood", 3).unwrap_err();
    assert!(unknown.to_string().contains("type, size, shade: mood"), "{unknown}");
}

#[test]
fn cells_without_any_measurement_get_the_common_values() {
    let (rows, annotations) = cells(90);
    let nothing: Vec<MeasurementRow> = rows.iter().map(|r| vec![None; r.len()]).collect();
    let descriptor = learn(&nothing, &annotations, &[], &options()).unwrap();
    let judged = descriptor.describe(&nothing[0]).unwrap();
    let big = annotations.iter().filter(|a| a.values[0] == Some(1)).count() as f64 / 90.0;
    assert!((judged.get("size").unwrap().probabilities[1].1 - big).abs() < 0.15, "{judged:?}");
    assert!(descriptor.reasons(&rows[0], "size", 3).unwrap().is_empty());
}

#[test]
fn folds_share_out_every_value_evenly() {
    let truth: Vec<usize> = (0..103).map(|i| usize::from(i % 10 == 0)).collect();
    let fold_of = folds(&truth, 5, 7);
    for fold in 0..5 {
        let rare = (0..103).filter(|&i| fold_of[i] == fold && truth[i] == 1).count();
        assert!((2..=3).contains(&rare));
        assert!((20..=21).contains(&fold_of.iter().filter(|f| **f == fold).count()));
    }
    assert_ne!(fold_of, folds(&truth, 5, 8));
}

/// A tree that asks column 0 twice and columns 1 and 2 once, and one that asks column 2 alone.
fn small_forest() -> Forest {
    let split = |column, threshold, right, share: f64| Node::Split {
        column,
        threshold,
        missing_left: column == 1,
        right,
        left_share: (share * 65_535.0) as u16,
    };
    let leaf = |value| Node::Leaf { value };
    let nodes = vec![
        split(0, 0.5, 6, 0.3),
        split(1, 0.2, 2, 0.6),
        leaf(1.0),
        split(2, 0.7, 2, 0.5),
        leaf(-2.0),
        leaf(0.5),
        split(0, 0.8, 2, 0.4),
        leaf(3.0),
        leaf(-1.0),
        split(2, 0.1, 2, 0.2),
        leaf(0.25),
        leaf(-0.75),
    ];
    Forest { base: 0.4, nodes, starts: vec![0, 9] }
}

/// Expected score where only the columns in `known` are: unknown ones follow both branches.
fn expected(forest: &Forest, at: usize, row: &[f32], known: u32) -> f64 {
    match forest.nodes[at] {
        Node::Leaf { value } => f64::from(value),
        split @ Node::Split { column, .. } if known & (1 << column) != 0 => {
            expected(forest, split.next(at, row), row, known)
        }
        Node::Split { right, left_share, .. } => {
            let left = f64::from(left_share) / 65_535.0;
            left * expected(forest, at + 1, row, known)
                + (1.0 - left) * expected(forest, at + usize::from(right), row, known)
        }
    }
}

#[test]
fn contributions_are_shapley_values() {
    let forest = small_forest();
    let value = |row: &[f32], known: u32| -> f64 {
        forest.starts.iter().map(|&s| expected(&forest, s as usize, row, known)).sum()
    };
    for row in [[0.1, 0.1, 0.0], [0.6, 0.9, 0.9], [0.9, f32::NAN, 0.05], [0.2, 0.5, f32::NAN]] {
        let got = shap::contributions(&forest, &row, 3);
        for column in 0..3_u32 {
            // by the definition: over all sets of other columns, weighted by |S|! (n - |S| - 1)! / n!
            let others = (0..8_u32).filter(|set| set & (1 << column) == 0);
            let shapley: f64 = others
                .map(|set| {
                    let weight = [1.0 / 3.0, 1.0 / 6.0, 1.0 / 3.0][set.count_ones() as usize];
                    weight * (value(&row, set | 1 << column) - value(&row, set))
                })
                .sum();
            assert!((got[column as usize] - shapley).abs() < 1e-12, "{row:?} {column}");
        }
        let sum: f64 = got.iter().sum::<f64>() + shap::mean_score(&forest);
        assert!((sum - forest.score(&row)).abs() < 1e-12);
    }
}

#[test]
fn packed_trees_answer_as_the_grown_ones() {
    use forust_ml::gradientbooster::ContributionsMethod;
    use forust_ml::{GradientBooster, Matrix};
    let n = 300;
    let value = |row: u64, column: u64| if draw(row, 7) < 0.1 { f64::NAN } else { f64::from(draw(row, column) as f32) };
    let data: Vec<f64> = (0..4).flat_map(|c| (0..n).map(move |r| value(r, c))).collect();
    let y: Vec<f64> = (0..n).map(|r| f64::from(u8::from(draw(r, 0) + draw(r, 1) * draw(r, 2) > 0.8))).collect();
    let matrix = Matrix::new(&data, n as usize, 4);
    let mut booster = GradientBooster::default().set_initialize_base_score(true).set_parallel(false);
    booster.fit_unweighted(&matrix, &y, None).unwrap();
    let forest = Forest::from_booster(&booster);
    let (scores, parts) =
        (booster.predict(&matrix, false), booster.predict_contributions(&matrix, ContributionsMethod::Shapley, false));
    for r in 0..n as usize {
        let row: Vec<f32> = (0..4).map(|c| data[c * n as usize + r] as f32).collect();
        assert!((forest.score(&row) - scores[r]).abs() < 1e-6);
        // shares are stored in 16 bits, and the learner's own values are computed in f32
        for (ours, theirs) in shap::contributions(&forest, &row, 4).iter().zip(&parts[r * 5..]) {
            assert!((ours - theirs).abs() < 2e-3, "{ours} {theirs}");
        }
    }
}

/// Copies of all cells as of a hospital with half the light and another magnification.
fn dim_copies(rows: &[MeasurementRow]) -> Vec<CellCopy> {
    let dim = |row: &MeasurementRow| vec![Some(1.0), row[1].map(|grey| grey / 2.0 - 300.0), row[2], row[3]];
    rows.iter().enumerate().map(|(cell, row)| CellCopy { cell, row: dim(row) }).collect()
}

fn fitted_with(copies: &[CellCopy], n: u64, options: &FitOptions) -> Descriptor {
    let (rows, annotations) = cells(n);
    learn(&rows, &annotations, copies, options).unwrap()
}

#[test]
fn copies_teach_the_trees_without_sizes_to_read_other_hospitals() {
    let (rows, annotations) = cells(700);
    let copies = dim_copies(&rows[..400]);
    let (with, without) = (fitted_with(&copies, 400, &options()), fitted(400));
    let masked = |copies: Vec<CellCopy>| copies.into_iter().map(|c| vec![None, c.row[1], c.row[2], None]).collect();
    let unseen: Vec<MeasurementRow> = masked(dim_copies(&rows[400..]));
    let (_, attributes) = schemas();
    let shade = |d: &Descriptor| d.evaluate(&unseen, &annotations[400..], &attributes).unwrap()[2].scores.accuracy;
    assert!(shade(&with) > 0.9 && shade(&without) < 0.6, "{} {}", shade(&with), shade(&without));
    // scores of the cells themselves count no copy
    assert!(with.cross_validation(false).iter().all(|t| t.scores.n == 400));
    let of_copies = with.cross_validation_of_copies(false);
    assert!(of_copies.iter().all(|t| t.scores.n == 400) && of_copies[2].scores.accuracy > 0.9, "{of_copies:?}");
    // by default rows with sizes are read as if there were no copies
    assert_eq!(with.cross_validation(true), without.cross_validation(true));
    assert!(with.cross_validation_of_copies(true).is_empty() && without.cross_validation_of_copies(false).is_empty());
    assert_eq!(fitted_with(&copies, 400, &FitOptions { copy_weight: 0.0, ..options() }).targets, without.targets);
}

#[test]
fn copies_have_the_sizes_of_their_cell() {
    let (rows, _) = cells(400);
    let options = FitOptions { copy_weight_with_sizes: 1.0, ..options() };
    let descriptor = fitted_with(&dim_copies(&rows), 400, &options);
    // although all copies came with the length 1
    assert!(descriptor.cross_validation_of_copies(true)[1].scores.accuracy > 0.93);
}

#[test]
fn a_copy_never_gives_its_held_out_cell_away() {
    let (rows, mut annotations) = cells(300);
    for (cell, annotation) in annotations.iter_mut().enumerate() {
        annotation.values[1] = Some((draw(cell as u64, 6) * 3.0) as u8);
        // unknown ones, so that cells and known cells are counted differently
        annotation.values[1] = annotation.values[1].filter(|_| cell % 7 != 0);
    }
    let copies: Vec<_> = (0..300).rev().map(|cell| CellCopy { cell, row: rows[cell].clone() }).collect();
    let options = FitOptions { trees: 100, leaf_weight: 0.1, copy_weight: 1.0, ..options() };
    let fit = learn(&rows, &annotations, &copies, &options).unwrap();
    // drawn values cannot be known, but are learnt by heart by whoever saw the copy
    for scores in [&fit.cross_validation(false)[2], &fit.cross_validation_of_copies(false)[2]] {
        assert!(scores.scores.accuracy < 0.5 && scores.scores.n == 257, "{scores:?}");
    }
    let (measurements, attributes) = &schemas();
    let of = TrainingCells { rows: &rows, annotations: &annotations, copies: &copies, measurements, attributes };
    let fitted = CrossFitted::new(&of, &options).unwrap();
    let share = |described: &dyn Fn(usize, &MeasurementRow) -> Description| {
        let known = (0..300).filter(|cell| cell % 7 != 0);
        let right = known.filter(|&cell| {
            let without_sizes = vec![None, rows[cell][1], rows[cell][2], None];
            let said = described(cell, &without_sizes).annotation(attributes);
            said.values[1] == annotations[cell].values[1]
        });
        right.count() as f64 / 257.0
    };
    assert!(share(&|cell, row| fitted.describe_held_out(cell, row).unwrap()) < 0.5);
    assert!(share(&|_, row| fitted.descriptor().describe(row).unwrap()) > 0.6, "these have seen the cells");
}

#[test]
fn copies_of_no_cell_and_of_another_length_are_refused() {
    let (rows, annotations) = cells(60);
    let refusal = |copy: CellCopy| learn(&rows, &annotations, &[copy], &options()).unwrap_err().to_string();
    assert!(refusal(CellCopy { cell: 60, row: rows[0].clone() }).contains("expected 60, found 61"));
    assert!(refusal(CellCopy { cell: 0, row: vec![None] }).contains("measurements of a copy: expected 4, found 1"));
}

#[test]
fn reasons_add_up_to_trees_and_trend() {
    let (descriptor, (rows, _)) = (fitted(400), cells(400));
    let model = descriptor.target("size").unwrap().model(true);
    let trend = model.trend.as_ref().expect("a length beyond a threshold has a trend");
    let score = |row: &[f32]| model.forests[0].score(&model.asked(row)) + trend.score(0, row);
    let mean = shap::mean_score(&model.forests[0]);
    for row in &rows[..50] {
        let reasons = descriptor.reasons(row, "size", 9).unwrap();
        let sign = if descriptor.describe(row).unwrap().get("size").unwrap().value == "big" { 1.0 } else { -1.0 };
        let sum: f64 = reasons.iter().map(|r| r.log_odds).sum();
        assert!((sign * sum - (score(&data::row_f32(row)) - mean)).abs() < 1e-9, "{reasons:?}");
    }
}
