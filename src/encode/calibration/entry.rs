//! One entry of statistics.

use crate::dtype::{Dtype, number};
use crate::error::{Error, Result};
use crate::io::ReadAt;
use crate::limits::Limits;
#[cfg(feature = "convert")]
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// Numbers of a shape that are read when they are needed.
#[derive(Clone)]
pub(super) struct Entry {
    dtype: Dtype,
    pub(super) shape: Vec<usize>,
    data: Arc<dyn ReadAt>,
    path: Option<PathBuf>,
}

impl Entry {
    /// # Errors
    /// `InvalidArgument` when dtype and shape do not give the length of the data; `Unsupported` for
    /// other dtypes than floats.
    pub(super) fn new(dtype: Dtype, shape: &[usize], data: Arc<dyn ReadAt>) -> Result<Self> {
        if !number::is_float(dtype) {
            return Err(Error::unsupported(format!("statistics of dtype {dtype}")));
        }
        let elements = shape.iter().try_fold(1u64, |count, &size| count.checked_mul(size as u64));
        let expected = elements.and_then(|count| dtype.byte_len(count));
        if expected != Some(data.size()) {
            return Err(Error::invalid(format!(
                "dtype {dtype} and shape {shape:?} do not fit {} bytes",
                data.size()
            )));
        }
        Ok(Self { dtype, shape: shape.to_vec(), data, path: None })
    }

    #[cfg(feature = "convert")]
    pub(super) fn in_file(self, path: &Path) -> Self {
        Self { path: Some(path.to_owned()), ..self }
    }

    /// Adds the name of the entry and its file to an error.
    pub(super) fn locate(&self, name: &str, error: Error) -> Error {
        let error = error.in_tensor(name);
        match &self.path {
            Some(path) => error.in_file(path),
            None => error,
        }
    }

    /// The product of all dimensions but the last.
    pub(super) fn leading(&self) -> usize {
        let (_, leading) = self.shape.split_last().unwrap_or((&0, &[]));
        leading.iter().product()
    }

    /// Reads whole rows of the last dimension.
    ///
    /// # Errors
    /// `Io`; `InvalidArgument` for numbers that are not finite; `LimitExceeded`.
    pub(super) fn rows(&self, rows: std::ops::Range<usize>, out: &mut Vec<f32>) -> Result<()> {
        let row = self.shape.last().map_or(0, |&columns| columns as u64);
        let row = row * u64::from(self.dtype.bits()) / 8;
        let range = rows.start as u64 * row..rows.end as u64 * row;
        let limit = Limits::default().tensor_bytes;
        Error::check_limit("statistics", range.end - range.start, limit)?;
        let mut buffer = Vec::new();
        number::to_f32(self.dtype, self.data.read_at(range, &mut buffer)?, out);
        match out.iter().all(|x| x.is_finite()) {
            true => Ok(()),
            false => Err(Error::invalid("statistics must be finite")),
        }
    }

    /// Reads a vector of numbers that are at least 0.
    ///
    /// # Errors
    /// As [`rows`](Self::rows); `InvalidArgument` for another length and for negative numbers.
    pub(super) fn weights(&self, length: usize) -> Result<Vec<f64>> {
        if self.shape != [length] {
            return Err(Error::invalid(format!(
                "statistics of shape {:?}, expected [{length}]",
                self.shape
            )));
        }
        let mut numbers = Vec::new();
        self.rows(0..1, &mut numbers)?;
        match numbers.iter().all(|&x| x >= 0.0) {
            true => Ok(numbers.into_iter().map(f64::from).collect()),
            false => Err(Error::invalid("statistics must not be negative")),
        }
    }
}
