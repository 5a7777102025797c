//! All matrices of a model.

use super::coded::{self, DECIBELS};
use super::kinds::{self, Kind};
use super::matrix::{MatrixAnalysis, in_all_systems};
use super::spectrum::Spectrum;
use super::summary::{self, KindSummary, LayerSummary, RegimeSummary};
use super::weights::Weights;
use crate::convert::model::{Model, Stored};
use crate::convert::{Progress, report};
use crate::encode::{Encoding, Plan, TensorSource, matrix_shape};
use crate::error::{Error, Result};
use crate::parallel;
use serde::Serialize;
use std::path::Path;
use wildmatch::WildMatch;

/// What to look at.
#[derive(Clone, Debug, PartialEq)]
pub struct AnalyzeOptions {
    /// Only tensors whose names match this pattern of `*` and `?`.
    pub tensors: Option<String>,
    /// The signal-to-noise ratio, in decibels, at which coded bits are compared (default 16).
    pub snr_db: f64,
}

impl Default for AnalyzeOptions {
    fn default() -> Self {
        Self { tensors: None, snr_db: 16.0 }
    }
}

/// What [`analyze`] found. Its fields, and those of what it holds, are those of the JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Analysis {
    /// Tensors that were looked at: those that match.
    pub tensors: usize,
    /// Elements of these.
    pub weights: u64,
    /// Elements of the matrices among them.
    pub matrix_weights: u64,
    /// The signal-to-noise ratio, in decibels, at which coded bits are compared.
    pub snr_db: f64,
    /// All weight matrices, in the order of their bytes.
    pub matrices: Vec<MatrixAnalysis>,
    /// The three regimes over all matrices, in the order of [`Regime::ALL`](super::Regime::ALL);
    /// empty without matrices.
    pub regimes: Vec<RegimeSummary>,
    /// The same for each kind of matrix that there is, in the order of [`Kind`].
    pub kinds: Vec<KindSummary>,
    /// The same for each layer, by stack and number; of matrices whose names tell a layer.
    pub layers: Vec<LayerSummary>,
    /// What all that was looked at would take in a file, by error; without the file's own header
    /// and index. Empty where nothing is coded with loss.
    pub rate_distortion: Vec<RatePoint>,
}

/// A point of the rate-distortion curve: rates are planned, not coded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RatePoint {
    /// The signal-to-noise ratio of every matrix, in decibels.
    pub snr_db: f64,
    /// Bits a weight over all tensors, those that lose nothing included.
    pub bits: f64,
    /// Bits a weight over the matrices that lose something.
    pub matrix_bits: f64,
    /// Bits a weight that independent Gaussian weights take at least (Shannon, 1959):
    /// `snr_db` ÷ 6.02.
    pub shannon_bits: f64,
}

/// Looks at every weight matrix of a model, an `.occ` file, a safetensors file or a checkpoint
/// folder, in several coordinate systems. What is a matrix, and of what shape, is as in the codec:
/// floats of at least two dimensions and 4096 elements.
///
/// Outliers, concentration and distributions are of all weights; rates, spectra and principal axes
/// of samples where a matrix is large, as said there. Rows and random numbers are always the same:
/// so are the results, for any number of threads. `progress` is told of bytes of tensors.
///
/// Reads every matrix four times and more; needs about 100 MB of memory a thread. Takes about a
/// second a million weights on one core, less where matrices are so large that they are sampled.
///
/// # Errors
/// What opening and decoding say; `InvalidArgument` when no tensor matches or the signal-to-noise
/// ratio is none; `Cancelled`.
pub fn analyze(
    path: impl AsRef<Path>,
    options: &AnalyzeOptions,
    progress: &mut Progress<'_>,
) -> Result<Analysis> {
    Encoding::snr(options.snr_db).check()?;
    let model = Model::open(path.as_ref())?;
    let tensors = matching(model.tensors()?, options.tensors.as_deref())?;
    let mut all = Vec::with_capacity(tensors.len());
    parallel::ordered(
        tensors.iter().map(Ok),
        |tensor| Ok((look(tensor, options.snr_db)?, tensor.byte_len())),
        |(looked, bytes)| {
            all.push(looked);
            report(progress, bytes)
        },
    )?;
    let weights = tensors.iter().map(elements).sum();
    let rate_distortion = rate_distortion(&all, weights);
    let matrices: Vec<MatrixAnalysis> =
        all.into_iter().filter_map(|looked| looked.matrix).collect();
    Ok(Analysis {
        tensors: tensors.len(),
        weights,
        matrix_weights: matrices.iter().map(|matrix| matrix.weights).sum(),
        snr_db: options.snr_db,
        regimes: summary::regimes(&matrices.iter().collect::<Vec<_>>()),
        kinds: summary::kinds(&matrices),
        layers: summary::layers(&matrices),
        rate_distortion,
        matrices,
    })
}

fn matching<'m>(mut tensors: Vec<Stored<'m>>, pattern: Option<&str>) -> Result<Vec<Stored<'m>>> {
    let Some(pattern) = pattern else { return Ok(tensors) };
    let matcher = WildMatch::new(pattern);
    tensors.retain(|tensor| matcher.matches(&tensor.name));
    if tensors.is_empty() {
        return Err(Error::invalid(format!("no tensor's name matches `{pattern}`")));
    }
    Ok(tensors)
}

fn elements(tensor: &Stored<'_>) -> u64 {
    tensor.shape.iter().fold(1, |count: u64, &size| count.saturating_mul(size as u64))
}

/// What was found out about a tensor.
struct Looked {
    matrix: Option<MatrixAnalysis>,
    weights: u64,
    spent: Spent,
}

/// What a tensor would take.
enum Spent {
    /// Bits a weight along the rate-distortion curve.
    Lossy([f64; DECIBELS.len()]),
    /// Bits in all, always.
    Lossless(f64),
}

fn look(tensor: &Stored<'_>, snr_db: f64) -> Result<Looked> {
    let Stored { name, dtype, shape, .. } = tensor;
    let mut matrix = matrix(tensor)?;
    let source = TensorSource::new(name, *dtype, shape, tensor);
    let spent = match &mut matrix {
        Some(matrix) => coded::spend(&source, snr_db, &mut matrix.coordinates)?,
        None => None,
    };
    let spent = match spent {
        Some(bits) => Spent::Lossy(bits),
        None => {
            let plan = Plan::of(&source, &Encoding::lossless())?;
            Spent::Lossless(8.0 * plan.bytes as f64)
        }
    };
    Ok(Looked { matrix, weights: elements(tensor), spent })
}

/// What there is to say of a tensor, if it is a matrix.
fn matrix(tensor: &Stored<'_>) -> Result<Option<MatrixAnalysis>> {
    let shape: Vec<u64> = tensor.shape.iter().map(|&size| size as u64).collect();
    let Some((rows, columns)) = matrix_shape(tensor.dtype, &shape) else { return Ok(None) };
    let weights = Weights::new(tensor, tensor.dtype, (rows, columns))?;
    let layer = kinds::layer(&tensor.name);
    Ok(Some(MatrixAnalysis {
        name: tensor.name.clone(),
        dtype: tensor.dtype,
        shape: tensor.shape.clone(),
        rows,
        columns,
        weights: elements(tensor),
        not_finite: weights.not_finite(),
        kind: Kind::of(&tensor.name, tensor.shape.len()),
        stack: layer.map(|(stack, _)| stack.to_owned()),
        layer: layer.map(|(_, number)| number),
        coordinates: in_all_systems(&weights)?,
        spectrum: Spectrum::of(&weights)?,
    }))
}

/// Sums over all tensors; no points where nothing is lost.
fn rate_distortion(all: &[Looked], weights: u64) -> Vec<RatePoint> {
    let lossless: f64 = all.iter().map(|looked| looked.spent.lossless()).sum();
    let lossy = || {
        all.iter().filter_map(|looked| match &looked.spent {
            Spent::Lossy(bits) => Some((looked.weights as f64, bits)),
            Spent::Lossless(_) => None,
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

impl Spent {
    fn lossless(&self) -> f64 {
        match self {
            Self::Lossless(bits) => *bits,
            Self::Lossy(_) => 0.0,
        }
    }
}
