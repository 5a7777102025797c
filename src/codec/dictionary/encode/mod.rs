//! Choosing a dictionary from a sample, statistics of the indices, and the encoder.
//!
//! Start reading with `encoder.rs`.

mod candidates;
mod encoder;
mod entries;
mod factors;
mod group_words;
mod grouped;
mod indexed;
mod levels;
mod minimum_search;
mod numbers;
mod scale_search;
mod statistics;
mod words;

pub(crate) use candidates::Part;
pub(crate) use encoder::DictionaryEncoder;
pub(crate) use statistics::DictionaryStatistics;

#[cfg(test)]
mod tests;
