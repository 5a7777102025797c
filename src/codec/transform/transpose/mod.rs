//! Transposition of a band from columns to rows.

#[cfg(target_arch = "x86_64")]
mod avx2;

use super::BAND;
use crate::arch::Kernel;

/// Transposes a band of 16-bit integers. `rows` holds [`BAND`] rows of `columns.len()` values.
pub(crate) fn transpose_i16(kernel: Kernel, columns: &[[i16; BAND]], rows: &mut [i16]) {
    let done = match kernel.avx2() {
        #[cfg(target_arch = "x86_64")]
        Some(token) => avx2::transpose_i16(token, columns, rows),
        None => 0,
    };
    portable(columns, done, rows);
}

/// Transposes a band of 32-bit integers.
pub(crate) fn transpose_i32(kernel: Kernel, columns: &[[i32; BAND]], rows: &mut [i32]) {
    let done = match kernel.avx2() {
        #[cfg(target_arch = "x86_64")]
        Some(token) => avx2::transpose_i32(token, columns, rows),
        None => 0,
    };
    portable(columns, done, rows);
}

/// Columns of a tile: the written parts of all rows stay in the L1 cache.
const TILE: usize = 16;

/// Transposes the columns from `first` on.
fn portable<N: Copy>(columns: &[[N; BAND]], first: usize, rows: &mut [N]) {
    let width = columns.len();
    for start in (first..width).step_by(TILE) {
        let columns = &columns[start..width.min(start + TILE)];
        for (lane, row) in rows.chunks_exact_mut(width).enumerate() {
            for (out, values) in row[start..].iter_mut().zip(columns) {
                *out = values[lane];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_agree_for_every_width() {
        for width in 0..70usize {
            let value = |column: usize, lane: usize| (column * 100 + lane) as i16 - 300;
            let column = |column| std::array::from_fn(|lane| value(column, lane));
            let columns: Vec<[i16; BAND]> = (0..width).map(column).collect();
            let wide: Vec<[i32; BAND]> =
                columns.iter().map(|lanes| lanes.map(|x| i32::from(x) << 12)).collect();
            let row = |lane| (0..width).map(move |column| value(column, lane));
            let expected: Vec<i16> = (0..BAND).flat_map(row).collect();
            let wide_expected: Vec<i32> = expected.iter().map(|&x| i32::from(x) << 12).collect();
            for kernel in Kernel::all() {
                let mut rows = vec![0x55; width * BAND];
                transpose_i16(kernel, &columns, &mut rows);
                assert_eq!(rows, expected, "{width}");
                let mut rows = vec![0x55; width * BAND];
                transpose_i32(kernel, &wide, &mut rows);
                assert_eq!(rows, wide_expected, "{width}");
            }
        }
    }

    /// Applies `transpose` to input and output at the given offsets in their allocations.
    fn moved<N: Copy + PartialEq + std::fmt::Debug>(
        [read, write]: [usize; 2],
        columns: &[N],
        transpose: impl FnOnce(&[[N; BAND]], &mut [N]),
    ) -> Vec<N> {
        let columns = [&columns[..read], columns].concat();
        let columns = columns[read..].as_chunks().0;
        let mut out = vec![columns[0][0]; write + columns.len() * BAND + BAND];
        transpose(columns, &mut out[write..][..columns.len() * BAND]);
        let after = out.split_off(write + columns.len() * BAND);
        let rows = out.split_off(write);
        assert!(out.iter().chain(&after).all(|x| *x == columns[0][0]), "written out of bounds");
        rows
    }

    #[test]
    fn kernels_agree_at_every_alignment() {
        for width in 1..=65usize {
            let columns: Vec<i16> = (0..width * BAND).map(|i| (i * 7919) as i16).collect();
            let wide: Vec<i32> = columns.iter().map(|&x| i32::from(x) << 12).collect();
            let expected: Vec<i16> =
                (0..width * BAND).map(|i| columns[i % width * BAND + i / width]).collect();
            let wide_expected: Vec<i32> = expected.iter().map(|&x| i32::from(x) << 12).collect();
            // A cache line has 32 integers of 16 bits. Both offsets take all values.
            for read in 0..32 {
                let offsets = [read, (13 * read + width) % 32];
                for kernel in Kernel::all() {
                    let rows = moved(offsets, &columns, |c, r| transpose_i16(kernel, c, r));
                    assert_eq!(rows, expected, "{width} {offsets:?}");
                    let rows = moved(offsets, &wide, |c, r| transpose_i32(kernel, c, r));
                    assert_eq!(rows, wide_expected, "{width} {offsets:?}");
                }
            }
        }
    }
}
