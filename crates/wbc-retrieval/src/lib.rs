//! Nearest-neighbour search over embeddings and retrieval metrics.
