//! Which measurements are made, by the names of their groups.

use super::{
    BackgroundRatios, BesideRedCells, Blobs, CieLab, Colour, ColourContrast, Compartment, FeatureGroup, Granularity,
    Granules, Halo, Haralick, Intensity, Layout, Lbp, Lobes, Outline, Percentiles, Quality, Radial, RegionProps, Shape,
    Sizes, Stains, Texture, Vacuoles, Zernike, measure_flagged, measure_groups, schema_of,
};
use crate::MorphologyError;
use std::fmt;
use std::sync::{Arc, LazyLock};
use wbc_core::{CellMasks, MeasurementRow, MeasurementSchema, RgbImage, Segmentation};

/// Name and version of the built-in definitions.
const SCHEMA: (&str, u32) = ("wbc-morphology", 2);

/// Built-in groups that [`MeasurementSet::all`] leaves out, since another group, or a table's column `flags`, holds their
/// values.
const HELD_BY_OTHERS: [&str; 2] = ["sizes", Quality::NAME];

/// What is asked for by name alone: it looks at the whole surroundings, which takes longer than any other group.
const BY_NAME: [&str; 1] = [BesideRedCells::NAME];

/// Groups that models see by default: free of orientation and place, and of scale but for the two sizes. What
/// `docs/results/measurement-groups.md` says of fewer: the model reads its own hospital as well, and others worse.
const FOR_MODELS: [&str; 26] = [
    "sizes",
    "nucleus_shape",
    "cell_shape",
    "nucleus_outline",
    "cell_outline",
    "nucleus_zernike",
    "cell_zernike",
    "lobes",
    "layout",
    "colour",
    "colour_contrast",
    "granules",
    "percentiles",
    "texture",
    "background_ratios",
    "stains",
    "cielab",
    "nucleus_haralick",
    "cytoplasm_haralick",
    "lbp",
    "granularity",
    "nucleus_radial",
    "cell_radial",
    "halo",
    "vacuoles",
    Quality::NAME,
];

/// Some of the built-in groups of measurements, with the definitions of what they measure.
///
/// ```
/// use wbc_morphology::MeasurementSet;
///
/// let shape = MeasurementSet::of(&["nucleus_shape", "nucleus_region_props"])?;
/// assert!(shape.schema().index("nucleus.solidity").is_some());
/// assert!(MeasurementSet::of(&["nucleus_beauty"]).is_err());
/// # Ok::<(), wbc_morphology::MorphologyError>(())
/// ```
#[derive(Clone)]
pub struct MeasurementSet {
    groups: Arc<[Box<dyn FeatureGroup>]>,
    schema: Arc<MeasurementSchema>,
}

impl MeasurementSet {
    /// Every built-in measurement, each once, but for the group `red_cells`, which takes long.
    pub fn all() -> Self {
        static ALL: LazyLock<MeasurementSet> = LazyLock::new(|| {
            let groups = builtin_groups().into_iter();
            let left_out = |name: &str| HELD_BY_OTHERS.contains(&name) || BY_NAME.contains(&name);
            MeasurementSet::new(groups.filter(|g| !left_out(&g.name())).collect())
        });
        ALL.clone()
    }

    /// What models see by default.
    pub fn for_models() -> Self {
        static FOR_MODELS_SET: LazyLock<MeasurementSet> = LazyLock::new(|| {
            let groups = builtin_groups().into_iter();
            MeasurementSet::new(groups.filter(|g| FOR_MODELS.contains(&g.name().as_str())).collect())
        });
        FOR_MODELS_SET.clone()
    }

    /// The groups with these names, in their built-in order.
    ///
    /// # Errors
    /// [`MorphologyError::Parameter`] for a name that no group has, no name at all, and groups that hold a measurement
    /// twice.
    pub fn of<S: AsRef<str>>(names: &[S]) -> Result<Self, MorphologyError> {
        let known: Vec<String> = builtin_groups().iter().map(|g| g.name()).collect();
        let refuse = |expected: &'static str, found: String| MorphologyError::Parameter {
            field: "measurements",
            expected,
            found,
        };
        if let Some(unknown) = names.iter().find(|n| !known.iter().any(|k| k == n.as_ref())) {
            return Err(refuse(
                "names of groups of measurements",
                format!("`{}`, known are {}", unknown.as_ref(), known.join(", ")),
            ));
        }
        let wanted = |name: String| names.iter().any(|n| n.as_ref() == name);
        let set = Self::new(builtin_groups().into_iter().filter(|g| wanted(g.name())).collect());
        let mut sorted: Vec<&str> = set.schema.names().collect();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|w| w[0] == w[1]) {
            return Err(refuse("groups without common measurements", format!("`{}` twice", twice[0])));
        }
        if sorted.is_empty() {
            return Err(refuse("at least one group of measurements", "none".into()));
        }
        Ok(set)
    }

    fn new(groups: Vec<Box<dyn FeatureGroup>>) -> Self {
        let schema = Arc::new(schema_of(SCHEMA.0, SCHEMA.1, &groups));
        Self { groups: groups.into(), schema }
    }

    /// Definitions of the measurements, in the order of the values.
    pub fn schema(&self) -> &MeasurementSchema {
        &self.schema
    }

    /// Names of the groups, in order.
    pub fn names(&self) -> Vec<String> {
        self.groups.iter().map(|g| g.name()).collect()
    }

    /// Measures one cell with the doubts that came with its masks; see [`measure_groups`].
    pub fn measure_segmented(&self, image: &RgbImage, found: &Segmentation) -> MeasurementRow {
        measure_flagged(image, &found.masks, Some(found.flags), &self.groups)
    }

    /// Measures one cell; see [`measure_groups`].
    pub fn measure(&self, image: &RgbImage, masks: &CellMasks) -> MeasurementRow {
        measure_groups(image, masks, &self.groups)
    }
}

impl PartialEq for MeasurementSet {
    fn eq(&self, other: &Self) -> bool {
        self.schema == other.schema
    }
}

impl fmt::Debug for MeasurementSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MeasurementSet").field(&self.names()).finish()
    }
}

/// Every built-in group. What is in pixels of the image comes first, what is asked for by name alone last.
pub fn builtin_groups() -> Vec<Box<dyn FeatureGroup>> {
    use Compartment::{Cell, Cytoplasm, Nucleus};
    vec![
        Box::new(Sizes),
        Box::new(RegionProps::of(Nucleus)),
        Box::new(RegionProps::of(Cell)),
        Box::new(Shape::of(Nucleus)),
        Box::new(Shape::of(Cell)),
        Box::new(Outline::of(Nucleus)),
        Box::new(Outline::of(Cell)),
        Box::new(Zernike::of(Nucleus)),
        Box::new(Zernike::of(Cell)),
        Box::new(Lobes),
        Box::new(Layout),
        Box::new(Colour),
        Box::new(ColourContrast),
        Box::new(Granules),
        Box::new(Percentiles),
        Box::new(Texture),
        Box::new(Intensity::of(Nucleus)),
        Box::new(Intensity::of(Cytoplasm)),
        Box::new(BackgroundRatios),
        Box::new(Stains),
        Box::new(CieLab),
        Box::new(Haralick::of(Nucleus)),
        Box::new(Haralick::of(Cytoplasm)),
        Box::new(Lbp),
        Box::new(Granularity),
        Box::new(Blobs),
        Box::new(Radial::of(Nucleus)),
        Box::new(Radial::of(Cell)),
        Box::new(Halo),
        Box::new(Vacuoles),
        Box::new(Quality),
        Box::new(BesideRedCells),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_of_groups_are_unique_and_those_for_models_exist() {
        let names: Vec<String> = builtin_groups().iter().map(|g| g.name()).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert_eq!(MeasurementSet::for_models().names().len(), FOR_MODELS.len());
        assert_eq!(MeasurementSet::of(&FOR_MODELS).unwrap(), MeasurementSet::for_models());
        assert_eq!(MeasurementSet::all().names().len(), names.len() - HELD_BY_OTHERS.len() - BY_NAME.len());
        for name in BY_NAME {
            let named = |set: MeasurementSet| set.names().iter().any(|n| n == name);
            assert!(!named(MeasurementSet::all()) && !named(MeasurementSet::for_models()), "{name}");
            assert_eq!(MeasurementSet::of(&[name]).unwrap().names(), [name]);
        }
    }

    #[test]
    fn models_see_nothing_that_hangs_on_the_pixel_but_two_sizes() {
        let set = MeasurementSet::for_models();
        let absolute = set.schema().measurements.iter().filter(|m| m.unit.pixel_power() != 0);
        assert_eq!(absolute.count(), 2);
    }

    #[test]
    fn unknown_missing_and_double_groups_are_refused() {
        let refused = |names: &[&str]| MeasurementSet::of(names).unwrap_err().to_string();
        assert!(refused(&["lobes", "beauty"]).contains("beauty"));
        assert!(refused(&[]).contains("at least one"));
        assert!(refused(&["sizes", "cell_region_props"]).contains("cell.equivalent_diameter_area"));
    }
}
