use serde::{Deserialize, Serialize};

/// Bounds on untrusted input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest file that is read, in bytes.
    pub max_file_bytes: u64,
    /// Largest image side, in pixels.
    pub max_side_px: u32,
    /// Largest image area, in pixels.
    pub max_area_px: u64,
    /// Largest number of rows of a table.
    pub max_rows: u64,
    /// Longest line of a text file, in bytes.
    pub max_line_bytes: usize,
}

impl Default for Limits {
    /// 64 MiB files, sides up to 16,384 px, 64 Mpx, ten million rows, 1 MiB lines.
    fn default() -> Self {
        Self {
            max_file_bytes: 64 << 20,
            max_side_px: 16_384,
            max_area_px: 64 << 20,
            max_rows: 10_000_000,
            max_line_bytes: 1 << 20,
        }
    }
}
