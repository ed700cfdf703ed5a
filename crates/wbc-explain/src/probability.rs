/// Logarithms of the softmax of some logits.
pub(crate) fn log_softmax(logits: &[f64]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total = logits.iter().map(|l| (l - most).exp()).sum::<f64>().ln();
    logits.iter().map(|l| l - most - total).collect()
}

/// Position of the largest value, the first among equals; 0 for none.
pub(crate) fn argmax(values: &[f64]) -> usize {
    let mut best = 0;
    for (i, v) in values.iter().enumerate() {
        if *v > values[best] {
            best = i;
        }
    }
    best
}

/// Scalar product, accumulated in `f64`.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extreme_logits_stay_finite_and_sum_to_one() {
        let p: Vec<f64> = log_softmax(&[1000.0, 999.0, -1e6]).iter().map(|l| l.exp()).collect();
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((p[0] / p[1] - std::f64::consts::E).abs() < 1e-9);
        assert_eq!((argmax(&p), argmax(&[0.5, 0.5])), (0, 0));
    }
}
