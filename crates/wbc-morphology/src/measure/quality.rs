//! What makes the masks doubtful, as numbers beside those that were measured on them.

use super::FeatureGroup;
use super::context::CellContext;
use super::define::{OWN, named};
use wbc_core::{MeasurementDef, MeasurementRow, QualityFlag, Unit};

/// One 0 or 1 per [`QualityFlag`], so that who reads measurements knows how far to trust them. What only a segmenter can
/// see, several candidates and contrast, is undefined where masks are measured without flags
/// ([`super::MeasurementSet::measure`]). With flags ([`super::MeasurementSet::measure_segmented`]) a 0 is as good as the
/// segmenter that set them: [`crate::GivenMasks`] looks for neither of the two, so that they always read 0 with it.
///
/// [`QualityFlag::NoCell`] is left out: without a cell nothing is measured, and nothing to be trusted.
pub struct Quality;

impl Quality {
    /// Name of the group.
    pub(crate) const NAME: &'static str = "quality";
}

/// The flags with what they mean.
const FLAGS: [(QualityFlag, &str); 4] = [
    (QualityFlag::TouchesFrame, "1 where the cell is cut by the frame, else 0"),
    (QualityFlag::SeveralCandidates, "1 where more than one nucleus stood apart and the central one was taken, else 0"),
    (QualityFlag::LowContrast, "1 where nucleus and background hardly differ, else 0"),
    (QualityFlag::ImplausibleArea, "1 where nucleus or cell is implausibly small or large for the frame, else 0"),
];

impl FeatureGroup for Quality {
    fn name(&self) -> String {
        Self::NAME.into()
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        FLAGS.map(|(flag, meaning)| named(format!("quality.{}", flag.as_str()), Unit::Flag, meaning, OWN)).into()
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        let told = |flag| match (cell.flags(), flag) {
            (Some(flags), _) => Some(flags.contains(flag)),
            (None, QualityFlag::SeveralCandidates | QualityFlag::LowContrast) => None,
            (None, _) => Some(cell.mask_flags().contains(flag)),
        };
        out.extend(FLAGS.map(|(flag, _)| told(flag).map(|set| f64::from(u8::from(set)))));
    }
}
