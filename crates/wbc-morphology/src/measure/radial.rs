//! How grey and stain change from the border of a part inwards, and around the nucleus.

use super::FeatureGroup;
use super::context::{CellContext, Compartment};
use super::define::{OWN, define};
use super::reduced::Reduced;
use wbc_core::{MeasurementDef, MeasurementRow, Unit};

const RINGS: usize = 4;
const WEDGES: usize = 8;
const CELLPROFILER: &str = "CellProfiler MeasureObjectIntensityDistribution";
/// Cytoplasm at most so far from the nucleus, in seventieths of the cell's diameter, is compared with the rest.
const NEAR: usize = 3;
/// Fewer pixels near or far say nothing.
const MIN_HALO_PX: usize = 10;

/// Radial distribution of grey and optical density in nucleus or cell, in four rings.
///
/// After CellProfiler's FracAtD, MeanFrac and RadialCV, on the cell scaled to a diameter of 70 pixels. A ring has the pixels
/// whose distance from the outside of the part lies in one quarter of the largest such distance; ring 1 is the innermost.
/// CellProfiler divides the way from a central pixel to the border instead, which depends on the choice among equal
/// centres. The eight wedges of RadialCV meet at the centroid; pixels on the line between two count in neither.
pub struct Radial(Compartment);

impl Radial {
    /// Of nucleus or cell (or, less meaningful, cytoplasm).
    pub fn of(part: Compartment) -> Self {
        Self(part)
    }
}

impl FeatureGroup for Radial {
    fn name(&self) -> String {
        format!("{}_radial", self.0.as_str())
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        let mut all = Vec::new();
        for (channel, what) in [("grey", "grey of the raw image"), ("od", "optical density after stain normalisation")]
        {
            for (quantity, text) in [
                ("frac_at_d", "share of the part's total"),
                ("mean_frac", "mean in the ring / mean in the part"),
                ("radial_cv", "standard deviation / mean of the means in eight wedges of the ring"),
            ] {
                all.extend((1..=RINGS).map(|ring| {
                    let definition = format!("{text}: {what}, ring {ring} of {RINGS} from the middle to the border");
                    let name = format!("radial.{quantity}.{ring}of{RINGS}.{channel}");
                    define(self.0, &name, Unit::Ratio, &definition, CELLPROFILER)
                }));
            }
        }
        all
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        let reduced = cell.reduced();
        let places = Places::new(reduced, self.0);
        let (grey, od) = (reduced.grey(), reduced.od(cell));
        for values in [places.sums(|i| f64::from(grey[i])), places.sums(|i| f64::from(od[i]))] {
            for quantity in values.distribution() {
                out.extend(quantity);
            }
        }
    }
}

/// Bins of a ring: its wedges, and the lines between them.
const BINS: usize = WEDGES + 1;

/// Pixels of a part, each with its bin: ring times [`BINS`] plus wedge.
struct Places(Vec<(u32, u8)>);

impl Places {
    fn new(reduced: &Reduced, part: Compartment) -> Self {
        let width = reduced.width.max(1);
        let rows = || reduced.mask(part).chunks_exact(width).enumerate();
        let positions =
            || rows().flat_map(|(y, row)| row.iter().enumerate().filter(|(_, m)| **m).map(move |(x, _)| (x, y)));
        let n = reduced.area(part) as i64;
        let (sum_x, sum_y) = positions().fold((0, 0), |sums, (x, y)| (sums.0 + x as i64, sums.1 + y as i64));
        let depth = reduced.depth(part);
        let deepest = depth.iter().copied().fold(0.0, f32::max);
        let mut places = Vec::with_capacity(n as usize);
        for (x, y) in positions() {
            let i = y * width + x;
            // Infinite where the part fills the grid.
            let from_border = if deepest.is_finite() { f64::from(depth[i]) / f64::from(deepest) } else { 1.0 };
            let ring = ((1.0 - from_border) * RINGS as f64) as usize;
            // Whole numbers, so that pixels on a line are told exactly.
            let (dx, dy) = (x as i64 * n - sum_x, y as i64 * n - sum_y);
            let on_a_line = dx == 0 || dy == 0 || dx.abs() == dy.abs();
            let wedge = usize::from(dx > 0) + 2 * usize::from(dy > 0) + 4 * usize::from(dx.abs() > dy.abs());
            let bin = ring.min(RINGS - 1) * BINS + if on_a_line { WEDGES } else { wedge };
            places.push((i as u32, bin as u8));
        }
        Self(places)
    }

    fn sums(&self, value: impl Fn(usize) -> f64) -> RingSums {
        let mut bins = [(0.0, 0.0); RINGS * BINS];
        for (i, bin) in &self.0 {
            let (sum, count) = &mut bins[usize::from(*bin)];
            *sum += value(*i as usize);
            *count += 1.0;
        }
        let mut sums = RingSums::default();
        for (ring, bins) in bins.chunks_exact(BINS).enumerate() {
            sums.rings[ring] = bins.iter().fold((0.0, 0.0), |all, bin| (all.0 + bin.0, all.1 + bin.1));
            sums.wedges[ring].copy_from_slice(&bins[..WEDGES]);
        }
        sums
    }
}

/// Sum and number of values per ring, and per wedge of it.
#[derive(Default)]
struct RingSums {
    rings: [(f64, f64); RINGS],
    wedges: [[(f64, f64); WEDGES]; RINGS],
}

impl RingSums {
    /// FracAtD, MeanFrac and RadialCV of each ring; `None` where a ring is empty or all values are 0.
    fn distribution(&self) -> [[Option<f64>; RINGS]; 3] {
        let (total, count) = self.rings.iter().fold((0.0, 0.0), |(s, n), ring| (s + ring.0, n + ring.1));
        let defined = |ring: usize| self.rings[ring].1 > 0.0 && total > 0.0;
        let rings = [0, 1, 2, 3];
        [
            rings.map(|r| defined(r).then(|| self.rings[r].0 / total)),
            rings.map(|r| defined(r).then(|| self.rings[r].0 / total / (self.rings[r].1 / count))),
            rings.map(|r| if defined(r) { self.variation(r) } else { None }),
        ]
    }

    fn variation(&self, ring: usize) -> Option<f64> {
        let means = || self.wedges[ring].iter().filter(|(_, n)| *n > 0.0).map(|(sum, n)| sum / n);
        let n = means().count() as f64;
        let mean = means().sum::<f64>() / n;
        let variance = means().map(|m| (m - mean).powi(2)).sum::<f64>() / n;
        (n > 0.0 && mean > 0.0).then(|| variance.sqrt() / mean)
    }
}

/// Colour of the cytoplasm next to the nucleus against the rest of it: the pale halo of plasma cells, the dark rim of blasts.
pub struct Halo;

impl FeatureGroup for Halo {
    fn name(&self) -> String {
        "halo".into()
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        let near = "cytoplasm at most 3 seventieths of the cell's diameter from the nucleus";
        let mut all: Vec<_> = ["l", "a", "b"]
            .map(|c| {
                let definition =
                    format!("mean lab_{c} of {near} - mean of the other cytoplasm, after stain normalisation");
                define(Compartment::Cytoplasm, &format!("halo_lab_{c}"), Unit::Colour, &definition, OWN)
            })
            .into();
        let definition =
            format!("mean optical density of {near} / mean of the other cytoplasm, after stain normalisation");
        all.push(define(Compartment::Cytoplasm, "halo_od_ratio", Unit::Ratio, &definition, OWN));
        all
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        let reduced = cell.reduced();
        let (near, lab, od) = (reduced.near_nucleus(NEAR), reduced.lab(cell), reduced.od(cell));
        let mut sums = [[0.0_f64; 4]; 2];
        let mut counts = [0_usize; 2];
        for (i, _) in reduced.mask(Compartment::Cytoplasm).iter().enumerate().filter(|(_, m)| **m) {
            let far = usize::from(!near.as_slice()[i]);
            let [l, a, b] = [&lab[0].data[i], &lab[1].data[i], &lab[2].data[i]];
            sums[far].iter_mut().zip([*l, *a, *b, od[i]]).for_each(|(sum, v)| *sum += f64::from(v));
            counts[far] += 1;
        }
        let defined = counts.iter().all(|n| *n >= MIN_HALO_PX);
        let mean = |far: usize, k: usize| sums[far][k] / counts[far] as f64;
        out.extend([0, 1, 2].map(|k| defined.then(|| mean(0, k) - mean(1, k))));
        out.push((defined && mean(1, 3) > 0.0).then(|| mean(0, 3) / mean(1, 3)));
    }
}
