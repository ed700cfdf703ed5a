//! The wbc-clip command.
