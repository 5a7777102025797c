//! The codec parameters of a lossy tensor, and how a decoder reads them.

use super::classes::Classes;
use super::row_table::RowTable;
use super::scales::{COLUMN_SCALES, SCALE_ONE};
use super::writer_notes::WriterNotes;
use crate::codec::Coding;
use crate::codec::entropy::{BitReader, MagnitudeDistribution};
use crate::codec::quantizer::Trellis;
use crate::codec::transform::{Hadamard, Identity, LowRank, StoredBasis, Transform};
use crate::error::{Error, Result};
use crate::limits::Limits;
use std::sync::Arc;

/// The largest rank of the low-rank part.
pub(super) const MAX_RANK: usize = 128;

/// The largest block of a basis: a decoder needs as many multiplications for each weight.
pub(super) const MAX_BASIS: usize = 2048;

/// The largest step, 2^56, and unit, 2^16: times integers below 2^31, column scales below 2^8 and
/// row scales below 2^16, results stay finite.
pub(super) const MAX_STORED_STEP: f32 = 72_057_594_037_927_936.0;
const MAX_STORED_UNIT: f32 = 65_536.0;

/// The largest number of bypass bits: low bits of an integer that are stored outside its symbol.
pub(super) const MAX_BYPASS: u32 = 8;

/// The low-rank part and the coding of its coefficients.
#[derive(Debug)]
pub(super) struct LowRankPart {
    pub(super) part: LowRank,
    /// By basis vector: bypass bits and profile of its coefficients.
    pub(super) coefficients: Vec<(u32, MagnitudeDistribution)>,
}

/// All that a decoder needs besides the chunks.
#[derive(Debug)]
pub(super) struct Parameters {
    /// Weights in a row.
    pub(super) columns: usize,
    /// The lattice step.
    pub(super) step: f32,
    pub(super) trellis: Trellis,
    /// Bypass bits of lattice points.
    pub(super) bypass: u32,
    pub(super) transform: Arc<Transform>,
    pub(super) low_rank: Option<Arc<LowRankPart>>,
    /// The coding of the rows' scale bytes; `None` without row scales.
    pub(super) row_scales: Option<RowTable>,
    /// The columns' scale bytes; `None` without column scales.
    pub(super) column_scales: Option<Vec<u8>>,
    pub(super) classes: Classes,
    pub(super) profiles: Vec<MagnitudeDistribution>,
    pub(super) notes: WriterNotes,
}

impl Parameters {
    /// Parses the parameters; O(bytes).
    ///
    /// # Errors
    /// `Corrupt`, `Truncated` or `LimitExceeded`.
    pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<Self> {
        let mut input = BitReader::new(bytes);
        let columns = input.take(16)? as usize + 1;
        let step = take_scale(&mut input, MAX_STORED_STEP)?;
        let trellis = Trellis::new(input.take(4)?)
            .ok_or_else(|| Error::corrupt("codec parameters: unknown number of trellis states"))?;
        let bypass = take_bypass(&mut input)?;
        let notes = WriterNotes::read(&mut input)?;
        let transform = Arc::new(read_transform(&mut input, columns, limits)?);
        let low_rank = match input.take(1)? {
            0 => None,
            _ => Some(Arc::new(read_low_rank(&mut input, columns, limits)?)),
        };
        let row_scales = match input.take(1)? {
            0 => None,
            _ => Some(RowTable::read(&mut input, u8::MAX)?),
        };
        let column_scales = match input.take(1)? {
            0 => None,
            _ => Some(read_column_scales(&mut input, columns)?),
        };
        let classes = Classes::read(&mut input, columns)?;
        let profiles =
            (0..classes.profile_count()).map(|_| MagnitudeDistribution::read(&mut input));
        let profiles = profiles.collect::<Result<_>>()?;
        if !input.finish()?.is_empty() {
            return Err(Error::corrupt("codec parameters: trailing bytes"));
        }
        Ok(Self {
            columns,
            step,
            trellis,
            bypass,
            transform,
            low_rank,
            row_scales,
            column_scales,
            classes,
            profiles,
            notes,
        })
    }

    /// A description; signal and noise are 0, as the container stores them.
    pub(super) fn coding(&self) -> Coding {
        let part = self.low_rank.as_ref().map(|low_rank| &low_rank.part);
        Coding {
            transform: self.transform.description(),
            mean: part.is_some_and(LowRank::has_mean),
            rank: part.map_or(0, LowRank::rank),
            row_scales: self.row_scales.is_some(),
            column_scales: self.column_scales.is_some(),
            states: self.trellis.states(),
            step: self.step,
            classes: self.profiles.len(),
            gain: self.notes.gain,
            statistics: self.notes.statistics.clone(),
            signal: 0.0,
            noise: 0.0,
        }
    }
}

fn take_bypass(input: &mut BitReader<'_>) -> Result<u32> {
    match input.take(4)? {
        bypass @ 0..=MAX_BYPASS => Ok(bypass),
        _ => Err(Error::corrupt("codec parameters: more than 8 bypass bits")),
    }
}

/// A positive `f32` up to `max`.
fn take_scale(input: &mut BitReader<'_>, max: f32) -> Result<f32> {
    let scale = f32::from_bits(input.take(32)?);
    if !(scale > 0.0 && scale <= max) {
        return Err(Error::corrupt("codec parameters: a step or scale is out of range"));
    }
    Ok(scale)
}

/// The identifiers of transforms.
pub(super) const TRANSFORM_IDENTITY: u32 = 0;
pub(super) const TRANSFORM_HADAMARD: u32 = 1;
pub(super) const TRANSFORM_BASIS: u32 = 2;

fn read_transform(input: &mut BitReader<'_>, columns: usize, limits: &Limits) -> Result<Transform> {
    Ok(match input.take(2)? {
        TRANSFORM_IDENTITY => Transform::Identity(Identity { columns }),
        TRANSFORM_HADAMARD => {
            let block_log2 = input.take(4)?;
            if block_log2 > Hadamard::MAX_BLOCK_LOG2 {
                return Err(Error::corrupt("codec parameters: Hadamard block above 256"));
            }
            let mut flips = vec![false; columns];
            if input.take(1)? == 1 {
                for flip in &mut flips {
                    *flip = input.take(1)? == 1;
                }
            }
            Transform::Hadamard(Hadamard::new(block_log2, flips))
        }
        TRANSFORM_BASIS => {
            let block = input.take(16)? as usize + 1;
            if block > MAX_BASIS {
                return Err(Error::corrupt("codec parameters: basis block above 2048"));
            }
            let unit = take_scale(input, MAX_STORED_UNIT)?;
            let bytes = StoredBasis::bytes(columns, block);
            Error::check_limit("a stored basis", bytes, limits.basis_bytes)?;
            let entries = |size| {
                let mut entries = Vec::with_capacity(size * size);
                (0..size).try_for_each(|_| input.take_row(size, &mut entries))?;
                Ok(entries)
            };
            Transform::StoredBasis(StoredBasis::new(columns, block, unit, entries)?)
        }
        _ => return Err(Error::corrupt("codec parameters: unknown coordinates")),
    })
}

/// Scale bytes, each stored as the difference from the one before it.
fn read_column_scales(input: &mut BitReader<'_>, columns: usize) -> Result<Vec<u8>> {
    let mut differences = Vec::new();
    input.take_row(columns, &mut differences)?;
    let mut byte = i16::from(SCALE_ONE);
    let bytes = differences.into_iter().map(|difference| {
        byte = byte.saturating_add(difference);
        let valid = u8::try_from(byte).ok().filter(|byte| COLUMN_SCALES.contains(byte));
        valid.ok_or_else(|| Error::corrupt("codec parameters: a column scale is out of range"))
    });
    bytes.collect()
}

fn read_low_rank(
    input: &mut BitReader<'_>,
    columns: usize,
    limits: &Limits,
) -> Result<LowRankPart> {
    let rank = input.take(8)? as usize;
    if rank > MAX_RANK {
        return Err(Error::corrupt("codec parameters: rank above 128"));
    }
    let has_mean = input.take(1)? == 1;
    let scale = take_scale(input, MAX_STORED_STEP)?;
    let rows = rank + usize::from(has_mean);
    let bytes = LowRank::bytes(rows, columns);
    Error::check_limit("a low-rank part", bytes, limits.basis_bytes)?;
    let mut entries = Vec::with_capacity(rows * columns);
    (0..rows).try_for_each(|_| input.take_row(columns, &mut entries))?;
    let part = LowRank::new(columns, has_mean, scale, entries)?;
    let coefficients =
        (0..rank).map(|_| Ok((take_bypass(input)?, MagnitudeDistribution::read(input)?)));
    Ok(LowRankPart { part, coefficients: coefficients.collect::<Result<_>>()? })
}
