//! The backends that tests run on.

use burn::tensor::Device;

/// Every CPU backend that is compiled in, by name.
#[allow(deprecated, reason = "ndarray and libtorch are deprecated upstream and asked for by users")]
pub(crate) fn devices() -> Vec<(&'static str, Device)> {
    vec![
        ("flex", Device::flex()),
        ("ndarray", Device::ndarray()),
        #[cfg(feature = "libtorch")]
        ("libtorch", Device::libtorch()),
    ]
}
