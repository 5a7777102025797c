//! The lossless codec: byte planes, each stored raw, as one constant, or entropy-coded: byte by
//! byte, or in pairs.

mod decoder;
mod encoder;
mod pairs;
pub(crate) mod split;
mod statistics;

pub(crate) use decoder::Decoder;
pub(crate) use encoder::Encoder;
pub(super) use statistics::PlaneStatistics;

use crate::codec::entropy::rans::STATES_BYTES;

/// How one plane is stored, without its tables.
const MODE_RAW: u8 = 0;
const MODE_CONSTANT: u8 = 1;
const MODE_CODED: u8 = 2;
const MODE_PAIRED: u8 = 3;

/// How one plane is stored.
enum Plane<Table> {
    Raw,
    Constant(u8),
    Coded(Table),
    /// The base, and the table of pairs.
    Paired(u8, Table),
}

/// Bytes of a coded plane in every chunk besides its words: its length, and the states.
const STREAM_HEAD_BYTES: u64 = (size_of::<u32>() + STATES_BYTES) as u64;

/// Bytes of a paired plane in every chunk besides those of its stream: how many strangers there
/// are.
const OUTLIERS_HEAD_BYTES: u64 = size_of::<u32>() as u64;

/// Bytes of a stranger: its place, and what it is.
const OUTLIER_BYTES: u64 = (size_of::<u32>() + 1) as u64;

#[cfg(test)]
mod tests;
