//! The plan of one tensor.

use super::effort::is_valid_step;
use crate::codec::trellis::{LearnedTransform, QuantizationScales, Scaling, TransformChoice};
use crate::codec::{ColumnScales, RowScales};
use crate::coordinates::BlockTransform;
use crate::encode::calibration::Calibration;
use crate::encode::lossless_reason::LosslessReason;
use crate::error::{Error, Result};
use crate::statistics_kind::StatisticsKind;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The plan of one tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TensorPlan {
    /// Elements of the tensor.
    pub weights: u64,
    /// Estimated bytes in the file, frame header and index entry included.
    pub bytes: u64,
    /// The lossy coding; `None` for a lossless one.
    pub lossy: Option<LossyPlan>,
    /// Why the tensor is stored losslessly; `None` for a lossy coding.
    #[serde(default)]
    pub lossless: Option<LosslessReason>,
    /// What planning learned, so that encoding does not learn it again. A plan from a file has
    /// none: the encoder then learns the same.
    #[serde(skip)]
    pub(crate) learned: Learned,
}

/// What is not part of the plan's value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Learned {
    /// It follows from plan and tensor.
    pub(crate) transform: Option<LearnedTransform>,
    /// The statistics that the tensor was planned with.
    pub(crate) calibration: Option<Arc<Calibration>>,
}

impl PartialEq for Learned {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl TensorPlan {
    /// The plan and the number of weights, when the step may be changed to keep to a budget.
    pub(crate) fn flexible(&self) -> Option<(&LossyPlan, u64)> {
        let plan = self.lossy.as_ref().filter(|plan| plan.shares_budget)?;
        Some((plan, self.weights))
    }
}

/// How a tensor is encoded lossily. Basis and tables are learned from the tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LossyPlan {
    /// The lattice step, in the unit of the elements.
    pub step: f32,
    /// The coordinates of the residual.
    pub transform: BlockTransform,
    /// Whether the mean row is stored separately.
    pub mean: bool,
    /// The rank of the low-rank part.
    pub rank: usize,
    /// The scales of rows.
    pub row_scales: RowScales,
    /// The scales of columns.
    pub column_scales: ColumnScales,
    /// The scales beside quantised weights. Scales of rows and columns are then those of the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization_scales: Option<QuantizationScales>,
    /// The encoder effort, from 1 to 9.
    pub effort: u8,
    /// Estimated bits per weight that the transform saves over the identity.
    pub gain: f64,
    /// The largest squared error, as a share of the sum of squares of the tensor.
    pub max_noise: Option<f64>,
    /// The largest squared error of the outputs, as a share of their energy.
    pub max_output_noise: Option<f64>,
    /// The statistics that the plan was made with.
    #[serde(default)]
    pub statistics: Vec<StatisticsKind>,
    /// Whether the step may be changed to keep to the budget of the file.
    pub shares_budget: bool,
    /// The estimated rate as a function of the step.
    pub rate: RateCurve,
}

/// The rate of a tensor as a function of the lattice step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RateCurve {
    /// The rate of the largest steps, in bits per weight: headers, basis and coefficients.
    pub min_bits: f64,
    /// Three points: the binary logarithm of a step, and the rate in bits per weight.
    pub points: [(f64, f64); 3],
}

impl RateCurve {
    /// Whether the rate at every valid step is a number that is not negative.
    fn is_valid(&self) -> bool {
        // Much more than steps of F32 and rates of small tensors, and little enough for products.
        let is_rate = |bits: f64| (0.0..=(1u64 << 32) as f64).contains(&bits);
        let are_points =
            self.points.iter().all(|&(step, bits)| step.abs() <= 1024.0 && is_rate(bits));
        let increase = self.points.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 1e-3);
        are_points && increase && is_rate(self.min_bits)
    }

    /// Bits per weight at a step: the parabola through the points; its tangent for smaller steps,
    /// an exponential decay towards the least rate for larger ones.
    pub(crate) fn bits_at(&self, log2_step: f64) -> f64 {
        let [(x0, y0), (x1, y1), (x2, y2)] = self.points;
        let first = (y1 - y0) / (x1 - x0);
        let second = ((y2 - y1) / (x2 - x1) - first) / (x2 - x0);
        // The slope stays negative in spite of noise in the estimates.
        let slope = |x: f64| (first + second * (2.0 * x - x0 - x1)).min(-0.05);
        if log2_step < x0 {
            y0 + slope(x0) * (log2_step - x0)
        } else if log2_step > x2 {
            let above = (y2 - self.min_bits).max(1e-3);
            let decay = (slope(x2) / above).min(-0.3);
            self.min_bits + above * (decay * (log2_step - x2)).exp()
        } else {
            (y0 + (log2_step - x0) * (first + second * (log2_step - x1))).max(0.0)
        }
    }
}

impl LossyPlan {
    pub(crate) fn choice(&self) -> TransformChoice {
        TransformChoice { transform: self.transform, mean: self.mean, rank: self.rank }
    }

    /// Whether the encoder needs the statistics that the plan was made with.
    pub fn is_calibrated(&self) -> bool {
        self.column_scales == ColumnScales::Statistics || self.row_scales == RowScales::Statistics
    }

    pub(crate) fn scaling(&self) -> Scaling {
        Scaling {
            rows: self.row_scales,
            columns: self.column_scales,
            quantization: self.quantization_scales.clone(),
        }
    }

    /// Checks a plan that may come from a file.
    ///
    /// # Errors
    /// `InvalidArgument` for a transform or a rank that the codec does not implement, and for numbers
    /// out of range.
    pub(crate) fn check(&self) -> Result<()> {
        let is_bound = |bound: f64| bound.is_finite() && bound >= 0.0;
        let bounds = [self.max_noise, self.max_output_noise];
        let problem = if !self.choice().is_valid() {
            "the codec does not implement this transform or rank"
        } else if !is_valid_step(self.step.into()) {
            "a step out of range"
        } else if !(1..=9).contains(&self.effort) {
            "an effort that is not from 1 to 9"
        } else if !self.gain.is_finite() || !bounds.into_iter().flatten().all(is_bound) {
            "a gain or an error bound that is not a number, or a negative bound"
        } else if self.quantization_scales.as_ref().is_some_and(|scales| !scales.are_valid()) {
            "quantization scales out of range"
        } else if !self.rate.is_valid() {
            "a rate out of range, or at steps that do not increase"
        } else {
            return Ok(());
        };
        Err(Error::invalid(format!("plan: {problem}")))
    }
}
