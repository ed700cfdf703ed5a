//! Explains a decision about a cell in morphological terms: attribute evidence, heat maps and nearest captions.
