//! Heat maps by giving superpixels back to a blurred view, and by that and gradients together.

use crate::ExplainError;
use crate::filters::soft_view;
use crate::heat::{HeatField, Look};
use crate::heat_methods::{Gradient, HeatKind, HeatMethod};
use crate::pixel_branch::PixelBranch;
use crate::probability::dot;
use crate::superpixels::superpixels;
use image::RgbImage;
use rand::Rng;
use rand::seq::SliceRandom;
use wbc_core::seeded_rng;
use wbc_encoders::{ImageEncoder, TextEncoder};
use wbc_morphology::{gaussian_blurred, solve_positive_definite};

/// Superpixels of a view, about.
const SUPERPIXELS: usize = 24;
/// Pairs of views that are asked about: some superpixels are sharp in one, the others in the other.
const PAIRS: usize = 64;
/// Penalty on the squares of what superpixels are worth.
const RIDGE: f64 = 2.0;
/// Keeps the random choices apart from others.
const STREAM: u64 = 0x7375_7272;
/// How much more gradients count than superpixels when both are joined.
const GRADIENT_WEIGHT: f32 = 2.0;
/// What a whole map moves a cosine by where it is but rounding.
const ROUNDING: f32 = 1e-6;

/// What each superpixel is worth, by ridge regression of the cosine on which of them are sharp in an otherwise blurred view
/// (LIME, Ribeiro et al. 2016, without its weights by distance: coalitions of all sizes come equally often, in pairs of
/// opposites as Covert and Lee 2021 draw them), per pixel of its area.
pub(crate) struct Superpixels<'m, I: ImageEncoder, T: TextEncoder>(pub(crate) PixelBranch<'m, I, T>);

impl<I: ImageEncoder, T: TextEncoder> HeatMethod for Superpixels<'_, I, T> {
    fn kind(&self) -> HeatKind {
        HeatKind::Superpixels
    }

    fn maps(&self, view: &RgbImage, directions: &[Vec<f32>]) -> Result<Option<Vec<HeatField>>, ExplainError> {
        if !self.0.model.model.image.sees_pixels() {
            return Ok(None);
        }
        let side = view.width() as usize;
        let (numbers, n) = superpixels(view, SUPERPIXELS);
        let nothing = || HeatField { side, values: vec![0.0; side * side] };
        if n < 3 {
            return Ok(Some(directions.iter().map(|_| nothing()).collect()));
        }
        let coalitions = coalitions(n);
        let (soft, looks) = (soft_view(view), Look::all(0));
        // every pair is seen from another side
        let views = coalitions.iter().enumerate().map(|(i, within)| {
            let mixed = RgbImage::from_fn(view.width(), view.height(), |x, y| {
                let sharp = within[numbers[y as usize * side + x as usize]];
                *if sharp { view } else { &soft }.get_pixel(x, y)
            });
            looks[i / 2 % looks.len()].pixels(&mixed)
        });
        let embedded = self.0.look(side, views)?;
        let cosines = directions.iter().map(|direction| {
            let rows = embedded.view();
            rows.rows().into_iter().map(|row| dot(row.as_slice().unwrap_or_default(), direction)).collect()
        });
        let worths = worths(&coalitions, cosines.collect());
        let mut areas = vec![0.0_f32; n];
        numbers.iter().for_each(|s| areas[*s] += 1.0);
        let map = |worths: Vec<f64>| {
            let values = numbers.iter().map(|s| worths[*s] as f32 / areas[*s]).collect();
            HeatField { side, values: gaussian_blurred(values, side, side as f32 / 64.0) }
        };
        Ok(Some(worths.into_iter().map(map).collect()))
    }
}

/// Which of `n` superpixels are sharp, in pairs of opposites.
fn coalitions(n: usize) -> Vec<Vec<bool>> {
    let mut rng = seeded_rng(&[STREAM]);
    let mut all = Vec::with_capacity(2 * PAIRS);
    for _ in 0..PAIRS {
        let within = rng.random_range(1..n);
        let mut coalition: Vec<bool> = (0..n).map(|i| i < within).collect();
        coalition.shuffle(&mut rng);
        all.push(coalition.iter().map(|c| !c).collect());
        all.push(coalition);
    }
    all
}

/// What being within adds to each list of answers, by ridge regression. In pairs of opposites everybody is within as often
/// as not, so that no constant term is needed.
fn worths(coalitions: &[Vec<bool>], answers: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let n = coalitions.first().map_or(0, Vec::len);
    let half = |within: bool| if within { 0.5 } else { -0.5 };
    let mut gram = vec![0.0; n * n];
    for coalition in coalitions {
        for (i, a) in coalition.iter().enumerate() {
            gram[i * n..(i + 1) * n].iter_mut().zip(coalition).for_each(|(g, b)| *g += half(*a) * half(*b));
        }
    }
    (0..n).for_each(|i| gram[i * n + i] += RIDGE);
    let side = |answers: Vec<f64>| {
        let mut side = vec![0.0; n];
        for (coalition, answer) in coalitions.iter().zip(answers) {
            side.iter_mut().zip(coalition).for_each(|(s, within)| *s += half(*within) * answer);
        }
        side
    };
    solve_positive_definite(gram, answers.into_iter().map(side).collect())
}

/// Gradients, which find what is lost with a place, and superpixels, which find what a place brings back.
pub(crate) struct Joint<'m, I: ImageEncoder, T: TextEncoder>(pub(crate) PixelBranch<'m, I, T>);

impl<I: ImageEncoder, T: TextEncoder> HeatMethod for Joint<'_, I, T> {
    fn kind(&self) -> HeatKind {
        HeatKind::Joint
    }

    fn maps(&self, view: &RgbImage, directions: &[Vec<f32>]) -> Result<Option<Vec<HeatField>>, ExplainError> {
        let Some(gradients) = Gradient(self.0).maps(view, directions)? else { return Ok(None) };
        let Some(superpixels) = Superpixels(self.0).maps(view, directions)? else { return Ok(None) };
        Ok(Some(joined(&gradients, &superpixels)))
    }
}

/// Maps of the same directions added, each at a mean size of 1 first.
pub(crate) fn joined(gradients: &[HeatField], superpixels: &[HeatField]) -> Vec<HeatField> {
    gradients.iter().zip(superpixels).map(|(g, s)| added(g, s)).collect()
}

fn added(gradient: &HeatField, superpixels: &HeatField) -> HeatField {
    let scale = |field: &HeatField| {
        let all = field.values.iter().map(|v| v.abs()).sum::<f32>();
        if all > ROUNDING { field.values.len() as f32 / all } else { 0.0 }
    };
    let (a, b) = (scale(gradient) * GRADIENT_WEIGHT, scale(superpixels));
    let values = gradient.values.iter().zip(&superpixels.values).map(|(g, s)| a * g + b * s).collect();
    HeatField { side: gradient.side, values }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_within_as_often_as_not_and_in_groups_of_all_sizes() {
        let all = coalitions(9);
        assert_eq!(all.len(), 2 * PAIRS);
        for i in 0..9 {
            assert_eq!(all.iter().filter(|c| c[i]).count(), PAIRS);
        }
        let sizes: std::collections::BTreeSet<usize> =
            all.iter().map(|c| c.iter().filter(|within| **within).count()).collect();
        assert_eq!(sizes, (1..9).collect());
        assert_eq!(all, coalitions(9));
    }

    #[test]
    fn regression_finds_what_each_is_worth() {
        let all = coalitions(7);
        let worth = [0.3, -0.1, 0.0, 0.7, 0.02, 0.0, -0.4];
        let answer =
            |c: &Vec<bool>| 5.0 + c.iter().zip(worth).filter(|(within, _)| **within).map(|(_, w)| w).sum::<f64>();
        let found = worths(&all, vec![all.iter().map(answer).collect(), vec![1.0; all.len()]]);
        // the penalty draws them to 0 by less than a tenth
        assert!(found[0].iter().zip(worth).all(|(f, w)| (f - w).abs() < 0.08), "{:?}", found[0]);
        assert!(found[1].iter().all(|f| f.abs() < 1e-12), "what is always the same is nobody's worth");
    }

    #[test]
    fn joined_maps_count_by_their_mean_size() {
        let field = |values: [f32; 4]| HeatField { side: 2, values: values.to_vec() };
        let (g, s) = (field([4.0, 0.0, 0.0, -4.0]), field([0.0, 0.02, 0.02, 0.0]));
        assert_eq!(added(&g, &s).values, [4.0, 2.0, 2.0, -4.0]);
        assert_eq!(added(&field([0.0; 4]), &s).values, [0.0, 2.0, 2.0, 0.0]);
        assert_eq!(added(&field([1e-8; 4]), &s).values, [0.0, 2.0, 2.0, 0.0], "rounding");
    }
}
