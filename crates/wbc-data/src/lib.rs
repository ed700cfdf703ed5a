//! Datasets of blood cells: registry, adapters, verification, splits, shifts, augmentation, view cache, batches and synthetic cells.
