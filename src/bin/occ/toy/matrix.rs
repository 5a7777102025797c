//! Products of row-major matrices. The order of additions is fixed, so that results are the same on
//! all machines.

/// Size of the blocks of a product that are computed in registers.
const ROWS: usize = 4;
const COLUMNS: usize = 8;

/// out = a·b, with `inner` columns of `a` and rows of `b`, and `columns` of `b` and `out`.
pub fn multiply(a: &[f32], b: &[f32], out: &mut [f32], inner: usize, columns: usize) {
    let whole = columns - columns % COLUMNS;
    for column in (0..whole).step_by(COLUMNS) {
        let blocks = a.chunks(ROWS * inner).zip(out.chunks_mut(ROWS * columns));
        for (a, out) in blocks {
            if a.len() == ROWS * inner {
                block::<ROWS>(a, b, out, column, (inner, columns));
            } else {
                for (a, out) in a.chunks(inner).zip(out.chunks_mut(columns)) {
                    block::<1>(a, b, out, column, (inner, columns));
                }
            }
        }
    }
    for (a, out) in a.chunks(inner).zip(out.chunks_mut(columns)) {
        for column in whole..columns {
            let b = b[column..].iter().step_by(columns);
            out[column] = a.iter().zip(b).map(|(a, b)| a * b).sum();
        }
    }
}

/// Computes R rows of a block.
fn block<const R: usize>(
    a: &[f32],
    b: &[f32],
    out: &mut [f32],
    column: usize,
    (inner, columns): (usize, usize),
) {
    let rows: [&[f32]; R] = std::array::from_fn(|row| &a[row * inner..(row + 1) * inner]);
    let mut sums = [[0f32; COLUMNS]; R];
    for (k, b) in b.chunks_exact(columns).take(inner).enumerate() {
        let b = &b[column..column + COLUMNS];
        for (sums, row) in sums.iter_mut().zip(rows) {
            let a = row[k];
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum += a * b;
            }
        }
    }
    for (out, sums) in out.chunks_mut(columns).zip(&sums) {
        out[column..column + COLUMNS].copy_from_slice(sums);
    }
}

/// The transpose of a matrix.
pub fn transposed(matrix: &[f32], columns: usize) -> Vec<f32> {
    let rows = matrix.len() / columns;
    let mut out = vec![0.0; matrix.len()];
    for (row, numbers) in matrix.chunks_exact(columns).enumerate() {
        for (column, &number) in numbers.iter().enumerate() {
            out[column * rows + row] = number;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_all_shapes_match_the_definition() {
        let mut random = fastrand::Rng::with_seed(1);
        for (rows, inner, columns) in [(4, 8, 8), (1, 1, 1), (9, 5, 19), (6, 1, 16), (8, 7, 1)] {
            let mut matrix = |size: usize| -> Vec<f32> {
                (0..size).map(|_| f32::from(random.i8(-9..9))).collect()
            };
            let (a, b) = (matrix(rows * inner), matrix(inner * columns));
            let mut out = vec![f32::NAN; rows * columns];
            multiply(&a, &b, &mut out, inner, columns);
            for (at, &sum) in out.iter().enumerate() {
                let (row, column) = (at / columns, at % columns);
                let products = (0..inner).map(|k| a[row * inner + k] * b[k * columns + column]);
                assert_eq!(sum, products.sum::<f32>());
            }
            assert_eq!(transposed(&transposed(&a, inner), rows), a);
        }
    }
}
