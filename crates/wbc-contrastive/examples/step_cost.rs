//! Time and peak memory of one training step: `step_cost [BATCH [MICRO_BATCH [FROZEN]]]`, one step per process, since the
//! system keeps the peak of a process only. `MICRO_BATCH` 0 encodes the whole batch at once, anything else is GradCache;
//! `FROZEN` is a name of parameters that do not train, `image` for example.
#![recursion_limit = "256"]
#![expect(clippy::print_stdout, reason = "an example shows its results")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::path::Path;
use wbc_contrastive::burn::tensor::Device;
use wbc_contrastive::{OptimiserConfig, Trainer, WbcClip};
use wbc_core::{CancelToken, NoProgress};
use wbc_encoders::{PixelBranchConfig, TextConfig};

/// What the system says about this process's memory in MB; `None` where it has no `/proc`.
fn memory_mb(key: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kb = status.lines().find_map(|line| line.strip_prefix(key)?.trim_start_matches(':').split_whitespace().next());
    Some(kb?.parse::<f64>().ok()? / 1024.0)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let batch_size = arguments.next().map_or(Ok(64), |n| n.parse())?;
    let micro_batch = arguments.next().map_or(Ok(0), |n| n.parse())?;
    let freeze: Vec<String> = arguments.collect();
    let device = Device::flex();
    let data = common::data(batch_size, true);
    let mut config = common::model_config(true);
    // 64 patches and the widths of the default model
    config.image.pixels =
        Some(PixelBranchConfig { side: common::SIDE, patch: 2, dropout: 0.1, ..PixelBranchConfig::default() }.into());
    config.text = TextConfig { dropout: 0.1, ..TextConfig::default() }.into();
    let model = WbcClip::init(&config, data.tokenizer.vocab_size(), 5, &device.clone().autodiff())?;
    let optimiser = OptimiserConfig { batch_size, micro_batch, freeze, ..OptimiserConfig::default() };
    let trainer = Trainer {
        config: &optimiser,
        seed: 3,
        folder: Path::new("."),
        device,
        progress: &NoProgress,
        cancel: &CancelToken::default(),
    };
    let model = trainer.prepared(model)?;
    let before = memory_mb("VmHWM");
    let began = std::time::Instant::now();
    let rows: Vec<usize> = (0..batch_size).collect();
    let (losses, _) = trainer.gradients(&model, &data, 0, &rows)?;
    println!("batch {batch_size}, micro batch {micro_batch}, frozen {:?}", optimiser.freeze);
    println!("loss {:.6}, {:.1} s", losses.total, began.elapsed().as_secs_f64());
    if let (Some(before), Some(peak)) = (before, memory_mb("VmHWM")) {
        println!("peak memory {peak:.0} MB, {:.0} MB of it for the step", peak - before);
    }
    Ok(())
}
