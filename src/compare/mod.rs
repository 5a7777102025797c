//! How far two models are apart.

mod sums;

use crate::convert::{Progress, report};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::floats::is_number;
use crate::model::{Model, Stored};
use crate::pipeline;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use sums::Sums;

/// What [`compare`] found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// The tensors that both models have, in A's order.
    pub tensors: Vec<TensorComparison>,
    /// All of them together.
    pub total: TotalComparison,
    /// Names of the tensors that B lacks, in A's order.
    pub only_in_a: Vec<String>,
    /// Names of the tensors that A lacks, in B's order.
    pub only_in_b: Vec<String>,
}

/// Two tensors of the same name.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TensorComparison {
    /// The name they share.
    pub name: String,
    /// The type of the elements in A.
    pub dtype: Dtype,
    /// The type of the elements in B.
    pub dtype_b: Dtype,
    /// The dimensions in A, outermost first.
    pub shape: Vec<usize>,
    /// The dimensions in B, outermost first.
    pub shape_b: Vec<usize>,
    /// Elements of A's.
    pub weights: u64,
    /// Whether dtype, shape and every byte are equal.
    pub identical: bool,
    /// How far they are apart as numbers; none where [`comparable`](Self::comparable) says no, nor
    /// for F4, F6 and C64, of which only the bytes are compared.
    pub distortion: Option<Distortion>,
}

impl TensorComparison {
    /// Whether element can be held against element: the shapes are equal, and so are the dtypes or
    /// else both are numbers.
    pub fn comparable(&self) -> bool {
        self.shape == self.shape_b && (self.dtype == self.dtype_b || self.distortion.is_some())
    }
}

/// All tensors that both models have, as if they were one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TotalComparison {
    /// Elements that were compared, as numbers or as bytes.
    pub weights: u64,
    /// Whether both models have the same tensors, each of them identical.
    pub identical: bool,
    /// How far they are apart, over all tensors that have a distortion; none when none has.
    pub distortion: Option<Distortion>,
}

/// How far the numbers Ŵ of B are from the numbers W of A; all norms are Euclidean.
///
/// Pairs of elements of which one is not finite are left out of norms and cosine. They count as
/// equal where both have the same bits or, across dtypes, are both NaN or the same infinity; else
/// the errors are infinite. Numbers beyond 2⁴⁸⁰, whose squares might overflow, are treated like
/// infinities of their own, and F64 numbers and errors below 2⁻⁵³⁷ are zero to the norms. Nothing
/// here is ever NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Distortion {
    /// ‖W − Ŵ‖ ÷ ‖W‖: 0 without errors; infinite when only W is zero.
    pub rel_error: f64,
    /// Signal to noise in decibels, 20 log₁₀(‖W‖ ÷ ‖W − Ŵ‖): infinite without errors; minus
    /// infinity where `rel_error` is infinite.
    pub snr_db: f64,
    /// The largest |w − ŵ|.
    pub max_abs_error: f64,
    /// The cosine of the angle between them, ⟨W, Ŵ⟩ ÷ (‖W‖ ‖Ŵ‖): 1 when both are zero, 0 when just
    /// one is.
    pub cosine: f64,
}

/// Compares the tensors of two models by name: each an `.occ` file, a safetensors file or a
/// checkpoint folder. A is the original, B what became of it.
///
/// Metadata and attachments are not looked at. Different dtypes of one shape are compared as
/// numbers. Sums are of f64, over pieces in order: the results do not depend on the number of
/// threads, nor on how a model is stored.
///
/// Time is that of reading and decoding all tensors which both have; memory, a few MB a thread and
/// the names and shapes. An `.occ` file is mapped: its pages count as ours but the system can
/// always drop them.
///
/// ```
/// use occ::{Dtype, WriteOptions, Writer};
/// use std::ops::ControlFlow;
/// # let folder = tempfile::tempdir()?;
/// # let (a, b) = (folder.path().join("a.occ"), folder.path().join("b.occ"));
/// for (path, last) in [(&a, 4.0f32), (&b, 5.0)] {
///     let mut writer = Writer::create(path, WriteOptions::default())?;
///     writer.add("w", Dtype::F32, &[2], &[3f32.to_le_bytes(), last.to_le_bytes()].concat())?;
///     writer.finish()?;
/// }
/// let comparison = occ::compare(&a, &b, &mut |_| ControlFlow::Continue(()))?;
/// let distortion = comparison.tensors[0].distortion.unwrap();
/// assert_eq!(distortion.rel_error, 0.2); // 1 ÷ √(3² + 4²)
/// assert_eq!(distortion.max_abs_error, 1.0);
/// assert!(!comparison.total.identical);
/// # Ok::<(), occ::Error>(())
/// ```
///
/// # Errors
/// What [`Reader::open`](crate::Reader::open), [`Checkpoint::open`](crate::convert::Checkpoint::open)
/// and decoding say; `Cancelled`. That the models differ, in whatever way, is no error.
pub fn compare(
    a: impl AsRef<Path>,
    b: impl AsRef<Path>,
    progress: &mut Progress<'_>,
) -> Result<Comparison> {
    let (a, b) = (Model::open(a.as_ref())?, Model::open(b.as_ref())?);
    let (a, b) = (a.tensors()?, b.tensors()?);
    let in_b: HashMap<&str, &Stored<'_>> = b.iter().map(|b| (b.name.as_str(), b)).collect();
    let in_a: HashSet<&str> = a.iter().map(|a| a.name.as_str()).collect();
    let (mut pairs, mut only_in_a) = (Vec::new(), Vec::new());
    for a in &a {
        match in_b.get(a.name.as_str()) {
            Some(b) => pairs.push(Pair { a, b }),
            None => only_in_a.push(a.name.clone()),
        }
    }
    let only_in_b = b.iter().map(|b| &b.name).filter(|name| !in_a.contains(name.as_str()));
    let only_in_b: Vec<String> = only_in_b.cloned().collect();
    let sums = sum(&pairs, progress)?;
    let tensors: Vec<_> = pairs.iter().zip(&sums).map(|(pair, sums)| pair.result(sums)).collect();
    let mut total = total(&tensors, &sums);
    total.identical &= only_in_a.is_empty() && only_in_b.is_empty();
    Ok(Comparison { tensors, total, only_in_a, only_in_b })
}

/// Sums over each pair, many pieces in parallel, each pair's in order.
fn sum(pairs: &[Pair<'_>], progress: &mut Progress<'_>) -> Result<Vec<Sums>> {
    let mut sums = vec![Sums::default(); pairs.len()];
    let pieces = pairs.iter().enumerate();
    let pieces = pieces.flat_map(|(at, pair)| (0..pair.pieces()).map(move |piece| (at, piece)));
    let sum_piece = |(at, piece): (usize, u64)| {
        let (sums, bytes) = pairs[at].sum(piece)?;
        Ok((at, sums, bytes))
    };
    pipeline::ordered(pieces.map(Ok), sum_piece, |(at, piece, bytes)| {
        sums[at] = sums[at].merged(piece);
        report(progress, bytes)
    })?;
    Ok(sums)
}

/// All pairs as one.
fn total(tensors: &[TensorComparison], sums: &[Sums]) -> TotalComparison {
    let compared = tensors.iter().filter(|tensor| tensor.comparable());
    let numbers = tensors.iter().zip(sums).filter(|(tensor, _)| tensor.distortion.is_some());
    let numbers = numbers.map(|(_, sums)| *sums).reduce(Sums::merged);
    TotalComparison {
        weights: compared.fold(0, |sum: u64, tensor| sum.saturating_add(tensor.weights)),
        identical: tensors.iter().all(|tensor| tensor.identical),
        distortion: numbers.map(|sums| sums.distortion()),
    }
}

/// A tensor of A and that of the same name in B.
struct Pair<'p> {
    a: &'p Stored<'p>,
    b: &'p Stored<'p>,
}

/// Elements compared at once: whole bytes of every dtype.
const PIECE: u64 = 1 << 20;

impl Pair<'_> {
    /// Whether they can be compared as numbers.
    fn numbers(&self) -> bool {
        self.a.shape == self.b.shape && is_number(self.a.dtype) && is_number(self.b.dtype)
    }

    /// How many pieces have to be read: all where numbers or bytes can be compared, else none.
    fn pieces(&self) -> u64 {
        let same_type = self.a.shape == self.b.shape && self.a.dtype == self.b.dtype;
        if !self.numbers() && !same_type {
            return 0;
        }
        self.a.byte_len().div_ceil(piece_bytes(self.a.dtype))
    }

    /// The sums over a piece, and its bytes in A.
    fn sum(&self, piece: u64) -> Result<(Sums, u64)> {
        let read = |tensor: &Stored<'_>| {
            let size = piece_bytes(tensor.dtype);
            let start = piece * size;
            tensor.read(start..tensor.byte_len().min(start.saturating_add(size)))
        };
        let (a, b) = (read(self.a)?, read(self.b)?);
        Ok((Sums::of((self.a.dtype, &a), (self.b.dtype, &b)), a.len() as u64))
    }

    fn result(&self, sums: &Sums) -> TensorComparison {
        let Self { a, b } = self;
        TensorComparison {
            name: a.name.clone(),
            dtype: a.dtype,
            dtype_b: b.dtype,
            shape: a.shape.clone(),
            shape_b: b.shape.clone(),
            weights: a.shape.iter().fold(1, |count: u64, &size| count.saturating_mul(size as u64)),
            identical: a.dtype == b.dtype && a.shape == b.shape && sums.same_bytes(),
            distortion: self.numbers().then(|| sums.distortion()),
        }
    }
}

fn piece_bytes(dtype: Dtype) -> u64 {
    PIECE / 8 * u64::from(dtype.bits())
}
