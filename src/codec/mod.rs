//! The codecs: one chunk of a tensor, encoded and decoded.
//!
//! [`Decoder`] and [`Encoder`] cover the same codecs: raw, `planes`, `dictionary`, `repetition` and
//! `deflate` (lossless) and `trellis` (lossy). `planes`, `dictionary` and `trellis` are built from
//! three layers that do not import each other: `entropy` (symbols
//! and bytes), `transform` (real numbers and coordinates) and `quantizer` (coordinates and lattice
//! integers). The codecs do not depend on the container: parameters and encoded chunks are byte
//! strings that the format stores. Besides these layers they import `arch`, `dtype`, `coordinates`
//! and `error`.
//!
//! Start reading with `decoder.rs`, then `planes/decoder.rs` and `trellis/decoder.rs`. All that
//! only an encoder needs is in the folders `encode`, behind the feature of this name. Encoding has
//! two passes: statistics of all chunks of a tensor, or a transform search over a sample of its
//! rows, determine the tables; then each chunk is encoded independently of the others.

mod coding;
mod decoder;
mod deflate;
pub(crate) mod dictionary;
#[cfg(feature = "encode")]
mod encode;
pub(crate) mod entropy;
pub(crate) mod planes;
pub(crate) mod quantizer;
pub(crate) mod repetition;
mod squared_error;
pub(crate) mod transform;
pub(crate) mod trellis;

pub use coding::Coding;
pub(crate) use decoder::Decoder;
#[cfg(feature = "encode")]
pub(crate) use encode::{EncodedChunk, Encoder, Sample, Scratch, Statistics};
#[cfg(feature = "encode")]
pub(crate) use squared_error::SquaredError;
pub use trellis::{ColumnScales, RowScales};
#[cfg(feature = "encode")]
pub use trellis::{QuantizationScales, ScaleRuns};

/// How a tensor is stored.
///
/// ```
/// use occ::Codec;
/// assert_eq!(Codec::from_id(Codec::Planes.id()), Some(Codec::Planes));
/// assert_eq!(Codec::Trellis.to_string(), "trellis");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Codec {
    /// Uncompressed and aligned in the file, which permits a zero-copy view.
    Raw = 0,
    /// Lossless: byte planes, entropy-coded where that saves bytes.
    Planes = 1,
    /// Lossy: rows in transform coordinates, quantised with a trellis code.
    Trellis = 2,
    /// Lossless: indices of the few distinct words, or of the levels that they were quantised to.
    Dictionary = 3,
    /// Equal to an earlier tensor, which is decoded instead.
    Reference = 4,
    /// Lossless, for text: DEFLATE (RFC 1951).
    Deflate = 5,
    /// Lossless: rows that repeat are copied, and another codec codes the rest.
    Repetition = 6,
}

impl Codec {
    /// The codec of an identifier in the format; `None` when it is unknown to this crate.
    pub const fn from_id(id: u8) -> Option<Self> {
        match id {
            0 => Some(Self::Raw),
            1 => Some(Self::Planes),
            2 => Some(Self::Trellis),
            3 => Some(Self::Dictionary),
            4 => Some(Self::Reference),
            5 => Some(Self::Deflate),
            6 => Some(Self::Repetition),
            _ => None,
        }
    }

    /// The codec's identifier in the format.
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// The codec's name: `raw`, `planes`, `trellis`, `dictionary`, `reference`, `deflate`,
    /// `repetition`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Planes => "planes",
            Self::Trellis => "trellis",
            Self::Dictionary => "dictionary",
            Self::Reference => "reference",
            Self::Deflate => "deflate",
            Self::Repetition => "repetition",
        }
    }
}

impl std::fmt::Display for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
