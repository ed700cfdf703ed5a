use serde::{Deserialize, Serialize};

/// Kinds of change between hospitals. The fields of [`crate::HospitalShift`] that belong to a kind are listed with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShiftKind {
    /// Dyes, staining times and their balance under the same lamp: `dye_mixing_sd`, `staining_*`, `stain_balance_sd`.
    Stain,
    /// Another lamp, light and sensor curve: `lamp_floor`, `illumination_gradient_sd`, `gamma_sd`, `glare_max`.
    Illumination,
    /// A lower resolution: `resize_*`.
    Scale,
    /// Focus and sensor noise: `blur_*`, `noise_sd_max`.
    Blur,
    /// A JPEG round trip: `jpeg_*`.
    Jpeg,
    /// A smaller field of view with the cell off its middle: `crop_*`.
    Crop,
    /// All of them, each as often as its probability says.
    #[default]
    All,
}

impl ShiftKind {
    /// Every kind, all of them together last.
    pub const EVERY: [Self; 7] =
        [Self::Stain, Self::Illumination, Self::Scale, Self::Blur, Self::Jpeg, Self::Crop, Self::All];

    /// The name in configurations and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stain => "stain",
            Self::Illumination => "illumination",
            Self::Scale => "scale",
            Self::Blur => "blur",
            Self::Jpeg => "jpeg",
            Self::Crop => "crop",
            Self::All => "all",
        }
    }

    /// Whether it is all kinds together.
    pub(crate) fn is_all(&self) -> bool {
        *self == Self::All
    }

    /// Whether a shift of this kind makes changes of another.
    pub(crate) fn includes(self, other: Self) -> bool {
        self.is_all() || self == other
    }
}
