//! What a user asks for.

use crate::coordinates::Coordinates;
use crate::error::{Error, Result};
use wildmatch::WildMatch;

/// How tensors are to be coded.
///
/// ```
/// use occ::{Coordinates, Encoding};
/// let encoding = Encoding::bits(3.0)
///     .effort(9)
///     .coordinates(Coordinates::Hadamard)
///     .keep("*.router.*")
///     .bits_for("*lm_head*", 4.0);
/// # let _ = encoding;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Encoding {
    pub(crate) target: Target,
    pub(crate) effort: u8,
    /// `None`: the cheapest of all, tensor by tensor.
    pub(crate) coordinates: Option<Coordinates>,
    pub(crate) max_rank: usize,
    pub(crate) row_scales: bool,
    pub(crate) weighting: Weighting,
    pub(crate) rules: Vec<Rule>,
}

/// What is promised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    /// Nothing is lost.
    Lossless,
    /// So many bits a weight, for the whole file.
    Bits(f64),
    /// At most so much error in every tensor, as its share of the tensor's energy.
    Noise(f64),
}

/// How errors count against each other when a budget is spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Weighting {
    /// By what names, sizes and weights tell of the use an operator makes of them. Errors count
    /// less
    /// - in loud columns of matrices behind a norm, whose inputs tend to be quiet;
    /// - in the later rows of vocabularies, whose words are rarer;
    /// - in large tensors: steps grow with the eighth root of the number of weights, up to 2^22.
    #[default]
    Operator,
    /// Relative to each tensor's energy, for all weights alike.
    RelativeError,
}

/// An exception for the tensors whose names match.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rule {
    pub(crate) pattern: WildMatch,
    /// `None`: nothing is lost.
    pub(crate) bits: Option<f64>,
}

/// The effort that is used unless another is asked for.
pub(crate) const DEFAULT_EFFORT: u8 = 5;

/// Axes of the low-dimensional part, at most, unless more or fewer are asked for.
pub(crate) const DEFAULT_MAX_RANK: usize = 32;

impl Encoding {
    fn new(target: Target) -> Self {
        Self {
            target,
            effort: DEFAULT_EFFORT,
            coordinates: None,
            max_rank: DEFAULT_MAX_RANK,
            row_scales: false,
            weighting: Weighting::default(),
            rules: Vec::new(),
        }
    }

    /// Every byte comes back.
    pub fn lossless() -> Self {
        Self::new(Target::Lossless)
    }

    /// A budget for the whole file, everything in it counted: 8 × its bytes ÷ all weights. It is
    /// never exceeded, and spent to within half a per cent.
    pub fn bits(bits: f64) -> Self {
        Self::new(Target::Bits(bits))
    }

    /// A signal-to-noise ratio in decibels that every tensor reaches:
    /// 20 · log10(‖W‖ ÷ ‖W − Ŵ‖).
    pub fn snr(decibels: f64) -> Self {
        Self::new(Target::Noise(10f64.powf(-decibels / 10.0)))
    }

    /// A relative error ‖W − Ŵ‖ ÷ ‖W‖ that no tensor exceeds.
    pub fn rel_error(error: f64) -> Self {
        Self::new(Target::Noise(error * error))
    }

    /// How hard to look, from 1 to 9: 1 is a plain scalar quantiser, 5 (the default) a trellis of
    /// 8 states, 9 one of 256. Decoding takes the same time for all.
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

    /// Axes of the low-dimensional part at most (default 32, at most 128): they are used where
    /// they pay.
    #[must_use]
    pub fn max_rank(self, max_rank: usize) -> Self {
        Self { max_rank, ..self }
    }

    /// Whether each row gets a factor of its own, so that quiet rows are as near, relative to
    /// their size, as loud ones (default no: that takes more bits for the same error in all).
    #[must_use]
    pub fn row_scales(self, row_scales: bool) -> Self {
        Self { row_scales, ..self }
    }

    /// How a budget is spread over tensors, and within them.
    #[must_use]
    pub fn weighting(self, weighting: Weighting) -> Self {
        Self { weighting, ..self }
    }

    /// Loses nothing of tensors whose names match a pattern of `*` (anything) and `?` (one
    /// character). Of several rules that match the last counts.
    #[must_use]
    pub fn keep(self, pattern: &str) -> Self {
        self.rule(pattern, None)
    }

    /// Codes tensors whose names match a pattern at about so many bits a weight, or as few as they
    /// can do with.
    #[must_use]
    pub fn bits_for(self, pattern: &str, bits: f64) -> Self {
        self.rule(pattern, Some(bits))
    }

    fn rule(mut self, pattern: &str, bits: Option<f64>) -> Self {
        self.rules.push(Rule { pattern: WildMatch::new(pattern), bits });
        self
    }

    /// Whether every byte comes back.
    pub fn is_lossless(&self) -> bool {
        self.target == Target::Lossless && self.rules.iter().all(|rule| rule.bits.is_none())
    }

    /// The budget of the whole file in bits per weight, if there is one.
    pub(crate) fn budget(&self) -> Option<f64> {
        match self.target {
            Target::Bits(bits) => Some(bits),
            Target::Lossless | Target::Noise(_) => None,
        }
    }

    /// The target of the tensor of this name.
    pub(crate) fn target_for(&self, name: &str) -> TensorTarget {
        match (self.rules.iter().rfind(|rule| rule.pattern.matches(name)), self.target) {
            (Some(Rule { bits: None, .. }), _) | (None, Target::Lossless) => TensorTarget::Lossless,
            (Some(Rule { bits: Some(bits), .. }), _) => TensorTarget::OwnBits(*bits),
            (None, Target::Bits(bits)) => TensorTarget::SharedBits(bits),
            (None, Target::Noise(share)) => TensorTarget::Noise(share),
        }
    }

    /// # Errors
    /// `InvalidArgument` for budgets and errors that are none.
    pub(crate) fn check(&self) -> Result<()> {
        let budgets = self.rules.iter().filter_map(|rule| rule.bits);
        if budgets.chain(self.budget()).any(|bits| !(bits.is_finite() && bits > 0.0)) {
            return Err(Error::invalid("a budget that is not a positive number of bits"));
        }
        if let Some(other) = self.coordinates.filter(|coordinates| !coordinates.is_coded()) {
            return Err(Error::invalid(format!("{other}: not coordinates of the codec")));
        }
        match self.target {
            Target::Noise(share) if !(share.is_finite() && share > 0.0) => {
                Err(Error::invalid("an error that is not a positive number"))
            }
            _ => Ok(()),
        }
    }
}

/// What is promised of one tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum TensorTarget {
    Lossless,
    /// Its part of the file's budget.
    SharedBits(f64),
    /// A budget of its own.
    OwnBits(f64),
    Noise(f64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_that_matches_counts() {
        let encoding = Encoding::bits(3.0).keep("*norm*").bits_for("a.*", 4.0).keep("a.b");
        assert_eq!(encoding.target_for("a.b"), TensorTarget::Lossless);
        assert_eq!(encoding.target_for("a.norm"), TensorTarget::OwnBits(4.0));
        assert_eq!(encoding.target_for("x.norm.y"), TensorTarget::Lossless);
        assert_eq!(encoding.target_for("x"), TensorTarget::SharedBits(3.0));
        assert!(!encoding.is_lossless() && Encoding::lossless().keep("*").is_lossless());
        assert!(!Encoding::lossless().bits_for("x", 1.0).is_lossless());
    }

    #[test]
    fn errors_and_ratios_say_the_same() {
        let Target::Noise(share) = Encoding::snr(20.0).target else { unreachable!() };
        assert!((share - 0.01).abs() < 1e-12);
        assert_eq!(Encoding::rel_error(0.5).target, Target::Noise(0.25));
        for bad in [Encoding::bits(0.0), Encoding::bits(f64::NAN), Encoding::rel_error(-0.0)] {
            assert!(bad.check().is_err());
        }
        assert!(Encoding::lossless().bits_for("x", -1.0).check().is_err());
    }
}
