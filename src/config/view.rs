use serde::{Deserialize, Serialize};
use wbc_data::HospitalShift;
use wbc_morphology::MeasurementSet;

/// Which viewer makes cell views.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewerKind {
    /// Segmented, centred, scaled to the cell, stain normalised; with measurements.
    Canonical,
    /// The frame as it is, without measurements.
    Plain,
    /// The frame as the published encoder of `model.image_encoder` wants it, without measurements.
    Published,
}

/// How cells are looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ViewSection {
    /// The viewer.
    pub viewer: ViewerKind,
    /// Side of the view in pixels.
    pub side: u32,
    /// Whether the stain of a canonical view's pixels is normalised.
    pub stain_normalised: bool,
    /// Whether the surroundings of the cell are faded to white in a canonical view.
    pub faded: bool,
    /// Groups of measurements that the model sees.
    pub measurements: Vec<String>,
    /// Simulated other hospitals per training cell.
    pub shifted_copies: u32,
    /// How they are simulated.
    pub shift: HospitalShift,
}

impl Default for ViewSection {
    fn default() -> Self {
        Self {
            viewer: ViewerKind::Canonical,
            side: 112,
            stain_normalised: true,
            faded: true,
            measurements: MeasurementSet::for_models().names(),
            shifted_copies: 1,
            shift: HospitalShift::default(),
        }
    }
}
