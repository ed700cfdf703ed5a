//! GradCache: chunks give the gradients of the whole batch.
#![recursion_limit = "256"]

mod common;

use burn::tensor::Device;
use common::gradients::{TOLERANCE, difference};
use wbc_contrastive::LossKind;
use wbc_contrastive::burn;

#[expect(deprecated, reason = "deprecated upstream; our users ask for it")]
fn devices() -> [(&'static str, Device); 2] {
    [("flex", Device::flex()), ("ndarray", Device::ndarray())]
}

#[test]
fn eight_chunks_of_32_have_the_gradients_of_a_batch_of_256() {
    for (name, device) in devices() {
        for loss in [LossKind::InfoNce, LossKind::Sigmoid] {
            let (worst, path) = difference(&device, loss, 32, 1);
            assert!(worst < TOLERANCE, "{name} {loss:?}: {worst:.1e} at {path}");
        }
    }
}

#[test]
fn chunks_that_do_not_divide_the_batch_are_equal_too() {
    let (worst, path) = difference(&Device::flex(), LossKind::InfoNce, 37, 1);
    assert!(worst < TOLERANCE, "{worst:.1e} at {path}");
}

#[test]
fn so_do_chunks_of_a_committee() {
    let (worst, path) = difference(&Device::flex(), LossKind::InfoNce, 64, 3);
    assert!(worst < TOLERANCE, "{worst:.1e} at {path}");
}
