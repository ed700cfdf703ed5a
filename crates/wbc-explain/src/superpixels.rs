//! Patches of a view that follow its edges: nucleus and cytoplasm are seldom in the same.

use crate::filters::surroundings;
use image::RgbImage;

/// Rounds of k-means, as in the paper.
const ROUNDS: usize = 10;
/// A difference of colour on the 8-bit scale that counts as much as the distance of two neighbouring seeds.
const COMPACTNESS: f32 = 20.0;
/// Distance from the colour of the surroundings, on the 8-bit scale, from which a pixel shows something.
const FAINT: f32 = 30.0;

/// SLIC superpixels (Achanta et al. 2012) of what a square view shows beside its surroundings, about `n` of them: k-means
/// over place and colour, here plain RGB and the whole view, from seeds on a grid that stay there; pieces are not
/// joined, so that a superpixel may be in several.
///
/// Per pixel the number of its superpixel, and how many there are. 0 are the surroundings.
pub(crate) fn superpixels(view: &RgbImage, n: usize) -> (Vec<usize>, usize) {
    let side = view.width() as usize;
    let empty = surroundings(view).0.map(f32::from);
    let pixels: Vec<[f32; 3]> = view.pixels().map(|p| p.0.map(f32::from)).collect();
    let shown = |p: &usize| pixels[*p].iter().zip(empty).map(|(a, b)| (a - b).powi(2)).sum::<f32>() > FAINT * FAINT;
    let places: Vec<usize> = (0..pixels.len()).filter(shown).collect();
    let mut numbers = vec![0; pixels.len()];
    let step = (places.len() as f32 / n.max(1) as f32).sqrt().max(2.0);
    let point = |p: usize| -> [f32; 5] {
        let [r, g, b] = pixels[p].map(|v| v * step / COMPACTNESS);
        [r, g, b, (p % side) as f32, (p / side) as f32]
    };
    let along = || (0..).map(|i| ((i as f32 + 0.5) * step) as usize).take_while(|v| *v < side);
    let seeds = along().flat_map(|y| along().map(move |x| y * side + x)).filter(shown);
    let mut centres: Vec<[f32; 5]> = seeds.map(point).collect();
    if centres.is_empty() {
        // something so small that no seed fell on it
        centres.extend(places.first().map(|p| point(*p)));
    }
    for _ in 0..ROUNDS {
        let mut sums = vec![([0.0; 5], 0.0); centres.len()];
        for p in &places {
            let own = point(*p);
            let nearest = nearest(&centres, own);
            numbers[*p] = nearest + 1;
            let (sum, count) = &mut sums[nearest];
            sum.iter_mut().zip(own).for_each(|(s, v)| *s += v);
            *count += 1.0;
        }
        for (centre, (sum, count)) in centres.iter_mut().zip(sums).filter(|(_, (_, count))| *count > 0.0) {
            *centre = sum.map(|s| s / count);
        }
    }
    (numbers, centres.len() + 1)
}

/// The nearest centre, the first among equals.
fn nearest(centres: &[[f32; 5]], point: [f32; 5]) -> usize {
    let distance = |c: &[f32; 5]| c.iter().zip(point).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
    let mut best = (0, f32::INFINITY);
    for (i, centre) in centres.iter().enumerate() {
        let d = distance(centre);
        if d < best.1 {
            best = (i, d);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn superpixels_follow_edges_and_leave_the_surroundings_out() {
        let view = RgbImage::from_fn(64, 64, |x, y| {
            let r = (x as f32 - 31.5).hypot(y as f32 - 31.5);
            Rgb(if r < 12.0 {
                [90, 40, 140]
            } else if r < 26.0 {
                [200, 170, 210]
            } else {
                [250; 3]
            })
        });
        let (numbers, n) = superpixels(&view, 24);
        assert!((18..=32).contains(&n), "{n}");
        assert_eq!(numbers.iter().max(), Some(&(n - 1)));
        let mut colours = vec![std::collections::BTreeMap::<[u8; 3], usize>::new(); n];
        view.pixels().zip(&numbers).for_each(|(p, s)| *colours[*s].entry(p.0).or_default() += 1);
        assert!(colours[0].len() == 1 && colours[0].contains_key(&[250; 3]), "{:?}", colours[0]);
        let mixed = colours.iter().filter(|c| c.len() > 1).count();
        assert!(mixed <= 1, "nucleus and cytoplasm are in the same {mixed} times");
        assert_eq!(superpixels(&view, 24), (numbers, n));
    }

    #[test]
    fn an_empty_view_is_all_surroundings_and_a_speck_is_one_superpixel() {
        let empty = RgbImage::from_pixel(20, 20, Rgb([240; 3]));
        assert_eq!(superpixels(&empty, 24), (vec![0; 400], 1));
        let mut speck = empty;
        speck.put_pixel(7, 9, Rgb([10; 3]));
        let (numbers, n) = superpixels(&speck, 24);
        assert_eq!((n, numbers[9 * 20 + 7], numbers.iter().sum::<usize>()), (2, 1, 1));
    }
}
