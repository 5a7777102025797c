//! What a decoder of a lossy tensor is told, as bits.

use super::classes::Classes;
use super::row_table::RowTable;
use super::scales::{COLUMN_SCALES, SCALE_ONE};
use crate::codec::entropy::{BitReader, BitWriter, MagnitudeDistribution};
use crate::codec::quantizer::Trellis;
use crate::codec::transform::{Hadamard, Identity, LowRank, StoredBasis, Transform};
use crate::error::{Error, Result};
use std::sync::Arc;

/// The longest row: so long a band still fits a cache, and memory is bounded.
pub(crate) const MAX_COLUMNS: usize = 1 << 16;

/// Most axes of the low-dimensional part.
pub(super) const MAX_RANK: usize = 128;

/// The largest block of a basis: a decoder multiplies as often for every weight.
pub(super) const MAX_BASIS: usize = 2048;

/// The largest step, 2^56, and unit, 2^16: times integers below 2^31, scales of columns below 2^8
/// and of rows below 2^16 they stay finite.
pub(super) const MAX_STEP: f32 = 72_057_594_037_927_936.0;
const MAX_UNIT: f32 = 65_536.0;

/// Low bits of an integer that may be stored beside its symbol, at most.
const MAX_BYPASS: u32 = 8;

/// The low-dimensional part, and how each axis's coefficients are coded.
#[derive(Debug)]
pub(super) struct LowRankPart {
    pub(super) part: LowRank,
    /// Low bits beside the symbols, and the profile, by axis.
    pub(super) coefficients: Vec<(u32, MagnitudeDistribution)>,
}

/// Everything but the chunks.
#[derive(Debug)]
pub(super) struct Parameters {
    /// Weights in a row.
    pub(super) columns: usize,
    /// The lattice step.
    pub(super) step: f32,
    pub(super) trellis: Trellis,
    /// Low bits of residual integers that are stored beside their symbols.
    pub(super) bypass: u32,
    pub(super) transform: Arc<Transform>,
    pub(super) low_rank: Option<Arc<LowRankPart>>,
    /// How the bytes of rows' scales are coded, where they have any.
    pub(super) row_scales: Option<RowTable>,
    /// The bytes of columns' scales, where they have any.
    pub(super) column_scales: Option<Vec<u8>>,
    pub(super) classes: Classes,
    pub(super) profiles: Vec<MagnitudeDistribution>,
    /// What the coordinates save against none, in 1/256 bits a weight; for people only.
    pub(super) gain: i16,
}

impl Parameters {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = BitWriter::default();
        out.put(self.columns as u32 - 1, 16);
        out.put(self.step.to_bits(), 32);
        out.put(self.trellis.states_log2(), 4);
        out.put(self.bypass, 4);
        out.put(u32::from(self.gain as u16), 16);
        write_transform(&self.transform, &mut out);
        out.put(u32::from(self.low_rank.is_some()), 1);
        if let Some(low_rank) = &self.low_rank {
            write_low_rank(low_rank, &mut out);
        }
        out.put(u32::from(self.row_scales.is_some()), 1);
        if let Some(table) = &self.row_scales {
            table.write(&mut out);
        }
        out.put(u32::from(self.column_scales.is_some()), 1);
        if let Some(bytes) = &self.column_scales {
            write_column_scales(bytes, &mut out);
        }
        self.classes.write(&mut out);
        self.profiles.iter().for_each(|profile| profile.write(&mut out));
        out.finish()
    }

    /// # Errors
    /// `Corrupt` or `Truncated`.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let mut input = BitReader::new(bytes);
        let columns = input.take(16)? as usize + 1;
        let step = take_scale(&mut input, MAX_STEP)?;
        let trellis = Trellis::new(input.take(4)?)
            .ok_or_else(|| Error::corrupt("an unknown number of states"))?;
        let bypass = take_bypass(&mut input)?;
        let gain = input.take(16)? as u16 as i16;
        let transform = Arc::new(read_transform(&mut input, columns)?);
        let low_rank = match input.take(1)? {
            0 => None,
            _ => Some(Arc::new(read_low_rank(&mut input, columns)?)),
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
            return Err(Error::corrupt("bytes after the codec parameters"));
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
            gain,
        })
    }
}

fn take_bypass(input: &mut BitReader<'_>) -> Result<u32> {
    match input.take(4)? {
        bypass @ 0..=MAX_BYPASS => Ok(bypass),
        _ => Err(Error::corrupt("more than 8 low bits beside a symbol")),
    }
}

/// A positive `f32` up to `max`.
fn take_scale(input: &mut BitReader<'_>, max: f32) -> Result<f32> {
    let scale = f32::from_bits(input.take(32)?);
    if !(scale > 0.0 && scale <= max) {
        return Err(Error::corrupt("a step or scale out of range"));
    }
    Ok(scale)
}

const IDENTITY: u32 = 0;
const HADAMARD: u32 = 1;
const BASIS: u32 = 2;

pub(super) fn write_transform(transform: &Transform, out: &mut BitWriter) {
    match transform {
        Transform::Identity(_) => out.put(IDENTITY, 2),
        Transform::Hadamard(hadamard) => {
            out.put(HADAMARD, 2);
            out.put(hadamard.block_log2(), 4);
            let signed = hadamard.sign_flips().contains(&true);
            out.put(u32::from(signed), 1);
            if signed {
                hadamard.sign_flips().iter().for_each(|&flip| out.put(u32::from(flip), 1));
            }
        }
        Transform::StoredBasis(basis) => {
            out.put(BASIS, 2);
            out.put(basis.block() as u32 - 1, 16);
            out.put(basis.unit().to_bits(), 32);
            basis.rows().for_each(|row| put_i16s(row, out));
        }
    }
}

pub(super) fn put_i16s(row: &[i16], out: &mut BitWriter) {
    out.put_row(&row.iter().map(|&entry| entry.into()).collect::<Vec<i32>>());
}

fn read_transform(input: &mut BitReader<'_>, columns: usize) -> Result<Transform> {
    Ok(match input.take(2)? {
        IDENTITY => Transform::Identity(Identity { columns }),
        HADAMARD => {
            let block_log2 = input.take(4)?;
            if block_log2 > Hadamard::MAX_BLOCK_LOG2 {
                return Err(Error::corrupt("a Hadamard block above 256"));
            }
            let mut flips = vec![false; columns];
            if input.take(1)? == 1 {
                for flip in &mut flips {
                    *flip = input.take(1)? == 1;
                }
            }
            Transform::Hadamard(Hadamard::new(block_log2, flips))
        }
        BASIS => {
            let block = input.take(16)? as usize + 1;
            if block > MAX_BASIS {
                return Err(Error::corrupt("a basis of blocks above 2048 columns"));
            }
            let unit = take_scale(input, MAX_UNIT)?;
            let mut entries = Vec::new();
            for start in (0..columns).step_by(block) {
                let size = block.min(columns - start);
                for _ in 0..size {
                    input.take_row(size, &mut entries)?;
                }
            }
            Transform::StoredBasis(StoredBasis::new(columns, block, unit, &entries)?)
        }
        _ => return Err(Error::corrupt("unknown coordinates")),
    })
}

/// Each byte less the one before it.
pub(super) fn write_column_scales(bytes: &[u8], out: &mut BitWriter) {
    let before = std::iter::once(&SCALE_ONE).chain(bytes);
    let differences: Vec<i32> =
        before.zip(bytes).map(|(&before, &byte)| i32::from(byte) - i32::from(before)).collect();
    out.put_row(&differences);
}

fn read_column_scales(input: &mut BitReader<'_>, columns: usize) -> Result<Vec<u8>> {
    let mut differences = Vec::new();
    input.take_row(columns, &mut differences)?;
    let mut byte = i16::from(SCALE_ONE);
    let bytes = differences.into_iter().map(|difference| {
        byte = byte.saturating_add(difference);
        let found = u8::try_from(byte).ok().filter(|byte| COLUMN_SCALES.contains(byte));
        found.ok_or_else(|| Error::corrupt("a column's scale out of range"))
    });
    bytes.collect()
}

fn write_low_rank(low_rank: &LowRankPart, out: &mut BitWriter) {
    out.put(low_rank.part.rank() as u32, 8);
    out.put(u32::from(low_rank.part.has_mean()), 1);
    out.put(low_rank.part.scale().to_bits(), 32);
    low_rank.part.rows().for_each(|row| put_i16s(row, out));
    for (bypass, profile) in &low_rank.coefficients {
        out.put(*bypass, 4);
        profile.write(out);
    }
}

fn read_low_rank(input: &mut BitReader<'_>, columns: usize) -> Result<LowRankPart> {
    let rank = input.take(8)? as usize;
    if rank > MAX_RANK {
        return Err(Error::corrupt("more than 128 axes"));
    }
    let has_mean = input.take(1)? == 1;
    let scale = take_scale(input, MAX_STEP)?;
    let mut entries = Vec::new();
    for _ in 0..rank + usize::from(has_mean) {
        input.take_row(columns, &mut entries)?;
    }
    let part = LowRank::new(columns, has_mean, scale, entries)?;
    let coefficients =
        (0..rank).map(|_| Ok((take_bypass(input)?, MagnitudeDistribution::read(input)?)));
    Ok(LowRankPart { part, coefficients: coefficients.collect::<Result<_>>()? })
}
