//! Lossy coding: decoding, error targets, and bit budgets.

#[path = "../common/mod.rs"]
mod common;

mod budget;
mod calibration;
mod decoding;
mod error_targets;
mod planning;
