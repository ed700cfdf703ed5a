//! Segments nucleus and cytoplasm of white blood cells and measures them: named quantities with units, and the canonical cell view.
