use crate::EncoderError;
use crate::published::safetensors_bytes;
use crate::weights::{read_weights, refused};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A tensor's shape and the weighted sum of its values so far.
type Sum = (Vec<usize>, Vec<f64>);

/// Writes the weighted mean of weight files with the same tensors: between a pretrained and a fine-tuned model it is
/// WiSE-FT (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", equation 1), between several fine-tuned
/// models a model soup (Wortsman et al. 2022, "Model soups"). Weights are shares of their sum.
///
/// Sums are made in f64, files are f32. `out` is written atomically and may be one of the inputs.
///
/// # Errors
/// [`EncoderError::Config`] for no file, a negative or infinite weight, or weights without a positive sum;
/// [`EncoderError::Io`] and [`EncoderError::Weights`], naming tensor and file, for a file that cannot be read, a tensor
/// that only some files have, another shape, another type than f32, or a value that is not finite.
pub fn average_weights(files: &[(PathBuf, f64)], out: &Path) -> Result<(), EncoderError> {
    let total: f64 = files.iter().map(|(_, weight)| weight).sum();
    if files.iter().any(|(_, weight)| !weight.is_finite() || *weight < 0.0) || !(total.is_finite() && total > 0.0) {
        let cause = "expected at least one file, and weights of 0 or above with a sum above 0".into();
        return Err(EncoderError::Config { field: "weights", cause });
    }
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for (i, (path, weight)) in files.iter().enumerate() {
        add(&mut sums, path, weight / total, files.first().filter(|_| i > 0).map(|(first, _)| first.as_path()))?;
    }
    let mut means: BTreeMap<&str, (&[usize], Vec<u8>)> = BTreeMap::new();
    for (name, (shape, values)) in &sums {
        let mut bytes = Vec::with_capacity(values.len() * 4);
        for value in values {
            bytes.extend((*value as f32).to_le_bytes());
        }
        means.insert(name, (shape, bytes));
    }
    let parts = means.iter().map(|(name, (shape, bytes))| (*name, Dtype::F32, *shape, bytes.as_slice()));
    let bytes = safetensors_bytes(parts).map_err(|e| refused(e, out))?;
    wbc_core::write_atomic(out, bytes).map_err(|source| EncoderError::Io { path: out.to_owned(), source })
}

/// Adds a file times `share` to the sums; `first` is the file that their tensors came from, `None` for that file itself.
fn add(sums: &mut BTreeMap<String, Sum>, path: &Path, share: f64, first: Option<&Path>) -> Result<(), EncoderError> {
    let bytes = read_weights(path)?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| refused(e, path))?;
    let mut seen = 0;
    for (name, tensor) in tensors.iter() {
        if tensor.dtype() != Dtype::F32 {
            return Err(refused(format!("tensor `{name}` is {:?} where F32 is expected", tensor.dtype()), path));
        }
        let own = tensor.data().as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b)));
        let (shape, sum) = match (sums.get_mut(name), first) {
            (Some(sum), _) => sum,
            (None, None) => sums
                .entry(name.to_owned())
                .or_insert_with(|| (tensor.shape().to_vec(), vec![0.0; tensor.data().len() / 4])),
            (None, Some(first)) => {
                return Err(refused(format!("tensor `{name}` is not in {}", first.display()), path));
            }
        };
        if shape != tensor.shape() {
            return Err(refused(
                format!("tensor `{name}` has shape {:?} where {shape:?} is expected", tensor.shape()),
                path,
            ));
        }
        for (sum, value) in sum.iter_mut().zip(own) {
            if !value.is_finite() {
                return Err(refused(format!("tensor `{name}` is not finite"), path));
            }
            *sum += share * value;
        }
        seen += 1;
    }
    match sums.keys().find(|name| seen < sums.len() && tensors.tensor(name).is_err()) {
        Some(missing) => Err(refused(format!("tensor `{missing}` is missing"), path)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageTower, ImageTowerConfig, load_weights, save_weights};
    use burn::tensor::Device;
    use safetensors::serialize;
    use safetensors::tensor::TensorView;

    fn tower(n: usize, seed: u64) -> ImageTower {
        ImageTowerConfig::measurements_only(n).init(8, seed, &Device::flex()).unwrap()
    }

    /// Values of all tensors of a file in the order of names.
    fn values(path: &Path) -> Vec<f32> {
        let bytes = std::fs::read(path).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let sorted: BTreeMap<&str, TensorView<'_>> = tensors.iter().collect();
        sorted.values().flat_map(|t| t.data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()))).collect()
    }

    /// Name, type, shape, bytes.
    type Raw<'r> = (&'r str, Dtype, Vec<usize>, Vec<u8>);

    fn write(path: &Path, tensors: &[Raw<'_>]) {
        let view = |(n, d, s, b): &Raw<'_>| {
            (n.to_string(), TensorView::new(*d, s.clone(), Box::leak(b.clone().into_boxed_slice())).unwrap())
        };
        std::fs::write(path, serialize(tensors.iter().map(view), None).unwrap()).unwrap();
    }

    #[test]
    fn a_mean_lies_between_its_models_and_loads_like_them() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        save_weights(&tower(5, 1), &at("a")).unwrap();
        save_weights(&tower(5, 2), &at("b")).unwrap();
        average_weights(&[(at("a"), 3.0), (at("b"), 1.0)], &at("c")).unwrap();
        let (a, b, c) = (values(&at("a")), values(&at("b")), values(&at("c")));
        for ((a, b), c) in a.iter().zip(&b).zip(&c) {
            assert_eq!(*c, (0.75 * f64::from(*a) + 0.25 * f64::from(*b)) as f32);
        }
        load_weights(tower(5, 3), &at("c")).unwrap();
        average_weights(&[(at("a"), 2.0), (at("b"), 0.0)], &at("b")).unwrap();
        assert_eq!(values(&at("b")), a, "a share of 0 leaves the other file, and `out` may be an input");
    }

    #[test]
    fn files_that_differ_are_refused_by_tensor_and_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let f32s = |v: &[f32]| v.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        let (one, two) = (f32s(&[1.0]), f32s(&[1.0, 2.0]));
        write(&at("base"), &[("x", Dtype::F32, vec![2], two.clone()), ("y", Dtype::F32, vec![1], one.clone())]);
        let others: [(&str, &str, Vec<Raw<'_>>); 5] = [
            ("missing", "`y` is missing", vec![("x", Dtype::F32, vec![2], two.clone())]),
            (
                "more",
                "`z` is not in",
                vec![
                    ("x", Dtype::F32, vec![2], two.clone()),
                    ("y", Dtype::F32, vec![1], one.clone()),
                    ("z", Dtype::F32, vec![1], one.clone()),
                ],
            ),
            ("shape", "`x` has shape [2, 1]", vec![("x", Dtype::F32, vec![2, 1], two.clone())]),
            ("type", "`x` is F16", vec![("x", Dtype::F16, vec![2], vec![0; 4])]),
            ("nan", "`x` is not finite", vec![("x", Dtype::F32, vec![2], f32s(&[f32::NAN, 0.0]))]),
        ];
        for (name, expected, tensors) in others {
            write(&at(name), &tensors);
            let error = average_weights(&[(at("base"), 0.5), (at(name), 0.5)], &at("out")).unwrap_err();
            let said = error.to_string();
            assert!(said.contains(expected) && said.ends_with(&at(name).display().to_string()), "{said}");
            assert!(!at("out").exists());
        }
        std::fs::write(at("torn"), b"not safetensors").unwrap();
        assert!(matches!(average_weights(&[(at("torn"), 1.0)], &at("out")), Err(EncoderError::Weights { .. })));
        assert!(matches!(average_weights(&[(at("none"), 1.0)], &at("out")), Err(EncoderError::Io { .. })));
    }

    #[test]
    fn weights_without_a_positive_sum_are_refused() {
        let path = || PathBuf::from("a");
        for files in [vec![], vec![(path(), 0.0)], vec![(path(), -1.0), (path(), 2.0)], vec![(path(), f64::NAN)]] {
            let said = average_weights(&files, Path::new("out")).unwrap_err();
            assert!(matches!(said, EncoderError::Config { field: "weights", .. }), "{said}");
        }
    }
}
