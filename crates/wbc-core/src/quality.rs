use serde::{Deserialize, Serialize};
use std::fmt;

/// What makes a segmentation, and all that follows from it, doubtful.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QualityFlag {
    /// No cell was found: masks are empty, measurements undefined, the view is the plain frame.
    NoCell,
    /// The cell is cut by the frame.
    TouchesFrame,
    /// More than one nucleus stood apart; the central one was taken.
    SeveralCandidates,
    /// Nucleus and background hardly differ.
    LowContrast,
    /// Nucleus or cell is implausibly small or large for the frame.
    ImplausibleArea,
}

impl QualityFlag {
    /// All flags, in the order in which they are written.
    pub const ALL: [Self; 5] =
        [Self::NoCell, Self::TouchesFrame, Self::SeveralCandidates, Self::LowContrast, Self::ImplausibleArea];

    /// The name used in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoCell => "no_cell",
            Self::TouchesFrame => "touches_frame",
            Self::SeveralCandidates => "several_candidates",
            Self::LowContrast => "low_contrast",
            Self::ImplausibleArea => "implausible_area",
        }
    }
}

/// A set of [`QualityFlag`]s; displayed joined by `;`, empty when nothing is doubtful.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct QualityFlags(u8);

impl QualityFlags {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// Adds a flag.
    pub fn insert(&mut self, flag: QualityFlag) {
        self.0 |= 1 << flag as u8;
    }

    /// Whether the flag is set.
    pub fn contains(self, flag: QualityFlag) -> bool {
        self.0 & (1 << flag as u8) != 0
    }

    /// Whether no flag is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The set flags, in fixed order.
    pub fn iter(self) -> impl Iterator<Item = QualityFlag> {
        QualityFlag::ALL.into_iter().filter(move |f| self.contains(*f))
    }

    /// The set as a bit pattern, for compact storage.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// From a bit pattern; unknown bits are dropped.
    pub fn from_bits(bits: u8) -> Self {
        QualityFlag::ALL.into_iter().filter(|f| bits & (1 << *f as u8) != 0).collect()
    }
}

impl FromIterator<QualityFlag> for QualityFlags {
    fn from_iter<I: IntoIterator<Item = QualityFlag>>(flags: I) -> Self {
        let mut set = Self::NONE;
        flags.into_iter().for_each(|f| set.insert(f));
        set
    }
}

impl fmt::Display for QualityFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, flag) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(";")?;
            }
            f.write_str(flag.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_written_in_fixed_order() {
        let flags: QualityFlags = [QualityFlag::LowContrast, QualityFlag::TouchesFrame].into_iter().collect();
        assert_eq!(flags.to_string(), "touches_frame;low_contrast");
        assert_eq!(QualityFlags::from_bits(flags.bits()), flags);
        assert_eq!(QualityFlags::NONE.to_string(), "");
    }
}
