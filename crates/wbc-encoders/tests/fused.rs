//! Single passes equal the chains of smaller operations that they stand for, in value and gradient, on every backend.
//! `ndarray` runs the chains on both sides, and shows that they are the same functions.
#![recursion_limit = "256"]

mod common;

use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::{gelu as burn_gelu, sigmoid};
use burn::tensor::{Bool, Device, Tensor, TensorData};
use common::devices;
use rand::Rng;
use wbc_core::seeded_rng;
use wbc_encoders::{attention, gelu, layer_norm, linear, linear_layer, quick_gelu, self_attention};

/// Largest difference as a share of the largest plain value, of at least 1 as inputs are: f32 rounding over sums of up
/// to a few hundred terms.
const TOLERANCE: f32 = 1e-5;
const EPSILON: f64 = 1e-5;

fn random<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let mut rng = seeded_rng(&[seed]);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-2.0..2.0)).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_to_vec::<f32>().unwrap()
}

#[track_caller]
fn same<const D: usize>(what: &str, ours: Tensor<D>, plain: Tensor<D>) {
    assert_eq!(ours.dims(), plain.dims(), "{what}");
    let (ours, plain) = (values(ours), values(plain));
    let largest = plain.iter().fold(1.0_f32, |m, v| m.max(v.abs()));
    for (i, (a, b)) in ours.iter().zip(&plain).enumerate() {
        assert!((a - b).abs() <= TOLERANCE * largest, "{what}, element {i}: {a} for {b}");
    }
}

/// Compares values without and with a tape, and gradients by the input, of two functions.
fn compare<const D: usize, const E: usize>(
    what: &str,
    shape: [usize; D],
    ours: impl Fn(Tensor<D>) -> Tensor<E>,
    plain: impl Fn(Tensor<D>) -> Tensor<E>,
    device: &Device,
) {
    let taped = device.clone().autodiff();
    for device in [device, &taped] {
        same(what, ours(random(shape, 1, device)), plain(random(shape, 1, device)));
    }
    let gradient = |f: &dyn Fn(Tensor<D>) -> Tensor<E>| {
        let x = random(shape, 1, &taped).require_grad();
        let y = f(x.clone());
        // uneven weights, so that no direction of the gradient cancels
        let loss = (random(y.dims(), 2, &taped) * y).sum();
        x.grad(&loss.backward()).expect("the input has a gradient")
    };
    same(&format!("gradient of {what}"), gradient(&ours), gradient(&plain));
}

fn plain_quick_gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.clone() * sigmoid(x * 1.702)
}

#[test]
fn activations_equal_their_definitions() {
    for (_, device) in devices() {
        for shape in [[1, 1], [3, 7], [40, 1000]] {
            let wide = |x: Tensor<2>| x * 3.0;
            compare("quick_gelu", shape, |x| quick_gelu(wide(x)), |x| plain_quick_gelu(wide(x)), &device);
            compare("gelu", shape, |x| gelu(wide(x)), |x| burn_gelu(wide(x)), &device);
        }
        // numbers that do not lie in order
        let view = |x: Tensor<3>| x.swap_dims(0, 2).narrow(1, 1, 3);
        compare("a view", [4, 6, 5], |x| quick_gelu(view(x)), |x| plain_quick_gelu(view(x)), &device);
    }
}

/// With uneven `gamma`.
fn norm_layer(width: usize, device: &Device) -> LayerNorm {
    let mut layer = LayerNormConfig::new(width).with_epsilon(EPSILON).init(device);
    let uneven = random([width], 3, &device.clone().inner());
    layer.gamma = burn::module::Param::from_tensor(Tensor::from_data(uneven.into_data(), device));
    layer
}

#[test]
fn layer_normalisation_equals_burns() {
    for (_, device) in devices() {
        for (rows, width) in [(1, 5), (7, 16), (700, 100)] {
            let (plain, taped) = (norm_layer(width, &device), norm_layer(width, &device.clone().autodiff()));
            let of = |x: &Tensor<3>| if x.device().is_autodiff() { taped.clone() } else { plain.clone() };
            let shape = [1, rows, width];
            compare("layer_norm", shape, |x| layer_norm(&of(&x), EPSILON, x), |x| of(&x).forward(x), &device);
            let by_parameters = |ours: bool| {
                let x = random(shape, 4, &device.clone().autodiff());
                let y = if ours { layer_norm(&taped, EPSILON, x) } else { taped.forward(x) };
                let grads = (random(y.dims(), 5, &y.device()) * y).sum().backward();
                let beta = taped.beta.as_ref().unwrap().val().grad(&grads).unwrap();
                (taped.gamma.val().grad(&grads).unwrap(), beta)
            };
            let ((gamma, beta), (plain_gamma, plain_beta)) = (by_parameters(true), by_parameters(false));
            same("gradient by gamma", gamma, plain_gamma);
            same("gradient by beta", beta, plain_beta);
        }
    }
}

#[test]
fn linear_layers_equal_burns() {
    for (_, device) in devices() {
        let layer = |device: &Device| linear(12, 20, &mut seeded_rng(&[9]), device);
        let (plain, taped): (Linear, Linear) = (layer(&device), layer(&device.clone().autodiff()));
        let of = |x: &Tensor<3>| if x.device().is_autodiff() { taped.clone() } else { plain.clone() };
        compare("linear", [3, 5, 12], |x| linear_layer(&of(&x), x), |x| of(&x).forward(x), &device);
        let by_parameters = |ours: bool| {
            // the input comes without a tape, as pixels do
            let x = random([3, 5, 12], 4, &device);
            let y = if ours { linear_layer(&taped, x) } else { taped.forward(x) };
            let grads = (random(y.dims(), 5, &y.device()) * y).sum().backward();
            (taped.weight.val().grad(&grads).unwrap(), taped.bias.as_ref().unwrap().val().grad(&grads).unwrap())
        };
        let ((weight, bias), (plain_weight, plain_bias)) = (by_parameters(true), by_parameters(false));
        same("gradient by weight", weight, plain_weight);
        same("gradient by bias", bias, plain_bias);
    }
}

#[test]
fn self_attention_equals_attention_by_parts() {
    for (_, device) in devices() {
        for (batch, n, heads, head_dim) in [(1, 1, 1, 1), (2, 5, 2, 3), (3, 49, 3, 16)] {
            let width = heads * head_dim;
            let never = vec![false; batch * n];
            let some: Vec<bool> = (0..batch * n).map(|at| at % n > n / 2).collect();
            let causal: Vec<bool> = (0..batch * n * n).map(|at| at % n > at / n % n).collect();
            // the first row of the batch has no key at all, as an empty text
            let nothing: Vec<bool> = (0..batch * n).map(|at| at < n || at % n > 1).collect();
            let masks = [
                None,
                Some(Tensor::<4, Bool>::from_data(TensorData::new(nothing, [batch, 1, 1, n]), &device)),
                Some(Tensor::from_data(TensorData::new(never, [batch, 1, 1, n]), &device)),
                Some(Tensor::from_data(TensorData::new(some, [batch, 1, 1, n]), &device)),
                Some(Tensor::from_data(TensorData::new(causal, [batch, 1, n, n]), &device)),
            ];
            for mask in masks {
                let by_parts = |qkv: Tensor<3>| {
                    let qkv = qkv.reshape([batch, n, 3 * heads, head_dim]).swap_dims(1, 2);
                    let part = |i: usize| qkv.clone().narrow(1, i * heads, heads);
                    let mixed = attention(part(0), part(1), part(2), mask.clone());
                    mixed.swap_dims(1, 2).reshape([batch, n, width])
                };
                let ours = |qkv: Tensor<3>| self_attention(qkv, heads, mask.as_ref());
                compare("self_attention", [batch, n, 3 * width], ours, by_parts, &device);
            }
        }
    }
}

#[test]
fn a_query_without_keys_gets_the_mean_of_all_values() {
    for (name, device) in devices() {
        let [n, width] = [5, 8];
        let mask = Tensor::<4, Bool>::from_data(TensorData::new(vec![true; n], [1, 1, 1, n]), &device);
        let qkv = random([1, n, 3 * width], 1, &device);
        let mean = qkv.clone().narrow(2, 2 * width, width).mean_dim(1).expand([1, n, width]);
        same(name, self_attention(qkv, 2, Some(&mask)), mean);
    }
}

/// All operations on inputs of `rows` rows, and the gradients by input and parameters.
fn everything(rows: usize, device: &Device) -> Vec<Vec<f32>> {
    const WIDTH: usize = 96;
    const N: usize = 40;
    let taped = device.clone().autodiff();
    let (norm, layer) = (norm_layer(WIDTH, &taped), linear(WIDTH, 3 * WIDTH, &mut seeded_rng(&[9]), &taped));
    let x = random([rows, N, WIDTH], 1, &taped).require_grad();
    let some: Vec<bool> = (0..rows * N).map(|at| at % N > N / 2).collect();
    let mask = Tensor::from_data(TensorData::new(some, [rows, 1, 1, N]), device);
    let y = linear_layer(&layer, layer_norm(&norm, EPSILON, x.clone()));
    let y = gelu(quick_gelu(self_attention(y.clone(), 3, None) + self_attention(y, 3, Some(&mask))));
    assert_eq!(y.dims(), [rows, N, WIDTH]);
    let grads = (random(y.dims(), 2, &taped) * y.clone()).sum().backward();
    let mut all = vec![values(y), values(x.grad(&grads).unwrap())];
    all.extend([&norm.gamma, norm.beta.as_ref().unwrap(), layer.bias.as_ref().unwrap()].map(|parameter| {
        let gradient = parameter.val().grad(&grads).expect("the parameter has a gradient");
        values(gradient)
    }));
    all.push(values(layer.weight.val().grad(&grads).unwrap()));
    all
}

#[test]
fn a_batch_without_rows_is_no_error() {
    for (name, device) in devices() {
        // burn's own operations panic there
        if name == "ndarray" {
            continue;
        }
        let all = everything(0, &device);
        assert!(all[..2].iter().all(Vec::is_empty), "{name}");
        assert!(all[2..].iter().all(|g| !g.is_empty() && g.iter().all(|g| *g == 0.0)), "{name}");
        // and without a tape
        let x = random([0, 7, 24], 1, &device);
        assert_eq!(self_attention(quick_gelu(gelu(x)), 2, None).dims(), [0, 7, 8]);
    }
}

#[test]
fn the_number_of_threads_changes_nothing_on_flex() {
    // several blocks of every kernel, none of them a multiple of another
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| everything(37, &Device::flex()))
    };
    let one = on(1);
    for threads in [2, 3, 8] {
        assert!(on(threads) == one, "{threads} threads");
    }
}

#[test]
fn a_tape_that_recomputes_gets_the_chain() {
    let gradient = |device: Device| {
        let x = random([3, 4], 1, &device).require_grad();
        x.grad(&quick_gelu(x.clone()).sum().backward()).expect("the input has a gradient")
    };
    let recomputing = Device::flex().autodiff().gradient_checkpointing();
    same("gradient", gradient(recomputing), gradient(Device::flex().autodiff()));
}

/// Without a bias burn's own product is used, which on flex cannot take a batch without rows.
#[test]
fn a_linear_layer_without_bias_answers_an_empty_batch() {
    for (_, device) in devices() {
        let layer = LinearConfig::new(4, 3).with_bias(false).init(&device);
        assert_eq!(linear_layer(&layer, Tensor::<2>::zeros([0, 4], &device)).dims(), [0, 3]);
        assert_eq!(linear_layer(&layer, Tensor::<3>::zeros([0, 5, 4], &device)).dims(), [0, 5, 3]);
    }
}
