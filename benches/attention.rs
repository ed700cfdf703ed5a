//! What transformer blocks are made of, without and with its gradient: self-attention, GELU, layer normalisation and a
//! linear layer at the widths of ViT-Tiny, by device and number of tokens in a batch of 32.
#![recursion_limit = "256"]

mod common;

use burn::nn::{LayerNormConfig, LinearConfig};
use burn::tensor::{Device, Tensor};
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main, measurement::WallTime};
use wbc_clip::encoders::{gelu, layer_norm, linear_layer, quick_gelu, self_attention};

const BATCH: usize = 32;
const HEADS: usize = 3;
const WIDTH: usize = 192;
const EPSILON: f64 = 1e-5;
const TOKENS: [usize; 3] = [16, 49, 197];
const SEED: u64 = 7;

/// Times a function of `[batch, tokens, width]` without a tape, and with its gradient by the input.
fn both(c: &mut Criterion, name: &str, width: usize, make: impl Fn(&Device) -> Box<dyn Fn(Tensor<3>) -> Tensor<3>>) {
    for (kind, taped) in [("forward", false), ("backward", true)] {
        let mut group = c.benchmark_group(format!("{name}_{kind}"));
        for (device_name, device) in common::devices() {
            let device = if taped { device.autodiff() } else { device };
            let f = make(&device);
            for tokens in TOKENS {
                let id = BenchmarkId::new(device_name, format!("{tokens}tokens"));
                one(&mut group, id, common::tensor([BATCH, tokens, width], SEED, &device), f.as_ref(), &device);
            }
        }
        group.finish();
    }
}

fn one(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    x: Tensor<3>,
    f: &dyn Fn(Tensor<3>) -> Tensor<3>,
    device: &Device,
) {
    let taped = device.is_autodiff();
    let x = if taped { x.require_grad() } else { x };
    group.bench_function(id, |b| {
        b.iter(|| {
            let y = f(x.clone());
            let answer = if taped { x.grad(&y.sum().backward()) } else { Some(y) };
            common::wait(device);
            answer
        });
    });
}

fn parts(c: &mut Criterion) {
    both(c, "self_attention", 3 * WIDTH, |_| Box::new(|x| self_attention(x, HEADS, None)));
    both(c, "quick_gelu", 4 * WIDTH, |_| Box::new(quick_gelu));
    both(c, "gelu", 4 * WIDTH, |_| Box::new(gelu));
    both(c, "layer_norm", WIDTH, |device| {
        let layer = LayerNormConfig::new(WIDTH).with_epsilon(EPSILON).init(device);
        Box::new(move |x| layer_norm(&layer, EPSILON, x))
    });
    both(c, "linear", WIDTH, |device| {
        let layer = LinearConfig::new(WIDTH, 4 * WIDTH).init(device);
        Box::new(move |x| linear_layer(&layer, x))
    });
}

criterion_group! { name = benches; config = Criterion::default().sample_size(10); targets = parts }
criterion_main!(benches);
