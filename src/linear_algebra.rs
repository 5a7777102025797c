//! Products and decompositions of matrices with `faer`, each on the calling thread.
//!
//! The methods of `faer`'s own types use several threads if any crate of a program enables its
//! feature `rayon`. Their sums are then rounded differently with each number of threads. These
//! functions are the same computations with [`Par::Seq`].

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor as llt;
use faer::linalg::evd::{self, ComputeEigenvectors};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_left_in_place_scratch as apply_scratch,
    apply_block_householder_sequence_on_the_left_in_place_with_conj as apply,
};
use faer::linalg::lu::partial_pivoting::{factor as lu, inverse as lu_inverse};
use faer::linalg::matmul::matmul;
use faer::linalg::qr::no_pivoting::factor as qr;
use faer::{Accum, Conj, Mat, MatRef, Par};

/// Partial sums of an inner product: a sum in one order would wait for each addition.
const LANES: usize = 16;

/// The inner product of two vectors of equal length, in a fixed order of [`LANES`] partial sums.
pub(crate) fn inner_product(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for ((sum, x), y) in sums.iter_mut().zip(a).zip(b) {
            *sum += x * y;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}

/// The product of two matrices.
pub(crate) fn product(left: MatRef<'_, f64>, right: MatRef<'_, f64>) -> Mat<f64> {
    let mut product = Mat::zeros(left.nrows(), right.ncols());
    matmul(product.as_mut(), Accum::Replace, left, right, 1.0, Par::Seq);
    product
}

/// The eigenvalues of a symmetric matrix, ascending, and its eigenvectors in columns. Only the lower
/// triangle is used. `None` if the decomposition does not converge.
pub(crate) fn self_adjoint_eigen(matrix: MatRef<'_, f64>) -> Option<(Vec<f64>, Mat<f64>)> {
    let mut vectors = Mat::zeros(matrix.nrows(), matrix.nrows());
    let values = eigenvalues(matrix, Some(&mut vectors))?;
    Some((values, vectors))
}

/// The eigenvalues of [`self_adjoint_eigen`] alone, which takes less time.
#[cfg(feature = "analysis")]
pub(crate) fn self_adjoint_eigenvalues(matrix: MatRef<'_, f64>) -> Option<Vec<f64>> {
    eigenvalues(matrix, None)
}

fn eigenvalues(matrix: MatRef<'_, f64>, vectors: Option<&mut Mat<f64>>) -> Option<Vec<f64>> {
    let (n, parameters) = (matrix.nrows(), Default::default());
    let mut values = Diag::zeros(n);
    let compute =
        if vectors.is_some() { ComputeEigenvectors::Yes } else { ComputeEigenvectors::No };
    let needed = evd::self_adjoint_evd_scratch::<f64>(n, compute, Par::Seq, parameters);
    let (mut buffer, vectors) = (MemBuffer::new(needed), vectors.map(Mat::as_mut));
    let stack = MemStack::new(&mut buffer);
    evd::self_adjoint_evd(matrix, values.as_mut(), vectors, Par::Seq, stack, parameters).ok()?;
    Some(values.column_vector().iter().copied().collect())
}

/// The inverse of a square matrix; not finite if it is singular.
pub(crate) fn inverse(mut matrix: Mat<f64>) -> Mat<f64> {
    let (n, parameters) = (matrix.nrows(), Default::default());
    let (mut forward, mut backward) = (vec![0usize; n], vec![0usize; n]);
    let needed = lu::lu_in_place_scratch::<usize, f64>(n, n, Par::Seq, parameters);
    let mut buffer =
        MemBuffer::new(needed.or(lu_inverse::inverse_scratch::<usize, f64>(n, Par::Seq)));
    let stack = MemStack::new(&mut buffer);
    let factors = matrix.as_mut();
    let (_, rows) =
        lu::lu_in_place(factors, &mut forward, &mut backward, Par::Seq, stack, parameters);
    let (factors, mut inverse) = (matrix.as_ref(), Mat::zeros(n, n));
    lu_inverse::inverse(inverse.as_mut(), factors, factors, rows, Par::Seq, stack);
    inverse
}

/// Replaces the lower triangle of a symmetric matrix, the only part that is used, by the Cholesky
/// factor. `None` if the matrix is not positive definite.
pub(crate) fn cholesky(matrix: &mut Mat<f64>) -> Option<()> {
    let (n, parameters) = (matrix.nrows(), Default::default());
    let needed = llt::cholesky_in_place_scratch::<f64>(n, Par::Seq, parameters);
    let mut buffer = MemBuffer::new(needed);
    let stack = MemStack::new(&mut buffer);
    let regularization = llt::LltRegularization::default();
    llt::cholesky_in_place(matrix.as_mut(), regularization, Par::Seq, stack, parameters).ok()?;
    Some(())
}

/// The binary logarithm of the determinant of a symmetric matrix. Only the lower triangle is used.
/// `None` if the matrix is not positive definite.
pub(crate) fn log2_determinant(mut matrix: Mat<f64>) -> Option<f64> {
    cholesky(&mut matrix)?;
    let log2: f64 = (0..matrix.nrows()).map(|j| 2.0 * matrix[(j, j)].log2()).sum();
    log2.is_finite().then_some(log2)
}

/// The thin QR decomposition: the factor Q, and the diagonal of R.
pub(crate) fn thin_qr(mut matrix: Mat<f64>) -> (Mat<f64>, Vec<f64>) {
    let (rows, columns, parameters) = (matrix.nrows(), matrix.ncols(), Default::default());
    let (size, block) = (rows.min(columns), qr::recommended_block_size::<f64>(rows, columns));
    let mut coefficients = Mat::zeros(block, size);
    let needed = qr::qr_in_place_scratch::<f64>(rows, columns, block, Par::Seq, parameters);
    let mut buffer = MemBuffer::new(needed.or(apply_scratch::<f64>(rows, block, size)));
    let stack = MemStack::new(&mut buffer);
    qr::qr_in_place(matrix.as_mut(), coefficients.as_mut(), Par::Seq, stack, parameters);
    let diagonal = (0..size).map(|i| matrix[(i, i)]).collect();
    let (basis, mut q) = (matrix.get(.., ..size), Mat::identity(rows, size));
    apply(basis, coefficients.as_ref(), Conj::No, q.as_mut(), Par::Seq, stack);
    (q, diagonal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gaussian::gaussian_noise;
    use faer::Side;
    use faer::linalg::solvers::DenseSolveCore;

    fn noise(rows: usize, columns: usize) -> Mat<f64> {
        let mut noise = gaussian_noise(5).map(f64::from);
        Mat::from_fn(rows, columns, |_, _| noise.next().unwrap())
    }

    /// Runs `f` on a pool with this number of threads, which is what `faer` would use.
    fn with_threads<T: Send>(threads: usize, f: impl FnOnce() -> T + Send) -> T {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
    }

    /// Results are those of `faer`'s methods on one thread, to the bit, with any number of threads.
    /// The feature `rayon` of `faer` is on in tests.
    #[test]
    fn results_do_not_depend_on_the_number_of_threads() {
        for (rows, columns) in [(1, 1), (40, 7), (384, 384), (700, 150)] {
            let matrix = noise(rows, columns);
            let expected = with_threads(1, || {
                let gram = matrix.transpose() * &matrix;
                let eigen = gram.self_adjoint_eigen(Side::Lower).unwrap();
                let values: Vec<f64> = eigen.S().column_vector().iter().copied().collect();
                let qr = matrix.qr();
                let diagonal: Vec<f64> = (0..columns).map(|i| qr.R()[(i, i)]).collect();
                let vectors = eigen.U().to_owned();
                let inverse = gram.partial_piv_lu().inverse();
                (gram, (values, vectors), inverse, (qr.compute_thin_Q(), diagonal))
            });
            for threads in [1, 2, 8] {
                let found = with_threads(threads, || {
                    let gram = product(matrix.transpose(), matrix.as_ref());
                    let eigen = self_adjoint_eigen(gram.as_ref()).unwrap();
                    (gram.clone(), eigen, inverse(gram), thin_qr(matrix.clone()))
                });
                assert!(found == expected, "{rows} × {columns}, {threads} threads");
            }
        }
    }

    /// Without this the test above could not fail.
    #[test]
    fn faer_uses_threads_in_tests() {
        let used = with_threads(2, || faer::get_global_parallelism());
        assert_eq!(used.degree(), 2);
    }

    #[test]
    fn a_singular_matrix_has_no_finite_inverse() {
        let inverse = inverse(Mat::zeros(3, 3));
        assert!(!inverse.norm_l2().is_finite());
    }
}
