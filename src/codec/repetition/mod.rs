//! Chunks with rows that repeat: copies of earlier rows of the chunk are left out, and another lossless
//! codec codes the rest.
//!
//! `runs.rs` reads where the copies are and inserts them; `encode.rs` finds them.

#[cfg(feature = "encode")]
mod encode;
mod runs;

#[cfg(feature = "encode")]
pub(crate) use encode::{Distinct, distinct};
pub(crate) use runs::Rows;
