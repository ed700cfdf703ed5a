//! Heat maps by all methods, measured counterfactuals and scores, on a small model.

use crate::tests::{BIG, Model, SIDE, disc, measurements, model, perceptron_model, training, view};
use crate::*;
use image::Rgb;
use wbc_core::{CellMasks, Mask, RgbImage};
use wbc_encoders::MeasurementStatistics;

#[test]
fn every_method_draws_maps_of_a_model_that_lets_it() {
    let model = model(true, true);
    for kind in HeatKind::ALL {
        let options = ExplainOptions { heat_maps: Some(kind), ..ExplainOptions::default() };
        let explainer = ModelExplainer::new(&model, options).unwrap();
        let (image, view) = (disc(), view(Some(BIG)));
        let maps = explainer.explain(&ExplainInput::new("c", &image, &view)).unwrap().heat_maps.unwrap();
        assert!(maps.len() == 12 && maps.iter().all(|m| m.method == kind && m.min < m.max), "{kind}");
    }
    let blind = crate::tests::model(false, true);
    for kind in HeatKind::ALL {
        let options = ExplainOptions { heat_maps: Some(kind), ..ExplainOptions::default() };
        let explainer = ModelExplainer::new(&blind, options).unwrap();
        assert_eq!(explainer.heat_method(kind).kind(), kind);
        let explained = explainer.explain(&ExplainInput::new("c", &disc(), &view(Some(BIG)))).unwrap();
        assert!(explained.heat_maps.is_none(), "{kind}: the model sees no pixels");
    }
}

/// The gradient that the tape gives is the slope that a small step shows, through every layer of both networks.
#[test]
fn the_gradient_is_the_slope_of_the_cosine() {
    let slope_is_right = |model: &Model, direction: &[f32], what: &str| {
        let branch = crate::pixel_branch::PixelBranch { model };
        let planes = crate::filters::planes(&disc());
        let gradient = branch.gradient(16, planes.clone(), 1, direction).unwrap().unwrap();
        let cosine = |planes: Vec<f32>| -> f64 {
            let unit = branch.embed(16, std::iter::once(planes)).unwrap();
            unit.view().row(0).iter().zip(direction).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        // along the gradient itself the slope is its squared length
        let square: f64 = gradient.iter().map(|g| f64::from(*g).powi(2)).sum();
        let step = (1e-3 / square.sqrt()) as f32;
        let moved = |by: f32| planes.iter().zip(&gradient).map(|(p, g)| p + by * g).collect::<Vec<_>>();
        let slope = (cosine(moved(step)) - cosine(moved(-step))) / (2.0 * f64::from(step));
        assert!((slope / square - 1.0).abs() < 0.02, "{what}: {slope} where {square} is expected");
    };
    let direction: Vec<f32> = (0..8).map(|i| if i % 3 == 0 { 0.5 } else { -0.25 }).collect();
    slope_is_right(&model(true, false), &direction, "transformer");
    slope_is_right(&perceptron_model(true), &direction, "perceptron behind a frozen network");
}

#[test]
fn covering_what_the_model_looks_at_costs_the_similarity() {
    let model = model(true, false);
    let explainer = ModelExplainer::new(&model, ExplainOptions::default()).unwrap();
    let direction = explainer.contrast(&explainer.facts[0], 0);
    let opposite: Vec<f32> = direction.iter().map(|v| -v).collect();
    let method = explainer.heat_method(HeatKind::Occlusion);
    let maps = method.maps(&disc(), &[direction, opposite]).unwrap().unwrap();
    assert!(
        maps[0].values().iter().zip(maps[1].values()).all(|(a, b)| (a + b).abs() < 1e-5),
        "it is linear in the text"
    );
    // nothing is covered where nothing is: the corner is far from the disc
    assert_eq!(maps[0].values()[0], 0.0);
    let blank = RgbImage::from_pixel(SIDE, SIDE, Rgb([240; 3]));
    let direction = explainer.contrast(&explainer.facts[0], 1);
    assert!(method.maps(&blank, &[direction]).unwrap().unwrap()[0].values().iter().all(|v| *v == 0.0));
}

#[test]
fn pixels_stay_while_measurements_change_whatever_joins_them() {
    let model = model(true, true);
    let explainer = ModelExplainer::new(&model, ExplainOptions::default()).unwrap();
    let view = view(Some(BIG));
    let (image, statistics) = (disc(), model.preprocess.statistics.as_ref().unwrap());
    let input = ExplainInput { length_scale: Some(1.0), ..ExplainInput::new("c", &image, &view) };
    let row = crate::row::Row::new(statistics, &input).unwrap();
    let pixels = explainer.view_pixels(&view).unwrap().unwrap();
    let others = crate::row::OtherMeasurements::new(&explainer, Some(&pixels), &row);
    let mut changed = row.values.clone();
    changed[1] = -1.5;
    let fast = others.log_probabilities(&[row.values.clone(), changed.clone()]).unwrap();
    for (values, log) in [row.values.clone(), changed].into_iter().zip(&fast) {
        let measurements = Some(explainer.measurement_tensors(values, row.mask.clone(), 1));
        let whole = wbc_encoders::ImageInput { pixels: Some(pixels.clone()), measurements, ..Default::default() };
        let cell = crate::row::embeddings(explainer.forward(whole).pooled).unwrap();
        let slow = explainer.type_log_probabilities(&cell).unwrap();
        assert!(slow[0].iter().zip(log).all(|(a, b)| (a - b).abs() < 1e-3), "{slow:?} {log:?}");
    }
}

#[test]
fn the_smallest_change_of_measurements_is_where_the_decision_flips() {
    let statistics = MeasurementStatistics::compute(&measurements(), training().0.as_slice().unwrap()).unwrap();
    let (image, view) = (disc(), view(Some(BIG)));
    let input = ExplainInput { length_scale: Some(1.0), ..ExplainInput::new("c", &image, &view) };
    let mut row = crate::row::Row::new(&statistics, &input).unwrap();
    row.values = vec![1.0, 1.0, 0.5, 0.0];
    let group =
        |mean: [f32; 4], cells| GroupMoments { cells, n: vec![cells; 4], mean: mean.to_vec(), std: vec![1.0; 4] };
    let groups = [group([0.0; 4], 9), group([-1.0, -1.0, 0.5, 0.0], 9), group([0.0; 4], 0)];
    let types = ["a", "b", "c"].map(String::from);
    // type b as soon as the weighted sum is below the threshold; it begins at 3
    let judge = |threshold: f64| {
        move |rows: &[Vec<f32>]| {
            let sum = |r: &Vec<f32>| 2.0 * f64::from(r[0]) + f64::from(r[1]);
            Ok(rows.iter().map(|r| vec![sum(r) - threshold, 0.0, -50.0]).collect::<Vec<_>>())
        }
    };
    let one = crate::other_type::other_type(&row, &types, &groups, judge(0.5)).unwrap().unwrap();
    assert_eq!((one.from.as_str(), one.to.as_str(), one.flips.len()), ("a", "b", 1), "the second alone reaches 1 only");
    let flip = &one.flips[0];
    // 2 (1 - d) + 1 = 0.5 at d = 1.25
    assert!((flip.size - 1.25).abs() < 0.02 && flip.size >= 1.25, "{flip:?}");
    let mean_std = (statistics.mean[0], statistics.std[0]);
    assert!((flip.changes[0].needed - (mean_std.0 - (flip.size - 1.0) * mean_std.1)).abs() < 1e-3);
    assert_eq!((flip.changes[0].name.as_str(), flip.changes[0].value), ("cell.diameter", 61.0));
    // 2 (1 - d) + 1 - d = -2 at d = 5/3: only both together
    let two = crate::other_type::other_type(&row, &types, &groups, judge(-2.0)).unwrap().unwrap();
    assert!(two.flips.len() == 1 && two.flips[0].changes.len() == 2);
    assert!((two.flips[0].size - 2.0_f32.sqrt() * 5.0 / 3.0).abs() < 0.02, "{two:?}");
    let never = crate::other_type::other_type(&row, &types, &groups, judge(-9.0)).unwrap().unwrap();
    assert!(never.flips.is_empty());
    let other_way = |rows: &[Vec<f32>]| Ok(rows.iter().map(|_| vec![1.0, -50.0, 0.0]).collect());
    assert!(crate::other_type::other_type(&row, &types, &groups, other_way).unwrap().is_none(), "c was never seen");
}

#[test]
fn explanations_are_scored_and_chance_depends_on_the_seed_alone() {
    let model = model(true, true);
    let explainer = ModelExplainer::new(&model, ExplainOptions::default()).unwrap();
    let (image, view) = (disc(), view(Some(BIG)));
    let cell = Mask::from_fn(16, 16, |x, y| (x as f32 - 7.5).hypot(y as f32 - 7.5) < 6.0);
    let masks = CellMasks::new(Mask::from_fn(16, 16, |x, y| x.abs_diff(8) < 3 && y.abs_diff(8) < 3), cell).unwrap();
    let input = ScoreInput {
        cell: ExplainInput { length_scale: Some(1.0), ..ExplainInput::new("c", &image, &view) },
        masks: Some(&masks),
        methods: &HeatKind::ALL,
        seed: 5,
    };
    let scores = explainer.score(&input).unwrap();
    // per method: type and three attributes of the cell, two of the nucleus, six of the cytoplasm in two parts
    assert_eq!(scores.pointing.len(), 3 * (4 + 2 + 12));
    assert!(scores.pointing.iter().all(|p| p.pointing.energy.is_none_or(|e| (0.0..=1.0 + 1e-9).contains(&e))));
    let names = |list: &[(Order, Curves)]| list.iter().map(|(o, _)| o.as_str()).collect::<Vec<_>>().join(" ");
    assert_eq!(names(&scores.pixels), "patches gradient occlusion centre random");
    assert_eq!(names(&scores.measurements), "strongest supporting unusual random");
    let all = scores.pixels.iter().chain(&scores.measurements).flat_map(|(_, c)| [c.deletion, c.insertion]);
    assert!(all.into_iter().all(|area| (0.0..=1.0).contains(&area)));
    assert_eq!(explainer.score(&input).unwrap(), scores);
    let unmasked = explainer.score(&ScoreInput { masks: None, seed: 6, ..input }).unwrap();
    assert!(unmasked.pointing.is_empty() && unmasked.pixels[..4] == scores.pixels[..4]);
    assert_ne!(unmasked.pixels[4], scores.pixels[4]);
}
