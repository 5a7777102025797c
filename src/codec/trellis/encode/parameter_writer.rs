//! Writing codec parameters: the inverse of the decoder's `read` functions.

use crate::codec::entropy::BitWriter;
use crate::codec::transform::Transform;
use crate::codec::trellis::classes::Classes;
use crate::codec::trellis::parameters::{
    LowRankPart, Parameters, TRANSFORM_BASIS, TRANSFORM_HADAMARD, TRANSFORM_IDENTITY,
};
use crate::codec::trellis::row_table::RowTable;
use crate::codec::trellis::scales::SCALE_ONE;

impl Parameters {
    /// The parameters as the format stores them.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = BitWriter::default();
        out.put(self.columns as u32 - 1, 16);
        out.put(self.step.to_bits(), 32);
        out.put(self.trellis.states_log2(), 4);
        out.put(self.bypass, 4);
        self.notes.write(&mut out);
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
}

pub(super) fn write_transform(transform: &Transform, out: &mut BitWriter) {
    match transform {
        Transform::Identity(_) => out.put(TRANSFORM_IDENTITY, 2),
        Transform::Hadamard(hadamard) => {
            out.put(TRANSFORM_HADAMARD, 2);
            out.put(hadamard.block_log2(), 4);
            let signed = hadamard.sign_flips().contains(&true);
            out.put(u32::from(signed), 1);
            if signed {
                hadamard.sign_flips().iter().for_each(|&flip| out.put(u32::from(flip), 1));
            }
        }
        Transform::StoredBasis(basis) => {
            out.put(TRANSFORM_BASIS, 2);
            out.put(basis.block() as u32 - 1, 16);
            out.put(basis.unit().to_bits(), 32);
            basis.rows().for_each(|row| put_i16s(row, out));
        }
    }
}

pub(super) fn put_i16s(row: &[i16], out: &mut BitWriter) {
    out.put_row(&row.iter().map(|&entry| entry.into()).collect::<Vec<i32>>());
}

/// Writes scale bytes as differences.
fn write_column_scales(bytes: &[u8], out: &mut BitWriter) {
    out.put_row(&byte_differences(SCALE_ONE, bytes));
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

/// Each byte less the one before it; `first` precedes the first one.
fn byte_differences(first: u8, bytes: &[u8]) -> Vec<i32> {
    let before = std::iter::once(&first).chain(bytes);
    bytes.iter().zip(before).map(|(&byte, &before)| i32::from(byte) - i32::from(before)).collect()
}

impl Classes {
    pub(super) fn write(&self, out: &mut BitWriter) {
        out.put(u32::from(!self.columns.is_empty()), 1);
        if !self.columns.is_empty() {
            out.put_row(&byte_differences(0, &self.columns));
        }
        out.put(u32::from(self.rows.is_some()), 1);
        if let Some(rows) = &self.rows {
            rows.write(out);
        }
        out.put(self.profile_count() as u32 - 1, 4);
        if self.profile_count() > 1 {
            for pair in self.profiles.windows(2) {
                out.put(u32::from(pair[1] - pair[0]), 1);
            }
        }
    }
}

impl RowTable {
    pub(super) fn write(&self, out: &mut BitWriter) {
        match self {
            Self::Constant(byte) => {
                out.put(0, 1);
                out.put((*byte).into(), 8);
            }
            Self::Coded(frequencies) => {
                out.put(1, 1);
                frequencies.write(out);
            }
        }
    }
}
