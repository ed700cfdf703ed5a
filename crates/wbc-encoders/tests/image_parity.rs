//! Published image encoders answer as their reference libraries do, and write back what they have read.
//!
//! Tiny encoders of every layout that allows it lie in `golden/image`; real sizes, EfficientNet-Lite0's published weights
//! among them, are compared when `WBC_CLIP_REFERENCE` names a folder that `scripts/image_reference.py` has filled.
#![recursion_limit = "256"]
#![expect(clippy::print_stderr, reason = "differences, and a skipped test, are told with --nocapture")]

mod common;

use burn::tensor::{Device, Tensor, TensorData};
use common::devices;
use safetensors::SafeTensors;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use wbc_encoders::{
    Activation, Backbone, BackboneConfig, EncoderError, FloatTensor, ImageLayout, Mode, NetworkConfig, PublishedConfig,
    ResNetBlock, ResNetConfig, VisionTransformerConfig, VitPooling, WeightFile,
};

/// Largest difference of an answer from the reference's: sums in another order, over up to 3072 terms and 12 layers.
const TOLERANCE: f32 = 1e-4;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/image")
}

/// Names of all cases in a folder, in order.
fn cases(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap();
    let names = files.map(|f| f.unwrap().file_name().into_string().unwrap());
    let ends: BTreeSet<String> =
        names.filter_map(|n| n.strip_suffix(".expected.safetensors").map(str::to_owned)).collect();
    ends.into_iter().collect()
}

/// What the reference says of a case beside its weights.
struct Expected {
    said: serde_json::Value,
    tensors: WeightFile,
}

impl Expected {
    fn read(folder: &Path, case: &str) -> Self {
        let path = folder.join(format!("{case}.expected.safetensors"));
        let (_, header) = SafeTensors::read_metadata(&std::fs::read(&path).unwrap()).unwrap();
        let said = serde_json::from_str(&header.metadata().as_ref().unwrap()["case"]).unwrap();
        Self { said, tensors: WeightFile::open(&path).unwrap() }
    }

    fn get(&self, name: &str) -> Option<FloatTensor> {
        self.tensors.tensors().contains_key(name).then(|| self.tensors.read(name).unwrap())
    }
}

fn weights(folder: &Path, case: &str) -> WeightFile {
    let safetensors = folder.join(format!("{case}.safetensors"));
    let path = if safetensors.exists() { safetensors } else { folder.join(format!("{case}.pth")) };
    WeightFile::open(&path).unwrap()
}

/// Detects layout and sizes, and corrects what weights cannot say.
fn detected(file: &WeightFile, expected: &Expected) -> (ImageLayout, BackboneConfig) {
    let (layout, mut config) = ImageLayout::detect(file).unwrap();
    assert_eq!(serde_json::to_value(layout).unwrap(), expected.said["layout"]);
    if let NetworkConfig::Vit(vit) = &mut config.network {
        vit.heads = serde_json::from_value(expected.said["heads"].clone()).unwrap();
        vit.activation = serde_json::from_value(expected.said["activation"].clone()).unwrap();
    }
    (layout, config)
}

fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().convert::<f32>().try_to_vec().unwrap()
}

fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |worst: f32, d| if d.is_nan() { f32::NAN } else { worst.max(d) })
}

/// Largest differences of `pooled`, `map` and `middle`, where the reference has them.
fn compared(backbone: &Backbone, expected: &Expected, device: &Device) -> BTreeMap<&'static str, f32> {
    let input = expected.get("input").unwrap();
    let sides: [usize; 4] = input.shape.try_into().unwrap();
    let pixels = Tensor::<4>::from_data(TensorData::new(input.values, sides), device);
    let answer = backbone.forward(pixels, true, &mut Mode::Eval);
    let middle = answer.middle().unwrap();
    assert_eq!(answer.pooled.dims(), [sides[0], backbone.config().width()]);
    assert_eq!(middle.dims(), [sides[0], backbone.config().middle_width()]);
    let found = [("pooled", values(answer.pooled)), ("map", values(answer.map)), ("middle", values(middle))];
    let known = found.into_iter().filter_map(|(name, found)| Some((name, found, expected.get(name)?)));
    known.map(|(name, found, expected)| (name, difference(&found, &expected.values))).collect()
}

fn compare_all(folder: &Path) {
    let cases = cases(folder);
    assert!(!cases.is_empty(), "{} is empty", folder.display());
    for case in cases {
        let (file, expected) = (weights(folder, &case), Expected::read(folder, &case));
        let (layout, config) = detected(&file, &expected);
        let stored = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<BackboneConfig>(&stored).unwrap(), config, "{stored}");
        for (name, device) in devices() {
            let backbone = layout.load(&file, &config, &device).unwrap();
            let differences = compared(&backbone, &expected, &device);
            eprintln!("{case} {name} {differences:?}");
            assert!(differences.contains_key("pooled") && differences.contains_key("middle"));
            assert!(differences.values().all(|d| *d <= TOLERANCE), "{case} on {name}: {differences:?}");
        }
    }
}

#[test]
fn tiny_encoders_answer_as_their_references_do() {
    compare_all(&golden());
}

#[test]
fn encoders_of_real_size_answer_as_their_references_do() {
    match std::env::var_os("WBC_CLIP_REFERENCE") {
        Some(folder) => compare_all(Path::new(&folder)),
        None => eprintln!("skipped: WBC_CLIP_REFERENCE is not set"),
    }
}

/// What a file may hold and an image encoder has no use for: classifiers, counters, the other half of a CLIP.
fn is_known_and_unused(layout: ImageLayout, name: &str) -> bool {
    const CLIP_TEXT: [&str; 8] = [
        "transformer.",
        "token_embedding.",
        "positional_embedding",
        "text_projection",
        "ln_final.",
        "logit_scale",
        "text.",
        "text_model.",
    ];
    let starts = |with: &[&str]| with.iter().any(|s| name.starts_with(s));
    match layout {
        ImageLayout::TimmVit => starts(&["head."]),
        ImageLayout::OpenClipVit | ImageLayout::OpenClipTimmVit | ImageLayout::TransformersClip => starts(&CLIP_TEXT),
        ImageLayout::EfficientNetLitePytorch => starts(&["_fc."]) || name.ends_with(".num_batches_tracked"),
        ImageLayout::TimmEfficientNetLite => starts(&["classifier."]) || name.ends_with(".num_batches_tracked"),
        ImageLayout::ResNet => starts(&["fc."]) || name.ends_with(".num_batches_tracked"),
        ImageLayout::TimmConvNext => starts(&["head.fc."]),
        ImageLayout::TorchvisionConvNext => starts(&["classifier.2."]),
    }
}

fn write_back_all(folder: &Path) {
    let device = Device::flex();
    for case in cases(folder) {
        let (file, expected) = (weights(folder, &case), Expected::read(folder, &case));
        let (layout, config) = detected(&file, &expected);
        let backbone = layout.load(&file, &config, &device).unwrap();
        let written = layout.store(&backbone).unwrap();
        for (name, tensor) in &written {
            assert_eq!(*tensor, file.read(name).unwrap(), "{case}: {name}");
        }
        let unused: Vec<&String> = file.tensors().keys().filter(|name| !written.contains_key(*name)).collect();
        let strange: Vec<_> = unused.iter().filter(|name| !is_known_and_unused(layout, name)).collect();
        assert!(strange.is_empty(), "{case}: {strange:?}");
    }
}

#[test]
fn what_was_read_is_written_back_tensor_by_tensor() {
    write_back_all(&golden());
}

#[test]
fn encoders_of_real_size_are_written_back_tensor_by_tensor() {
    match std::env::var_os("WBC_CLIP_REFERENCE") {
        Some(folder) => write_back_all(Path::new(&folder)),
        None => eprintln!("skipped: WBC_CLIP_REFERENCE is not set"),
    }
}

#[test]
fn every_container_holds_the_same_weights() {
    let file = |name: &str| WeightFile::open(&golden().join(name)).unwrap();
    let reference = file("format.safetensors");
    let names = |f: &WeightFile| f.tensors().keys().cloned().collect::<Vec<_>>();
    for other in [
        "format-zip.pth",
        "format-legacy.pth",
        "format-nested.pth",
        "format-nested-legacy.bin",
        "format-parallel.pth",
        "format-protocol4.pt",
    ] {
        let other = file(other);
        assert_eq!(other.tensors(), reference.tensors(), "{other:?}");
        for name in names(&reference) {
            assert_eq!(other.read(&name).unwrap(), reference.read(&name).unwrap(), "{name} of {other:?}");
        }
    }
}

#[test]
fn half_precision_is_read_exactly_from_either_container() {
    let file = |name: &str| WeightFile::open(&golden().join(name)).unwrap();
    let reference = file("format.safetensors");
    for (kind, relative) in [("f16", 1.0 / 2048.0), ("bf16", 1.0 / 256.0)] {
        let (one, other) = (file(&format!("format-{kind}.safetensors")), file(&format!("format-{kind}.pth")));
        assert_eq!(one.tensors(), other.tensors());
        for (name, info) in one.tensors() {
            assert_eq!(info.dtype.to_lowercase(), kind);
            let half = one.read(name).unwrap();
            assert_eq!(half, other.read(name).unwrap(), "{name}");
            let whole = reference.read(name).unwrap();
            for (h, w) in half.values.iter().zip(&whole.values) {
                assert!((h - w).abs() <= w.abs() * relative + 1e-7, "{name}: {h} for {w}");
            }
        }
    }
}

#[test]
fn a_tensor_that_nothing_explains_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for (case, extra) in [
        ("timm-vit", "blocks.0.ls1.gamma"),
        ("open-clip-quick", "visual.attn_pool.query"),
        ("open-clip-timm", "visual.head.mlp.fc1.weight"),
        ("transformers-clip", "vision_model.pooler.weight"),
        ("resnet-basic", "layer1.0.se.fc.weight"),
        ("convnext-timm", "stages.0.blocks.0.mlp.grn.weight"),
        ("convnext-torchvision", "features.9.0.weight"),
    ] {
        let (file, expected) = (weights(&golden(), case), Expected::read(&golden(), case));
        let mut tensors: BTreeMap<String, FloatTensor> = file
            .tensors()
            .iter()
            .filter(|(_, i)| i.dtype == "F32")
            .map(|(n, _)| (n.clone(), file.read(n).unwrap()))
            .collect();
        tensors.insert(extra.into(), FloatTensor { shape: vec![1], values: vec![0.0] });
        let path = folder.path().join(format!("{case}.safetensors"));
        std::fs::write(&path, as_safetensors(&tensors)).unwrap();
        let file = WeightFile::open(&path).unwrap();
        let (layout, config) = detected(&file, &expected);
        let error = layout.load(&file, &config, &Device::flex()).unwrap_err();
        assert!(
            matches!(&error, EncoderError::Tensor { tensor, path: p, .. } if tensor == extra && *p == path),
            "{error}"
        );
    }
}

fn as_safetensors(tensors: &BTreeMap<String, FloatTensor>) -> Vec<u8> {
    let bytes: BTreeMap<&String, Vec<u8>> =
        tensors.iter().map(|(n, t)| (n, t.values.iter().flat_map(|v| v.to_le_bytes()).collect())).collect();
    let views = tensors.iter().map(|(n, t)| {
        (n, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, t.shape.clone(), &bytes[n]).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

/// OpenCLIP resets the pooling of timm's networks to the mean unless it is told otherwise.
#[test]
fn what_open_clip_says_of_timm_decides_how_an_image_is_pooled() {
    let vit = VisionTransformerConfig {
        patch: 16,
        width: 64,
        depth: 1,
        heads: 1,
        hidden: 64,
        activation: Activation::Gelu,
        norm_epsilon: 1e-6,
        class_token: true,
        patch_bias: true,
        pre_norm: false,
        pooling: VitPooling::Class,
        projection: Some(8),
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("open_clip_config.json");
    let pooled = |said: &str, pooling: VitPooling| {
        let vision = format!("{{\"timm_model_name\": \"vit_tiny_patch16_224\", \"image_size\": 32{said}}}");
        let config = format!("{{\"model_cfg\": {{\"vision_cfg\": {vision}, \"text_cfg\": {{}}}}}}");
        std::fs::write(&path, config).unwrap();
        let network = NetworkConfig::Vit(VisionTransformerConfig { pooling, ..vit.clone() });
        let mut backbone = BackboneConfig { network, side: 32, mean: [0.5; 3], std: [0.5; 3] };
        PublishedConfig::read(&path)?.correct_image(&mut backbone)?;
        let NetworkConfig::Vit(vit) = backbone.network else { panic!("{backbone:?}") };
        Ok::<_, EncoderError>(vit.pooling)
    };
    for (said, expected) in [
        ("", VitPooling::Mean),
        (", \"timm_pool\": \"avg\"", VitPooling::Mean),
        (", \"timm_pool\": \"token\"", VitPooling::Class),
        (", \"timm_pool\": \"\", \"timm_proj\": \"linear\"", VitPooling::Class),
    ] {
        assert_eq!(pooled(said, VitPooling::Class).unwrap(), expected, "{said}");
    }
    // weights with `fc_norm` say it themselves
    assert_eq!(pooled("", VitPooling::MeanThenNorm).unwrap(), VitPooling::MeanThenNorm);
    let error = pooled(", \"timm_proj\": \"\"", VitPooling::Class).unwrap_err();
    assert!(matches!(&error, EncoderError::Unsupported { field, .. } if field.ends_with("timm_proj")), "{error}");
}

/// A channel that is the same everywhere, as a dead one behind a ReLU, has a spread of zero, where a root has no gradient.
#[test]
fn constant_channels_have_finite_gradients() {
    let device = Device::flex().autodiff();
    let network = NetworkConfig::ResNet(ResNetConfig { block: ResNetBlock::Basic, depths: [1; 4], stem: 8, width: 8 });
    let config = BackboneConfig { network, side: 32, mean: [0.5; 3], std: [0.5; 3] };
    let backbone = config.init(1, &device).unwrap();
    let pixels = Tensor::<4>::full([2, 3, 32, 32], 0.5, &device).require_grad();
    let middle = backbone.forward(pixels.clone(), true, &mut Mode::Eval).middle().unwrap();
    let gradients = middle.sum().backward();
    let gradient = values(pixels.grad(&gradients).unwrap());
    assert!(gradient.iter().all(|g| g.is_finite()));
}
