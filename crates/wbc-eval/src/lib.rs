//! Zero-shot classification, attribute recognition, in- and out-of-distribution protocols, intervals, calibration and reports.
