//! The lossless codec for tensors with few distinct words: each word is replaced by its index in a
//! dictionary, and the indices are entropy-coded.
//!
//! An entry of the dictionary is a word, or a factor that is multiplied with the scale of a group of
//! words and rounded; a minimum may be added. Factors describe weights that were quantised and stored
//! as floats again: then the words differ from group to group, but the factors do not. Where groups
//! have codebooks of their own, each chunk stores the words of its groups. A group is a part of some
//! rows. Words without an entry, as the values besides the zeros of a pruned matrix, are coded as byte
//! planes. Indices may be coded as differences from the index at a fixed distance before them, which
//! suits masks.
//!
//! Start reading with `decoder.rs`. `encode` holds what only an encoder needs: the choice of the
//! entries from a sample, the search for scales, statistics and the encoder.

mod decoder;
#[cfg(feature = "encode")]
mod encode;
mod groups;

pub(crate) use decoder::DictionaryDecoder;
#[cfg(feature = "encode")]
pub(crate) use encode::{DictionaryEncoder, DictionaryStatistics, Part};

use crate::codec::planes::split::Split;
use crate::dtype::Dtype;

/// The byte that stores what the entries are.
const KIND_WORDS: u8 = 0;
const KIND_FACTORS: u8 = 1;
const KIND_GROUP_WORDS: u8 = 2;

/// The most entries: one more index marks words without an entry.
const MAX_ENTRIES: usize = 255;

/// Whether entries may be factors.
const fn has_factors(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F16 | Dtype::Bf16 | Dtype::F32)
}

/// Whether products of factors may be rounded to another dtype before they become elements of this
/// one.
fn can_round_to(dtype: Dtype, rounding: Dtype) -> bool {
    rounding == dtype || dtype == Dtype::F32 && matches!(rounding, Dtype::F16 | Dtype::Bf16)
}

/// Whether groups may have words of their own.
const fn has_groups(dtype: Dtype) -> bool {
    matches!(Split::of(dtype).width, 2 | 4)
}
