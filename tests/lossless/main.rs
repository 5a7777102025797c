//! Lossless coding: round trips, safetensors checkpoints, and coded size against entropy.

#[path = "../common/mod.rs"]
mod common;

mod entropy;
mod roundtrip;
mod safetensors;
