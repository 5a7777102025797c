//! The plan of one tensor.

use crate::codec::Encoder;
use crate::codec::trellis::{
    Candidate, Effort, RowScales, Scaling, TransformChoice, TransformSearch, candidate_transforms,
};
use crate::coordinates::{BlockTransform, Coordinates};
use crate::dtype::Dtype;
use crate::encode::encoding::Encoding;
use crate::encode::matrix::Matrix;
use crate::error::{Error, Result};
use crate::io::ReadAt;
use serde::{Deserialize, Serialize};

/// How one tensor will be coded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TensorPlan {
    /// Elements of the tensor.
    pub weights: u64,
    /// Bytes it will take in the file, about, everything that is there for its sake included.
    pub bytes: u64,
    /// How it will be coded with loss; `None`: nothing is lost.
    pub lossy: Option<LossyPlan>,
}

/// How a tensor will be coded with loss. Bases, tables and the like are learned from the tensor
/// again when it is coded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LossyPlan {
    /// The lattice step, in the tensor's own units.
    pub step: f32,
    /// The coordinates of the residual.
    pub transform: BlockTransform,
    /// Whether the mean row is coded apart.
    pub mean: bool,
    /// Axes of the low-dimensional part.
    pub rank: usize,
    /// What rows are scaled by.
    pub row_scales: RowScales,
    /// Whether columns are scaled by their loudness.
    pub column_scales: bool,
    /// From 1 to 9.
    pub effort: u8,
    /// Bits a weight that the axes save, about.
    pub gain: f64,
    /// The error that must not be exceeded, as a share of the tensor's energy.
    pub max_noise: Option<f64>,
    /// Whether the step may be changed to keep to the budget of a file.
    pub shares_budget: bool,
    /// Bits a weight that no step saves: headers, a basis, coefficients.
    pub floor: f64,
    /// The binary logarithm of a step, and the bits a weight it takes, three times.
    pub curve: [(f64, f64); 3],
}

/// What effort means.
pub(crate) fn effort(level: u8) -> Effort {
    let (states_log2, passes, sample) = match level {
        0 | 1 => (0, 2, 1 << 16),
        2 => (2, 2, 1 << 16),
        3 => (3, 2, 1 << 16),
        4 => (3, 2, 1 << 17),
        5 => (3, 3, 1 << 17),
        6 => (5, 3, 1 << 17),
        7 => (6, 3, 1 << 17),
        8 => (7, 3, 1 << 18),
        _ => (8, 4, 1 << 18),
    };
    Effort { states_log2, passes, sample }
}

/// Searches while planning are short: a rate hardly depends on the number of states, if there is
/// more than one.
pub(super) fn planning(level: u8) -> Effort {
    let states_log2 = effort(level).states_log2.min(3);
    Effort { states_log2, passes: 2, sample: 1 << 17 }
}

/// About what step, in a tensor's deviations, leads to so many bits a weight. Points of one half
/// of a trellis's lattice are two steps apart.
pub(super) fn step_for_bits(level: u8, bits: f64) -> f64 {
    if effort(level).states_log2 == 0 { (2.0 - bits).exp2() } else { (1.0 - bits).exp2() }
}

/// About what step leads to a squared error, both in a tensor's deviations.
pub(super) fn step_for_noise(level: u8, share: f64) -> f64 {
    if effort(level).states_log2 == 0 { (12.0 * share).sqrt() } else { (share / 0.265).sqrt() }
}

/// The steps, as logarithms from the one expected, at which rates are measured.
const OFFSETS: [f64; 3] = [-0.6, 0.0, 0.6];

impl LossyPlan {
    pub(crate) fn choice(&self) -> TransformChoice {
        TransformChoice { transform: self.transform, mean: self.mean, rank: self.rank }
    }

    fn scaling(&self) -> Scaling {
        Scaling { rows: self.row_scales, columns: self.column_scales }
    }

    /// Plans come from files, too.
    ///
    /// # Errors
    /// `InvalidArgument` for a plan that no planner makes.
    fn check(&self) -> Result<()> {
        let BlockTransform { coordinates, block, signed } = self.transform;
        let possible = match coordinates {
            Coordinates::Identity => block == 1 && !signed,
            Coordinates::Hadamard => block.is_power_of_two() && block <= 256,
            Coordinates::Klt => (1..=2048).contains(&block) && !signed,
            _ => false,
        };
        if !(possible && self.rank <= 128) {
            return Err(Error::invalid("a plan whose axes are impossible"));
        }
        Ok(())
    }

    /// Bits a weight at a step: by the parabola through the curve; straight on for finer steps,
    /// and for coarser ones down to what no step saves, ever more slowly.
    pub(crate) fn bits_at(&self, log2_step: f64) -> f64 {
        let [(x0, y0), (x1, y1), (x2, y2)] = self.curve;
        let first = (y1 - y0) / (x1 - x0);
        let second = ((y2 - y1) / (x2 - x1) - first) / (x2 - x0);
        // A finer step always takes more, whatever noise in the curve says.
        let slope = |x: f64| (first + second * (2.0 * x - x0 - x1)).min(-0.05);
        if log2_step < x0 {
            y0 + slope(x0) * (log2_step - x0)
        } else if log2_step > x2 {
            let above = (y2 - self.floor).max(1e-3);
            let decay = (slope(x2) / above).min(-0.3);
            self.floor + above * (decay * (log2_step - x2)).exp()
        } else {
            (y0 + (log2_step - x0) * (first + second * (log2_step - x1))).max(0.0)
        }
    }
}

/// Bits of the place of a weight that is stored as it is.
pub(super) const OUTLIER_POSITION_BITS: u32 = 32;

/// Bits a weight that even a lattice of zeros takes.
pub(super) const LEAST: f64 = 0.02;

/// A tensor to be planned.
pub(crate) struct Subject<'s, S: ?Sized> {
    pub(crate) source: &'s S,
    pub(crate) dtype: Dtype,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Bits in the file besides chunks and parameters.
    pub(crate) overhead_bits: f64,
}

/// What studying a tensor found out.
pub(crate) struct Finding {
    pub(crate) plan: LossyPlan,
    /// The root mean square of its weights.
    pub(crate) rms: f64,
    /// Binary logarithms of steps and of the mean squared errors they lead to.
    pub(crate) noise: [(f64, f64); 3],
}

/// Chooses axes for a step near `relative_step` times the tensor's root mean square, and measures
/// rates there. `None` for tensors that a lattice does not suit: constant ones, or out of range.
pub(crate) fn study<S: ReadAt + ?Sized>(
    subject: &Subject<'_, S>,
    encoding: &Encoding,
    scaling: Scaling,
    relative_step: f64,
) -> Result<Option<Finding>> {
    let Subject { source, dtype, rows, columns, overhead_bits } = *subject;
    let matrix = Matrix { source, dtype, rows, columns };
    let effort = planning(encoding.effort);
    let study = TransformSearch::new(&matrix, scaling, effort.sample)?;
    let rms = study.rms();
    let expected = rms * relative_step;
    if !is_step(expected) {
        return Ok(None);
    }
    let chosen = choose(&study, encoding, expected as f32)?;
    let Some(Chosen { choice, fitted, gain }) = chosen else { return Ok(None) };
    let outlier_bits = study.outliers() * f64::from(OUTLIER_POSITION_BITS + dtype.bits());
    let overhead_bits = overhead_bits + outlier_bits;
    let steps = OFFSETS.map(|offset| expected.log2() + offset);
    let rates = steps.map(|step| fitted.rate(step.exp2() as f32, effort, overhead_bits));
    let curve = [0, 1, 2].map(|i| (steps[i], rates[i].bits));
    let noise = [0, 1, 2].map(|i| (steps[i], rates[i].noise.max(f64::MIN_POSITIVE).log2()));
    let plan = LossyPlan {
        step: expected as f32,
        transform: choice.transform,
        mean: choice.mean,
        rank: choice.rank,
        row_scales: scaling.rows,
        column_scales: scaling.columns,
        effort: encoding.effort,
        gain,
        max_noise: None,
        shares_budget: false,
        floor: rates[2].side + LEAST,
        curve,
    };
    Ok(Some(Finding { plan, rms, noise }))
}

/// Steps so small or large that `f32` gets into trouble around them.
const MIN_STEP: f64 = 1e-30;
const MAX_STEP: f64 = 1e16;

/// Whether steps like this are free of such trouble.
pub(super) fn is_step(step: f64) -> bool {
    (MIN_STEP..MAX_STEP).contains(&step)
}

pub(super) struct Chosen {
    pub(super) choice: TransformChoice,
    pub(super) fitted: Candidate,
    gain: f64,
}

/// The choice that takes the fewest bits for the same error.
pub(super) fn choose(
    study: &TransformSearch<'_>,
    encoding: &Encoding,
    step: f32,
) -> Result<Option<Chosen>> {
    let plain = |transform| TransformChoice { transform, mean: false, rank: 0 };
    let estimate = |choice: TransformChoice| -> Result<Option<(f64, TransformChoice, Candidate)>> {
        let fitted = study.fit(choice)?;
        Ok(fitted.map(|fitted| (fitted.estimate(step, planning(encoding.effort)), choice, fitted)))
    };
    let mut found = Vec::new();
    for axes in allowed(study, encoding.coordinates) {
        found.extend(estimate(plain(axes))?);
    }
    let identity = match found.first() {
        Some((bits, TransformChoice { transform: BlockTransform::IDENTITY, .. }, _)) => Some(*bits),
        _ => estimate(plain(BlockTransform::IDENTITY))?.map(|(bits, ..)| bits),
    };
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    if encoding.max_rank > 0 {
        let (mean, rank) = study.worthwhile(encoding.max_rank)?;
        let best: Vec<BlockTransform> =
            found.iter().take(2).map(|(_, choice, _)| choice.transform).collect();
        if mean || rank > 0 {
            for axes in best {
                // An aligned basis has the loudest axes for itself.
                let rank = if axes.coordinates == Coordinates::Klt { 0 } else { rank };
                if mean || rank > 0 {
                    found.extend(estimate(TransformChoice { mean, rank, ..plain(axes) })?);
                }
            }
        }
    }
    let best = found.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
    Ok(best.map(|(bits, choice, fitted)| {
        let gain = identity.map_or(0.0, |identity| identity - bits);
        Chosen { choice, fitted, gain }
    }))
}

fn allowed(study: &TransformSearch<'_>, coordinates: Option<Coordinates>) -> Vec<BlockTransform> {
    let mut all = candidate_transforms(study.rows(), study.columns());
    let Some(coordinates) = coordinates else { return all };
    all.retain(|transform| transform.coordinates == coordinates);
    if all.is_empty() && coordinates == Coordinates::Klt {
        all.push(BlockTransform::klt(study.columns().min(32)));
    }
    all
}

/// A tensor whose axes have been learned again, to be coded at any step.
pub(crate) struct Prepared {
    fitted: Candidate,
    dtype: Dtype,
    effort: Effort,
    gain: f64,
}

/// Learns a tensor's axes as its plan says; `None` when they cannot be stored.
pub(crate) fn prepare<S: ReadAt + ?Sized>(
    subject: &Subject<'_, S>,
    plan: &LossyPlan,
) -> Result<Option<Prepared>> {
    let Subject { source, dtype, rows, columns, .. } = *subject;
    plan.check()?;
    let matrix = Matrix { source, dtype, rows, columns };
    let (effort, gain) = (effort(plan.effort), plan.gain);
    let fitted =
        TransformSearch::new(&matrix, plan.scaling(), effort.sample)?.fit(plan.choice())?;
    Ok(fitted.map(|fitted| Prepared { fitted, dtype, effort, gain }))
}

impl Prepared {
    /// The encoder at a step.
    pub(crate) fn encoder(&self, step: f32) -> Result<Encoder> {
        if !(MIN_STEP..MAX_STEP).contains(&f64::from(step)) {
            return Err(Error::invalid("a step out of range"));
        }
        let encoder = self.fitted.encoder(self.dtype, step, self.effort, self.gain)?;
        Ok(Encoder::Trellis(Box::new(encoder)))
    }
}
