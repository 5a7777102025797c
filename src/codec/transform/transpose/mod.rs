//! Columns of a band to rows.

#[cfg(target_arch = "x86_64")]
mod avx2;

use super::BAND;
use crate::arch::Kernel;

/// Turns short integers by column, in every lane, into rows as long as there are columns.
pub(crate) fn transpose_short(kernel: Kernel, columns: &[[i16; BAND]], rows: &mut [i16]) {
    let done = match kernel.avx2() {
        #[cfg(target_arch = "x86_64")]
        Some(token) => avx2::short(token, columns, rows),
        None => 0,
    };
    portable(columns, done, rows);
}

/// The same of long ones.
pub(crate) fn transpose_long(kernel: Kernel, columns: &[[i32; BAND]], rows: &mut [i32]) {
    let done = match kernel.avx2() {
        #[cfg(target_arch = "x86_64")]
        Some(token) => avx2::long(token, columns, rows),
        None => 0,
    };
    portable(columns, done, rows);
}

/// Columns that are turned at a time: pieces of all rows stay in the first-level cache.
const TILE: usize = 16;

/// Turns columns from `first` on.
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
    fn every_width_by_every_kernel() {
        for width in 0..70usize {
            let value = |column: usize, lane: usize| (column * 100 + lane) as i16 - 300;
            let column = |column| std::array::from_fn(|lane| value(column, lane));
            let columns: Vec<[i16; BAND]> = (0..width).map(column).collect();
            let long: Vec<[i32; BAND]> =
                columns.iter().map(|lanes| lanes.map(|x| i32::from(x) << 12)).collect();
            let row = |lane| (0..width).map(move |column| value(column, lane));
            let expected: Vec<i16> = (0..BAND).flat_map(row).collect();
            let long_expected: Vec<i32> = expected.iter().map(|&x| i32::from(x) << 12).collect();
            for kernel in Kernel::all() {
                let mut rows = vec![0x55; width * BAND];
                transpose_short(kernel, &columns, &mut rows);
                assert_eq!(rows, expected, "{width}");
                let mut rows = vec![0x55; width * BAND];
                transpose_long(kernel, &long, &mut rows);
                assert_eq!(rows, long_expected, "{width}");
            }
        }
    }

    /// What `turn` makes of columns so many numbers into their memory, and rows likewise.
    fn moved<N: Copy + PartialEq + std::fmt::Debug>(
        [read, write]: [usize; 2],
        columns: &[N],
        turn: impl FnOnce(&[[N; BAND]], &mut [N]),
    ) -> Vec<N> {
        let columns = [&columns[..read], columns].concat();
        let columns = columns[read..].as_chunks().0;
        let mut out = vec![columns[0][0]; write + columns.len() * BAND + BAND];
        turn(columns, &mut out[write..][..columns.len() * BAND]);
        let after = out.split_off(write + columns.len() * BAND);
        let rows = out.split_off(write);
        assert!(out.iter().chain(&after).all(|x| *x == columns[0][0]), "written elsewhere");
        rows
    }

    #[test]
    fn every_width_at_any_alignment() {
        for width in 1..=65usize {
            let columns: Vec<i16> = (0..width * BAND).map(|i| (i * 7919) as i16).collect();
            let long: Vec<i32> = columns.iter().map(|&x| i32::from(x) << 12).collect();
            let expected: Vec<i16> =
                (0..width * BAND).map(|i| columns[i % width * BAND + i / width]).collect();
            let long_expected: Vec<i32> = expected.iter().map(|&x| i32::from(x) << 12).collect();
            // A cache line has 32 short numbers; both offsets are all of them.
            for read in 0..32 {
                let offsets = [read, (13 * read + width) % 32];
                for kernel in Kernel::all() {
                    let rows = moved(offsets, &columns, |c, r| transpose_short(kernel, c, r));
                    assert_eq!(rows, expected, "{width} {offsets:?}");
                    let rows = moved(offsets, &long, |c, r| transpose_long(kernel, c, r));
                    assert_eq!(rows, long_expected, "{width} {offsets:?}");
                }
            }
        }
    }
}
