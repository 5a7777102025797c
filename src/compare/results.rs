//! Results of a comparison.

use crate::dtype::Dtype;

/// The result of [`compare`](crate::compare).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// The tensors that both models contain, in the order of A.
    pub tensors: Vec<TensorComparison>,
    /// All of these tensors taken as one.
    pub total: TotalComparison,
    /// Names of tensors that only A contains, in the order of A.
    pub only_in_a: Vec<String>,
    /// Names of tensors that only B contains, in the order of B.
    pub only_in_b: Vec<String>,
    /// Names of inputs that match no compared matrix, in their order.
    pub unused_inputs: Vec<String>,
}

/// The comparison of two tensors with the same name.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TensorComparison {
    /// The name.
    pub name: String,
    /// The dtype in A.
    pub dtype: Dtype,
    /// The dtype in B.
    pub dtype_b: Dtype,
    /// The shape in A, outermost dimension first.
    pub shape: Vec<usize>,
    /// The shape in B, outermost dimension first.
    pub shape_b: Vec<usize>,
    /// Number of elements in A.
    pub weights: u64,
    /// Whether dtypes, shapes and all bytes are equal.
    pub identical: bool,
    /// The error of B. `None` if the tensors are not [`comparable`](Self::comparable), or for F4, F6
    /// and C64, of which only bytes are compared.
    pub distortion: Option<Distortion>,
    /// The elements that are NaN or infinite; `None` where there is no distortion.
    pub non_finite: Option<NonFinite>,
    /// The error of the outputs of B; `None` without inputs.
    pub operator: Option<OperatorDistortion>,
    /// The form of the inputs; `None` without inputs.
    pub inputs: Option<Inputs>,
    /// Whether the weights were taken as inputs × outputs, because only the first dimension equals
    /// the width of the inputs.
    pub transposed: bool,
}

impl TensorComparison {
    /// Whether the elements can be compared: the shapes are equal, and the dtypes are equal or both
    /// numeric.
    pub fn comparable(&self) -> bool {
        self.shape == self.shape_b && (self.dtype == self.dtype_b || self.distortion.is_some())
    }
}

/// The comparison of all tensors that both models contain.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TotalComparison {
    /// Number of elements compared, as numbers or as bytes.
    pub weights: u64,
    /// Whether both models contain the same tensors and all of them are identical.
    pub identical: bool,
    /// The error of B over all tensors that have a distortion; `None` if there are none.
    pub distortion: Option<Distortion>,
    /// The elements of these tensors that are NaN or infinite; `None` if there are none.
    pub non_finite: Option<NonFinite>,
    /// The error of the outputs over all tensors that have inputs; `None` if there are none.
    /// Numerator and denominator are summed over tensors, so outputs with a large norm and tensors
    /// with many inputs have a large weight.
    pub operator: Option<OperatorDistortion>,
}

/// The error of a tensor Ŵ of B relative to the tensor W of A. ‖·‖ is the Euclidean norm.
///
/// Element pairs with a value that is infinite or NaN are excluded from norms and cosine. Such a
/// pair counts as equal if both have the same bits or, for different dtypes, if both are NaN or
/// the same infinity. Otherwise the errors are infinite. Values of magnitude 2⁴⁸⁰ or more, whose
/// squares could overflow, are treated likewise; two such values are equal if they have the same
/// value. Squares of F64 values below 2⁻⁵³⁷ underflow to zero. No field is ever NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Distortion {
    /// ‖W − Ŵ‖ ÷ ‖W‖. 0 without errors; infinite if W is zero and Ŵ is not.
    pub rel_error: f64,
    /// The signal-to-noise ratio 20 log₁₀(‖W‖ ÷ ‖W − Ŵ‖) in decibels. ∞ without errors; −∞ if
    /// `rel_error` is infinite.
    pub snr_db: f64,
    /// The largest |w − ŵ|.
    pub max_abs_error: f64,
    /// The cosine similarity ⟨W, Ŵ⟩ ÷ (‖W‖ ‖Ŵ‖). 1 if both are zero; 0 if one is zero.
    pub cosine: f64,
}

/// The elements of two tensors that are NaN or infinite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NonFinite {
    /// Elements of A that are NaN.
    pub nan_a: u64,
    /// Elements of A that are infinite.
    pub infinite_a: u64,
    /// Elements of B that are NaN.
    pub nan_b: u64,
    /// Elements of B that are infinite.
    pub infinite_b: u64,
    /// Element pairs that differ, as [`Distortion`] defines it, and of which at least one is NaN or
    /// infinite.
    pub differing: u64,
}

impl NonFinite {
    /// Whether there is such an element in A or B.
    pub fn any(&self) -> bool {
        self.nan_a + self.infinite_a + self.nan_b + self.infinite_b > 0
    }

    pub(super) fn count(&mut self, a: f64, b: f64, differ: bool) {
        self.nan_a += u64::from(a.is_nan());
        self.infinite_a += u64::from(a.is_infinite());
        self.nan_b += u64::from(b.is_nan());
        self.infinite_b += u64::from(b.is_infinite());
        self.differing += u64::from(differ && !(a.is_finite() && b.is_finite()));
    }

    pub(super) fn merged(self, next: Self) -> Self {
        Self {
            nan_a: self.nan_a + next.nan_a,
            infinite_a: self.infinite_a + next.infinite_a,
            nan_b: self.nan_b + next.nan_b,
            infinite_b: self.infinite_b + next.infinite_b,
            differing: self.differing + next.differing,
        }
    }
}

/// The error of the outputs Ŵx of B relative to the outputs Wx of A, over given inputs x.
///
/// Weights that are infinite, NaN or of magnitude 2⁴⁸⁰ or more are treated as in [`Distortion`]. No
/// field is ever NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct OperatorDistortion {
    /// √(Σ‖(W − Ŵ)x‖² ÷ Σ‖Wx‖²) = √(tr(E G Eᵀ) ÷ tr(W G Wᵀ)), where E = W − Ŵ and G = Σxxᵀ is the
    /// Gram matrix of the inputs. 0 without errors; infinite if only the outputs of W are zero.
    ///
    /// From the diagonal of G, the errors of outputs are those for uncorrelated inputs. If it is
    /// computed from a Gram matrix, output errors below about 10⁻⁸ of the largest that
    /// inputs of the same norm can cause are lost in rounding.
    pub rel_error: f64,
    /// The signal-to-noise ratio −20 log₁₀ `rel_error` in decibels. ∞ without errors; −∞ if
    /// `rel_error` is infinite.
    pub snr_db: f64,
}

/// The form of the inputs of a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inputs {
    /// Input vectors.
    Batch {
        /// Number of vectors.
        vectors: u64,
    },
    /// Their Gram matrix XᵀX.
    Gram,
    /// The diagonal of their Gram matrix.
    Diagonal,
}
