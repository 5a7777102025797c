//! The encoding that a user requests.

use super::calibration::Calibration;
use crate::coordinates::Coordinates;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use wildmatch::WildMatch;

/// How tensors are encoded: losslessly, to a bit rate, or to an error bound.
///
/// ```
/// use occ::{Coordinates, Encoding};
/// let encoding = Encoding::bits(3.0)
///     .effort(9)
///     .coordinates(Coordinates::Hadamard)
///     .keep("*.router.*")
///     .bits_for("*lm_head*", 4.0);
/// let json = serde_json::to_string(&encoding).unwrap();
/// assert_eq!(serde_json::from_str::<Encoding>(&json).unwrap(), encoding);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Encoding {
    pub(crate) target: FileTarget,
    pub(crate) effort: u8,
    /// `None`: the coordinates that need the fewest bits, for each tensor.
    pub(crate) coordinates: Option<Coordinates>,
    pub(crate) max_rank: usize,
    pub(crate) row_scales: bool,
    pub(crate) weighting: Weighting,
    pub(crate) rules: Vec<Rule>,
    #[serde(skip)]
    pub(crate) calibration: SharedCalibration,
}

/// Statistics that are not part of the JSON form of an encoding. Two are equal if they are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedCalibration(pub(crate) Option<Arc<Calibration>>);

impl PartialEq for SharedCalibration {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// The target of the whole file.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FileTarget {
    Lossless,
    /// Bits per weight of the whole file.
    Bits(f64),
    /// The largest squared error of every tensor, as a share of its sum of squares.
    Noise(f64),
    /// The largest squared error of the outputs of every tensor with statistics, as a share of
    /// their energy.
    OutputNoise(f64),
}

/// The weights of errors when a budget is distributed over tensors, and within them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Weighting {
    /// By the expected effect on the outputs of the operator, estimated from names, shapes and
    /// weights. Errors have a smaller weight
    /// - in columns with a large RMS of matrices that follow a normalisation, since their inputs
    ///   tend to be small;
    /// - in the later rows of vocabularies, since their words are rarer, and in rows with a large RMS;
    /// - in large tensors: the step grows with the eighth root of the number of weights, up to
    ///   2^22.
    ///
    /// They have a larger weight in position embeddings, and in rows with a small RMS of projections
    /// of inputs.
    #[default]
    Operator,
    /// Relative to the sum of squares of each tensor, equal for all its weights.
    RelativeError,
}

/// The target of the tensors whose names match a pattern.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rule {
    pattern: String,
    /// Bits per weight; `None` for lossless.
    bits: Option<f64>,
}

impl Rule {
    fn matches(&self, name: &str) -> bool {
        WildMatch::new(&self.pattern).matches(name)
    }
}

const DEFAULT_EFFORT: u8 = 5;

/// The default of the largest rank of the low-rank part.
const DEFAULT_MAX_RANK: usize = 32;

impl Encoding {
    fn new(target: FileTarget) -> Self {
        Self {
            target,
            effort: DEFAULT_EFFORT,
            coordinates: None,
            max_rank: DEFAULT_MAX_RANK,
            row_scales: false,
            weighting: Weighting::default(),
            rules: Vec::new(),
            calibration: SharedCalibration::default(),
        }
    }

    /// Lossless: decoding restores every byte.
    pub fn lossless() -> Self {
        Self::new(FileTarget::Lossless)
    }

    /// A budget of the whole file in bits per weight: 8 × bytes of the file ÷ number of weights. The
    /// file does not exceed it and uses it up to within 0.5 %.
    pub fn bits(bits: f64) -> Self {
        Self::new(FileTarget::Bits(bits))
    }

    /// The least signal-to-noise ratio of every tensor in decibels:
    /// 20 · log10(‖W‖ ÷ ‖W − Ŵ‖).
    pub fn snr(decibels: f64) -> Self {
        Self::new(FileTarget::Noise(10f64.powf(-decibels / 10.0)))
    }

    /// The largest relative error ‖W − Ŵ‖ ÷ ‖W‖ of every tensor.
    pub fn rel_error(error: f64) -> Self {
        Self::new(FileTarget::Noise(error * error))
    }

    /// The largest relative error of the outputs ‖(W − Ŵ) x‖ ÷ ‖W x‖ of every tensor with
    /// [`calibration`](Self::calibration), in the root mean square over its inputs. Tensors without
    /// statistics keep to this bound as the relative error ‖W − Ŵ‖ ÷ ‖W‖ of their weights.
    pub fn output_error(error: f64) -> Self {
        Self::new(FileTarget::OutputNoise(error * error))
    }

    /// The encoder effort, from 1 to 9: 1 is a scalar quantiser, 5 (the default) a trellis of 8
    /// states, 9 a trellis of 256 states. The decoding time does not depend on it.
    #[must_use]
    pub fn effort(self, effort: u8) -> Self {
        Self { effort: effort.clamp(1, 9), ..self }
    }

    /// Restricts the transform search to one coordinate system of the codec. By default, and with
    /// `None`, the encoder takes for each tensor the one that needs the fewest bits at equal error,
    /// side information included.
    #[must_use]
    pub fn coordinates(self, coordinates: impl Into<Option<Coordinates>>) -> Self {
        Self { coordinates: coordinates.into(), ..self }
    }

    /// The largest rank of the low-rank part (default 32, at most 128). The encoder uses a lower
    /// rank where that needs fewer bits.
    #[must_use]
    pub fn max_rank(self, max_rank: usize) -> Self {
        Self { max_rank, ..self }
    }

    /// Whether each row is scaled by its RMS, which makes the relative errors of all rows similar
    /// (default no: it needs more bits at equal total error).
    #[must_use]
    pub fn row_scales(self, row_scales: bool) -> Self {
        Self { row_scales, ..self }
    }

    /// Counts errors in outputs, with statistics of the inputs and outputs of weights. They cannot be
    /// used with a bound on the error of weights, with [`row_scales`](Self::row_scales) or for
    /// lossless coding. The JSON form of an encoding does not contain them.
    #[must_use]
    pub fn calibration(self, calibration: impl Into<Arc<Calibration>>) -> Self {
        Self { calibration: SharedCalibration(Some(calibration.into())), ..self }
    }

    #[cfg(feature = "convert")]
    pub(crate) fn has_calibration(&self) -> bool {
        self.calibration.0.is_some()
    }

    pub(crate) fn without_calibration(self) -> Self {
        Self { calibration: SharedCalibration::default(), ..self }
    }

    /// The weights of errors when a budget is distributed.
    #[must_use]
    pub fn weighting(self, weighting: Weighting) -> Self {
        Self { weighting, ..self }
    }

    /// Stores the tensors losslessly whose names match a pattern: `*` matches any characters, `?`
    /// one. The last matching rule of [`keep`](Self::keep) and [`bits_for`](Self::bits_for) applies.
    #[must_use]
    pub fn keep(self, pattern: &str) -> Self {
        self.rule(pattern, None)
    }

    /// Encodes the tensors whose names match a pattern at approximately `bits` bits per weight, or
    /// at their least rate where that is higher.
    #[must_use]
    pub fn bits_for(self, pattern: &str, bits: f64) -> Self {
        self.rule(pattern, Some(bits))
    }

    fn rule(mut self, pattern: &str, bits: Option<f64>) -> Self {
        self.rules.push(Rule { pattern: pattern.to_owned(), bits });
        self
    }

    /// Whether all tensors are stored losslessly.
    pub fn is_lossless(&self) -> bool {
        self.target == FileTarget::Lossless && self.rules.iter().all(|rule| rule.bits.is_none())
    }

    /// The budget of the whole file in bits per weight, if there is one.
    pub(crate) fn budget(&self) -> Option<f64> {
        match self.target {
            FileTarget::Bits(bits) => Some(bits),
            FileTarget::Lossless | FileTarget::Noise(_) | FileTarget::OutputNoise(_) => None,
        }
    }

    /// The target of the tensor of this name.
    pub(crate) fn target_for(&self, name: &str) -> TensorTarget {
        match (self.rules.iter().rfind(|rule| rule.matches(name)), self.target) {
            (Some(Rule { bits: None, .. }), _) | (None, FileTarget::Lossless) => {
                TensorTarget::Lossless
            }
            (Some(Rule { bits: Some(bits), .. }), _) => TensorTarget::OwnBits(*bits),
            (None, FileTarget::Bits(bits)) => TensorTarget::SharedBits(bits),
            (None, FileTarget::Noise(share)) => TensorTarget::Noise(share),
            (None, FileTarget::OutputNoise(share)) => TensorTarget::OutputNoise(share),
        }
    }

    /// The patterns of rules that match none of the names of tensors.
    pub fn unused_patterns<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Vec<&str> {
        let mut unused: Vec<&Rule> = self.rules.iter().collect();
        for name in names {
            unused.retain(|rule| !rule.matches(name));
        }
        unused.into_iter().map(|rule| rule.pattern.as_str()).collect()
    }

    /// # Errors
    /// `InvalidArgument` for a budget or an error bound that is not a positive number, and for
    /// coordinates that the codec does not have.
    pub(crate) fn check(&self) -> Result<()> {
        let budgets = self.rules.iter().filter_map(|rule| rule.bits);
        if budgets.chain(self.budget()).any(|bits| !(bits.is_finite() && bits > 0.0)) {
            return Err(Error::invalid("the budget must be a positive number of bits per weight"));
        }
        if let Some(other) = self.coordinates.filter(|coordinates| !coordinates.is_coded()) {
            return Err(Error::invalid(format!(
                "{other}: the codec does not implement these coordinates"
            )));
        }
        if self.calibration.0.is_some() {
            let problem = match self.target {
                FileTarget::Noise(_) => "with a bound on the error of weights",
                _ if self.row_scales => "with row scales by RMS",
                _ if self.is_lossless() => "for lossless coding",
                _ => "",
            };
            if !problem.is_empty() {
                return Err(Error::invalid(format!("statistics cannot be used {problem}")));
            }
        }
        match self.target {
            FileTarget::OutputNoise(_) if self.calibration.0.is_none() => {
                Err(Error::invalid("a bound on the error of outputs needs statistics"))
            }
            FileTarget::Noise(share) | FileTarget::OutputNoise(share)
                if !(share.is_finite() && share > 0.0) =>
            {
                Err(Error::invalid("the error bound must be a positive number"))
            }
            FileTarget::Noise(share) | FileTarget::OutputNoise(share) if share >= 1.0 => {
                Err(Error::invalid(
                    "the error bound must be less than 1, or more than 0 dB: zeros meet it",
                ))
            }
            _ => Ok(()),
        }
    }
}

/// The target of one tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum TensorTarget {
    Lossless,
    /// The budget of the file, which the tensor shares.
    SharedBits(f64),
    /// A budget of the tensor.
    OwnBits(f64),
    Noise(f64),
    OutputNoise(f64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_matching_rule_applies() {
        let encoding = Encoding::bits(3.0).keep("*norm*").bits_for("a.*", 4.0).keep("a.b");
        assert_eq!(encoding.target_for("a.b"), TensorTarget::Lossless);
        assert_eq!(encoding.target_for("a.norm"), TensorTarget::OwnBits(4.0));
        assert_eq!(encoding.target_for("x.norm.y"), TensorTarget::Lossless);
        assert_eq!(encoding.target_for("x"), TensorTarget::SharedBits(3.0));
        assert!(!encoding.is_lossless() && Encoding::lossless().keep("*").is_lossless());
        assert!(!Encoding::lossless().bits_for("x", 1.0).is_lossless());
    }

    #[test]
    fn error_bounds_are_equivalent() {
        let FileTarget::Noise(share) = Encoding::snr(20.0).target else { unreachable!() };
        assert!((share - 0.01).abs() < 1e-12);
        assert_eq!(Encoding::rel_error(0.5).target, FileTarget::Noise(0.25));
        for bad in [Encoding::bits(0.0), Encoding::bits(f64::NAN), Encoding::rel_error(-0.0)] {
            assert!(bad.check().is_err());
        }
        assert!(Encoding::lossless().bits_for("x", -1.0).check().is_err());
    }
}
