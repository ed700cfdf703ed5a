/// Optical densities of methylene blue and eosin in red, green and blue: the vectors for Giemsa of Landini's ImageJ plugin
/// "Colour Deconvolution"; the method is that of Ruifrok and Johnston, Anal. Quant. Cytol. Histol. 23:291 (2001).
const AZURE_OD: [f64; 3] = [0.834_750, 0.513_556, 0.196_330];
const EOSIN_OD: [f64; 3] = [0.092_789, 0.954_111, 0.283_111];

/// The optical densities after azure and eosin stain so many times as strongly, `[to][from]`; what neither explains
/// stays.
pub(crate) fn balanced([azure, eosin]: [f64; 2]) -> [[f64; 3]; 3] {
    let rest = cross(AZURE_OD, EOSIN_OD);
    let volume = dot(rest, rest);
    // rows of the inverse of the matrix whose columns are azure, eosin and the rest
    let amounts = [cross(EOSIN_OD, rest), cross(rest, AZURE_OD), rest].map(|row| row.map(|v| v / volume));
    let stains = [AZURE_OD.map(|v| v * azure), EOSIN_OD.map(|v| v * eosin), rest];
    [0, 1, 2].map(|to| [0, 1, 2].map(|from| (0..3).map(|s| stains[s][to] * amounts[s][from]).sum()))
}

/// The matrix product.
pub(crate) fn product(a: [[f64; 3]; 3], b: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    a.map(|row| [0, 1, 2].map(|j| (0..3).map(|k| row[k] * b[k][j]).sum()))
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    (0..3).map(|i| a[i] * b[i]).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stains_are_balanced_and_the_rest_stays() {
        let applied = |m: [[f64; 3]; 3], od: [f64; 3]| m.map(|row| dot(row, od));
        let near = |a: [f64; 3], b: [f64; 3]| (0..3).all(|i| (a[i] - b[i]).abs() < 1e-9);
        let m = balanced([0.5, 2.0]);
        assert!(near(applied(m, AZURE_OD), AZURE_OD.map(|v| 0.5 * v)));
        assert!(near(applied(m, EOSIN_OD), EOSIN_OD.map(|v| 2.0 * v)));
        let rest = cross(AZURE_OD, EOSIN_OD);
        assert!(near(applied(m, rest), rest));
        assert!(near(applied(balanced([1.0, 1.0]), [0.3, 0.2, 0.9]), [0.3, 0.2, 0.9]));
    }
}
