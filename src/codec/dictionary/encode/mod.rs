//! Choosing a dictionary from a sample, statistics of the indices, and the encoder.
//!
//! Start reading with `encoder.rs`.

mod encoder;
mod entries;
mod factors;
mod indexed;
mod levels;
mod statistics;
mod words;

pub(crate) use encoder::DictionaryEncoder;
pub(crate) use statistics::DictionaryStatistics;

#[cfg(test)]
mod tests;
