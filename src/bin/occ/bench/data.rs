//! The weights to code: from a file, or random.

use crate::failure::in_file;
use crate::gaussian::Gaussian;
use half::bf16;
use occ::convert::Checkpoint;
use occ::{Dtype, Result};
use rayon::prelude::*;
use safetensors::tensor::Metadata;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

/// Maximum number of bytes from a file, unless its first tensor is larger.
const MAX_BYTES: usize = 256 << 20;

/// Tensors, contiguous in memory.
pub struct BenchData {
    /// The file, or how they were made.
    pub source: String,
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
    /// The first tensors of a safetensors file.
    pub fn open(path: &Path) -> Result<Self> {
        // Reports errors in the file.
        Checkpoint::open(path)?;
        let in_file = |error| in_file(path, error);
        let mut file = File::open(path).map_err(in_file)?;
        let tensors = read_header(&mut file).map_err(in_file)?;
        let mut bytes = vec![0; tensors.last().map_or(0, |tensor| tensor.range.end)];
        file.read_exact(&mut bytes).map_err(in_file)?;
        Ok(Self { source: path.display().to_string(), bytes, tensors })
    }

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
        Self { source: "random weights".into(), bytes, tensors }
    }

    pub fn all(&self) -> Selection<'_> {
        self.select(|_| true)
    }

    /// The float matrices, which can be coded lossily.
    pub fn matrices(&self) -> Selection<'_> {
        let is_float = |dtype| {
            let is_float8 = matches!(dtype, Dtype::F8_E4M3 | Dtype::F8_E5M2);
            is_float8 || matches!(dtype, Dtype::F16 | Dtype::Bf16 | Dtype::F32 | Dtype::F64)
        };
        self.select(|tensor| is_float(tensor.dtype) && tensor.shape.len() == 2)
    }

    fn select(&self, wanted: impl Fn(&BenchTensor) -> bool) -> Selection<'_> {
        let tensors = self.tensors.iter().filter(|tensor| wanted(tensor)).collect();
        Selection { bytes: &self.bytes, tensors }
    }
}

impl<'d> Selection<'d> {
    /// Tensors and their bytes, in order.
    pub fn tensors(&self) -> impl Iterator<Item = (&'d BenchTensor, &'d [u8])> {
        self.tensors.iter().map(|&tensor| (tensor, &self.bytes[tensor.range.clone()]))
    }

    pub fn byte_len(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.range.len() as u64).sum()
    }

    pub fn weights(&self) -> u64 {
        let elements = |tensor: &&BenchTensor| tensor.shape.iter().product::<usize>() as u64;
        self.tensors.iter().map(elements).sum()
    }
}

/// Reads the header; returns the first tensors, in the order of their bytes.
fn read_header(input: &mut impl Read) -> io::Result<Vec<BenchTensor>> {
    let mut length = [0; 8];
    input.read_exact(&mut length)?;
    let mut header = Vec::new();
    input.take(u64::from_le_bytes(length)).read_to_end(&mut header)?;
    let metadata: Metadata = serde_json::from_slice(&header)?;
    let mut tensors = Vec::new();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        let (start, end) = info.data_offsets;
        if end > MAX_BYTES && !tensors.is_empty() {
            break;
        }
        // The dtypes of both crates have the same names.
        let dtype = info.dtype.to_string().parse().map_err(io::Error::other)?;
        tensors.push(BenchTensor { name, dtype, shape: info.shape.clone(), range: start..end });
    }
    Ok(tensors)
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

    fn first_tensors(megabytes: &[usize]) -> usize {
        let mut end = 0;
        let entries = megabytes.iter().enumerate().map(|(number, size)| {
            let start = end;
            end += size << 20;
            let shape = [size << 20];
            format!(
                r#""{number}":{{"dtype":"U8","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
            )
        });
        let header = format!("{{{}}}", entries.collect::<Vec<_>>().join(","));
        let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
        read_header(&mut file.as_slice()).unwrap().len()
    }

    #[test]
    fn tensors_are_read_up_to_the_limit() {
        assert_eq!(first_tensors(&[100, 100, 56, 1]), 3);
        assert_eq!(first_tensors(&[100, 100, 57, 1]), 2);
        assert_eq!(first_tensors(&[1000, 1]), 1);
        assert_eq!(first_tensors(&[1]), 1);
    }

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
