//! Haralick's texture features at the image's own resolution.

use super::FeatureGroup;
use super::context::{CellContext, Compartment};
use super::define::define;
use super::glcm::{GlcmProperties, LevelImage, PairCounter};
use wbc_core::{MeasurementDef, MeasurementRow, Unit};

/// Grey is reduced to 64 levels of 4.
const LEVEL_SHIFT: u32 = 2;
/// Distances of pairs, in pixels of the image.
const DISTANCES: [usize; 3] = [1, 3, 5];
type Property = (&'static str, &'static str, fn(&GlcmProperties) -> f64);

/// At every distance.
const PROPERTIES: [Property; 10] = [
    ("contrast", "sum of P (i - j)²", |p| p.contrast),
    ("dissimilarity", "sum of P |i - j|", |p| p.dissimilarity),
    ("homogeneity", "sum of P / (1 + (i - j)²)", |p| p.homogeneity),
    ("asm", "angular second moment, sum of P²", |p| p.asm),
    ("energy", "square root of the sum of P²", |p| p.energy),
    ("correlation", "correlation of i and j", |p| p.correlation),
    ("mean", "mean of i, levels counted from 0", |p| p.mean),
    ("variance", "variance of i", |p| p.variance),
    ("std", "standard deviation of i", |p| p.std),
    ("entropy", "-sum of P ln P", |p| p.entropy),
];

/// Those of mahotas that are not among them, at the first distance.
const MORE: [Property; 7] = [
    ("sum_average", "mean of i + j, levels counted from 1", |p| p.sum_average),
    ("sum_variance", "variance of i + j", |p| p.sum_variance),
    ("sum_entropy", "entropy of i + j in bits", |p| p.sum_entropy),
    ("difference_variance", "variance of the probabilities of |i - j| over 0 to the highest level that occurs", |p| {
        p.difference_variance
    }),
    ("difference_entropy", "entropy of |i - j| in bits", |p| p.difference_entropy),
    ("imc1", "first information measure of correlation", |p| p.imc1),
    ("imc2", "second information measure of correlation", |p| p.imc2),
];

/// Properties of the co-occurrence of grey levels of one part, mean of four directions.
///
/// Grey of the image as it is (see [`CellContext::grey_u8`]), 64 levels of 4, pairs with both pixels inside, symmetric;
/// 1, 3 and 5 pixels of the image apart (diagonals 1, 2 and 4 per axis, as scikit-image rounds them). `contrast` to
/// `entropy` are scikit-image's `graycoprops`, the others mahotas' `haralick(ignore_zeros=True)`. The six features that
/// both have differ in name only, but for entropy: mahotas gives bits. A direction without a pair is left out of the mean.
pub struct Haralick(Compartment);

impl Haralick {
    /// Of one part of the cell.
    pub fn of(part: Compartment) -> Self {
        Self(part)
    }
}

impl FeatureGroup for Haralick {
    fn name(&self) -> String {
        format!("{}_haralick", self.0.as_str())
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        let one = |(name, formula, _): &Property, distance: usize, source: &str| {
            let definition = format!(
                "{formula}; P: co-occurrence of grey in 64 levels, pairs {distance} px apart, mean of four directions"
            );
            define(self.0, &format!("texture.{name}.d{distance}.l64"), Unit::Ratio, &definition, source)
        };
        let every = DISTANCES.map(|d| PROPERTIES.map(|p| one(&p, d, "scikit-image graycomatrix, graycoprops")));
        let more = MORE.map(|p| one(&p, DISTANCES[0], "mahotas haralick; Haralick 1973"));
        every.into_iter().flatten().chain(more).collect()
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        let image = levels(cell, self.0);
        let mut counter = PairCounter::new();
        let mut mean_of = |distance: usize| {
            let found = counter.properties(&image, distance);
            move |(_, _, of): Property| {
                let values = found.iter().flatten().map(of);
                let count = found.iter().flatten().count();
                (count > 0).then(|| values.sum::<f64>() / count as f64)
            }
        };
        let near = mean_of(DISTANCES[0]);
        out.extend(PROPERTIES.map(&near));
        for distance in &DISTANCES[1..] {
            out.extend(PROPERTIES.map(mean_of(*distance)));
        }
        out.extend(MORE.map(&near));
    }
}

/// Levels 1 to 64 of a part's grey, 0 outside.
fn levels(cell: &CellContext, part: Compartment) -> LevelImage {
    let (x0, y0, x1, y1) = cell.bounds(part).unwrap_or_default();
    let width = cell.width();
    let mut image = vec![0; cell.width() * cell.height()];
    for (start, end) in cell.runs(part) {
        let grey = &cell.grey_u8()[*start..*end];
        image[*start..*end].iter_mut().zip(grey).for_each(|(level, g)| *level = (g >> LEVEL_SHIFT) + 1);
    }
    LevelImage::new(image.chunks_exact(width).take(y1).skip(y0).map(|row| &row[x0..x1]), x1 - x0, DISTANCES[2])
}
