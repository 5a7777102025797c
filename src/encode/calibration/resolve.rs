//! From the entries of a weight matrix to its sensitivity.

use super::Calibration;
use super::diagonals::{Diagonals, WeightShape};
use super::entry::Entry;
use super::input_cache::InputKey;
use crate::codec::trellis::{FIRST_RANK, InputMoment, Inputs, Sensitivity};
use crate::encode::matrix::Matrix;
use crate::encode::source::TensorSource;
use crate::error::{Error, Result};
use crate::role::TensorRole;
use crate::statistics_kind::StatisticsKind as Kind;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use std::sync::Arc;

/// The share of the mean second moment that is added to each diagonal element, so that the moment
/// of a few thousand inputs is not fitted too closely. On SmolLM2, 0.03 was worse.
const DAMPING: f64 = 0.1;

/// The damping for vocabularies: inputs of a head vary more from text to text.
const VOCABULARY_DAMPING: f64 = 0.3;

/// What the weights of the rows of a vocabulary get in addition, as a share of their sum,
/// distributed by one over the rank: so that a word that the statistics miss still counts.
const RANK_SHARE: f64 = 0.1;

/// The least weight of a row as a share of the mean.
const LEAST_WEIGHT: f64 = 1e-3;

/// Rows of inputs that are multiplied at once.
const INPUT_ROWS: usize = 1024;

/// The sensitivity of a matrix, and what it can be compared with.
#[derive(Clone, Debug)]
pub(crate) struct Calibrated {
    pub(crate) sensitivity: Arc<Sensitivity>,
    pub(crate) has_row_weights: bool,
    /// Whether the matrix is stored as inputs × outputs.
    pub(crate) is_transposed: bool,
    pub(crate) unit: LossUnit,
    /// The statistics that it is from.
    pub(crate) kinds: Vec<Kind>,
}

/// The unit of the loss of a tensor. Losses in the same unit can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LossUnit {
    /// The loss of the model: statistics give the weights of outputs.
    Model,
    /// The energy of the outputs of a matrix.
    Outputs,
    /// The energy of the outputs of a vocabulary. It says little about the loss of the model
    /// compared with that of matrices which are much smaller and used for every token.
    VocabularyOutputs,
}

impl LossUnit {
    pub(crate) const ALL: [Self; 3] = [Self::Model, Self::Outputs, Self::VocabularyOutputs];
}

impl Calibration {
    /// The sensitivity of a matrix; `None` without entries for it.
    ///
    /// # Errors
    /// `Io`; `InvalidArgument` for entries of a wrong shape, numbers that are not finite or
    /// negative, and a second moment that is not symmetric and positive semi-definite.
    pub(crate) fn resolve(
        &self,
        source: &TensorSource<'_>,
        matrix: &Matrix<'_>,
    ) -> Result<Option<Calibrated>> {
        let (outputs, width) = match *source.shape {
            [rows, columns] if self.is_transposed(source.name, rows, columns) => (columns, rows),
            [outputs, ref rest @ ..] => (outputs, rest.iter().product()),
            [] => return Ok(None),
        };
        let is_transposed = (outputs, width) == (matrix.columns, matrix.rows) && outputs != width;
        if !is_transposed && (outputs, width) != (matrix.rows, matrix.columns) {
            // The codec's rows are parts of the rows of inputs, or several of them.
            return self.resolve_others(source, matrix);
        }
        let is_vocabulary = TensorRole::of(source.name, 2).is_vocabulary(outputs, width);
        let damping = if is_vocabulary { VOCABULARY_DAMPING } else { DAMPING };
        let mut kinds = Vec::new();
        let mut weights = self.row_weights(source.name, outputs)?;
        if is_vocabulary {
            add_rank_share(&mut weights.numbers);
        }
        let entry = self.inputs_entry(source.name);
        let diagonal = match entry {
            None if !is_transposed => {
                let weight = weight_shape(source, matrix);
                self.other_numbers(|other| other.columns(weight))?
            }
            _ => None,
        };
        kinds.extend(entry.as_ref().map(|(_, kind, _)| *kind));
        kinds.extend(diagonal.as_ref().map(|_| Kind::ImportanceMatrix));
        kinds.extend(weights.kind);
        if kinds.is_empty() {
            return self.resolve_others(source, matrix);
        }
        let unit = match (weights.kind, is_vocabulary) {
            (Some(Kind::Rows), _) => LossUnit::Model,
            (_, false) => LossUnit::Outputs,
            (_, true) => LossUnit::VocabularyOutputs,
        };
        let weights = weights.numbers;
        let calibrated = if is_transposed {
            // The rows of the matrix are inputs: only the diagonal of their moment can be used.
            let columns = if weights.is_empty() { vec![1.0; outputs] } else { weights };
            let rows = match entry {
                Some((name, kind, entry)) => moment(&name, kind, entry, width)?.into_diagonal(),
                None => vec![1.0; width],
            };
            calibrated(damped(InputMoment::Diagonal(columns), damping), rows, unit)
        } else {
            let inputs = match (entry, diagonal) {
                (Some((entry, kind, numbers)), _) => {
                    let key = InputKey { entry: entry.clone(), width, damping };
                    self.inputs.get(key, || damped(moment(&entry, kind, numbers, width)?, damping))
                }
                (None, Some(diagonal)) => damped(InputMoment::Diagonal(diagonal), damping),
                (None, None) => damped(InputMoment::Diagonal(vec![1.0; width]), damping),
            };
            calibrated(inputs, weights, unit)
        };
        let calibrated = calibrated.map_err(|error| source.locate(error))?;
        Ok(Some(Calibrated { is_transposed, kinds, ..calibrated }))
    }

    /// The sensitivity by statistics with other names.
    fn resolve_others(
        &self,
        source: &TensorSource<'_>,
        matrix: &Matrix<'_>,
    ) -> Result<Option<Calibrated>> {
        let (weight, columns) = (weight_shape(source, matrix), matrix.columns);
        let is_vocabulary = TensorRole::of(source.name, 2).is_vocabulary(matrix.rows, columns);
        let (damping, unit) = match is_vocabulary {
            true => (VOCABULARY_DAMPING, LossUnit::VocabularyOutputs),
            false => (DAMPING, LossUnit::Outputs),
        };
        if let Some(diagonal) = self.other_numbers(|other| other.columns(weight))? {
            let inputs = damped(InputMoment::Diagonal(diagonal), damping);
            let calibrated = calibrated(inputs, Vec::new(), unit)?;
            return Ok(Some(Calibrated { kinds: vec![Kind::ImportanceMatrix], ..calibrated }));
        }
        let Some(rows) = self.other_numbers(|other| other.rows(weight))? else { return Ok(None) };
        let inputs = damped(InputMoment::Diagonal(vec![1.0; columns]), damping);
        let calibrated = calibrated(inputs, rows, unit)?;
        let kinds = vec![Kind::ImportanceMatrix];
        Ok(Some(Calibrated { is_transposed: true, kinds, ..calibrated }))
    }

    /// Whether a weight is stored as inputs × outputs: its inputs have as many elements as it has
    /// rows, and it has another number of columns.
    fn is_transposed(&self, name: &str, rows: usize, columns: usize) -> bool {
        let width = self.inputs_entry(name).and_then(|(_, _, entry)| entry.shape.last());
        rows != columns && width == Some(&rows)
    }

    /// The entry for the inputs of a weight, with its name and kind.
    fn inputs_entry(&self, name: &str) -> Option<(String, Kind, &Entry)> {
        let kinds = [Kind::Gram, Kind::Inputs, Kind::Diag];
        kinds.into_iter().find_map(|kind| {
            let (name, entry) = self.entry(name, kind)?;
            Some((name, kind, entry))
        })
    }

    /// The first result of statistics with other names.
    fn other_numbers(
        &self,
        find: impl Fn(&dyn Diagonals) -> Result<Option<Vec<f64>>>,
    ) -> Result<Option<Vec<f64>>> {
        self.others.iter().find_map(|other| find(&**other).transpose()).transpose()
    }

    /// The weights of output rows.
    fn row_weights(&self, name: &str, rows: usize) -> Result<RowWeights> {
        for kind in [Kind::Rows, Kind::Counts] {
            if let Some((name, entry)) = self.entry(name, kind) {
                let numbers = entry.weights(rows).map_err(|error| entry.locate(&name, error))?;
                return Ok(RowWeights { kind: Some(kind), numbers });
            }
        }
        Ok(RowWeights::default())
    }
}

/// The weights of output rows; none without an entry.
#[derive(Default)]
struct RowWeights {
    kind: Option<Kind>,
    numbers: Vec<f64>,
}

fn weight_shape<'s>(source: &TensorSource<'s>, matrix: &Matrix<'_>) -> WeightShape<'s> {
    let (rows, columns) = (matrix.rows, matrix.columns);
    WeightShape { name: source.name, shape: source.shape, rows, columns }
}

/// The second moment of inputs of an entry.
fn moment(name: &str, kind: Kind, entry: &Entry, columns: usize) -> Result<InputMoment> {
    let moment = match kind {
        Kind::Gram => gram(entry, columns).map(InputMoment::Full),
        Kind::Inputs => second_moment(entry, columns).map(InputMoment::Full),
        _ => entry.weights(columns).map(InputMoment::Diagonal),
    };
    moment.map_err(|error| entry.locate(name, error))
}

/// Inputs with a share of their mean second moment added to each.
fn damped(moment: InputMoment, damping: f64) -> Result<Arc<Inputs>> {
    let added = added(moment.trace(), moment.len(), damping);
    Inputs::new(moment, added).map(Arc::new).ok_or_else(|| {
        Error::invalid("the second moment of the inputs is not positive semi-definite")
    })
}

/// The sensitivity for inputs and the weights of rows, which may be empty.
fn calibrated(
    inputs: Result<Arc<Inputs>>,
    mut weights: Vec<f64>,
    unit: LossUnit,
) -> Result<Calibrated> {
    if !weights.iter().all(|&weight| weight > 0.0) {
        // No row is without any weight.
        let least = weights.iter().sum::<f64>() / weights.len() as f64 * LEAST_WEIGHT;
        let least = if least > 0.0 { least } else { 1.0 };
        weights.iter_mut().for_each(|weight| *weight = weight.max(least));
    }
    let has_row_weights = !weights.is_empty();
    let is_relative = unit != LossUnit::Model;
    let sensitivity = Arc::new(Sensitivity::new(inputs?, weights, is_relative));
    Ok(Calibrated { sensitivity, has_row_weights, is_transposed: false, unit, kinds: Vec::new() })
}

/// A share of the mean diagonal element, to be added to each. All zeros become the identity.
fn added(trace: f64, n: usize, damping: f64) -> f64 {
    match trace > 0.0 {
        true => damping * trace / n as f64,
        false => 1.0,
    }
}

/// Adds [`RANK_SHARE`].
fn add_rank_share(weights: &mut [f64]) {
    let share = |number: usize| 1.0 / (number as f64 + FIRST_RANK);
    let sum: f64 = (0..weights.len()).map(share).sum();
    let total = RANK_SHARE * weights.iter().sum::<f64>();
    for (number, weight) in weights.iter_mut().enumerate() {
        *weight += total * share(number) / sum;
    }
}

/// The tolerance for the symmetry of a matrix: F32 sums over many inputs.
const TOLERANCE: f64 = 1e-3;

/// A symmetric matrix.
fn gram(entry: &Entry, columns: usize) -> Result<Mat<f64>> {
    if entry.shape != [columns, columns] {
        return Err(wrong_width(entry, columns));
    }
    let mut numbers = Vec::new();
    entry.rows(0..columns, &mut numbers)?;
    let at = |i: usize, j: usize| f64::from(numbers[i * columns + j]);
    let mut moment = Mat::zeros(columns, columns);
    // In tiles, which stay in the cache in both directions.
    for first_row in (0..columns).step_by(TILE) {
        for first_column in (0..=first_row).step_by(TILE) {
            for i in first_row..columns.min(first_row + TILE) {
                for j in first_column..=i.min(first_column + TILE - 1) {
                    let most = at(i, i).max(at(j, j));
                    let (a, b) = (at(i, j), at(j, i));
                    let is_symmetric = (a - b).abs() <= TOLERANCE * most;
                    if !is_symmetric || a.abs() > (1.0 + TOLERANCE) * most {
                        return Err(Error::invalid(
                            "not a second moment: it must be symmetric and positive semi-definite",
                        ));
                    }
                    (moment[(i, j)], moment[(j, i)]) = (0.5 * (a + b), 0.5 * (a + b));
                }
            }
        }
    }
    Ok(moment)
}

/// Rows and columns of a matrix that are read together.
const TILE: usize = 32;

/// `E[x xᵀ]` of input vectors. O(rows · columns²).
fn second_moment(entry: &Entry, columns: usize) -> Result<Mat<f64>> {
    if entry.shape.last() != Some(&columns) {
        return Err(wrong_width(entry, columns));
    }
    let count = entry.leading();
    let mut sum = Mat::zeros(columns, columns);
    let mut numbers = Vec::new();
    for start in (0..count).step_by(INPUT_ROWS) {
        entry.rows(start..count.min(start + INPUT_ROWS), &mut numbers)?;
        let wide: Vec<f64> = numbers.iter().map(|&x| x.into()).collect();
        let rows = MatRef::from_row_major_slice(&wide, wide.len() / columns, columns);
        matmul(sum.as_mut(), Accum::Add, rows.transpose(), rows, 1.0, Par::Seq);
    }
    let scale = 1.0 / count.max(1) as f64;
    Ok(Mat::from_fn(columns, columns, |i, j| 0.5 * scale * (sum[(i, j)] + sum[(j, i)])))
}

fn wrong_width(entry: &Entry, columns: usize) -> Error {
    Error::invalid(format!(
        "statistics of shape {:?} for a matrix with {columns} columns",
        entry.shape
    ))
}
