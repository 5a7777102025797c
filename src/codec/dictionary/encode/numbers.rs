//! Words of float dtypes as numbers, and the numbers that round to them.

use crate::dtype::Dtype;
use half::{bf16, f16};

/// The sign bit of a word.
pub(super) fn sign(dtype: Dtype) -> u32 {
    1 << (dtype.bits() - 1)
}

/// The number that a word stands for.
pub(super) fn value(dtype: Dtype, word: u32) -> f64 {
    match dtype {
        Dtype::Bf16 => f32::from_bits(word << 16).into(),
        Dtype::F16 => f16::from_bits(word as u16).to_f32().into(),
        _ => f32::from_bits(word).into(),
    }
}

/// The word of a number, as the decoder rounds it.
pub(super) fn rounded(dtype: Dtype, number: f32) -> u32 {
    match dtype {
        Dtype::Bf16 => bf16::from_f32(number).to_bits().into(),
        Dtype::F16 => f16::from_f32(number).to_bits().into(),
        _ => number.to_bits(),
    }
}

/// The magnitudes between which numbers round to this word.
pub(super) fn magnitudes(dtype: Dtype, word: u32) -> (f64, f64) {
    let magnitude = word & !sign(dtype);
    let at = value(dtype, magnitude);
    let above = value(dtype, magnitude + 1);
    if magnitude == 0 {
        return (-above / 2.0, above / 2.0);
    }
    let below = value(dtype, magnitude - 1);
    let half = if above.is_finite() { (above - at) / 2.0 } else { (at - below) / 2.0 };
    ((below + at) / 2.0, at + half)
}

/// The numbers between which numbers round to this word.
pub(super) fn bounds(dtype: Dtype, word: u32) -> (f64, f64) {
    let (low, high) = magnitudes(dtype, word);
    if word & sign(dtype) == 0 { (low, high) } else { (-high, -low) }
}

/// The number in an interval that has the fewest significant bits, of at most 24.
pub(super) fn shortest(low: f64, high: f64) -> Option<f32> {
    if low <= 0.0 && high >= 0.0 {
        return Some(0.0);
    }
    if high < 0.0 {
        return shortest(-high, -low).map(|number| -number);
    }
    (0..24).find_map(|bits| {
        let rounded_down = high.to_bits() >> (52 - bits) << (52 - bits);
        let number = f64::from_bits(rounded_down);
        (number >= low).then_some(number as f32)
    })
}

/// A small table of words and their levels, which is emptied without work. A word may displace
/// another.
pub(super) struct KnownLevels {
    slots: Box<[(u32, u32, u16); SLOTS]>,
    /// Slots with another mark are empty.
    mark: u32,
}

const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 9;

impl KnownLevels {
    pub(super) fn new() -> Self {
        Self { slots: Box::new([(0, 0, 0); SLOTS]), mark: 0 }
    }

    pub(super) fn clear(&mut self) {
        self.mark = self.mark.wrapping_add(1);
        if self.mark == 0 {
            *self = Self { mark: 1, ..Self::new() };
        }
    }

    /// The level of a word; if it is not known, `find` finds it.
    #[inline]
    pub(super) fn level(&mut self, word: u32, find: impl FnOnce() -> Option<u16>) -> Option<u16> {
        let slot = (word.wrapping_mul(0x9e37_79b1) >> (u32::BITS - SLOT_BITS)) as usize;
        match self.slots[slot] {
            (known, mark, level) if known == word && mark == self.mark => Some(level),
            _ => {
                let level = find()?;
                self.slots[slot] = (word, self.mark, level);
                Some(level)
            }
        }
    }
}
