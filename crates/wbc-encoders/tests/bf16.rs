//! Published encoders answer in bf16 nearly as in f32, on backends that have it.
#![recursion_limit = "256"]
#![expect(clippy::print_stdout, reason = "`--nocapture` shows the differences")]

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, FloatDType, Tensor, TensorData};
use std::path::{Path, PathBuf};
use wbc_encoders::{
    Backbone, BackboneConfig, EfficientNetLiteConfig, ImageLayout, Mode, NetworkConfig, PublishedText, TextEncoder,
    TextInput, WeightFile,
};

/// Largest difference, as a share of the largest number of an answer. A number of bf16 is right to one part in 256; over
/// the layers errors add up, most in networks as narrow as these, where nothing averages them out.
const TOLERANCE: f32 = 0.1;

fn in_bf16<M: Module>(module: &M) -> M {
    struct Cast;
    impl ModuleMapper for Cast {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|weight| weight.cast(FloatDType::BF16))
        }
    }
    module.clone().map(&mut Cast)
}

fn golden(of: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(of);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths
}

fn close<const D: usize>(name: &str, coarse: Tensor<D>, exact: Tensor<D>) {
    assert_eq!(coarse.dtype(), DType::BF16, "{name}: something brought it back to f32");
    let largest: f32 = exact.clone().abs().max().into_scalar();
    let apart: f32 = (coarse.cast(FloatDType::F32) - exact).abs().max().into_scalar();
    println!("{name}: {:.4} of {largest:.2}", apart / largest);
    assert!(apart > 0.0 && apart <= TOLERANCE * largest, "{name}: {apart} of {largest}");
}

fn check_image(name: &str, encoder: &Backbone) {
    let side = encoder.config().side;
    let values: Vec<f32> = (0..2 * 3 * side * side).map(|i| (i * 37 % 101 + i / 97 % 29) as f32 / 130.0).collect();
    let pixels = Tensor::<4>::from_data(TensorData::new(values, [2, 3, side, side]), &Device::flex());
    let exact = encoder.forward(pixels.clone(), true, &mut Mode::Eval);
    let coarse = in_bf16(encoder).forward(pixels.cast(FloatDType::BF16), true, &mut Mode::Eval);
    close(&format!("{name}, on the way"), coarse.middle().unwrap(), exact.middle().unwrap());
    close(&format!("{name}, pooled"), coarse.pooled, exact.pooled);
    close(&format!("{name}, map"), coarse.map, exact.map);
}

#[test]
fn every_image_encoder() {
    let device = Device::flex();
    let mut n = 0;
    for path in golden("image") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".safetensors") || name.ends_with(".expected.safetensors") || name.starts_with("format") {
            continue;
        }
        let file = WeightFile::open(&path).unwrap();
        let (layout, config) = ImageLayout::detect(&file).unwrap();
        check_image(&name, &layout.load(&file, &config, &device).unwrap());
        n += 1;
    }
    assert!(n >= 10, "{n} encoders");
    let network = NetworkConfig::EfficientNetLite(EfficientNetLiteConfig {});
    let config = BackboneConfig { network, side: 48, mean: [0.5; 3], std: [0.25; 3] };
    check_image("efficientnet-lite0", &config.init(1, &device).unwrap());
}

#[test]
fn every_text_encoder() {
    let device = Device::flex();
    let folders = golden("text");
    assert_eq!(folders.len(), 10);
    for folder in folders {
        let (_, encoder) = PublishedText::open(&folder, &device).unwrap();
        let ids = [vec![22, 7, 9, 23, 11, 23], vec![22, 5, 23], vec![22, 6, 12, 20, 8, 7, 10, 9, 23]];
        let input = TextInput::from_ids(&ids, 0, &[], &[], &device);
        let exact = encoder.forward(input.clone(), &mut Mode::Eval);
        let coarse = in_bf16(&encoder).forward(input, &mut Mode::Eval);
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        close(&format!("{name}, pooled"), coarse.pooled, exact.pooled);
        close(&format!("{name}, tokens"), coarse.tokens, exact.tokens);
    }
}
