//! Columns of a band to rows.

use super::BAND;
use crate::kernel::Kernel;

/// Turns integers by column, in every lane, into rows as long as there are columns.
pub(crate) fn transpose<N: Copy>(kernel: Kernel, columns: &[[N; BAND]], rows: &mut [N]) {
    kernel.run(
        #[inline(always)]
        || portable(columns, rows),
    );
}

/// Columns that are turned at a time: pieces of all rows stay in the first-level cache.
const TILE: usize = 16;

#[inline(always)]
fn portable<N: Copy>(columns: &[[N; BAND]], rows: &mut [N]) {
    let width = columns.len();
    for (tile, columns) in columns.chunks(TILE).enumerate() {
        for (lane, row) in rows.chunks_exact_mut(width).enumerate() {
            for (out, values) in row[tile * TILE..].iter_mut().zip(columns) {
                *out = values[lane];
            }
        }
    }
}
