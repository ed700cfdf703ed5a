use crate::{PairTargets, SoftTargets};
use burn::tensor::activation::{log_sigmoid, log_softmax};
use burn::tensor::{Device, Tensor, TensorData};

/// Added to the logits of pairs that must not count: far below any real one.
const IGNORED: f32 = -1.0e4;

/// A loss over all pairs of images and captions in a batch.
pub trait ContrastiveLoss: Send + Sync {
    /// # Shapes
    /// - `cosine`: `[n_images, n_captions]`, similarities of unit vectors
    /// - `scale`, `bias`: `[1]`
    /// - answer: `[1]`
    fn loss(&self, cosine: Tensor<2>, scale: Tensor<1>, bias: Tensor<1>, targets: &PairTargets) -> Tensor<1>;
}

/// CLIP's symmetric softmax loss (Radford et al. 2021) with any number of positives per row and column: the target
/// distribution is uniform over the positives (Khosla et al. 2020, L_out), unknown pairs are left out of the softmax,
/// rows and columns without positives do not count.
#[derive(Clone, Copy, Debug, Default)]
pub struct InfoNce;

impl ContrastiveLoss for InfoNce {
    fn loss(&self, cosine: Tensor<2>, scale: Tensor<1>, _bias: Tensor<1>, targets: &PairTargets) -> Tensor<1> {
        let (positive, known) = targets.tensors(&cosine.device());
        let logits = cosine * scale.unsqueeze::<2>() + (known - 1.0) * -IGNORED;
        let side = |logits: Tensor<2>, positive: Tensor<2>| {
            let count = positive.clone().sum_dim(1);
            let counted = count.clone().clamp_max(1.0);
            let rows = (log_softmax(logits, 1) * (positive / count.clamp_min(1.0))).sum_dim(1);
            -rows.sum() / counted.sum().clamp_min(1.0)
        };
        let images = side(logits.clone(), positive.clone());
        let captions = side(logits.transpose(), positive.transpose());
        (images + captions) / 2.0
    }
}

/// SigLIP's pairwise sigmoid loss (Zhai et al. 2023, equation 1) over all known pairs, divided by the number of images.
#[derive(Clone, Copy, Debug, Default)]
pub struct SigmoidLoss;

impl ContrastiveLoss for SigmoidLoss {
    fn loss(&self, cosine: Tensor<2>, scale: Tensor<1>, bias: Tensor<1>, targets: &PairTargets) -> Tensor<1> {
        let n_images = cosine.dims()[0] as f64;
        let (positive, known) = targets.tensors(&cosine.device());
        let logits = cosine * scale.unsqueeze::<2>() + bias.unsqueeze::<2>();
        let sign = positive * 2.0 - 1.0;
        -(log_sigmoid(logits * sign) * known).sum() / n_images
    }
}

/// Softmax cross-entropy of each image against one text per value, for several facts at once.
///
/// `cosine` is `[n_images, n_texts]` with the texts of fact 0 first, then fact 1…; `sizes` has the number of values per
/// fact, `codes` the true value per image and fact (`-1` unknown, left out), `weights` one weight per fact. With `soft`
/// targets the true value stands for its distribution over all values of the fact, where it has one. The answer is the
/// weighted mean over facts, `[1]`.
///
/// # Panics
/// If sizes, codes, weights or soft targets disagree with `cosine`, or a code is none of its fact's values.
pub fn contrast_set_loss(
    cosine: Tensor<2>,
    scale: Tensor<1>,
    sizes: &[usize],
    codes: &[Vec<i16>],
    weights: &[f64],
    soft: Option<&SoftTargets>,
) -> Tensor<1> {
    let [n_images, n_texts] = cosine.dims();
    assert_eq!((sizes.iter().sum::<usize>(), codes.len(), weights.len()), (n_texts, n_images, sizes.len()));
    assert!(soft.is_none_or(|soft| soft.fits(sizes)), "soft targets of other facts");
    let device = cosine.device();
    let logits = cosine * scale.unsqueeze::<2>();
    let total: f64 = weights.iter().sum();
    let mut loss = Tensor::<1>::zeros([1], &device);
    let mut at = 0;
    for (fact, (n, weight)) in sizes.iter().zip(weights).enumerate() {
        if let Some(target) = targets(codes, fact, *n, soft, &device) {
            let log_probability = log_softmax(logits.clone().narrow(1, at, *n), 1);
            loss = loss - (log_probability * target).sum() * (weight / total);
        }
        at += n;
    }
    loss
}

/// `[n_images, n]`: 1 / (number of known rows) at the true value, or spread as its soft target says; `None` when no row
/// is known.
fn targets(
    codes: &[Vec<i16>],
    fact: usize,
    n: usize,
    soft: Option<&SoftTargets>,
    device: &Device,
) -> Option<Tensor<2>> {
    let known = codes.iter().filter(|c| c[fact] >= 0).count();
    if known == 0 {
        return None;
    }
    let share = 1.0 / known as f32;
    let mut data = vec![0.0_f32; codes.len() * n];
    for (row, code) in data.chunks_exact_mut(n).zip(codes) {
        let Ok(value) = usize::try_from(code[fact]) else { continue };
        match soft.and_then(|soft| soft.distribution(fact, value)) {
            Some(distribution) => row.iter_mut().zip(distribution).for_each(|(to, q)| *to = share * *q as f32),
            None => row[value] = share,
        }
    }
    Some(Tensor::from_data(TensorData::new(data, [codes.len(), n]), &device.clone().inner()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(t: Tensor<1>) -> f64 {
        f64::from(t.into_scalar::<f32>())
    }

    fn run(loss: &dyn ContrastiveLoss, cosine: [[f32; 2]; 2], scale: f32, bias: f32, targets: &PairTargets) -> f64 {
        let d = Device::flex();
        value(loss.loss(
            Tensor::from_floats(cosine, &d),
            Tensor::from_floats([scale], &d),
            Tensor::from_floats([bias], &d),
            targets,
        ))
    }

    fn diagonal() -> PairTargets {
        PairTargets::from_rows(2, 2, vec![1.0, 0.0, 0.0, 1.0], vec![1.0; 4])
    }

    #[test]
    fn one_positive_each_is_plain_clip() {
        // cross-entropy of logits (2, 0) against the first: ln(1 + e^-2)
        let expected = (1.0 + (-2.0_f64).exp()).ln();
        let got = run(&InfoNce, [[1.0, 0.0], [0.0, 1.0]], 2.0, 0.0, &diagonal());
        assert!((got - expected).abs() < 1e-5, "{got} {expected}");
    }

    #[test]
    fn unknown_pairs_neither_attract_nor_repel() {
        let unknown = PairTargets::from_rows(2, 2, vec![1.0, 0.0, 0.0, 1.0], vec![1.0, 0.0, 0.0, 1.0]);
        for loss in [&InfoNce as &dyn ContrastiveLoss, &SigmoidLoss] {
            let a = run(loss, [[0.5, 0.9], [-0.9, 0.5]], 10.0, 0.0, &unknown);
            let b = run(loss, [[0.5, -0.3], [0.3, 0.5]], 10.0, 0.0, &unknown);
            assert!((a - b).abs() < 1e-6);
        }
    }

    #[test]
    fn losses_stay_finite_at_any_scale() {
        for loss in [&InfoNce as &dyn ContrastiveLoss, &SigmoidLoss] {
            for scale in [0.0, 1.0, 100.0, 5000.0] {
                let wrong = run(loss, [[-1.0, 1.0], [1.0, -1.0]], scale, -10.0, &diagonal());
                assert!(wrong.is_finite() && wrong >= 0.0, "{wrong}");
            }
        }
    }

    #[test]
    fn sigmoid_loss_matches_its_equation() {
        // pairs: two positives with logit 1, two negatives with logit -3: per image ln(1+e^-1) + ln(1+e^-3)
        let expected = (1.0 + (-1.0_f64).exp()).ln() + (1.0 + (-3.0_f64).exp()).ln();
        let got = run(&SigmoidLoss, [[1.0, -1.0], [-1.0, 1.0]], 2.0, -1.0, &diagonal());
        assert!((got - expected).abs() < 1e-5, "{got} {expected}");
    }

    #[test]
    fn contrast_sets_ignore_unknown_facts() {
        let d = Device::flex();
        let cosine = Tensor::<2>::from_floats([[1.0, 0.0, 0.3, 0.9], [0.0, 1.0, 0.2, 0.1]], &d);
        let one = Tensor::from_floats([1.0], &d);
        let codes = vec![vec![0, -1], vec![1, -1]];
        let got = value(contrast_set_loss(cosine, one, &[2, 2], &codes, &[1.0, 1.0], None));
        let expected = (1.0 + (-1.0_f64).exp()).ln() / 2.0;
        assert!((got - expected).abs() < 1e-5, "{got} {expected}");
    }

    /// Three cells, a fact of two values and one of three.
    fn contrast(soft: Option<&SoftTargets>) -> f32 {
        let d = Device::flex();
        let cosine = [[0.9, 0.1, 0.3, -0.9, 0.2], [-0.7, 0.4, 0.2, 0.1, 0.6], [0.5, 0.3, -0.2, 0.8, 0.1]];
        let codes = vec![vec![0, 2], vec![1, -1], vec![0, 1]];
        let scale = Tensor::from_floats([7.0], &d);
        contrast_set_loss(Tensor::<2>::from_floats(cosine, &d), scale, &[2, 3], &codes, &[2.0, 1.0], soft)
            .into_scalar::<f32>()
    }

    #[test]
    fn targets_that_are_the_identity_are_hard_targets_to_the_bit() {
        let identity = |n: usize| (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
        let hard = contrast(None);
        for soft in [vec![Some(identity(2)), Some(identity(3))], vec![None, Some(identity(3))], vec![None, None]] {
            let soft = SoftTargets::new(soft).unwrap();
            assert_eq!(contrast(Some(&soft)).to_bits(), hard.to_bits(), "{soft:?}");
        }
        let doubtful = vec![vec![0.9, 0.1, 0.0], vec![0.1, 0.9, 0.0], vec![0.0, 0.1, 0.9]];
        assert_ne!(contrast(Some(&SoftTargets::new(vec![None, Some(doubtful)]).unwrap())), hard);
    }

    #[test]
    fn soft_targets_spread_what_is_learned_over_the_values() {
        let d = Device::flex();
        let cosine = Tensor::<2>::from_floats([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]], &d);
        let one = Tensor::from_floats([1.0], &d);
        let soft = SoftTargets::new(vec![None, Some(vec![vec![0.75, 0.25], vec![0.0, 1.0]])]).unwrap();
        let codes = vec![vec![0, 0], vec![1, 1]];
        let got = value(contrast_set_loss(cosine, one, &[2, 2], &codes, &[1.0, 1.0], Some(&soft)));
        // with a = ln(1 + e^-1) the right value costs a and the other 1 + a: the first fact a; of the second fact the
        // first cell 3/4 a + 1/4 (1 + a) = a + 1/4, the second cell a
        let expected = (1.0 + (-1.0_f64).exp()).ln() + 0.25 / 4.0;
        assert!((got - expected).abs() < 1e-5, "{got} {expected}");
    }

    #[test]
    #[should_panic(expected = "soft targets of other facts")]
    fn soft_targets_of_another_space_are_a_broken_invariant() {
        contrast(Some(&SoftTargets::new(vec![None, Some(vec![vec![1.0, 0.0], vec![0.0, 1.0]])]).unwrap()));
    }
}
