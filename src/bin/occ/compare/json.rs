//! `occ compare --json`.

use occ::{Comparison, Distortion, Inputs, NonFinite, OperatorDistortion, TensorComparison};
use serde::Serialize;

#[derive(Serialize)]
pub struct ComparisonJson<'c> {
    tensors: Vec<ComparedTensorJson<'c>>,
    total: TotalJson,
    only_in_a: &'c [String],
    only_in_b: &'c [String],
    only_weights: bool,
    unused_inputs: &'c [String],
}

#[derive(Serialize)]
struct ComparedTensorJson<'c> {
    name: &'c str,
    dtype: &'static str,
    dtype_b: &'static str,
    shape: &'c [usize],
    shape_b: &'c [usize],
    weights: u64,
    comparable: bool,
    identical: bool,
    inputs: Option<&'static str>,
    input_vectors: Option<u64>,
    transposed: bool,
    #[serde(flatten)]
    errors: ErrorsJson,
    non_finite: Option<NonFiniteJson>,
}

#[derive(Serialize)]
struct TotalJson {
    weights: u64,
    identical: bool,
    operator_weights: u64,
    #[serde(flatten)]
    errors: ErrorsJson,
    non_finite: Option<NonFiniteJson>,
}

#[derive(Serialize)]
struct NonFiniteJson {
    nan_a: u64,
    infinite_a: u64,
    nan_b: u64,
    infinite_b: u64,
    differing: u64,
}

/// Infinite numbers become null in JSON.
#[derive(Serialize)]
struct ErrorsJson {
    rel_error: Option<f64>,
    snr_db: Option<f64>,
    max_abs_error: Option<f64>,
    cosine: Option<f64>,
    operator_rel_error: Option<f64>,
    operator_snr_db: Option<f64>,
}

impl<'c> ComparisonJson<'c> {
    pub fn new(comparison: &'c Comparison, with_inputs: bool) -> Self {
        let total = &comparison.total;
        let operators = comparison.tensors.iter().filter(|tensor| tensor.operator.is_some());
        Self {
            tensors: comparison.tensors.iter().map(ComparedTensorJson::new).collect(),
            total: TotalJson {
                weights: total.weights,
                identical: total.identical,
                operator_weights: operators.map(|tensor| tensor.weights).sum(),
                errors: ErrorsJson::new(total.distortion, total.operator),
                non_finite: total.non_finite.map(NonFiniteJson::from),
            },
            only_in_a: &comparison.only_in_a,
            only_in_b: &comparison.only_in_b,
            only_weights: !with_inputs,
            unused_inputs: &comparison.unused_inputs,
        }
    }
}

impl<'c> ComparedTensorJson<'c> {
    fn new(tensor: &'c TensorComparison) -> Self {
        let (inputs, input_vectors) = match tensor.inputs {
            None => (None, None),
            Some(Inputs::Gram) => (Some("gram"), None),
            Some(Inputs::Diagonal) => (Some("diagonal"), None),
            Some(Inputs::Batch { vectors }) => (Some("batch"), Some(vectors)),
            Some(_) => (Some("batch"), None),
        };
        Self {
            name: &tensor.name,
            dtype: tensor.dtype.name(),
            dtype_b: tensor.dtype_b.name(),
            shape: &tensor.shape,
            shape_b: &tensor.shape_b,
            weights: tensor.weights,
            comparable: tensor.comparable(),
            identical: tensor.identical,
            inputs,
            input_vectors,
            transposed: tensor.transposed,
            errors: ErrorsJson::new(tensor.distortion, tensor.operator),
            non_finite: tensor.non_finite.map(NonFiniteJson::from),
        }
    }
}

impl From<NonFinite> for NonFiniteJson {
    fn from(n: NonFinite) -> Self {
        Self {
            nan_a: n.nan_a,
            infinite_a: n.infinite_a,
            nan_b: n.nan_b,
            infinite_b: n.infinite_b,
            differing: n.differing,
        }
    }
}

impl ErrorsJson {
    fn new(weights: Option<Distortion>, outputs: Option<OperatorDistortion>) -> Self {
        Self {
            rel_error: weights.map(|d| d.rel_error),
            snr_db: weights.map(|d| d.snr_db),
            max_abs_error: weights.map(|d| d.max_abs_error),
            cosine: weights.map(|d| d.cosine),
            operator_rel_error: outputs.map(|o| o.rel_error),
            operator_snr_db: outputs.map(|o| o.snr_db),
        }
    }
}
