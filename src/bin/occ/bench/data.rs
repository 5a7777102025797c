//! The weights to code, of one dtype: a sample of a file, or random.

use crate::gaussian::Gaussian;
use crate::numbers::{Bytes, counted, grouped};
use half::bf16;
use occ::Dtype;
use rayon::prelude::*;
use std::ops::Range;

/// Tensors, contiguous in memory.
pub struct BenchData {
    /// The file, or how they were made.
    pub source: String,
    pub dtype: Dtype,
    /// Tensors of the dtype in the file, and their bytes.
    pub all: usize,
    pub total: u64,
    /// Tensors of which only the first rows are taken.
    pub cut: usize,
    pub bytes: Vec<u8>,
    pub tensors: Vec<BenchTensor>,
}

pub struct BenchTensor {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// Position of its bytes.
    pub range: Range<usize>,
}

/// Some of the tensors.
#[derive(Clone)]
pub struct Selection<'d> {
    bytes: &'d [u8],
    tensors: Vec<&'d BenchTensor>,
}

impl BenchData {
    /// Gaussian matrices of a typical size and standard deviation, always the same.
    pub fn random() -> Self {
        const MATRICES: usize = 16;
        const SHAPE: [usize; 2] = [1024, 2048];
        const MATRIX_BYTES: usize = SHAPE[0] * SHAPE[1] * size_of::<bf16>();
        let mut bytes = vec![0; MATRICES * MATRIX_BYTES];
        let matrices = bytes.par_chunks_exact_mut(MATRIX_BYTES).enumerate();
        matrices.for_each(|(seed, matrix)| fill(seed as u64, matrix));
        let tensor = |number: usize| BenchTensor {
            name: format!("matrix.{number}"),
            dtype: Dtype::Bf16,
            shape: SHAPE.to_vec(),
            range: number * MATRIX_BYTES..(number + 1) * MATRIX_BYTES,
        };
        let tensors = (0..MATRICES).map(tensor).collect();
        let (source, total) = ("random weights".into(), bytes.len() as u64);
        Self { source, dtype: Dtype::Bf16, all: MATRICES, total, cut: 0, bytes, tensors }
    }

    pub fn all(&self) -> Selection<'_> {
        self.select(|_| true)
    }

    /// The float matrices, which can be coded lossily.
    pub fn matrices(&self) -> Selection<'_> {
        let is_float8 = matches!(self.dtype, Dtype::F8_E4M3 | Dtype::F8_E5M2);
        let is_float =
            is_float8 || matches!(self.dtype, Dtype::F16 | Dtype::Bf16 | Dtype::F32 | Dtype::F64);
        self.select(|tensor| is_float && tensor.shape.len() == 2)
    }

    fn select(&self, wanted: impl Fn(&BenchTensor) -> bool) -> Selection<'_> {
        let tensors = self.tensors.iter().filter(|tensor| wanted(tensor)).collect();
        Selection { bytes: &self.bytes, tensors }
    }

    /// The data, as in `m.safetensors: 33,554,432 weights of BF16, 67.11 MB`, and what of a file they are.
    pub fn describe(&self) -> String {
        let all = self.all();
        let (weights, bytes) = (grouped(all.weights()), Bytes(all.byte_len()));
        let mut text = format!("{}: {weights} weights of {}, {bytes}", self.source, self.dtype);
        if all.byte_len() < self.total {
            text.push_str(&format!(
                ": a sample of {}, {} of {}, {} of them in part, evenly spread over the file",
                Bytes(self.total),
                self.tensors.len(),
                counted(self.all as u64, "tensor"),
                self.cut,
            ));
        }
        text
    }
}

impl BenchTensor {
    fn weights(&self) -> u64 {
        self.shape.iter().product::<usize>() as u64
    }
}

impl<'d> Selection<'d> {
    /// Tensors and their bytes, in order.
    pub fn tensors(&self) -> impl Iterator<Item = (&'d BenchTensor, &'d [u8])> {
        self.tensors.iter().map(|&tensor| (tensor, &self.bytes[tensor.range.clone()]))
    }

    /// The tensors of at least so many weights.
    pub fn of_at_least(&self, weights: u64) -> Self {
        let mut found = self.clone();
        found.tensors.retain(|tensor| tensor.weights() >= weights);
        found
    }

    pub fn byte_len(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.range.len() as u64).sum()
    }

    pub fn weights(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.weights()).sum()
    }
}

/// Fills a matrix with weights of standard deviation 0.02.
fn fill(seed: u64, matrix: &mut [u8]) {
    let mut random = Gaussian::with_seed(seed);
    for weight in matrix.as_chunks_mut().0 {
        *weight = bf16::from_f64(0.02 * random.next()).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_weights_are_gaussian() {
        let mut bytes = vec![0; 1 << 17];
        fill(1, &mut bytes);
        let weights = bytes.as_chunks().0.iter().map(|&bytes| bf16::from_le_bytes(bytes).to_f64());
        let count = weights.len() as f64;
        let moment = |power| weights.clone().map(|x| (x / 0.02).powi(power)).sum::<f64>() / count;
        let (mean, variance, fourth) = (moment(1), moment(2), moment(4));
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean}, {variance}");
        assert!((fourth - 3.0).abs() < 0.1, "{fourth}");
    }
}
