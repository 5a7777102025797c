//! The numbers of one entry.

use crate::error::{Error, Result};
use crate::io::ReadAt;
use std::ops::Range;
use std::sync::Arc;

/// Sums of squares of inputs for one matrix, or for the matrices of all experts in order, and the
/// numbers of inputs that were summed.
pub(super) struct Sums {
    pub(super) source: Arc<dyn ReadAt>,
    /// The offset of the sums, which are F32, and their number.
    pub(super) offset: u64,
    pub(super) values: u64,
    /// For each expert, or one for all. The number of sums is a multiple of their number.
    pub(super) counts: Vec<f32>,
}

/// The matrices of an entry whose inputs a tensor reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The only one.
    Single,
    /// That of one expert.
    Expert(u64),
    /// Those of all experts.
    Stacked,
}

/// Bytes of a sum.
const BYTES: u64 = 4;

impl Sums {
    /// The matrices of a part, if each reads `width` inputs. Files of the older kind do not contain
    /// the number of experts; it follows from the width.
    pub(super) fn matrices(&self, part: Part, width: usize) -> Option<Range<u64>> {
        let (width, counts) = (width as u64, self.counts.len() as u64);
        if width == 0 || !self.values.is_multiple_of(width) {
            return None;
        }
        let count = self.values / width;
        let fits = counts == 1 || counts == count;
        match part {
            Part::Single => (count == 1).then_some(0..1),
            Part::Expert(expert) => (fits && expert < count).then(|| expert..expert + 1),
            Part::Stacked => fits.then_some(0..count),
        }
    }

    /// The mean square of each of `width` inputs, over all inputs of these matrices.
    ///
    /// # Errors
    /// `Corrupt` for sums that are negative or not finite; `Io`.
    pub(super) fn mean(&self, matrices: Range<u64>, width: usize) -> Result<Vec<f64>> {
        let mut mean = vec![0.0; width];
        let (mut total, mut row) = (0.0, Vec::new());
        for matrix in matrices {
            self.read(matrix, width, &mut row)?;
            mean.iter_mut().zip(&row).for_each(|(sum, x)| *sum += x);
            total += f64::from(*self.count(matrix));
        }
        // Without inputs, the sums are zero.
        let total = if total > 0.0 { total } else { 1.0 };
        mean.iter_mut().for_each(|sum| *sum /= total);
        Ok(mean)
    }

    /// The mean squares of all matrices, one after the other.
    ///
    /// # Errors
    /// As [`mean`](Self::mean).
    pub(super) fn means(&self, matrices: Range<u64>, width: usize) -> Result<Vec<f64>> {
        let mut means = Vec::new();
        for matrix in matrices {
            means.extend(self.mean(matrix..matrix + 1, width)?);
        }
        Ok(means)
    }

    fn count(&self, matrix: u64) -> &f32 {
        self.counts.get(matrix as usize).unwrap_or(&self.counts[0])
    }

    fn read(&self, matrix: u64, width: usize, row: &mut Vec<f64>) -> Result<()> {
        let bytes = width as u64 * BYTES;
        let start = self.offset + matrix * bytes;
        row.clear();
        let mut buffer = Vec::new();
        let numbers = self.source.read_at(start..start + bytes, &mut buffer)?;
        row.extend(floats(numbers).map(f64::from));
        check(row, start, "a sum of squares")
    }
}

/// Numbers in a file that must be finite and at least 0.
///
/// # Errors
/// `Corrupt`, with the offset of the first other number.
fn check(numbers: &[f64], start: u64, what: &str) -> Result<()> {
    match numbers.iter().position(|x| !x.is_finite() || *x < 0.0) {
        None => Ok(()),
        Some(at) => Err(Error::corrupt(format!("{what} is {}", numbers[at]))
            .at_offset(start + at as u64 * BYTES)),
    }
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    let (words, _) = bytes.as_chunks();
    words.iter().map(|&word| f32::from_le_bytes(word))
}

/// Reads counts.
///
/// # Errors
/// `Corrupt` for counts that are negative or not finite; `Io`.
pub(super) fn counts(source: &dyn ReadAt, offset: u64, count: u64) -> Result<Vec<f32>> {
    let mut buffer = Vec::new();
    let counts: Vec<f32> =
        floats(source.read_at(offset..offset + count * BYTES, &mut buffer)?).collect();
    let wide: Vec<f64> = counts.iter().map(|&x| x.into()).collect();
    check(&wide, offset, "a count")?;
    Ok(counts)
}
