//! Grey of the image as it is.

use super::FeatureGroup;
use super::context::{CellContext, Compartment, diameter_from_area, grey};
use super::define::define;
use super::histogram::Histogram;
use wbc_core::{MeasurementDef, MeasurementRow, Unit};

const SKIMAGE: &str = "scikit-image regionprops";
const NUMPY: &str = "numpy percentile, linear";
const SCIPY: &str = "scipy.stats";
const CELLPROFILER: &str = "CellProfiler MeasureObjectIntensity";

/// Name, unit, definition, source; in the order of the values.
const ALL: [(&str, Unit, &str, &str); 13] = [
    ("intensity_mean", Unit::Colour, "mean grey (0 to 255)", SKIMAGE),
    ("intensity_std", Unit::Colour, "population standard deviation of grey", SKIMAGE),
    ("intensity_min", Unit::Colour, "smallest grey (0 to 255)", SKIMAGE),
    ("intensity_max", Unit::Colour, "largest grey (0 to 255)", SKIMAGE),
    ("intensity_median", Unit::Colour, "median grey (0 to 255)", SKIMAGE),
    ("intensity_p05", Unit::Colour, "percentile 5 of grey (0 to 255)", NUMPY),
    ("intensity_p95", Unit::Colour, "percentile 95 of grey (0 to 255)", NUMPY),
    ("intensity_skew", Unit::Ratio, "skewness of grey (Fisher, biased)", SCIPY),
    ("intensity_kurtosis", Unit::Ratio, "excess kurtosis of grey (Fisher, biased)", SCIPY),
    ("intensity_mad", Unit::Colour, "median distance of grey from its median", SCIPY),
    ("intensity_edge_mean", Unit::Colour, "mean grey of the pixels with one of four neighbours outside", CELLPROFILER),
    (
        "intensity_edge_std",
        Unit::Colour,
        "population standard deviation of grey of the pixels with one of four neighbours outside",
        CELLPROFILER,
    ),
    (
        "intensity_mass_displacement",
        Unit::Ratio,
        "distance between the centroids of the pixels and of their grey / equivalent diameter of the part",
        CELLPROFILER,
    ),
];

/// Statistics of grey in one part of the cell, before any normalisation: (299 R + 587 G + 114 B + 500) / 1000, rounded down.
///
/// Edge pixels are those of scikit-image's `find_boundaries(mode="inner")` with four neighbours; the frame is no edge.
/// CellProfiler gives the mass displacement in pixels; here it is free of scale.
pub struct Intensity(Compartment);

impl Intensity {
    /// Of one part of the cell.
    pub fn of(part: Compartment) -> Self {
        Self(part)
    }
}

impl FeatureGroup for Intensity {
    fn name(&self) -> String {
        format!("{}_intensity", self.0.as_str())
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        ALL.map(|(name, unit, definition, source)| define(self.0, name, unit, definition, source)).into()
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        let (grey, displacement) = grey_of(cell, self.0);
        let Some((((moments, (low, high)), [p05, median, p95]), mad)) = grey
            .moments()
            .zip(grey.range())
            .zip(grey.percentiles([5.0, 50.0, 95.0], |v| v as f64))
            .zip(grey.median_deviation())
        else {
            return out.extend([None; ALL.len()]);
        };
        let edge = edge_mean_std(cell, self.0);
        let values = [
            Some(moments.mean),
            Some(moments.std),
            Some(f64::from(low)),
            Some(f64::from(high)),
            Some(median),
            Some(p05),
            Some(p95),
            Some(moments.skew),
            Some(moments.kurtosis),
            Some(mad),
            edge.map(|(mean, _)| mean),
            edge.map(|(_, std)| std),
            displacement,
        ];
        out.extend(values.map(|v| v.filter(|v| v.is_finite())));
    }
}

/// Histogram of a part's grey, and how far the grey lies off the middle; the latter `None` where all is black.
fn grey_of(cell: &CellContext, part: Compartment) -> (Histogram, Option<f64>) {
    let width = cell.width();
    let mut histogram = Histogram::default();
    let (mut mass, mut area) = ([0_u64; 3], [0_u64; 3]);
    for (start, end) in cell.runs(part) {
        let (x0, y) = (start % width, start / width);
        let (mut total, mut first) = (0_u64, 0_u64);
        for (i, pixel) in cell.raw_rgb()[*start..*end].iter().enumerate() {
            let grey = grey(pixel);
            histogram.add(grey);
            total += u64::from(grey);
            first += u64::from(grey) * (x0 + i) as u64;
        }
        let n = (end - start) as u64;
        let columns = n * x0 as u64 + n * (n - 1) / 2;
        for (sums, add) in [(&mut mass, [total, first, total * y as u64]), (&mut area, [n, columns, n * y as u64])] {
            sums.iter_mut().zip(add).for_each(|(sum, a)| *sum += a);
        }
    }
    let centre = |[n, x, y]: [u64; 3]| (x as f64 / n as f64, y as f64 / n as f64);
    let displacement = (mass[0] > 0).then(|| {
        let (of_mass, of_area) = (centre(mass), centre(area));
        (of_mass.0 - of_area.0).hypot(of_mass.1 - of_area.1) / diameter_from_area(area[0] as usize)
    });
    (histogram, displacement)
}

/// Grey on the inner edge of a part; `None` where it fills the frame.
fn edge_mean_std(cell: &CellContext, part: Compartment) -> Option<(f64, f64)> {
    let (width, raw) = (cell.width(), cell.raw_rgb());
    let mask = cell.mask(part).as_slice();
    let mut edge = Histogram::default();
    for (start, end) in cell.runs(part) {
        let left = start % width;
        let row = start - left;
        let above = row.checked_sub(width).map(|r| &mask[r + left..][..end - start]);
        let below = mask.get(row + width + left..).filter(|m| !m.is_empty()).map(|m| &m[..end - start]);
        for i in 0..end - start {
            let ends = (i == 0 && left > 0) || (start + i + 1 == *end && end - row < width);
            if ends || above.is_some_and(|m| !m[i]) || below.is_some_and(|m| !m[i]) {
                edge.add(grey(&raw[start + i]));
            }
        }
    }
    edge.mean_std(|v| v as f64)
}
