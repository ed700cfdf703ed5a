//! Morphology-aware CLIP for white blood cells.
