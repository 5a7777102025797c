//! Encoding byte planes: statistics over the whole tensor, a mode for each plane by its cost, then
//! chunks.
//!
//! Start reading with `encoder.rs`.

mod encoder;
mod extract;
mod pairs;
mod plane_choice;
mod sampling;
mod statistics;

pub(crate) use encoder::PlaneEncoder;
pub(crate) use plane_choice::MIN_SAVING;
pub(crate) use statistics::PlaneStatistics;

#[cfg(test)]
mod tests;
