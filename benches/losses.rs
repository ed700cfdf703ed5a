//! Contrastive losses with their gradients, by device and number of pairs.
#![recursion_limit = "256"]

mod common;

use burn::tensor::Tensor;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use wbc_clip::contrastive::{ContrastiveLoss, InfoNce, PairTargets, SigmoidLoss};

const SEED: u64 = 7;

/// Every image fits its own caption and the next one, as captions repeat.
fn targets(n: usize) -> PairTargets {
    let fits = |i: usize, j: usize| f32::from(u8::from(j == i || j == (i + 1) % n));
    PairTargets::from_rows(n, n, (0..n * n).map(|at| fits(at / n, at % n)).collect(), vec![1.0; n * n])
}

fn losses(c: &mut Criterion) {
    let kinds: [(&str, &dyn ContrastiveLoss); 2] = [("info_nce", &InfoNce), ("sigmoid_loss", &SigmoidLoss)];
    for (name, loss) in kinds {
        let mut group = c.benchmark_group(name);
        for (device_name, device) in common::devices() {
            let taped = device.clone().autodiff();
            for n in [64, 512, 4096] {
                let targets = targets(n);
                let cosine = common::tensor([n, n], SEED, &taped).require_grad();
                let scale = Tensor::<1>::from_floats([14.0], &taped);
                let bias = Tensor::<1>::from_floats([-10.0], &taped);
                group.bench_function(BenchmarkId::new(device_name, format!("{n}pairs")), |b| {
                    b.iter(|| {
                        let value = loss.loss(cosine.clone(), scale.clone(), bias.clone(), &targets);
                        let gradient = cosine.grad(&value.backward());
                        common::wait(&device);
                        gradient
                    });
                });
            }
        }
        group.finish();
    }
}

criterion_group! { name = benches; config = Criterion::default().sample_size(10); targets = losses }
criterion_main!(benches);
