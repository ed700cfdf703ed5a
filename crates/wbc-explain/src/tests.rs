use crate::heat::{Look, PatchLooks};
use crate::*;
use burn::tensor::Device;
use image::Rgb;
use ndarray::Array2;
use wbc_caption::prompt_sets;
use wbc_contrastive::{FactSpace, ModelConfig, TrainedModel, WbcClip};
use wbc_core::{
    Annotation, AttributeSchema, CellMasks, CellType, CellTypes, CellView, Mask, MeasurementDef, MeasurementSchema,
    Optics, QualityFlag, QualityFlags, RgbImage, Unit, ViewerSpec,
};
use wbc_encoders::{
    BackboneConfig, ImageTower, ImageTowerConfig, MeasurementBranchConfig, MeasurementStatistics, NetworkConfig,
    PixelBranchConfig, PixelEncoderConfig, Preprocess, PublishedBranchConfig, PublishedHead, ResNetBlock, ResNetConfig,
    Symmetries, TextConfig, TextTower, Tokenizer, TokenizerConfig,
};

pub(crate) const SIDE: u32 = 16;
/// Diameter in pixels, two ratios that separate cell sizes, one that is always the same.
const NAMES: [(&str, Unit); 4] = [
    ("cell.diameter", Unit::Px),
    ("cell.solidity", Unit::Ratio),
    ("cell.eccentricity", Unit::Ratio),
    ("cell.constant", Unit::Ratio),
];

pub(crate) type Model = TrainedModel<ImageTower, TextTower>;

pub(crate) fn measurements() -> MeasurementSchema {
    let def = |(name, unit): (&str, Unit)| MeasurementDef {
        name: name.into(),
        unit,
        definition: "a <b>test</b> & more".into(),
        source: String::new(),
    };
    MeasurementSchema { name: "test".into(), version: 1, measurements: NAMES.map(def).to_vec() }
}

/// Training cells: big ones are 60 px wide, small ones 30 px.
pub(crate) fn training() -> (Array2<f32>, Vec<Annotation>) {
    let schema = AttributeSchema::wbcatt();
    let (mut rows, mut annotations) = (Vec::new(), Vec::new());
    for i in 0..40u8 {
        let (wobble, big) = (f32::from(i % 5), i % 2 == 0);
        rows.extend([
            if big { 60.0 } else { 30.0 } + wobble,
            if big { 0.9 } else { 0.8 } + 0.01 * wobble,
            f32::from(i % 7),
            1.0,
        ]);
        let mut a = Annotation::unknown(&schema);
        a.set(&schema, "cell_size", if big { "big" } else { "small" }).unwrap();
        a.cell_type = Some(CellType::new(if big { "monocyte" } else { "lymphocyte" }));
        annotations.push(a);
    }
    (Array2::from_shape_vec((40, 4), rows).unwrap(), annotations)
}

pub(crate) fn model(pixels: bool, measured: bool) -> Model {
    let device = Device::flex();
    let schema = AttributeSchema::wbcatt();
    let types: Vec<CellType> = ["lymphocyte", "monocyte", "neutrophil"].map(CellType::new).to_vec();
    let prompts = prompt_sets(&schema, &types, &CellTypes::builtin()).unwrap();
    let texts: Vec<String> = prompts.sets.iter().flat_map(|s| s.prompts.iter().flatten().cloned()).collect();
    let tokenizer = Tokenizer::train(texts.iter().map(String::as_str), &TokenizerConfig { vocab_size: 300 }).unwrap();
    let config = ModelConfig {
        embed_dim: 8,
        members: 1,
        image: ImageTowerConfig {
            pixels: pixels.then_some(
                PixelBranchConfig { side: SIDE as usize, patch: 4, width: 8, depth: 1, heads: 2, dropout: 0.0 }.into(),
            ),
            measurements: measured.then(|| MeasurementBranchConfig { hidden: 16, ..MeasurementBranchConfig::new(4) }),
            readings: None,
            branch_dropout: 0.25,
        },
        text: TextConfig { width: 8, depth: 1, heads: 2, ..TextConfig::default() }.into(),
        tokenizer: TokenizerConfig::default(),
    };
    let statistics = MeasurementStatistics::compute(&measurements(), training().0.as_slice().unwrap()).unwrap();
    TrainedModel {
        model: WbcClip::init(&config, tokenizer.vocab_size(), 7, &device).unwrap(),
        tokenizer,
        preprocess: Preprocess {
            version: Preprocess::VERSION,
            viewer: ViewerSpec {
                name: "test".into(),
                version: 1,
                side: SIDE,
                params: serde_json::Value::Null,
                measurements: Some(measurements()),
            },
            statistics: measured.then_some(statistics),
            readings: None,
            optics: Optics::default(),
        },
        prompts,
        space: FactSpace::new(types, schema),
        device,
    }
}

fn reference(model: &Model) -> TrainingReference {
    let (rows, annotations) = training();
    let annotations: Vec<&Annotation> = annotations.iter().collect();
    let statistics = model.preprocess.statistics.as_ref().unwrap();
    TrainingReference::compute(&model.space, statistics, rows.view(), &[Some(1.0); 40], &annotations).unwrap()
}

/// A disc in the middle, the same from all eight sides.
pub(crate) fn disc() -> RgbImage {
    RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let r = (x as f32 - 7.5).hypot(y as f32 - 7.5);
        Rgb(if r < 4.0 { [95, 40, 140] } else { [236, 232, 226] })
    })
}

pub(crate) fn view(measurements: Option<[Option<f64>; 4]>) -> CellView {
    CellView { pixels: disc(), measurements: measurements.map(|m| m.to_vec()), flags: QualityFlags::NONE }
}

pub(crate) const BIG: [Option<f64>; 4] = [Some(61.0), Some(0.91), Some(3.0), Some(1.0)];

#[test]
fn all_probabilities_sum_to_one_and_the_best_is_the_decision() {
    let model = model(true, true);
    let reference = reference(&model);
    let explainer = ModelExplainer::new(&model, ExplainOptions::default()).unwrap().with_reference(&reference).unwrap();
    let (image, view) = (disc(), view(Some(BIG)));
    let input = ExplainInput { length_scale: Some(1.0), ..ExplainInput::new("c", &image, &view) };
    let explanation = explainer.explain(&input).unwrap();
    let measured = explanation.attributes.iter().filter_map(|a| a.measured.as_ref()).map(|m| &m.decision);
    let decisions: Vec<&Decision> =
        explanation.attributes.iter().map(|a| &a.text).chain(measured).chain([&explanation.cell_type]).collect();
    assert_eq!(decisions.len(), 11 + 1 + 1, "only the size is known of the training cells");
    for d in decisions {
        assert!((d.candidates.iter().map(|c| c.probability).sum::<f32>() - 1.0).abs() < 1e-5, "{d:?}");
        assert!(d.candidates.iter().all(|c| c.probability <= d.probability));
    }
}

#[test]
fn the_decision_is_that_of_the_embedding() {
    let model = model(true, true);
    let explainer = ModelExplainer::new(&model, ExplainOptions::default()).unwrap();
    let (image, view) = (disc(), view(Some(BIG)));
    let input = ExplainInput { length_scale: Some(1.0), ..ExplainInput::new("c", &image, &view) };
    let explanation = explainer.explain(&input).unwrap();
    let sum: f32 =
        explanation.cell_type.candidates.iter().map(|c| (c.cosine.unwrap() * model.prompt_scale()).exp()).sum();
    let c = &explanation.cell_type.candidates[1];
    assert!(((c.cosine.unwrap() * model.prompt_scale()).exp() / sum - c.probability).abs() < 1e-5);
}

#[test]
fn measurements_vote_for_the_value_that_their_training_cells_had() {
    let model = model(false, true);
    let reference = reference(&model);
    let statistics = model.preprocess.statistics.as_ref().unwrap();
    let vote = |row: [f32; 4], scale| {
        let (values, mask) = statistics.rows(&row, &[scale]);
        reference.vote("cell_size", &values, &mask).unwrap()
    };
    let big = vote([61.0, 0.91, 3.0, 1.0], Some(1.0));
    assert!(big.decision.value == "big" && big.decision.probability > 0.95, "{big:?}");
    assert_eq!(vote([31.0, 0.81, 3.0, 1.0], Some(1.0)).decision.value, "small");
    assert_eq!(big.accuracy, Some(1.0), "the two sizes lie far apart");
    assert!(big.voters.iter().any(|v| v.measurement == "cell.diameter"));
    assert!(big.voters.iter().all(|v| v.measurement != "cell.constant"), "it separates nothing");
    let unknown_optics = vote([61.0, 0.91, 3.0, 1.0], None);
    assert!(unknown_optics.voters.iter().all(|v| v.measurement != "cell.diameter"));
    let (values, mask) = statistics.rows(&[61.0, 0.91, 3.0, 1.0], &[Some(1.0)]);
    let cell_type = reference.vote("type", &values, &mask).unwrap().decision;
    assert!(cell_type.value == "monocyte" && cell_type.candidates[2].probability == 0.0, "no neutrophil in training");
    assert!(reference.vote("cell_shape", &[0.0; 4], &[1.0; 4]).is_none(), "never annotated");
    assert!(reference.vote("cell_size", &[0.0; 4], &[0.0; 4]).is_none(), "nothing measured");
}

#[test]
fn alike_measurements_vote_once() {
    let model = model(false, true);
    let (mut rows, annotations) = training();
    let diameter = rows.column(0).to_owned();
    rows.column_mut(2).assign(&(diameter * 2.0));
    let statistics = MeasurementStatistics::compute(&measurements(), rows.as_slice().unwrap()).unwrap();
    let annotations: Vec<&Annotation> = annotations.iter().collect();
    let reference =
        TrainingReference::compute(&model.space, &statistics, rows.view(), &[Some(1.0); 40], &annotations).unwrap();
    let columns: Vec<usize> = reference.fact("cell_size").unwrap().voters.iter().map(|v| v.column).collect();
    assert!(!(columns.contains(&0) && columns.contains(&2)), "{columns:?}");
}

#[test]
fn flags_do_not_vote_and_are_told_beside_the_share_of_training_cells_that_have_them() {
    let mut model = model(false, true);
    let (mut rows, annotations) = training();
    // set in every big cell and no small one: nothing would separate sizes better
    rows.column_mut(2).iter_mut().enumerate().for_each(|(i, v)| *v = if i % 2 == 0 { 1.0 } else { 0.0 });
    let mut schema = measurements();
    schema.measurements[2].unit = Unit::Flag;
    let statistics = MeasurementStatistics::compute(&schema, rows.as_slice().unwrap()).unwrap();
    let annotations: Vec<&Annotation> = annotations.iter().collect();
    let reference =
        TrainingReference::compute(&model.space, &statistics, rows.view(), &[Some(1.0); 40], &annotations).unwrap();
    let voters = &reference.fact("cell_size").unwrap().voters;
    assert!(!voters.is_empty() && voters.iter().all(|v| v.column != 2), "{voters:?}");

    model.preprocess.statistics = Some(statistics);
    let (image, view) = (disc(), view(Some([Some(61.0), Some(0.91), Some(1.0), Some(1.0)])));
    let moved = |explainer: ModelExplainer<'_>| {
        let explained = explainer.explain(&ExplainInput::new("c", &image, &view)).unwrap();
        explained.measurements.unwrap().into_iter().find(|m| m.name == NAMES[2].0)
    };
    let explainer = || ModelExplainer::new(&model, ExplainOptions::default()).unwrap();
    let flag = moved(explainer().with_reference(&reference).unwrap()).unwrap();
    assert!((flag.training.mean - 0.5).abs() < 1e-6 && (flag.training.std - 0.5).abs() < 1e-6, "{flag:?}");
    assert!((flag.z - 1.0).abs() < 1e-5 && flag.value == 1.0);
    assert!(moved(explainer()).is_none(), "how many training cells have it is not known");
}

#[test]
fn a_reference_survives_its_file_and_refuses_other_models() {
    let with = model(false, true);
    let reference = reference(&with);
    assert_eq!(TrainingReference::from_json(&reference.to_json()).unwrap(), reference);
    let other = reference.to_json().replace("cell.solidity", "cell.extent");
    let other = TrainingReference::from_json(&other).unwrap();
    let explainer = || ModelExplainer::new(&with, ExplainOptions::default()).unwrap();
    assert!(explainer().with_reference(&other).err().unwrap().to_string().contains("other measurements"));
    assert!(TrainingReference::from_json("{\"version\":9}").is_err());
    let short = reference.to_json().replacen("\"cell.solidity\",", "", 1);
    assert!(TrainingReference::from_json(&short).is_err());
    let without = model(true, false);
    let blind = ModelExplainer::new(&without, ExplainOptions::default()).unwrap();
    assert!(blind.with_reference(&reference).is_err());
}

#[test]
fn an_average_measurement_moves_nothing_and_an_extreme_one_does() {
    let model = model(true, true);
    let reference = reference(&model);
    let explainer = ModelExplainer::new(&model, ExplainOptions::default()).unwrap().with_reference(&reference).unwrap();
    let mean = model.preprocess.statistics.as_ref().unwrap().mean[1];
    let (image, view) = (disc(), view(Some([Some(90.0), Some(f64::from(mean)), None, Some(1.0)])));
    let input = ExplainInput { length_scale: Some(1.0), ..ExplainInput::new("c", &image, &view) };
    let moved = explainer.explain(&input).unwrap().measurements.unwrap();
    let effect = |name: &str| moved.iter().find(|m| m.name == name).map(|m| m.effect);
    assert!(effect("cell.solidity").unwrap().abs() < 1e-5);
    assert!(effect("cell.constant").unwrap().abs() < 1e-5);
    assert!(effect("cell.diameter").unwrap().abs() > 1e-5);
    assert_eq!(effect("cell.eccentricity"), None, "undefined");
    assert_eq!((moved[0].name.as_str(), moved[0].unit.as_str(), moved[0].value), ("cell.diameter", "px", 90.0));
    assert!(moved[0].z > 1.0);
}

#[test]
fn lengths_are_told_in_pixels_of_the_training_optics() {
    let model = model(false, true);
    let explainer = ModelExplainer::new(&model, ExplainOptions::default()).unwrap();
    let (image, view) = (disc(), view(Some(BIG)));
    let at = |length_scale| {
        let input = ExplainInput { length_scale, ..ExplainInput::new("c", &image, &view) };
        explainer.explain(&input).unwrap()
    };
    let diameter = |e: &Explanation| e.measurements.as_ref().unwrap().iter().find(|m| m.unit == "px").map(|m| m.value);
    assert_eq!(diameter(&at(Some(0.5))), Some(30.5));
    let unknown = at(None);
    assert_eq!(diameter(&unknown), None);
    assert!(unknown.notes.iter().any(|n| n.contains("pixel size")));
}

#[test]
fn a_symmetric_cell_has_a_symmetric_map() {
    let model = model(true, false);
    let explainer = ModelExplainer::new(&model, ExplainOptions::default()).unwrap();
    let (image, view) = (disc(), view(None));
    let explanation = explainer.explain(&ExplainInput::new("c", &image, &view)).unwrap();
    let maps = explanation.heat_maps.as_ref().unwrap();
    assert_eq!(maps.len(), 12, "type and eleven attributes");
    assert!(maps.iter().all(|m| m.min < m.max && m.min <= m.mean && m.mean <= m.max));
    let png = image::load_from_memory(&explanation.pictures[&maps[0].file]).unwrap().into_rgb8();
    let last = SIDE - 1;
    for (x, y, p) in png.enumerate_pixels() {
        for (u, v) in [(last - x, y), (x, last - y), (y, x)] {
            assert!(p.0.iter().zip(png.get_pixel(u, v).0).all(|(a, b)| a.abs_diff(b) <= 1), "{x},{y}");
        }
    }
}

#[test]
fn the_mean_of_a_map_is_the_cosine_of_the_pixel_branch() {
    // a linear congruential stream: any numbers will do
    let mut state = 3_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| next()).collect() };
    let (grid, dim) = (4, 8);
    let patches = draw(8 * grid * grid * dim);
    let direction = draw(dim);
    let cosine_like = |look: &[f32]| {
        let mut mean = vec![0.0; dim];
        look.chunks_exact(dim).for_each(|p| mean.iter_mut().zip(p).for_each(|(m, v)| *m += v / 16.0));
        let length = mean.iter().map(|v| v * v).sum::<f32>().sqrt();
        mean.iter().zip(&direction).map(|(m, d)| m * d).sum::<f32>() / length
    };
    let expected = patches.chunks_exact(grid * grid * dim).map(cosine_like).sum::<f32>() / 8.0;
    let looks = PatchLooks { looks: Look::all(0), side: 16, grid, dim, patches: patches.clone() };
    assert!((looks.map(&direction).range().2 - expected).abs() < 1e-5);
}

#[test]
fn phrases_are_looked_for_in_the_view() {
    let model = model(true, true);
    let options = ExplainOptions { attribute_heat_maps: false, ..ExplainOptions::default() };
    let explainer = ModelExplainer::new(&model, options).unwrap();
    let (image, view) = (disc(), view(Some(BIG)));
    let phrases = ["Pink granules".to_owned(), "a violet sea".to_owned()];
    let input = ExplainInput { phrases: &phrases, ..ExplainInput::new("c", &image, &view) };
    let maps = explainer.explain(&input).unwrap().heat_maps.unwrap();
    assert_eq!(maps.iter().map(|m| m.about.as_str()).collect::<Vec<_>>(), ["type", "phrase", "phrase"]);
    assert!(maps[1].against.contains("granule colour") && maps[2].against.contains("all attribute values"));
}

#[test]
fn a_model_without_pixel_branch_or_measurements_is_explained_as_far_as_it_goes() {
    let (image, plain) = (disc(), view(None));
    let blind = model(false, true);
    let explainer = ModelExplainer::new(&blind, ExplainOptions::default()).unwrap();
    let measured = view(Some(BIG));
    let e = explainer.explain(&ExplainInput::new("c", &image, &measured)).unwrap();
    assert!(e.heat_maps.is_none() && e.measurements.is_some());
    assert!(e.notes.iter().any(|n| n.contains("no heat map: the model sees no pixels")));
    let pixelless = CellView { pixels: RgbImage::new(1, 1), ..measured.clone() };
    let same = explainer.explain(&ExplainInput::new("c", &image, &pixelless)).unwrap();
    assert!(same.cell_type == e.cell_type && !same.pictures.contains_key(Explanation::VIEW));
    let nothing = explainer.explain(&ExplainInput::new("c", &image, &plain)).unwrap();
    assert!(nothing.measurements.is_none() && nothing.notes.iter().any(|n| n.contains("No measurement")));

    let seeing = model(true, false);
    let explainer = ModelExplainer::new(&seeing, ExplainOptions::default()).unwrap();
    let e = explainer.explain(&ExplainInput::new("c", &image, &plain)).unwrap();
    assert!(e.heat_maps.is_some() && e.measurements.is_none() && e.attributes.iter().all(|a| a.agrees.is_none()));
    assert!(html_page(&e).contains("not measured"));
}

/// A model whose pixel branch is a small residual network with a perceptron or a linear layer behind it.
pub(crate) fn perceptron_model(perceptron: bool) -> Model {
    let network = NetworkConfig::ResNet(ResNetConfig { block: ResNetBlock::Basic, depths: [1; 4], stem: 4, width: 4 });
    let backbone = BackboneConfig { network, side: SIDE as usize, mean: [0.5; 3], std: [0.25; 3] };
    let head = if perceptron {
        PublishedHead::Perceptron { hidden: 8, dropout: 0.0, noise: 0.0 }
    } else {
        PublishedHead::Linear
    };
    let branch = PublishedBranchConfig { backbone, head, frozen: perceptron, symmetries: Symmetries::ONE };
    let pixels = Some(PixelEncoderConfig::Published(branch));
    let config = ImageTowerConfig { pixels, measurements: None, readings: None, branch_dropout: 0.0 };
    let mut model = model(true, false);
    model.model.image = config.init(8, 3, &Device::flex()).unwrap();
    model
}

#[test]
fn behind_a_perceptron_no_place_has_a_share_and_gradients_are_followed_instead() {
    let asked = |model: &Model, heat_maps| {
        let options = ExplainOptions { heat_maps, ..ExplainOptions::default() };
        let explainer = ModelExplainer::new(model, options).unwrap();
        explainer.explain(&ExplainInput::new("c", &disc(), &view(None)))
    };
    let explained = |model: &Model, heat_maps| asked(model, heat_maps).unwrap();
    let (mixing, adding) = (perceptron_model(true), perceptron_model(false));
    let method = |e: &Explanation| e.heat_maps.as_ref().map(|maps| maps[0].method);
    let followed = explained(&mixing, None);
    assert_eq!(method(&followed), Some(HeatKind::Joint));
    assert!(followed.notes.iter().all(|n| !n.contains("heat map")), "{:?}", followed.notes);
    let covered = explained(&mixing, Some(HeatKind::Occlusion));
    assert_eq!(method(&covered), Some(HeatKind::Occlusion));
    assert!(html_page(&covered).contains("covered with the colour"));
    let refused = asked(&mixing, Some(HeatKind::Patches)).unwrap_err();
    assert!(matches!(refused, ExplainError::HeatMap { method: HeatKind::Patches, .. }), "{refused}");
    assert!(refused.to_string().contains("no heat map by patches") && refused.to_string().contains("perceptron"));
    let explainer = ModelExplainer::new(&mixing, ExplainOptions::default()).unwrap();
    let why_not = HeatKind::ALL.map(|kind| explainer.why_no_heat_maps(kind).unwrap());
    assert!(why_not[0].unwrap().contains("as a whole") && why_not[1..] == [None; 5], "{why_not:?}");
    let shared_out = explained(&mixing, Some(HeatKind::Layers));
    assert_eq!(method(&shared_out), Some(HeatKind::Layers));
    assert!(html_page(&shared_out).contains("through every layer"));
    let refused = asked(&adding, Some(HeatKind::Layers)).unwrap_err();
    assert!(refused.to_string().contains("no heat map by layers") && refused.to_string().contains("no perceptron"));
    assert_eq!(method(&explained(&adding, None)), Some(HeatKind::Patches));
}

/// A model of three members that look at patches and hear measurements.
pub(crate) fn committee() -> Model {
    let mut model = model(true, true);
    let tower = ImageTowerConfig {
        pixels: Some(
            PixelBranchConfig { side: SIDE as usize, patch: 4, width: 8, depth: 1, heads: 2, dropout: 0.0 }.into(),
        ),
        ..ImageTowerConfig::measurements_only(4)
    };
    let config = ModelConfig {
        embed_dim: 8,
        members: 3,
        image: tower,
        text: TextConfig { width: 8, depth: 1, heads: 2, ..TextConfig::default() }.into(),
        tokenizer: TokenizerConfig::default(),
    };
    model.model = WbcClip::init(&config, model.tokenizer.vocab_size(), 7, &Device::flex()).unwrap();
    model
}

#[test]
fn a_committee_explains_what_all_its_members_say() {
    let model = committee();
    let asked = |heat_maps| {
        let options = ExplainOptions { heat_maps, ..ExplainOptions::default() };
        let explainer = ModelExplainer::new(&model, options).unwrap();
        explainer
            .explain(&ExplainInput { length_scale: Some(1.0), ..ExplainInput::new("c", &disc(), &view(Some(BIG))) })
    };
    let explained = asked(None).unwrap();
    assert_eq!(explained.heat_maps.as_ref().map(|maps| maps[0].method), Some(HeatKind::Joint), "no patch has a share");
    assert!(explained.measurements.is_some() && explained.cell_type.candidates.len() == 3);
    let refused = asked(Some(HeatKind::Patches)).unwrap_err().to_string();
    assert!(refused.contains("committee"), "{refused}");
}

#[test]
fn views_that_do_not_fit_are_refused() {
    let model = model(true, true);
    let explainer = ModelExplainer::new(&model, ExplainOptions::default()).unwrap();
    let image = disc();
    let nothing = CellView { pixels: RgbImage::new(1, 1), ..view(None) };
    let seeing = self::model(true, false);
    let blind = ModelExplainer::new(&seeing, ExplainOptions::default()).unwrap();
    assert!(blind.explain(&ExplainInput::new("c", &image, &nothing)).is_err());
    let large = CellView { pixels: RgbImage::new(20, 20), ..view(Some(BIG)) };
    let error = explainer.explain(&ExplainInput::new("c", &image, &large)).unwrap_err();
    assert!(error.to_string().contains("20 x 20 px"), "{error}");
    let short = CellView { measurements: Some(vec![None; 3]), ..view(None) };
    assert!(matches!(explainer.explain(&ExplainInput::new("c", &image, &short)), Err(ExplainError::View { .. })));
}

#[test]
fn captions_come_nearest_first_and_flips_are_measured_against_the_description() {
    let model = model(true, true);
    let captions = ["pink granules", "large cell", "large cell", "dense chromatin, round nucleus"];
    let options = ExplainOptions { captions: 2, ..ExplainOptions::default() };
    let explainer = ModelExplainer::new(&model, options).unwrap().with_captions(&captions).unwrap();
    let (image, view) = (disc(), view(Some(BIG)));
    let e = explainer.explain(&ExplainInput::new("c", &image, &view)).unwrap();
    let nearest = e.nearest_captions.unwrap();
    assert!(nearest.len() == 2 && nearest[0].cosine >= nearest[1].cosine && nearest[0].text != nearest[1].text);
    let c = e.counterfactuals.unwrap();
    assert_eq!(c.flips.len(), 31 - 11);
    for flip in &c.flips {
        assert_ne!(flip.from, flip.to);
        assert_ne!(flip.text, c.description);
        assert!((flip.cosine - c.cosine - flip.change).abs() < 1e-6);
    }
}

#[test]
fn an_explanation_survives_its_folder() {
    let model = model(true, true);
    let reference = reference(&model);
    let explainer = ModelExplainer::new(&model, ExplainOptions::default())
        .unwrap()
        .with_reference(&reference)
        .unwrap()
        .with_captions(&["large cell"])
        .unwrap();
    let image = disc();
    let mut view = view(Some(BIG));
    view.flags.insert(QualityFlag::TouchesFrame);
    let cell = Mask::from_fn(16, 16, |x, y| (x as f32 - 7.5).hypot(y as f32 - 7.5) < 6.0);
    let masks = CellMasks::new(Mask::from_fn(16, 16, |x, y| x.abs_diff(8) < 3 && y.abs_diff(8) < 3), cell).unwrap();
    let input = ExplainInput {
        masks: Some(&masks),
        length_scale: Some(1.0),
        ..ExplainInput::new("<script>alert(1)</script> & co", &image, &view)
    };
    let explanation = explainer.explain(&input).unwrap();
    let folder = tempfile::tempdir().unwrap();
    explanation.write(folder.path()).unwrap();
    assert_eq!(Explanation::read(folder.path()).unwrap(), explanation);
    assert!(explanation.files.contains(&Explanation::SEGMENTATION.to_owned()));

    let json: serde_json::Value = serde_json::from_str(&explanation.to_json()).unwrap();
    assert_eq!((json["schema"].as_str(), json["version"].as_u64()), (Some("wbc-clip.explanation"), Some(1)));
    assert_eq!(json["flags"][0], "touches_frame");
    let html = std::fs::read_to_string(folder.path().join(Explanation::HTML)).unwrap();
    assert!(!html.contains("<script") && html.contains("&lt;script&gt;"), "text is escaped");
    assert!(!html.contains("<b>test</b>") && html.contains("&lt;b&gt;test&lt;/b&gt; &amp; more"));
    assert!(html.contains("data:image/png;base64,") && !html.contains("http"), "self-contained");
    assert!(html.contains("Research, not diagnosis") && html.contains(&html_fragment(&explanation)));
    let wrong = explanation.to_json().replace("wbc-clip.explanation", "wbc-clip.eval");
    assert!(Explanation::from_json(&wrong).is_err());
    let elsewhere = explanation.to_json().replace("\"cell.png\"", "\"../cell.png\"");
    std::fs::write(folder.path().join(Explanation::JSON), elsewhere).unwrap();
    assert!(Explanation::read(folder.path()).is_err());
}

/// As the first builds wrote it: without counterfactual measurements, other types and names of heat methods.
#[test]
fn an_explanation_of_an_earlier_build_is_read() {
    let text = include_str!("../tests/golden/explanation-1.json");
    let read = Explanation::from_json(text).unwrap();
    assert_eq!((read.cell_type.value.as_str(), read.counterfactual_measurements.as_ref()), ("monocyte", None));
    assert_eq!(read.heat_maps.as_ref().unwrap()[0].method, HeatKind::Patches, "the only way there was");
    assert_eq!(read.counterfactuals.as_ref().unwrap().other_type, None);
    assert_eq!(Explanation::from_json(&read.to_json()).unwrap(), read);
    assert!(
        Explanation::from_json(&text.replacen("\"notes\"", "\"remarks\"", 1)).is_err(),
        "unknown fields are refused"
    );
}

#[test]
fn explaining_twice_gives_the_same() {
    let model = model(true, true);
    let explainer = ModelExplainer::new(&model, ExplainOptions::default()).unwrap();
    let explainer: &dyn Explainer = &explainer;
    let (image, view) = (disc(), view(Some(BIG)));
    let input = ExplainInput::new("c", &image, &view);
    assert_eq!(explainer.explain(&input).unwrap(), explainer.explain(&input).unwrap());
}
