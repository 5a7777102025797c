//! Analysis of all matrices of a model.

use super::coded_rates::{DECIBELS, enter_coded_rates};
use super::matrix_analysis::{MatrixAnalysis, analyze_in_all_coordinates};
use super::spectrum::Spectrum;
use super::summary::{self, CoordinateSummary, LayerSummary, RoleSummary};
use super::weights::Weights;
use crate::convert::{ModelFile, ModelTensor, Progress, Reporter};
use crate::encode::{Encoding, Plan, TensorSource, matrix_shape};
use crate::error::{Error, Result};
use crate::parallel;
use crate::role::{TensorRole, layer};
use serde::Serialize;
use std::path::Path;
use wildmatch::WildMatch;

/// Options of [`analyze`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AnalyzeOptions {
    /// A pattern of `*` and `?` that names of analysed tensors match; `None` for all tensors.
    pub tensors: Option<String>,
    /// The signal-to-noise ratio in decibels at which coded rates are compared. Default: 16.
    pub snr_db: f64,
}

impl Default for AnalyzeOptions {
    fn default() -> Self {
        Self { tensors: None, snr_db: 16.0 }
    }
}

impl AnalyzeOptions {
    /// Analyses only tensors whose names match a pattern of `*` and `?`.
    #[must_use]
    pub fn tensors(mut self, pattern: impl Into<String>) -> Self {
        self.tensors = Some(pattern.into());
        self
    }

    /// Compares coded rates at this signal-to-noise ratio in decibels.
    #[must_use]
    pub fn snr_db(mut self, snr_db: f64) -> Self {
        self.snr_db = snr_db;
        self
    }
}

/// The result of [`analyze`]. The fields have the same names in JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Analysis {
    /// Number of tensors that match [`AnalyzeOptions::tensors`].
    pub tensors: usize,
    /// Number of their elements.
    pub weights: u64,
    /// Number of elements in matrices.
    pub matrix_weights: u64,
    /// The signal-to-noise ratio in decibels at which coded rates are compared.
    pub snr_db: f64,
    /// The weight matrices, in file order.
    pub matrices: Vec<MatrixAnalysis>,
    /// Summaries over all matrices, in the order of
    /// [`SUMMARY_COORDINATES`](super::SUMMARY_COORDINATES); empty without matrices.
    pub coordinates: Vec<CoordinateSummary>,
    /// Summaries over matrices of the same role, in the order of [`TensorRole`].
    pub roles: Vec<RoleSummary>,
    /// Summaries over matrices of the same layer, ordered by stack and index.
    pub layers: Vec<LayerSummary>,
    /// The rate-distortion curve over all matching tensors, without file header and index. Empty
    /// if all of them are coded losslessly.
    pub rate_distortion: Vec<RatePoint>,
}

/// A point of the rate-distortion curve. Rates are planned, not measured on coded files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RatePoint {
    /// The signal-to-noise ratio of every matrix in decibels.
    pub snr_db: f64,
    /// Bits per weight over all tensors, including those coded losslessly.
    pub bits: f64,
    /// Bits per weight over the tensors coded lossily.
    pub matrix_bits: f64,
    /// The lower bound for independent Gaussian weights (Shannon, 1959) in bits per weight:
    /// `snr_db` ÷ 6.02.
    pub shannon_bits: f64,
}

/// Analyses every weight matrix of a model (an `.occ` file, a safetensors file or a checkpoint
/// folder) in all [`Coordinates`](crate::Coordinates).
///
/// Weight matrices are those of the lossy codec: floating-point tensors with at least two
/// dimensions and 4096 elements. See the [module](super) for an example.
///
/// Outliers, energy concentration and distributions cover all weights. Rates, spectra and the bases
/// of KLTs are computed from evenly spread samples of large matrices. Samples and random numbers
/// are fixed, so the results are deterministic and do not depend on the number of threads.
/// `progress` receives tensor bytes.
///
/// # Complexity
///
/// Every matrix is read at least four times. About one second per million weights on one core, less
/// for matrices that are sampled; about 100 MB of memory per thread.
///
/// # Errors
///
/// Those of opening and decoding; `InvalidArgument` if no tensor matches or the signal-to-noise
/// ratio is not a positive number; `Cancelled`.
pub fn analyze(
    path: impl AsRef<Path>,
    options: &AnalyzeOptions,
    progress: Option<&mut Progress<'_>>,
) -> Result<Analysis> {
    Encoding::snr(options.snr_db).check()?;
    let mut progress = Reporter(progress);
    let model = ModelFile::open(path.as_ref())?;
    let tensors = matching(model.tensors()?, options.tensors.as_deref())?;
    let mut all = Vec::with_capacity(tensors.len());
    parallel::ordered(
        tensors.iter().map(Ok),
        |tensor| Ok((analyze_tensor(tensor, options.snr_db)?, tensor.byte_len())),
        |(analysis, bytes)| {
            all.push(analysis);
            progress.report(bytes)
        },
    )?;
    let weights = tensors.iter().map(ModelTensor::elements).sum();
    let rate_distortion = rate_distortion(&all, weights);
    let matrices: Vec<MatrixAnalysis> =
        all.into_iter().filter_map(|analysis| analysis.matrix).collect();
    Ok(Analysis {
        tensors: tensors.len(),
        weights,
        matrix_weights: matrices.iter().map(|matrix| matrix.weights).sum(),
        snr_db: options.snr_db,
        coordinates: summary::by_coordinates(&matrices.iter().collect::<Vec<_>>()),
        roles: summary::by_role(&matrices),
        layers: summary::by_layer(&matrices),
        rate_distortion,
        matrices,
    })
}

fn matching<'m>(
    mut tensors: Vec<ModelTensor<'m>>,
    pattern: Option<&str>,
) -> Result<Vec<ModelTensor<'m>>> {
    let Some(pattern) = pattern else { return Ok(tensors) };
    let matcher = WildMatch::new(pattern);
    tensors.retain(|tensor| matcher.matches(&tensor.name));
    if tensors.is_empty() {
        return Err(Error::invalid(format!("no tensor name matches `{pattern}`")));
    }
    Ok(tensors)
}

/// The analysis of a tensor.
struct TensorAnalysis {
    matrix: Option<MatrixAnalysis>,
    weights: u64,
    coded: CodedSize,
}

/// The planned size of a tensor.
enum CodedSize {
    /// Bits per weight at each of [`DECIBELS`].
    Lossy([f64; DECIBELS.len()]),
    /// Total bits.
    Lossless(f64),
}

fn analyze_tensor(tensor: &ModelTensor<'_>, snr_db: f64) -> Result<TensorAnalysis> {
    let ModelTensor { name, dtype, shape, .. } = tensor;
    let mut matrix = analyze_matrix(tensor)?;
    let source = TensorSource::new(name, *dtype, shape, tensor);
    let lossy = match &mut matrix {
        Some(matrix) => enter_coded_rates(&source, snr_db, &mut matrix.coordinates)?,
        None => None,
    };
    let coded = match lossy {
        Some(bits) => CodedSize::Lossy(bits),
        None => {
            let plan = Plan::of(&source, &Encoding::lossless())?;
            CodedSize::Lossless(8.0 * plan.bytes as f64)
        }
    };
    Ok(TensorAnalysis { matrix, weights: tensor.elements(), coded })
}

/// `None` for tensors that are not matrices of the lossy codec.
fn analyze_matrix(tensor: &ModelTensor<'_>) -> Result<Option<MatrixAnalysis>> {
    let shape: Vec<u64> = tensor.shape.iter().map(|&size| size as u64).collect();
    let Some((rows, columns)) = matrix_shape(tensor.dtype, &shape) else { return Ok(None) };
    let weights = Weights::new(tensor, tensor.dtype, (rows, columns))?;
    let layer = layer(&tensor.name);
    Ok(Some(MatrixAnalysis {
        name: tensor.name.clone(),
        dtype: tensor.dtype,
        shape: tensor.shape.clone(),
        rows,
        columns,
        weights: tensor.elements(),
        not_finite: weights.not_finite(),
        role: TensorRole::of(&tensor.name, tensor.shape.len()),
        stack: layer.map(|(stack, _)| stack.to_owned()),
        layer: layer.map(|(_, index)| index),
        coordinates: analyze_in_all_coordinates(&weights)?,
        spectrum: Spectrum::of(&weights)?,
    }))
}

/// Sums over all tensors; empty if all of them are coded losslessly.
fn rate_distortion(all: &[TensorAnalysis], weights: u64) -> Vec<RatePoint> {
    let lossless = all.iter().map(|tensor| match tensor.coded {
        CodedSize::Lossless(bits) => bits,
        CodedSize::Lossy(_) => 0.0,
    });
    let lossless: f64 = lossless.sum();
    let lossy = || {
        all.iter().filter_map(|tensor| match &tensor.coded {
            CodedSize::Lossy(bits) => Some((tensor.weights as f64, bits)),
            CodedSize::Lossless(_) => None,
        })
    };
    let matrix_weights: f64 = lossy().map(|(weights, _)| weights).sum();
    if matrix_weights == 0.0 {
        return Vec::new();
    }
    let point = |(at, snr_db): (usize, f64)| {
        let bits: f64 = lossy().map(|(weights, bits)| weights * bits[at]).sum();
        RatePoint {
            snr_db,
            bits: (bits + lossless) / weights as f64,
            matrix_bits: bits / matrix_weights,
            shannon_bits: snr_db / (20.0 * 2f64.log10()),
        }
    };
    DECIBELS.into_iter().enumerate().map(point).collect()
}
