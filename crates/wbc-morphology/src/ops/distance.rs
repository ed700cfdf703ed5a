use super::Plane;
use wbc_core::Mask;

/// Exact Euclidean distance from every pixel to the nearest set pixel, in pixels; infinite where none is set
/// (Felzenszwalb and Huttenlocher 2012, doi 10.4086/toc.2012.v008a019).
pub(crate) fn distance_to(mask: &Mask) -> Plane {
    let (width, height) = (mask.width(), mask.height());
    let mut squared = vec![f64::INFINITY; width * height];
    // Down and up each column: distance to the nearest set pixel of the column.
    for (i, set) in mask.as_slice().iter().enumerate() {
        let above = if i >= width { squared[i - width] + 1.0 } else { f64::INFINITY };
        squared[i] = if *set { 0.0 } else { above };
    }
    for i in (0..(width * height).saturating_sub(width)).rev() {
        squared[i] = squared[i].min(squared[i + width] + 1.0);
    }
    squared.iter_mut().for_each(|d| *d *= *d);

    let mut data = Vec::with_capacity(width * height);
    let (mut vertices, mut bounds) = (Vec::<usize>::new(), Vec::<f64>::new());
    // Division is slow, and there are only so many divisors.
    let halves: Vec<f64> = (0..width).map(|d| 0.5 / d as f64).collect();
    for row in squared.chunks_exact(width.max(1)) {
        vertices.clear();
        bounds.clear();
        for (q, height_q) in row.iter().enumerate().filter(|(_, h)| h.is_finite()) {
            let mut from = f64::NEG_INFINITY;
            while let Some(&v) = vertices.last() {
                let (a, b) = (q as f64, v as f64);
                from = (height_q + a * a - row[v] - b * b) * halves[q - v];
                if bounds.last().is_some_and(|b| from <= *b) {
                    vertices.pop();
                    bounds.pop();
                    from = f64::NEG_INFINITY;
                } else {
                    break;
                }
            }
            vertices.push(q);
            bounds.push(from);
        }
        let mut k = 0;
        for x in 0..width {
            while bounds.get(k + 1).is_some_and(|b| *b < x as f64) {
                k += 1;
            }
            data.push(vertices.get(k).map_or(f32::INFINITY, |v| {
                let dx = x as f64 - *v as f64;
                // A whole number, so the root of its 32 bits is as exact.
                ((row[*v] + dx * dx) as f32).sqrt()
            }));
        }
    }
    Plane { width, height, data }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn distances_are_the_brute_force_ones(
            (width, height, data) in (1_usize..12, 1_usize..12).prop_flat_map(|(w, h)| {
                (Just(w), Just(h), proptest::collection::vec(proptest::bool::weighted(0.1), w * h))
            }),
        ) {
            let mask = Mask::from_vec(width, height, data).unwrap();
            let found = distance_to(&mask);
            for i in 0..width * height {
                let nearest = (0..width * height)
                    .filter(|j| mask.as_slice()[*j])
                    .map(|j| ((i % width) as f32 - (j % width) as f32).hypot((i / width) as f32 - (j / width) as f32))
                    .fold(f32::INFINITY, f32::min);
                prop_assert!(found.data[i] == nearest || (found.data[i] - nearest).abs() < 1e-4);
            }
        }
    }
}
