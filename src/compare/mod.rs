//! Comparison of two models: errors of weights and of outputs.

mod error_sums;
mod inputs;
mod operand;
mod operator;
mod results;
mod tensor_pair;

pub use results::{
    Comparison, Distortion, Inputs, NonFinite, OperatorDistortion, TensorComparison,
    TotalComparison,
};

use crate::convert::{ModelFile, ModelTensor, Progress, Reporter};
use crate::error::Result;
use crate::parallel;
use error_sums::ErrorSums;
use inputs::AssignedInputs;
use operator::OutputEnergy;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use tensor_pair::TensorPair;

/// Options of [`compare`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompareOptions {
    /// A model file with inputs of the weights; `None` to compare weights only.
    pub inputs: Option<PathBuf>,
}

impl CompareOptions {
    /// Compares outputs for the inputs in this file as well.
    #[must_use]
    pub fn inputs(mut self, path: impl Into<PathBuf>) -> Self {
        self.inputs = Some(path.into());
        self
    }
}

/// Compares the tensors of model B with those of the original model A by name. Each model is an
/// `.occ` file, a safetensors file or a checkpoint folder.
///
/// Tensors of the same shape are compared as numbers, also if their dtypes differ. Metadata and
/// attachments are ignored. Sums are accumulated in F64 in a fixed order, so the results depend
/// neither on the number of threads nor on the file format. `progress` receives tensor bytes of A.
///
/// ```
/// use occ::{CompareOptions, Dtype, WriteOptions, Writer};
/// # let folder = tempfile::tempdir()?;
/// # let (a, b) = (folder.path().join("a.occ"), folder.path().join("b.occ"));
/// for (path, last) in [(&a, 4.0f32), (&b, 5.0)] {
///     let mut writer = Writer::create(path, WriteOptions::default())?;
///     writer.add("w", Dtype::F32, &[2], &[3f32.to_le_bytes(), last.to_le_bytes()].concat())?;
///     writer.finish()?;
/// }
/// let comparison = occ::compare(&a, &b, &CompareOptions::default(), None)?;
/// let distortion = comparison.tensors[0].distortion.unwrap();
/// assert_eq!(distortion.rel_error, 0.2); // 1 ÷ √(3² + 4²)
/// assert_eq!(distortion.max_abs_error, 1.0);
/// assert!(!comparison.total.identical);
/// # Ok::<(), occ::Error>(())
/// ```
///
/// # Inputs
///
/// With [`CompareOptions::inputs`], the outputs of weight matrices are compared as well. The file
/// of inputs is a model file with tensors of any numeric dtype. Entries have the names that
/// [`Calibration`](crate::Calibration) describes, and weights may share inputs. The scale of
/// `name.gram` and `name.diag` weighs a tensor in the total; in `name.inputs`, all dimensions but
/// the last count rows. `name.diag` serves where there are no other inputs. `name.rows` and
/// `name.counts` do not describe inputs and are ignored. In addition, an entry may be called
///
/// - `name`: a batch or a Gram matrix. A square, symmetric matrix in which no entry exceeds the
///   larger of the two diagonal entries in its row and column, up to rounding, is taken as a Gram
///   matrix. A batch with all of these properties needs the suffix `.inputs`.
///
/// A weight is a matrix of outputs × inputs: the first dimension × the product of the others.
/// Inputs of a convolution are unfolded patches. A weight with two dimensions is taken as
/// inputs × outputs if only its first dimension equals the width;
/// [`transposed`](TensorComparison::transposed) is set then. Vectors have no outputs.
///
/// ```
/// use occ::{CompareOptions, Dtype, WriteOptions, Writer};
/// # let folder = tempfile::tempdir()?;
/// # let path = |name| folder.path().join(name);
/// let bytes = |numbers: [f32; 4]| numbers.map(f32::to_le_bytes).concat();
/// for (file, name, numbers) in [
///     ("a", "w", [3.0, 4.0, 0.0, 1.0]),
///     ("b", "w", [3.0, 9.0, 0.0, 1.0]), // differs in the second column,
///     ("x", "w.inputs", [1.0, 0.0, 2.0, 0.0]), // where these inputs are zero
/// ] {
///     let mut writer = Writer::create(path(file), WriteOptions::default())?;
///     writer.add(name, Dtype::F32, &[2, 2], &bytes(numbers))?;
///     writer.finish()?;
/// }
/// let options = CompareOptions::default().inputs(path("x"));
/// let comparison = occ::compare(path("a"), path("b"), &options, None)?;
/// assert!(comparison.tensors[0].distortion.unwrap().rel_error > 0.9);
/// assert_eq!(comparison.tensors[0].operator.unwrap().rel_error, 0.0);
/// # Ok::<(), occ::Error>(())
/// ```
///
/// # Complexity
///
/// Weights: time to read and decode both models; a few MB of memory per thread, plus names and
/// shapes. `.occ` files are memory-mapped.
///
/// Outputs: for an m × n weight, O(m n min(k, n) + n² k) for k input vectors (the second term only
/// if k > n) and O(m n²) for a Gram matrix. Memory: min(k, n) × n F64 values for one weight at a
/// time, about 40 MB per thread, and the bytes of both weights if they are transposed.
///
/// # Errors
///
/// Those of [`Reader::open`](crate::Reader::open), [`Checkpoint::open`](crate::convert::Checkpoint)
/// and decoding; `Cancelled`. Differences between models are not errors. For inputs,
/// `InvalidArgument` with the name of the entry if its width does not match the weight, an element
/// is not finite, a Gram matrix is not symmetric and positive semi-definite, a diagonal is
/// negative, outputs overflow F64, or a weight has two entries other than a diagonal; `Unsupported`
/// for inputs of F4, F6 and C64. Entries without a matching weight are listed in [`unused_inputs`](Comparison::unused_inputs).
pub fn compare(
    a: impl AsRef<Path>,
    b: impl AsRef<Path>,
    options: &CompareOptions,
    progress: Option<&mut Progress<'_>>,
) -> Result<Comparison> {
    compare_files(a.as_ref(), b.as_ref(), options.inputs.as_deref(), &mut Reporter(progress))
}

fn compare_files(
    a: &Path,
    b: &Path,
    inputs: Option<&Path>,
    progress: &mut Reporter<'_, '_>,
) -> Result<Comparison> {
    let (a, b) = (ModelFile::open(a)?, ModelFile::open(b)?);
    let (a, b) = (a.tensors()?, b.tensors()?);
    let in_b: HashMap<&str, &ModelTensor<'_>> = b.iter().map(|b| (b.name.as_str(), b)).collect();
    let in_a: HashSet<&str> = a.iter().map(|a| a.name.as_str()).collect();
    let (mut pairs, mut only_in_a) = (Vec::new(), Vec::new());
    for a in &a {
        match in_b.get(a.name.as_str()) {
            Some(b) => pairs.push(TensorPair { a, b }),
            None => only_in_a.push(a.name.clone()),
        }
    }
    let only_in_b = b.iter().map(|b| &b.name).filter(|name| !in_a.contains(name.as_str()));
    let only_in_b: Vec<String> = only_in_b.cloned().collect();
    let inputs = inputs.map(ModelFile::open).transpose()?;
    let entries = inputs.as_ref().map_or(Ok(Vec::new()), ModelFile::tensors)?;
    let owners = inputs.as_ref().map_or(Ok(BTreeMap::new()), ModelFile::shared_inputs)?;
    let (assigned, unused_inputs) = inputs::assign(&pairs, &entries, &owners)?;
    let sums = sum_errors(&pairs, &assigned, progress)?;
    let mut tensors: Vec<_> =
        pairs.iter().zip(&sums).map(|(pair, sums)| pair.comparison(sums)).collect();
    let mut total = total(&tensors, &sums);
    total.identical &= only_in_a.is_empty() && only_in_b.is_empty();
    let energy = compare_outputs(&pairs, &assigned, &sums, &mut tensors, progress)?;
    total.operator = energy.map(OutputEnergy::distortion);
    Ok(Comparison { tensors, total, only_in_a, only_in_b, unused_inputs })
}

/// Sums over each pair: pieces in parallel, added in order. Progress for pairs with inputs is
/// reported later, by [`compare_outputs`].
fn sum_errors(
    pairs: &[TensorPair<'_>],
    assigned: &[Option<AssignedInputs<'_>>],
    progress: &mut Reporter<'_, '_>,
) -> Result<Vec<ErrorSums>> {
    let mut sums = vec![ErrorSums::default(); pairs.len()];
    let pieces = pairs.iter().enumerate();
    let pieces = pieces.flat_map(|(at, pair)| (0..pair.pieces()).map(move |piece| (at, piece)));
    let sum_piece = |(at, piece): (usize, u64)| {
        let (sums, bytes) = pairs[at].sum(piece)?;
        Ok((at, sums, bytes))
    };
    parallel::ordered(pieces.map(Ok), sum_piece, |(at, piece, bytes)| {
        sums[at] = sums[at].merged(piece);
        progress.report(if assigned[at].is_some() { 0 } else { bytes })
    })?;
    Ok(sums)
}

/// Compares the outputs of each pair that has inputs and adds the results to `tensors`. Returns the
/// sum of the energies of all outputs.
fn compare_outputs(
    pairs: &[TensorPair<'_>],
    assigned: &[Option<AssignedInputs<'_>>],
    sums: &[ErrorSums],
    tensors: &mut [TensorComparison],
    progress: &mut Reporter<'_, '_>,
) -> Result<Option<OutputEnergy>> {
    let mut total: Option<OutputEnergy> = None;
    for (at, tensor) in tensors.iter_mut().enumerate() {
        let Some(assigned) = &assigned[at] else { continue };
        let (energy, inputs) = operator::output_energy(&pairs[at], assigned, progress)?;
        let energy = if sums[at].is_infinite() { energy.with_infinite_error() } else { energy };
        tensor.operator = Some(energy.distortion());
        tensor.inputs = Some(inputs);
        tensor.transposed = assigned.layout.transposed;
        total = Some(total.map_or(energy, |total| total.merged(energy)));
    }
    Ok(total)
}

fn total(tensors: &[TensorComparison], sums: &[ErrorSums]) -> TotalComparison {
    let compared = tensors.iter().filter(|tensor| tensor.comparable());
    let numeric = tensors.iter().zip(sums).filter(|(tensor, _)| tensor.distortion.is_some());
    let sums = numeric.map(|(_, sums)| *sums).reduce(ErrorSums::merged);
    TotalComparison {
        weights: compared.fold(0, |sum: u64, tensor| sum.saturating_add(tensor.weights)),
        identical: tensors.iter().all(|tensor| tensor.identical),
        distortion: sums.map(|sums| sums.distortion()),
        non_finite: sums.map(|sums| sums.non_finite()),
        operator: None,
    }
}
