//! Linear equations of a symmetric positive definite matrix, as least squares have them.

/// Solutions of `matrix · x = side` for every side by Cholesky's factor; of the symmetric positive definite `n × n` matrix,
/// row by row, only the lower triangle is looked at. Of a matrix that is not, solutions mean nothing and may be infinite.
///
/// ```
/// let x = wbc_morphology::solve_positive_definite(vec![4.0, 0.0, 2.0, 3.0], vec![vec![8.0, 7.0]]);
/// assert!((x[0][0] - 1.25).abs() < 1e-12 && (x[0][1] - 1.5).abs() < 1e-12);
/// ```
///
/// # Panics
/// If a side has not as many numbers as the matrix has rows and columns.
pub fn solve_positive_definite(mut matrix: Vec<f64>, sides: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let Some(n) = sides.first().map(Vec::len) else { return sides };
    assert!(matrix.len() == n * n && sides.iter().all(|s| s.len() == n), "{n} equations in {n} unknowns");
    factorise(&mut matrix, n);
    sides.into_iter().map(|side| solve(&matrix, side)).collect()
}

/// Cholesky factor of a positive definite matrix, in place of its lower triangle.
fn factorise(matrix: &mut [f64], n: usize) {
    for i in 0..n {
        let (above, row) = matrix.split_at_mut(i * n);
        for j in 0..i {
            let known = &above[j * n..=j * n + j];
            row[j] = (row[j] - dot(&row[..j], &known[..j])) / known[j];
        }
        row[i] = (row[i] - dot(&row[..i], &row[..i])).max(f64::MIN_POSITIVE).sqrt();
    }
}

/// Solves with the factor of [`factorise`].
fn solve(factor: &[f64], mut side: Vec<f64>) -> Vec<f64> {
    let n = side.len();
    for i in 0..n {
        side[i] = (side[i] - dot(&factor[i * n..i * n + i], &side[..i])) / factor[i * n + i];
    }
    for i in (0..n).rev() {
        side[i] /= factor[i * n + i];
        let solved = side[i];
        (0..i).for_each(|j| side[j] -= factor[i * n + j] * solved);
    }
    side
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn solutions_solve(n in 1_usize..12, numbers in prop::collection::vec(-1.0..1.0_f64, 12 * 13)) {
            let root = |i: usize, j: usize| numbers[i * 12 + j];
            // a root times its transpose, and something on the diagonal
            let of = |i: usize, j: usize| (0..n).map(|k| root(i, k) * root(j, k)).sum::<f64>() + f64::from(u8::from(i == j)) * 0.1;
            let matrix: Vec<f64> = (0..n * n).map(|p| of(p / n, p % n)).collect();
            let side = numbers[144..144 + n].to_vec();
            let twice = solve_positive_definite(matrix.clone(), vec![side.clone(), side.clone()]);
            prop_assert_eq!(&twice[0], &twice[1]);
            for i in 0..n {
                let reached = dot(&matrix[i * n..(i + 1) * n], &twice[0]);
                prop_assert!((reached - side[i]).abs() < 1e-8, "{} for {}", reached, side[i]);
            }
        }
    }

    #[test]
    fn without_sides_or_unknowns_there_is_nothing_to_solve() {
        assert!(solve_positive_definite(vec![], vec![]).is_empty());
        assert_eq!(solve_positive_definite(vec![], vec![vec![]; 2]), vec![vec![0.0; 0]; 2], "nothing is unknown");
    }
}
