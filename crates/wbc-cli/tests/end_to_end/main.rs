//! The command as a black box: bad input of every kind, and trainings that are interrupted.

mod captioning;
mod configs;
mod descriptions;
mod images;
mod interruption;
mod reports;
mod runs;
mod support;
mod tables;
mod telling;
