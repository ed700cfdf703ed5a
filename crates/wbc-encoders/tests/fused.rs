//! Single passes equal the chains of smaller operations that they stand for, in value and gradient, on every backend.
#![recursion_limit = "256"]

use burn::nn::{LayerNormConfig, Linear};
use burn::tensor::activation::{gelu as burn_gelu, sigmoid};
use burn::tensor::{Bool, Device, Tensor, TensorData};
use rand::Rng;
use wbc_core::seeded_rng;
use wbc_encoders::{attention, gelu, layer_norm, linear, linear_layer, quick_gelu, self_attention};

/// Largest difference as a share of the largest plain value, of at least 1 as inputs are: f32 rounding over sums of up
/// to a few hundred terms.
const TOLERANCE: f32 = 1e-5;
const EPSILON: f64 = 1e-5;

/// `ndarray` runs the chains on both sides, and shows that they are the same functions.
fn devices() -> [Device; 2] {
    #[expect(deprecated, reason = "deprecated upstream; our users ask for it")]
    let ndarray = Device::ndarray();
    [Device::flex(), ndarray]
}

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
    for device in devices() {
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

#[test]
fn layer_normalisation_equals_burns() {
    for device in devices() {
        for (rows, width) in [(1, 5), (7, 16), (700, 100)] {
            let layer = |device: &Device| {
                let mut layer = LayerNormConfig::new(width).with_epsilon(EPSILON).init(device);
                let uneven = random([width], 3, &device.clone().inner());
                let uneven = Tensor::from_data(uneven.into_data(), device);
                layer.gamma = burn::module::Param::from_tensor(uneven);
                layer
            };
            let (plain, taped) = (layer(&device), layer(&device.clone().autodiff()));
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
    for device in devices() {
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
    for device in devices() {
        for (batch, n, heads, head_dim) in [(1, 1, 1, 1), (2, 5, 2, 3), (3, 49, 3, 16)] {
            let width = heads * head_dim;
            let never = vec![false; batch * n];
            let some: Vec<bool> = (0..batch * n).map(|at| at % n > n / 2).collect();
            let causal: Vec<bool> = (0..batch * n * n).map(|at| at % n > at / n % n).collect();
            let masks = [
                None,
                Some(Tensor::<4, Bool>::from_data(TensorData::new(never, [batch, 1, 1, n]), &device)),
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
fn a_tape_that_recomputes_gets_the_chain() {
    let gradient = |device: Device| {
        let x = random([3, 4], 1, &device).require_grad();
        x.grad(&quick_gelu(x.clone()).sum().backward()).expect("the input has a gradient")
    };
    let recomputing = Device::flex().autodiff().gradient_checkpointing();
    same("gradient", gradient(recomputing), gradient(Device::flex().autodiff()));
}
