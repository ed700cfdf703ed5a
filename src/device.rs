use crate::Error;
use burn::tensor::Device;

/// Backends compiled into this build, by the name that [`device`] understands.
pub fn compiled_devices() -> Vec<&'static str> {
    let all = [
        ("flex", cfg!(feature = "flex")),
        ("ndarray", cfg!(feature = "ndarray")),
        ("libtorch", cfg!(feature = "libtorch")),
        ("libtorch:N", cfg!(feature = "libtorch")),
        ("cuda", cfg!(feature = "cuda")),
        ("cuda:N", cfg!(feature = "cuda")),
        ("wgpu", cfg!(feature = "wgpu")),
    ];
    all.into_iter().filter(|(_, compiled)| *compiled).map(|(name, _)| name).collect()
}

/// The device of a name: `flex`, `ndarray`, `libtorch` (CPU), `libtorch:0` (CUDA through libtorch), `cuda`, `cuda:1`,
/// `wgpu`.
///
/// # Errors
/// [`Error::Device`] for a name that is unknown, not compiled in, or an index that is not there.
pub fn device(name: &str) -> Result<Device, Error> {
    let (kind, index) = match name.split_once(':') {
        Some((kind, index)) => {
            (kind, Some(index.parse::<usize>().map_err(|_| refused(name, "the index is no number"))?))
        }
        None => (name, None),
    };
    match (kind, index) {
        #[cfg(feature = "flex")]
        ("flex", None) => Ok(Device::flex()),
        #[cfg(feature = "ndarray")]
        #[expect(deprecated, reason = "deprecated upstream; our users ask for it")]
        ("ndarray", None) => Ok(Device::ndarray()),
        #[cfg(feature = "libtorch")]
        #[expect(deprecated, reason = "deprecated upstream; our users ask for it")]
        ("libtorch", None) => Ok(Device::libtorch()),
        #[cfg(feature = "libtorch")]
        ("libtorch", Some(index)) => {
            // burn lists the CUDA devices that libtorch sees; its CPU needs no index
            in_range(name, index, Device::enumerate(burn::tensor::DeviceType::LibTorch).into_vec().len())?;
            #[expect(deprecated, reason = "deprecated upstream; our users ask for it")]
            Ok(Device::libtorch_cuda(index))
        }
        #[cfg(feature = "cuda")]
        ("cuda", index) => {
            let index = index.unwrap_or(0);
            in_range(name, index, Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec().len())?;
            Ok(Device::cuda(index))
        }
        #[cfg(feature = "wgpu")]
        ("wgpu", None) => Ok(Device::wgpu(burn::tensor::DeviceKind::default())),
        _ => Err(refused(name, "it is unknown or not compiled in")),
    }
}

#[cfg(any(feature = "libtorch", feature = "cuda"))]
fn in_range(name: &str, index: usize, present: usize) -> Result<(), Error> {
    if index < present { Ok(()) } else { Err(refused(name, &format!("{present} such devices are present"))) }
}

fn refused(name: &str, cause: &str) -> Error {
    Error::Device { name: name.into(), cause: cause.into(), available: compiled_devices().join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_devices_are_refused_with_those_that_exist() {
        for name in ["gpu", "flex:3", "cuda:x", ""] {
            let message = device(name).unwrap_err().to_string();
            assert!(message.contains("available"), "{message}");
        }
    }
}
