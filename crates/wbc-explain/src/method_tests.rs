//! Heat maps by all methods, measured counterfactuals and scores, on a small model.

use crate::faithfulness::{Blocks, area_under, counts};
use crate::probability::argmax;
use crate::row::{OtherMeasurements, Row};
use crate::tests::{BIG, Model, SIDE, disc, model, perceptron_model, view};
use crate::*;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use image::Rgb;
use std::sync::atomic::{AtomicUsize, Ordering};
use wbc_contrastive::{DualEncoder, TrainedModel};
use wbc_core::{CellMasks, CellView, Mask, RgbImage};
use wbc_encoders::{FeatureLayer, FeatureLayers, ImageEncoder, ImageInput, ImageOutput, Mode, TextTower, linear};

#[test]
fn every_method_draws_maps_of_a_model_that_lets_it() {
    let (adding, mixing) = (model(true, true), perceptron_model(true));
    for kind in HeatKind::ALL {
        let options = ExplainOptions { heat_maps: Some(kind), ..ExplainOptions::default() };
        let model = if kind == HeatKind::Layers { &mixing } else { &adding };
        let explainer = ModelExplainer::new(model, options).unwrap();
        let (image, view) = (disc(), view(Some(BIG)));
        let maps = explainer.explain(&ExplainInput::new("c", &image, &view)).unwrap().heat_maps.unwrap();
        assert!(maps.len() == 12 && maps.iter().all(|m| m.method == kind && m.min < m.max), "{kind}");
    }
    let blind = crate::tests::model(false, true);
    for kind in HeatKind::ALL {
        let options = ExplainOptions { heat_maps: Some(kind), ..ExplainOptions::default() };
        let explainer = ModelExplainer::new(&blind, options).unwrap();
        assert_eq!(explainer.heat_method(kind).kind(), kind);
        assert_eq!(explainer.heat_method(kind).maps(&disc(), &[vec![1.0; 8]]).unwrap(), None, "{kind}");
        assert_eq!(explainer.why_no_heat_maps(kind).unwrap(), Some("the model sees no pixels"), "{kind}");
        let refused = explainer.explain(&ExplainInput::new("c", &disc(), &view(Some(BIG)))).unwrap_err();
        assert!(matches!(refused, ExplainError::HeatMap { method, .. } if method == kind), "{kind}: {refused}");
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

/// Nothing is left over and nothing is invented: on average over the view and all its looks, a map of layers is what the view
/// has of a direction beyond an empty one.
#[test]
fn layers_share_out_what_the_view_has_beyond_an_empty_one() {
    let model = perceptron_model(true);
    let branch = crate::pixel_branch::PixelBranch { model: &model };
    let direction: Vec<f32> = (0..8).map(|i| if i % 3 == 0 { 0.5 } else { -0.25 }).collect();
    let opposite: Vec<f32> = direction.iter().map(|v| -v).collect();
    let method = crate::heat_methods::heat_method(HeatKind::Layers, branch);
    let maps = method.maps(&disc(), &[direction.clone(), opposite]).unwrap().unwrap();
    let cosines = |views: Vec<Vec<f32>>| -> f32 {
        let n = views.len() as f32;
        let seen = branch.look(SIDE as usize, views.into_iter()).unwrap();
        seen.view().rows().into_iter().map(|r| r.iter().zip(&direction).map(|(a, b)| a * b).sum::<f32>()).sum::<f32>()
            / n
    };
    let empty = RgbImage::from_pixel(SIDE, SIDE, *disc().get_pixel(0, 0));
    let gained = cosines(crate::heat::Look::all(0).iter().map(|look| look.pixels(&disc())).collect())
        - cosines(vec![crate::filters::planes(&empty)]);
    let (_, _, mean) = maps[0].range();
    assert!(gained.abs() > 0.01 && (mean / gained - 1.0).abs() < 0.02, "{mean} where {gained} is expected");
    assert!(maps[0].values().iter().zip(maps[1].values()).all(|(a, b)| (a + b).abs() < 1e-5), "linear in the text");
    assert!(!maps[0].is_flat());
    let nothing = method.maps(&empty, &[direction]).unwrap().unwrap();
    assert!(nothing[0].values().iter().all(|v| v.abs() < 1e-6), "an empty view has nothing beyond itself");
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
    // nothing is more like the view than the view: covering any of the disc costs
    let own = explainer.branch().embed(SIDE as usize, std::iter::once(crate::filters::planes(&disc()))).unwrap();
    let towards = method.maps(&disc(), &[own.view().row(0).to_vec()]).unwrap().unwrap();
    let (min, max, _) = towards[0].range();
    assert!(min > -1e-6 && max > 1e-6, "{min} to {max}");
    let (middle, edge) = (towards[0].values()[8 * 16 + 8], towards[0].values()[8 * 16 + 1]);
    assert!(middle > edge, "{middle} where the disc is, {edge} beside it");
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
    let seen = explainer.see(Some(pixels.clone()), Some(&row));
    let others = OtherMeasurements::new(&explainer, &seen, &row);
    let mut changed = row.values.clone();
    changed[1] = -1.5;
    let fast = others.log_probabilities(&[row.values.clone(), changed.clone()]).unwrap();
    for (values, log) in [row.values.clone(), changed].into_iter().zip(&fast) {
        let measurements = Some(explainer.model.measurement_input(values, row.mask.clone(), 1));
        let whole = wbc_encoders::ImageInput { pixels: Some(pixels.clone()), measurements, ..Default::default() };
        let cell = crate::row::embeddings(explainer.forward(whole).pooled).unwrap();
        let slow = explainer.type_log_probabilities(&cell).unwrap();
        assert!(slow[0].iter().zip(log).all(|(a, b)| (a - b).abs() < 1e-3), "{slow:?} {log:?}");
    }
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
    assert_eq!(scores.pointing.len(), 5 * (4 + 2 + 12));
    let whole = scores.pointing.iter().find(|p| p.method == HeatKind::Occlusion && p.fact == "type").unwrap();
    let explained = explainer.explain(&input.cell).unwrap();
    let own = explainer.facts[0].set.values.iter().position(|v| *v == explained.cell_type.value).unwrap();
    let direction = explainer.contrast(&explainer.facts[0], own);
    let map = explainer.heat_method(HeatKind::Occlusion).maps(&view.pixels, &[direction]).unwrap().unwrap().remove(0);
    assert_eq!(whole.pointing, Pointing::new(&map, masks.cell()).unwrap());
    // together or alone, a method says the same
    let alone = explainer.score(&ScoreInput { methods: &[HeatKind::Joint], ..input }).unwrap();
    let joint: Vec<_> = scores.pointing.iter().filter(|p| p.method == HeatKind::Joint).cloned().collect();
    assert_eq!((alone.pointing, &alone.pixels[0]), (joint, &scores.pixels[4]));
    let names = |list: &[(Order, Curves)]| list.iter().map(|(o, _)| o.as_str()).collect::<Vec<_>>().join(" ");
    assert_eq!(names(&scores.pixels), "patches gradient occlusion superpixels joint centre random");
    assert_eq!(names(&scores.measurements), "supporting strongest unusual random");
    assert_eq!(explainer.score(&input).unwrap(), scores);
    let unmasked = explainer.score(&ScoreInput { masks: None, seed: 6, ..input }).unwrap();
    assert!(unmasked.pointing.is_empty() && unmasked.pixels[..6] == scores.pixels[..6]);
    assert_ne!(unmasked.pixels[6], scores.pixels[6]);
}

/// Deletion and insertion by hand, one thing after the other.
#[test]
fn curves_are_those_of_taking_away_and_giving_back_one_by_one() {
    let model = model(true, true);
    let explainer = ModelExplainer::new(&model, ExplainOptions::default()).unwrap();
    let (image, view) = (disc(), view(Some(BIG)));
    let cell = ExplainInput { length_scale: Some(1.0), ..ExplainInput::new("c", &image, &view) };
    let scores = explainer.score(&ScoreInput { cell, masks: None, methods: &[], seed: 5 }).unwrap();
    let curves = |list: &[(Order, Curves)], order: Order| list.iter().find(|(o, _)| *o == order).unwrap().1;

    // 14 blocks a side, of one or two pixels
    let blocks = Blocks::new(16);
    let (order, cover) = (blocks.outwards(), crate::filters::surroundings(&view.pixels));
    let block = |x: u32, y: u32| (y * 14 / 16 * 14 + x * 14 / 16) as usize;
    let probability = |view: &RgbImage| {
        let own = explainer.branch().embed(16, std::iter::once(crate::filters::planes(view))).unwrap();
        explainer.type_log_probabilities(&own).unwrap().remove(0)
    };
    let predicted = argmax(&probability(&view.pixels));
    let watched: Vec<f64> = counts(order.len())
        .map(|n| {
            let gone = |x, y| order[..n].contains(&block(x, y));
            let shown = RgbImage::from_fn(16, 16, |x, y| if gone(x, y) { cover } else { *view.pixels.get_pixel(x, y) });
            probability(&shown)[predicted].exp()
        })
        .collect();
    let centre = curves(&scores.pixels, Order::Centre).deletion;
    assert!((centre - area_under(&watched)).abs() < 1e-5, "{centre}: {watched:?}");
    assert!(watched.iter().any(|p| (p - watched[0]).abs() > 1e-4), "it moves");

    // given back in the same order, to a view blurred by an eighth of its side
    let soft = crate::filters::soft_view(&view.pixels);
    let watched: Vec<f64> = counts(order.len())
        .map(|n| {
            let back = |x, y| order[..n].contains(&block(x, y));
            let shown =
                RgbImage::from_fn(16, 16, |x, y| *if back(x, y) { &view.pixels } else { &soft }.get_pixel(x, y));
            probability(&shown)[predicted].exp()
        })
        .collect();
    let centre = curves(&scores.pixels, Order::Centre).insertion;
    assert!((centre - area_under(&watched)).abs() < 1e-5, "{centre}: {watched:?}");
    assert!(watched.iter().any(|p| (p - watched[0]).abs() > 1e-4), "it moves");

    // measurements: those that support the decision first, as the effects of the explanation say
    let explained = explainer.explain(&cell).unwrap();
    let mut told: Vec<&MovedBy> = explained.measurements.iter().flatten().collect();
    told.sort_by(|a, b| b.effect.total_cmp(&a.effect));
    let statistics = model.preprocess.statistics.as_ref().unwrap();
    let column = |m: &&MovedBy| statistics.schema.index(&m.name).unwrap();
    let columns: Vec<usize> = told.iter().map(column).collect();
    let row = Row::new(statistics, &cell).unwrap();
    let pixels = explainer.view_pixels(&view).unwrap();
    let seen = explainer.see(pixels, Some(&row));
    let others = OtherMeasurements::new(&explainer, &seen, &row);
    let steps: Vec<Vec<f32>> = counts(columns.len())
        .map(|n| {
            let mut values = row.values.clone();
            columns[..n].iter().for_each(|c| values[*c] = 0.0);
            values
        })
        .collect();
    let logs = others.log_probabilities(&steps).unwrap();
    let predicted = argmax(&logs[0]);
    let watched: Vec<f64> = logs.iter().map(|l| l[predicted].exp()).collect();
    let supporting = curves(&scores.measurements, Order::Supporting).deletion;
    assert!((supporting - area_under(&watched)).abs() < 1e-5, "{supporting}: {watched:?}");

    // given back in the same order, to the training means of all
    let steps: Vec<Vec<f32>> = counts(columns.len())
        .map(|n| {
            let mut values = vec![0.0; row.values.len()];
            columns[..n].iter().for_each(|c| values[*c] = row.values[*c]);
            values
        })
        .collect();
    let logs = others.log_probabilities(&steps).unwrap();
    let watched: Vec<f64> = logs.iter().map(|l| l[predicted].exp()).collect();
    let supporting = curves(&scores.measurements, Order::Supporting).insertion;
    assert!((supporting - area_under(&watched)).abs() < 1e-5, "{supporting}: {watched:?}");
    assert!(watched.iter().any(|p| (p - watched[0]).abs() > 1e-4), "it moves");
}

#[test]
fn orders_are_stored_by_their_names() {
    let others = [Order::Centre, Order::Supporting, Order::Strongest, Order::Unusual, Order::Random];
    for order in HeatKind::ALL.map(Order::Heat).into_iter().chain(others) {
        let stored = serde_json::to_string(&order).unwrap();
        assert_eq!(stored, format!("\"{}\"", order.as_str()));
        assert_eq!(serde_json::from_str::<Order>(&stored).unwrap(), order);
    }
}

/// Views that [`Frozen`] looked at, on whatever thread; one test alone uses it.
static LOOKS: AtomicUsize = AtomicUsize::new(0);

/// A model with another image encoder.
fn with_image<I: ImageEncoder>(base: Model, image: I) -> TrainedModel<I, TextTower> {
    TrainedModel {
        model: DualEncoder::new(image, base.model.text, &base.device).unwrap(),
        tokenizer: base.tokenizer,
        preprocess: base.preprocess,
        prompts: base.prompts,
        space: base.space,
        device: base.device,
    }
}

/// A view that shows nothing has maps that say nothing, and is told so.
#[test]
fn flat_heat_maps_are_said_to_be_flat() {
    let model = model(true, true);
    let told = |pixels: RgbImage| {
        let options = ExplainOptions { heat_maps: Some(HeatKind::Superpixels), ..ExplainOptions::default() };
        let explainer = ModelExplainer::new(&model, options).unwrap();
        let view = CellView { pixels, ..view(Some(BIG)) };
        let explained = explainer.explain(&ExplainInput::new("c", &disc(), &view)).unwrap();
        explained.notes.iter().any(|n| n.contains("heat maps are flat"))
    };
    assert!(told(RgbImage::from_pixel(SIDE, SIDE, Rgb([240; 3]))));
    assert!(!told(view(Some(BIG)).pixels));
}

/// Answers by how much of the view is clearly red, wherever it lies and however the view is turned.
#[derive(Module, Debug)]
struct RedSeeker {
    /// A burn module must have something to hold.
    unused: Linear,
}

impl ImageEncoder for RedSeeker {
    fn embed_dim(&self) -> usize {
        8
    }

    fn layers(&self, pixels: Tensor<4>) -> Option<FeatureLayers> {
        let map = Self::red(pixels);
        Some(FeatureLayers {
            features: map.clone().mean_dim(2).squeeze_dim::<2>(2),
            layers: vec![FeatureLayer { map, with_spread: false }],
        })
    }

    fn forward(&self, input: ImageInput, _mode: &mut Mode<'_>) -> ImageOutput {
        let red = input.features.or_else(|| Some(self.layers(input.pixels?)?.features)).unwrap();
        let (n, device) = (red.dims()[0], red.device());
        let (one, rest) = (Tensor::ones([n, 1], &device), Tensor::zeros([n, 6], &device));
        ImageOutput { pooled: Tensor::cat(vec![red * 50.0, one, rest], 1), patches: None }
    }
}

impl RedSeeker {
    /// How red each square of three pixels is, `[n, 1, (side / 3)²]`.
    fn red(pixels: Tensor<4>) -> Tensor<3> {
        let [n, _, side, _] = pixels.dims();
        let channel = |c: usize| pixels.clone().narrow(1, c, 1);
        let red = (channel(0) - channel(2) - 0.5).clamp_min(0.0);
        let squares = red.reshape([n, side / 3, 3, side / 3, 3]).mean_dim(4).mean_dim(2);
        squares.reshape([n, 1, (side / 3) * (side / 3)])
    }
}

/// What the model looks for is where maps point to, whatever else the view shows.
#[test]
fn maps_point_to_what_the_model_looks_for_and_away_from_it_in_the_opposite_direction() {
    let image = RedSeeker { unused: linear(1, 1, &mut wbc_core::seeded_rng(&[3]), &Device::flex()) };
    let model = with_image(model(true, false), image);
    let spot = |x: u32, y: u32, at: (f32, f32)| (x as f32 - at.0).hypot(y as f32 - at.1) < 5.0;
    let view = RgbImage::from_fn(48, 48, |x, y| {
        Rgb(if spot(x, y, (33.0, 12.0)) {
            [220, 20, 20]
        } else if spot(x, y, (12.0, 33.0)) || spot(x, y, (12.0, 12.0)) {
            [20, 20, 220]
        } else {
            [240; 3]
        })
    });
    let explainer = ModelExplainer::new(&model, ExplainOptions::default()).unwrap();
    let direction: Vec<f32> = (0..8).map(|i| if i == 0 { 1.0 } else { 0.0 }).collect();
    let opposite: Vec<f32> = direction.iter().map(|d| -d).collect();
    for kind in [HeatKind::Superpixels, HeatKind::Joint, HeatKind::Occlusion, HeatKind::Layers] {
        let maps = explainer.heat_method(kind).maps(&view, &[direction.clone(), opposite.clone()]).unwrap().unwrap();
        let at = |map: &HeatField, x: usize, y: usize| map.values()[y * 48 + x];
        let (_, max, _) = maps[0].range();
        assert!(at(&maps[0], 33, 12) > 0.5 * max, "{kind}");
        assert!([(12, 33), (12, 12), (36, 36)].iter().all(|(x, y)| at(&maps[0], *x, *y) < 0.25 * max), "{kind}");
        assert!(at(&maps[1], 33, 12) < -0.5 * max, "{kind}");
    }
}

/// A frozen encoder, the mean colour, joined with measurements in one layer.
#[derive(Module, Debug)]
struct Frozen {
    joined: Linear,
}

impl ImageEncoder for Frozen {
    fn embed_dim(&self) -> usize {
        8
    }

    fn features(&self, pixels: Tensor<4>) -> Option<Tensor<2>> {
        let n = pixels.dims()[0];
        LOOKS.fetch_add(n, Ordering::Relaxed);
        Some(pixels.mean_dim(3).mean_dim(2).reshape([n, 3]))
    }

    fn forward(&self, input: ImageInput, _mode: &mut Mode<'_>) -> ImageOutput {
        let features = input.features.or_else(|| self.features(input.pixels?));
        let measured = input.measurements.map(|m| m.values);
        let device = Device::flex();
        let n = features.as_ref().or(measured.as_ref()).map_or(0, |t| t.dims()[0]);
        let features = features.unwrap_or_else(|| Tensor::zeros([n, 3], &device));
        let measured = measured.unwrap_or_else(|| Tensor::zeros([n, 4], &device));
        ImageOutput { pooled: self.joined.forward(Tensor::cat(vec![features, measured], 1)), patches: None }
    }
}

#[test]
fn a_frozen_encoder_looks_at_a_cell_once_while_its_measurements_change() {
    let image = Frozen { joined: linear(7, 8, &mut wbc_core::seeded_rng(&[3]), &Device::flex()) };
    let model = with_image(model(true, true), image);
    let explainer = ModelExplainer::new(&model, ExplainOptions::default()).unwrap();
    let (image, view) = (disc(), view(Some(BIG)));
    let cell = ExplainInput { length_scale: Some(1.0), ..ExplainInput::new("c", &image, &view) };
    let row = Row::new(model.preprocess.statistics.as_ref().unwrap(), &cell).unwrap();
    let pixels = explainer.view_pixels(&view).unwrap().unwrap();
    let seen = explainer.see(Some(pixels.clone()), Some(&row));
    let others = OtherMeasurements::new(&explainer, &seen, &row);
    let mut changed = row.values.clone();
    changed[1] = -1.5;
    let fast = others.log_probabilities(&[row.values.clone(), changed.clone()]).unwrap();
    assert_eq!(LOOKS.load(Ordering::Relaxed), 1);
    for (values, log) in [row.values.clone(), changed].into_iter().zip(&fast) {
        let measurements = Some(explainer.model.measurement_input(values, row.mask.clone(), 1));
        let whole = ImageInput { pixels: Some(pixels.clone()), measurements, ..ImageInput::default() };
        let slow = explainer.type_log_probabilities(&crate::row::embeddings(explainer.forward(whole).pooled).unwrap());
        assert!(slow.unwrap()[0].iter().zip(log).all(|(a, b)| (a - b).abs() < 1e-4));
    }
    // the cell, three ends of curves, and what is between them: two curves of two orders
    LOOKS.store(0, Ordering::Relaxed);
    explainer.score(&ScoreInput { cell, masks: None, methods: &[], seed: 1 }).unwrap();
    assert_eq!(LOOKS.load(Ordering::Relaxed), 1 + 3 + 2 * 2 * 15);
}
