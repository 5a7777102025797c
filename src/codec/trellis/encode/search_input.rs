//! The input of the lattice search: rows as columns, in lattice steps.

use crate::codec::quantizer::ROWS;
use crate::codec::trellis::decoder::MAX_POINT;

/// The largest magnitude of a coordinate in the search, in lattice steps.
pub(super) const MAX_COORDINATE: f32 = (MAX_POINT - 4) as f32;

/// Columns that are transposed together: they stay in the first-level cache.
const TRANSPOSED_COLUMNS: usize = 64;

/// Up to 16 rows as columns, in lattice steps; missing rows are 0.
pub(super) fn search_columns(rows: &[f32], columns: usize, inverse_step: f32) -> Vec<[f32; ROWS]> {
    let mut values = vec![[0.0; ROWS]; columns];
    for (number, values) in values.chunks_mut(TRANSPOSED_COLUMNS).enumerate() {
        for (lane, row) in rows.chunks_exact(columns).enumerate() {
            for (out, &value) in values.iter_mut().zip(&row[number * TRANSPOSED_COLUMNS..]) {
                out[lane] = (value * inverse_step).clamp(-MAX_COORDINATE, MAX_COORDINATE);
            }
        }
    }
    values
}
