//! Dual encoder, contrastive losses with many positives and contrast sets, and training with exact resume.
