//! Runs one task on one device and prints what a step cost in CPU seconds; `scripts/bench_peers.py` runs the same work in
//! PyTorch, in turns with this program, and prints the ratios.
//!
//! ```text
//! cargo bench --bench peers -- DEVICE MODEL TASK STEPS
//! ```
//!
//! `MODEL` is `vit-tiny` (ViT-Tiny/16 with a text transformer of 4 × 256) or `default` (the default towers), `TASK` one
//! of `image` (image tower without a tape), `forward` (both towers without a tape) and `train` (both towers, InfoNCE,
//! backward, AdamW). A batch has 32 views of 112 px and 32 texts of full length. The line printed is JSON.
#![recursion_limit = "256"]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that answers on its standard output")]

use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Distribution, Tensor};
use std::process::ExitCode;
use std::time::Instant;
use wbc_clip::contrastive::{ContrastiveLoss, InfoNce, ModelConfig, PairTargets, WbcClip};
use wbc_clip::encoders::{
    ImageEncoder, ImageInput, ImageTowerConfig, Mode, PixelBranchConfig, TextConfig, TextEncoder, TextInput,
    TokenizerConfig, l2_normalised,
};

const BATCH: usize = 32;
const WARM_UP: usize = 2;
/// Length of a clock tick of `/proc/self/stat` on Linux, in seconds (`USER_HZ` is 100 on every architecture we know).
const TICK_SECS: f64 = 0.01;

struct Task {
    config: ModelConfig,
    vocab: usize,
    text_len: usize,
}

fn task(model: &str) -> Option<Task> {
    let (pixels, text, embed_dim, vocab) = match model {
        "vit-tiny" => (
            PixelBranchConfig { width: 192, depth: 12, heads: 3, ..PixelBranchConfig::default() },
            TextConfig { width: 256, depth: 4, heads: 4, max_len: 32, ..TextConfig::default() },
            256,
            4096,
        ),
        "default" => (PixelBranchConfig::default(), TextConfig::default(), 128, 512),
        _ => return None,
    };
    let text_len = text.max_len;
    let image = ImageTowerConfig { pixels: Some(pixels.into()), ..ImageTowerConfig::measurements_only(1) };
    let image = ImageTowerConfig { measurements: None, ..image };
    let config = ModelConfig { embed_dim, members: 1, image, text: text.into(), tokenizer: TokenizerConfig::default() };
    Some(Task { config, vocab, text_len })
}

fn inputs(task: &Task, device: &Device) -> (ImageInput, TextInput) {
    let pixels = Tensor::random([BATCH, 3, 112, 112], Distribution::Uniform(0.0, 1.0), device);
    let id = |text: usize, at: usize| ((text * 31 + at * 17) % (task.vocab - 8) + 8) as u32;
    let ids: Vec<Vec<u32>> = (0..BATCH).map(|text| (0..task.text_len).map(|at| id(text, at)).collect()).collect();
    (ImageInput { pixels: Some(pixels), ..ImageInput::default() }, TextInput::from_ids(&ids, 0, &[], &[], device))
}

fn embed(model: &WbcClip, (image, text): &(ImageInput, TextInput), mode: &mut Mode<'_>) -> (Tensor<2>, Tensor<2>) {
    let image = l2_normalised(model.image.forward(image.clone(), mode).pooled);
    (image, l2_normalised(model.text.forward(text.clone(), mode).pooled))
}

/// User and system CPU seconds of this process, all threads together.
fn cpu_secs() -> Option<(f64, f64)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // the command's name, in brackets, may hold spaces
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || Some(fields.next()?.parse::<f64>().ok()? * TICK_SECS);
    Some((ticks()?, ticks()?))
}

/// User CPU, system CPU and wall seconds per step.
fn timed(device: &Device, steps: usize, mut step: impl FnMut()) -> Option<[f64; 3]> {
    for _ in 0..WARM_UP {
        step();
    }
    device.sync().ok()?;
    let (wall, (user, system)) = (Instant::now(), cpu_secs()?);
    for _ in 0..steps {
        step();
    }
    device.sync().ok()?;
    let (user_end, system_end) = cpu_secs()?;
    Some([user_end - user, system_end - system, wall.elapsed().as_secs_f64()].map(|s| s / steps as f64))
}

fn measure(device: &Device, task: &Task, what: &str, steps: usize) -> Option<[f64; 3]> {
    let input = inputs(task, device);
    let mode = || Mode::Eval;
    match what {
        "image" => {
            let model = WbcClip::init(&task.config, task.vocab, 7, device).ok()?;
            timed(device, steps, || drop(model.image.forward(input.0.clone(), &mut mode())))
        }
        "forward" => {
            let model = WbcClip::init(&task.config, task.vocab, 7, device).ok()?;
            timed(device, steps, || drop(embed(&model, &input, &mut mode())))
        }
        "train" => {
            let taped = device.clone().autodiff();
            let mut model = Some(WbcClip::init(&task.config, task.vocab, 7, &taped).ok()?);
            let optimiser = AdamWConfig::new().with_beta_2(0.98).with_epsilon(1e-6).with_weight_decay(0.05);
            let mut optimiser = optimiser.init();
            let own = |at: usize| f32::from(u8::from(at / BATCH == at % BATCH));
            let n = BATCH * BATCH;
            let targets = PairTargets::from_rows(BATCH, BATCH, (0..n).map(own).collect(), vec![1.0; n]);
            timed(device, steps, || {
                model = model.take().map(|model| {
                    let (image, text) = embed(&model, &input, &mut mode());
                    let cosine = image.matmul(text.transpose());
                    let loss = InfoNce.loss(cosine, model.logit_scale(), model.logit_bias(), &targets);
                    let gradients = GradientsParams::from_grads(loss.backward(), &model);
                    optimiser.step(1e-4, model, gradients)
                });
            })
        }
        _ => None,
    }
}

fn main() -> ExitCode {
    // cargo adds options of its own
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let [device_name, model, what, steps] = args.as_slice() else {
        // `cargo bench` without arguments runs every bench
        println!("peers: DEVICE MODEL TASK STEPS");
        return ExitCode::SUCCESS;
    };
    let measured = wbc_clip::device(device_name).ok().and_then(|device| {
        let task = task(model)?;
        let n_params = WbcClip::init(&task.config, task.vocab, 7, &device).ok()?.num_params();
        Some((n_params, measure(&device, &task, what, steps.parse().ok().filter(|n| *n > 0)?)?))
    });
    let Some((n_params, [user, system, wall])) = measured else {
        eprintln!("no such device, model or task, or it failed: {args:?}");
        return ExitCode::FAILURE;
    };
    println!(
        "{{\"device\":\"{device_name}\",\"model\":\"{model}\",\"task\":\"{what}\",\"steps\":{steps},\
         \"n_params\":{n_params},\"user_secs\":{user:.5},\"system_secs\":{system:.5},\"wall_secs\":{wall:.5}}}"
    );
    ExitCode::SUCCESS
}
