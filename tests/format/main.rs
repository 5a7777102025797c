//! The container format: golden files, an independent decoder, corruption, and the fuzz corpus.

#[path = "../common/mod.rs"]
mod common;
mod spec_decoder;

mod corruption;
mod fuzz_corpus;
mod golden;
mod lossy_corruption;
mod spec;
mod spec_lossy;
mod spec_segments;
