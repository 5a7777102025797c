//! The codecs: one chunk of a tensor, encoded and decoded.
//!
//! [`Encoder`] and [`Decoder`] cover the same codecs: raw, `planes` (lossless) and `trellis`
//! (lossy). These are built from three layers that do not import each other: `entropy` (symbols
//! and bytes), `transform` (real numbers and coordinates) and `quantizer` (coordinates and lattice
//! integers). The codecs do not depend on the container: parameters and encoded chunks are byte
//! strings that the format stores.
//!
//! A reader starts with `decoder.rs`. Encoding has two passes: [`Statistics`] of all chunks of a
//! tensor, or a transform search over a sample of its rows, determine the tables; then each chunk
//! is encoded independently of the others.

mod chunk;
mod decoder;
mod encoder;
pub(crate) mod entropy;
pub(crate) mod planes;
pub(crate) mod quantizer;
pub(crate) mod transform;
pub(crate) mod trellis;

pub(crate) use chunk::{EncodedChunk, Scratch, SquaredError};
pub(crate) use decoder::Decoder;
pub(crate) use encoder::{Encoder, Statistics};
pub use trellis::{Coding, RowScales};

/// How a tensor is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Codec {
    /// As it is, aligned in the file: a zero-copy view.
    Raw = 0,
    /// Lossless: byte planes, the skewed ones entropy-coded.
    Planes = 1,
    /// Lossy: rows in coordinates of their own, on a trellis-coded lattice.
    Trellis = 2,
}

impl Codec {
    /// The codec with this id in the format, if this crate has it.
    pub const fn from_id(id: u8) -> Option<Self> {
        match id {
            0 => Some(Self::Raw),
            1 => Some(Self::Planes),
            2 => Some(Self::Trellis),
            _ => None,
        }
    }

    /// The codec's id in the format.
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// The codec's name: `raw`, `planes`, `trellis`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Planes => "planes",
            Self::Trellis => "trellis",
        }
    }
}

impl std::fmt::Display for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
