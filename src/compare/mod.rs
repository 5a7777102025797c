//! How far two models are apart.

mod inputs;
mod operand;
mod operator;
mod pair;
mod sums;

pub use inputs::Inputs;

use crate::convert::model::{Model, Stored};
use crate::convert::{Progress, report};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::parallel;
use inputs::Given;
use operator::Outputs;
use pair::Pair;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use sums::Sums;

/// What [`compare`] or [`compare_with_inputs`] found.
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
    /// Names of the inputs that belong to no compared matrix, in their order.
    pub unused_inputs: Vec<String>,
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
    /// How far their outputs are apart; none without inputs.
    pub operator: Option<OperatorDistortion>,
    /// What the inputs were given as; none without any.
    pub inputs: Option<Inputs>,
    /// Whether the weights were taken as inputs × outputs, since only so the inputs fit.
    pub transposed: bool,
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
    /// How far all outputs are apart, over the tensors that have inputs; none when none has. Loud
    /// outputs count more, and so do tensors with more inputs.
    pub operator: Option<OperatorDistortion>,
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

/// How far the outputs Ŵx of B are from the outputs Wx of A, over all inputs x that were given.
///
/// Weights of which one is not finite are left out or make the error infinite, as in [`Distortion`].
/// Nothing here is ever NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct OperatorDistortion {
    /// √(Σ‖(W − Ŵ)x‖² ÷ Σ‖Wx‖²) = √(tr(E G Eᵀ) ÷ tr(W G Wᵀ)) with E = W − Ŵ and the Gram matrix
    /// G = Σxxᵀ: 0 without errors; infinite when only W's outputs are zero.
    ///
    /// By way of a Gram matrix, errors below some 10⁻⁸ of what inputs as loud could make of W − Ŵ
    /// drown in rounding.
    pub rel_error: f64,
    /// Signal to noise in decibels, −20 log₁₀ of `rel_error`: infinite without errors; minus
    /// infinity where that is infinite.
    pub snr_db: f64,
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
    compared(a.as_ref(), b.as_ref(), None, progress)
}

/// Compares two models as [`compare`] does, and what their matrices make of inputs.
///
/// `inputs`, stored like a model, holds for any of the weights, of any dtype that is a number:
///
/// - under `<name>.inputs` a batch, rows × width, an input vector a row (of more dimensions, all
///   but the last count rows),
/// - under `<name>.gram` the Gram matrix XᵀX of such a batch, width × width,
/// - or under the weight's own name either: what is square, symmetric and nowhere larger than its
///   diagonal allows, to rounding, is a Gram matrix. A batch that happens to be all that needs the
///   suffix.
///
/// A weight makes outermost dimension × rest of its shape a matrix: a convolution takes its inputs
/// as unfolded patches. Where only the other way round fits, two dimensions are taken as inputs ×
/// outputs, and [`transposed`](TensorComparison::transposed) says so; of a square weight nobody can
/// tell. Vectors are not compared with inputs.
///
/// Of a weight of m × n and k input vectors, time is O(m n min(k, n) + n² k), the last where k > n;
/// of a Gram matrix, O(m n²). Held at once are, in F64, one weight's inputs or their Gram matrix,
/// min(k, n) × n, besides some 40 MB a thread; of a transposed weight both sides' bytes, too. A
/// tensor's bytes are reported when all is done with them.
///
/// ```
/// use occ::{Dtype, WriteOptions, Writer};
/// use std::ops::ControlFlow;
/// # let folder = tempfile::tempdir()?;
/// # let path = |name| folder.path().join(name);
/// let bytes = |numbers: [f32; 4]| numbers.map(f32::to_le_bytes).concat();
/// for (file, name, numbers) in [
///     ("a", "w", [3.0, 4.0, 0.0, 1.0]),
///     ("b", "w", [3.0, 9.0, 0.0, 1.0]), // off in the second column
///     ("x", "w.inputs", [1.0, 0.0, 2.0, 0.0]), // which these inputs do not see
/// ] {
///     let mut writer = Writer::create(path(file), WriteOptions::default())?;
///     writer.add(name, Dtype::F32, &[2, 2], &bytes(numbers))?;
///     writer.finish()?;
/// }
/// let go = &mut |_| ControlFlow::Continue(());
/// let comparison = occ::compare_with_inputs(path("a"), path("b"), path("x"), go)?;
/// assert!(comparison.tensors[0].distortion.unwrap().rel_error > 0.9);
/// assert_eq!(comparison.tensors[0].operator.unwrap().rel_error, 0.0);
/// # Ok::<(), occ::Error>(())
/// ```
///
/// # Errors
/// As [`compare`], for the inputs, too. `InvalidArgument`, with the name of the entry, for inputs
/// whose width is not the weight's, that are not finite, that are called a Gram matrix but cannot be
/// one, whose outputs exceed F64, and for a second entry for the same weight; `Unsupported` for
/// inputs of F4, F6 and C64. Entries for no matrix that was compared are no error:
/// [`unused_inputs`](Comparison::unused_inputs).
pub fn compare_with_inputs(
    a: impl AsRef<Path>,
    b: impl AsRef<Path>,
    inputs: impl AsRef<Path>,
    progress: &mut Progress<'_>,
) -> Result<Comparison> {
    compared(a.as_ref(), b.as_ref(), Some(inputs.as_ref()), progress)
}

fn compared(
    a: &Path,
    b: &Path,
    inputs: Option<&Path>,
    progress: &mut Progress<'_>,
) -> Result<Comparison> {
    let (a, b) = (Model::open(a)?, Model::open(b)?);
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
    let inputs = inputs.map(Model::open).transpose()?;
    let entries = inputs.as_ref().map_or(Ok(Vec::new()), Model::tensors)?;
    let (given, unused_inputs) = inputs::assign(&pairs, &entries)?;
    let sums = sum(&pairs, &given, progress)?;
    let mut tensors: Vec<_> =
        pairs.iter().zip(&sums).map(|(pair, sums)| pair.result(sums)).collect();
    let mut total = total(&tensors, &sums);
    total.identical &= only_in_a.is_empty() && only_in_b.is_empty();
    let outputs = multiply(&pairs, &given, &sums, &mut tensors, progress)?;
    total.operator = outputs.map(Outputs::distortion);
    Ok(Comparison { tensors, total, only_in_a, only_in_b, unused_inputs })
}

/// Sums over each pair, many pieces in parallel, each pair's in order. What has inputs is not done
/// with yet.
fn sum(
    pairs: &[Pair<'_>],
    given: &[Option<Given<'_>>],
    progress: &mut Progress<'_>,
) -> Result<Vec<Sums>> {
    let mut sums = vec![Sums::default(); pairs.len()];
    let pieces = pairs.iter().enumerate();
    let pieces = pieces.flat_map(|(at, pair)| (0..pair.pieces()).map(move |piece| (at, piece)));
    let sum_piece = |(at, piece): (usize, u64)| {
        let (sums, bytes) = pairs[at].sum(piece)?;
        Ok((at, sums, bytes))
    };
    parallel::ordered(pieces.map(Ok), sum_piece, |(at, piece, bytes)| {
        sums[at] = sums[at].merged(piece);
        report(progress, if given[at].is_some() { 0 } else { bytes })
    })?;
    Ok(sums)
}

/// Compares the outputs of the pairs that have inputs, one after another, and adds what that says
/// to their results; of all together the energies.
fn multiply(
    pairs: &[Pair<'_>],
    given: &[Option<Given<'_>>],
    sums: &[Sums],
    results: &mut [TensorComparison],
    progress: &mut Progress<'_>,
) -> Result<Option<Outputs>> {
    let mut all: Option<Outputs> = None;
    for (at, result) in results.iter_mut().enumerate() {
        let Some(given) = &given[at] else { continue };
        let (outputs, inputs) = operator::outputs(&pairs[at], given, progress)?;
        let outputs = if sums[at].unbounded() { outputs.unbounded() } else { outputs };
        result.operator = Some(outputs.distortion());
        result.inputs = Some(inputs);
        result.transposed = given.layout.transposed;
        all = Some(all.map_or(outputs, |all| all.merged(outputs)));
    }
    Ok(all)
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
        operator: None,
    }
}
