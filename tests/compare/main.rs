//! Comparison of models by weights and by outputs, and analysis of models.

#[path = "../common/mod.rs"]
mod common;

mod analysis;
mod outputs;
mod statistics;
mod weights;
