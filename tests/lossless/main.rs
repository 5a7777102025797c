//! Readers and lossless coding: random access, spans, streams, round trips, safetensors checkpoints, and
//! encoded size against entropy.

#[path = "../common/mod.rs"]
mod common;

mod entropy;
mod reader;
mod roundtrip;
mod safetensors;
mod spans;
