//! Turns attributes and measurements of a cell into diverse captions and checks that they are faithful.
