//! Ways to find out which places of a view speak for a text.

use crate::ExplainError;
use crate::filters::{planes, surroundings};
use crate::heat::{HeatField, Look, PatchLooks, smooth_mean};
use crate::layers::Layers;
use crate::pixel_branch::PixelBranch;
use crate::probability::dot;
use crate::surrogate::{Joint, Superpixels, joined};
use image::RgbImage;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wbc_encoders::{ImageEncoder, TextEncoder};
use wbc_morphology::gaussian_blurred;

/// The ways that are built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeatKind {
    /// What every patch adds to the cosine, exactly; averaged over 32 turned and shifted views. Only where the embedding
    /// is the mean of its patches.
    Patches,
    /// Integrated gradients (Sundararajan et al. 2017): gradient of the cosine by the pixels times their distance from an
    /// empty view, along the way from there, over the eight symmetries; smoothed.
    Gradient,
    /// What every position of the encoder's layers adds to the cosine, where a perceptron reads their means and spreads:
    /// integrated gradients by these features, shared out over the positions that make them, over the eight symmetries.
    Layers,
    /// By how much the cosine falls when a square is covered with the colour of the surroundings (Zeiler and Fergus 2014).
    Occlusion,
    /// What each superpixel is worth when it is given back to the blurred view, by regression over many views with some of
    /// them sharp, from all eight sides (LIME, Ribeiro et al. 2016).
    Superpixels,
    /// [`Self::Gradient`] and [`Self::Superpixels`] added, each at the same mean size, gradients twice.
    Joint,
}

impl HeatKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Patches, Self::Gradient, Self::Layers, Self::Occlusion, Self::Superpixels, Self::Joint];

    /// Its name in files and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Patches => "patches",
            Self::Gradient => "gradient",
            Self::Layers => "layers",
            Self::Occlusion => "occlusion",
            Self::Superpixels => "superpixels",
            Self::Joint => "joint",
        }
    }
}

impl std::fmt::Display for HeatKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A way to find out which places of a view speak for a text.
pub trait HeatMethod {
    /// Which one.
    fn kind(&self) -> HeatKind;

    /// A map for each direction of the embedding space, for a square view of the model's side. High values speak for the
    /// direction. `None` where the model has no such maps.
    ///
    /// # Errors
    /// [`ExplainError::Model`] when the model answers with something that is not finite.
    fn maps(&self, view: &RgbImage, directions: &[Vec<f32>]) -> Result<Option<Vec<HeatField>>, ExplainError>;
}

/// The maps of several kinds of those that the model has; what joint maps are made of serves for them where it is asked
/// for, too.
pub(crate) fn maps_of<I: ImageEncoder, T: TextEncoder>(
    kinds: &[HeatKind],
    branch: PixelBranch<'_, I, T>,
    view: &RgbImage,
    directions: &[Vec<f32>],
) -> Result<BTreeMap<HeatKind, Vec<HeatField>>, ExplainError> {
    let mut all: BTreeMap<HeatKind, Vec<HeatField>> = BTreeMap::new();
    // what others are made of comes first
    for kind in HeatKind::ALL.into_iter().filter(|k| kinds.contains(k)) {
        let maps = match (kind, all.get(&HeatKind::Gradient), all.get(&HeatKind::Superpixels)) {
            (HeatKind::Joint, Some(gradients), Some(superpixels)) => Some(joined(gradients, superpixels)),
            _ => heat_method(kind, branch).maps(view, directions)?,
        };
        all.extend(maps.map(|maps| (kind, maps)));
    }
    Ok(all)
}

/// The method of a kind.
pub(crate) fn heat_method<'m, I: ImageEncoder, T: TextEncoder>(
    kind: HeatKind,
    branch: PixelBranch<'m, I, T>,
) -> Box<dyn HeatMethod + 'm> {
    match kind {
        HeatKind::Patches => Box::new(Patches(branch)),
        HeatKind::Gradient => Box::new(Gradient(branch)),
        HeatKind::Layers => Box::new(Layers(branch)),
        HeatKind::Occlusion => Box::new(Occlusion(branch)),
        HeatKind::Superpixels => Box::new(Superpixels(branch)),
        HeatKind::Joint => Box::new(Joint(branch)),
    }
}

struct Patches<'m, I: ImageEncoder, T: TextEncoder>(PixelBranch<'m, I, T>);

impl<I: ImageEncoder, T: TextEncoder> HeatMethod for Patches<'_, I, T> {
    fn kind(&self) -> HeatKind {
        HeatKind::Patches
    }

    fn maps(&self, view: &RgbImage, directions: &[Vec<f32>]) -> Result<Option<Vec<HeatField>>, ExplainError> {
        if !self.0.model.model.image.sees_pixels() {
            return Ok(None);
        }
        let side = view.width() as usize;
        let Some((n_patches, _)) = self.0.patches(side, std::iter::once(planes(view)))? else { return Ok(None) };
        let grid = n_patches.isqrt();
        if grid * grid != n_patches || grid == 0 || side < grid {
            return Ok(None);
        }
        let looks = Look::all((side / grid / 4) as i32);
        let Some((_, patches)) = self.0.patches(side, looks.iter().map(|l| l.pixels(view)))? else { return Ok(None) };
        let looks = PatchLooks { looks, side, grid, dim: self.0.dim(), patches };
        Ok(Some(directions.iter().map(|d| looks.map(d)).collect()))
    }
}

pub(crate) struct Gradient<'m, I: ImageEncoder, T: TextEncoder>(pub(crate) PixelBranch<'m, I, T>);

impl<I: ImageEncoder, T: TextEncoder> HeatMethod for Gradient<'_, I, T> {
    fn kind(&self) -> HeatKind {
        HeatKind::Gradient
    }

    fn maps(&self, view: &RgbImage, directions: &[Vec<f32>]) -> Result<Option<Vec<HeatField>>, ExplainError> {
        if !self.0.model.model.image.sees_pixels() {
            return Ok(None);
        }
        let side = view.width() as usize;
        let size = side * side;
        let empty = surroundings(view).0.map(|v| f32::from(v) / 255.0);
        let looks = Look::all(0);
        // every symmetry looks at another point of the way from the empty view: one average for both
        let part = |i: usize| (i as f32 + 0.5) / looks.len() as f32;
        let seen: Vec<Vec<f32>> = looks.iter().map(|l| l.pixels(view)).collect();
        let on_the_way: Vec<f32> = seen
            .iter()
            .enumerate()
            .flat_map(|(i, look)| {
                look.iter().enumerate().map(move |(j, v)| empty[j / size] + part(i) * (v - empty[j / size]))
            })
            .collect();
        let map = |direction: &Vec<f32>| {
            let Some(gradient) = self.0.gradient(side, on_the_way.clone(), looks.len(), direction)? else {
                return Ok(None);
            };
            let mut sum = vec![0.0; size];
            for ((look, seen), gradient) in looks.iter().zip(&seen).zip(gradient.chunks_exact(3 * size)) {
                let moved = |p: usize| -> f32 {
                    (0..3).map(|c| gradient[c * size + p] * (seen[c * size + p] - empty[c])).sum()
                };
                look.add_back(&(0..size).map(moved).collect::<Vec<_>>(), side, &mut sum);
            }
            Ok(Some(smooth_mean(sum, looks.len(), side)))
        };
        let maps: Vec<Option<HeatField>> = directions.par_iter().map(map).collect::<Result<_, ExplainError>>()?;
        Ok(maps.into_iter().collect())
    }
}

/// Sides of a square that is covered, as shares of the view's.
const SQUARE: usize = 6;
/// Squares that cover a pixel, the same number for all of them.
const COVERED: f64 = 4.0;
/// Where no channel differs more from the cover than this, covering changes nothing.
const BLANK: u8 = 3;

struct Occlusion<'m, I: ImageEncoder, T: TextEncoder>(PixelBranch<'m, I, T>);

impl<I: ImageEncoder, T: TextEncoder> HeatMethod for Occlusion<'_, I, T> {
    fn kind(&self) -> HeatKind {
        HeatKind::Occlusion
    }

    fn maps(&self, view: &RgbImage, directions: &[Vec<f32>]) -> Result<Option<Vec<HeatField>>, ExplainError> {
        if !self.0.model.model.image.sees_pixels() {
            return Ok(None);
        }
        let side = view.width() as usize;
        let cover = surroundings(view);
        let squares = Square::all(side);
        let seen: Vec<&Square> = squares
            .iter()
            .filter(|s| {
                s.pixels().any(|(x, y)| view.get_pixel(x, y).0.iter().zip(cover.0).any(|(a, b)| a.abs_diff(b) > BLANK))
            })
            .collect();
        let covered = |square: &Square| {
            let mut view = view.clone();
            square.pixels().for_each(|(x, y)| view.put_pixel(x, y, cover));
            planes(&view)
        };
        let embedded = self.0.embed(side, std::iter::once(planes(view)).chain(seen.iter().map(|s| covered(s))))?;
        let rows = embedded.view();
        let map = |direction: &Vec<f32>| {
            let cosine = |row: usize| dot(rows.row(row).as_slice().unwrap_or_default(), direction);
            let mut sum = vec![0.0_f64; side * side];
            for (i, square) in seen.iter().enumerate() {
                let drop = cosine(0) - cosine(i + 1);
                square.pixels().for_each(|(x, y)| sum[y as usize * side + x as usize] += drop);
            }
            let mean = sum.into_iter().map(|s| (s / COVERED) as f32).collect();
            HeatField { side, values: gaussian_blurred(mean, side, side as f32 / (4 * SQUARE) as f32) }
        };
        Ok(Some(directions.iter().map(map).collect()))
    }
}

/// A square of the view, ends exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Square {
    x: (u32, u32),
    y: (u32, u32),
}

impl Square {
    /// Squares half of which overlap with the next, cut at the frame: every pixel is in as many as any other.
    fn all(side: usize) -> Vec<Self> {
        let step = (side / (2 * SQUARE)).max(1);
        let ranges: Vec<(u32, u32)> = (0..side.div_ceil(step) + 1)
            .map(|i| ((i * step).saturating_sub(step) as u32, ((i + 1) * step).min(side) as u32))
            .filter(|(a, b)| a < b)
            .collect();
        ranges.iter().flat_map(|y| ranges.iter().map(move |x| Self { x: *x, y: *y })).collect()
    }

    fn pixels(&self) -> impl Iterator<Item = (u32, u32)> + use<> {
        let (x, y) = (self.x, self.y);
        (y.0..y.1).flat_map(move |v| (x.0..x.1).map(move |u| (u, v)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_is_covered_as_often() {
        for side in [12, 16, 112, 225] {
            let mut count = vec![0; side * side];
            for square in Square::all(side) {
                square.pixels().for_each(|(x, y)| count[y as usize * side + x as usize] += 1);
            }
            assert!(count.iter().all(|n| f64::from(*n) == COVERED), "{side}: {:?}", count.iter().max());
        }
        // 112 px: steps of 9, whose squares begin at 0, 0, 9, 18, … 99, 108
        assert_eq!(Square::all(112).len(), 14 * 14);
    }
}
