//! Scales of rows and columns: stored bytes and their values.
//!
//! A tensor is divided by its scales before it is coded, so that absolute errors grow with the
//! scale.

/// The byte of the scale 1.
pub(super) const SCALE_ONE: u8 = 128;

/// The valid bytes of column scales: from 2^−8 to nearly 2^8.
pub(super) const COLUMN_SCALES: std::ops::RangeInclusive<u8> = 64..=191;

/// The value of a scale byte, in eighths between powers of two:
/// (8 + byte mod 8) · 2^(byte div 8 − 19).
pub(super) fn scale(byte: u8) -> f32 {
    // The bits of this number: a biased exponent, and the eighths as the top of the fraction.
    let (exponent, eighths) = (127 - 16 + u32::from(byte >> 3), u32::from(byte & 7));
    f32::from_bits(exponent << 23 | eighths << 20)
}

/// What rows are scaled by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "encode", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "encode", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum RowScales {
    /// No scales: the absolute error is the same in all rows.
    #[default]
    None,
    /// The root mean square of each row: the relative error is the same in all rows.
    #[cfg_attr(feature = "encode", serde(alias = "loudness"))]
    Rms,
    /// The fourth root of the row's rank and the square root of its root mean square: for
    /// vocabularies, whose first rows are the most frequent.
    #[cfg_attr(feature = "encode", serde(alias = "rank"))]
    Vocabulary,
    /// A power of the weight that statistics give the errors of each output.
    Statistics,
}

/// What columns are scaled by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "encode", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "encode", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ColumnScales {
    /// No scales: the absolute error is the same in all columns.
    #[default]
    None,
    /// A power of the root mean square of each column: an estimate of the size of its inputs, for
    /// matrices that multiply a normalised input.
    Rms,
    /// The reciprocal of the size of each column's inputs in statistics. The loss is the same in
    /// all columns.
    Statistics,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_eighths_between_powers_of_two() {
        assert_eq!(scale(SCALE_ONE), 1.0);
        for byte in 0..=255u8 {
            let exact = f64::from(8 + byte % 8) * f64::from(byte / 8).exp2() / 524_288.0;
            assert_eq!(f64::from(scale(byte)), exact);
        }
        assert!(
            scale(*COLUMN_SCALES.start()) == 1.0 / 256.0 && scale(*COLUMN_SCALES.end()) < 256.0
        );
    }
}
