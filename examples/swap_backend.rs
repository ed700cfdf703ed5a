//! Loads the same weights on every backend of this build and compares what they answer.
//!
//! The device is a value, so the same code runs on all of them; which are compiled in is a matter of cargo features.
//!
//! `cargo run --example swap_backend`
#![expect(clippy::print_stdout, reason = "an example shows its results")]

use burn::tensor::{Device, Tensor, TensorData};
use std::time::Instant;
use wbc_clip::core::seeded_rng;
use wbc_clip::encoders::{
    ImageEncoder, ImageInput, ImageTower, ImageTowerConfig, MeasurementInput, Mode, load_weights, save_weights,
};
use wbc_clip::{compiled_devices, device};

const EMBED_DIM: usize = 128;
const N_CELLS: usize = 16;
const N_MEASUREMENTS: usize = 132;

/// The same numbers on any device.
fn numbers<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let mut rng = seeded_rng(&[3]);
    let data: Vec<f32> = (0..shape.iter().product()).map(|_| rand::Rng::random(&mut rng)).collect();
    Tensor::from_data(TensorData::new(data, shape), device)
}

fn embed(tower: &ImageTower, device: &Device) -> Result<Vec<f32>, Box<dyn std::error::Error>> {
    let input = ImageInput {
        pixels: Some(numbers([N_CELLS, 3, 112, 112], device)),
        measurements: Some(MeasurementInput::complete(numbers([N_CELLS, N_MEASUREMENTS], device))),
        ..ImageInput::default()
    };
    let pooled = tower.forward(input, &mut Mode::Eval).pooled;
    pooled.into_data().try_to_vec().map_err(|e| format!("{e:?}").into())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let weights = folder.path().join("weights.safetensors");
    let config = ImageTowerConfig::both(N_MEASUREMENTS);
    save_weights(&config.init(EMBED_DIM, 7, &Device::flex())?, &weights)?;

    let mut first: Option<(&str, Vec<f32>)> = None;
    // names with an index, `cuda:N`, stand for further devices of the same kind
    for name in compiled_devices().into_iter().filter(|name| !name.contains(':')) {
        let device = device(name)?;
        // other start weights, to be replaced by those of the file
        let tower = load_weights(config.init(EMBED_DIM, 0, &device)?, &weights)?;
        let began = Instant::now();
        let embedded = embed(&tower, &device)?;
        println!("{name}: {N_CELLS} cells embedded in {:.0} ms", began.elapsed().as_secs_f64() * 1e3);
        match &first {
            None => first = Some((name, embedded)),
            Some((reference, expected)) => {
                let differences = embedded.iter().zip(expected).map(|(a, b)| (a - b).abs());
                println!("  largest difference from {reference}: {:.1e}", differences.fold(0.0, f32::max));
            }
        }
    }
    Ok(())
}
