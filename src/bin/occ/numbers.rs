//! Formats of numbers in text output, and small statistics.

pub use indicatif::DecimalBytes as Bytes;

/// `1 tensor`, `20 tensors`.
pub fn counted(count: u64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// 20812288 as 20,812,288.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The ratio of two byte counts; 1 if the whole is 0.
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// Bits per weight; 0 without weights.
pub fn bits_per_weight(bytes: u64, weights: u64) -> f64 {
    if weights == 0 { 0.0 } else { 8.0 * bytes as f64 / weights as f64 }
}

/// A shape as `[512, 64]`.
pub fn shape(sizes: &[usize]) -> String {
    format!("{sizes:?}")
}

/// About three significant digits.
pub fn short(number: f64) -> String {
    match number {
        _ if number >= 1000.0 => grouped(number.round() as u64),
        _ if number >= 100.0 => format!("{number:.0}"),
        _ if number >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// A share as `8.40 %`.
pub fn percent(share: f64) -> String {
    // Adding 0 turns −0 into 0.
    format!("{:.2} %", 100.0 * share + 0.0)
}

/// Bits per weight, or a dash if unknown.
pub fn bits(bits: Option<f64>) -> String {
    bits.map_or_else(|| "–".into(), |bits| format!("{bits:.3}"))
}

/// The SNR that one more bit per weight adds: 20 · log10 2.
pub const DECIBELS_PER_BIT: f64 = 6.020_599_913_279_624;

/// An exponent, as in `⁻⁷`.
pub fn superscript(power: i32) -> String {
    let superscript = |c| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32('⁰' as u32 + digit as u32 - '0' as u32).unwrap_or(digit),
    };
    power.to_string().chars().map(superscript).collect()
}

/// The median; 0 without numbers.
pub fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = numbers.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(0.0);
    (at(last / 2) + at(last.div_ceil(2))) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_formatted_for_readers() {
        assert_eq!([7, 1000, 20_812_288].map(grouped), ["7", "1,000", "20,812,288"]);
        assert_eq!([0.054, 12.34, 174.7, 1584.6].map(short), ["0.05", "12.3", "175", "1,585"]);
        assert_eq!((counted(1, "x"), counted(2, "x")), ("1 x".into(), "2 xs".into()));
        assert_eq!([-17, 2, 308].map(superscript), ["⁻¹⁷", "²", "³⁰⁸"]);
        assert_eq!((percent(0.084), bits(None)), ("8.40 %".into(), "–".into()));
        assert_eq!(percent(-0.0), "0.00 %");
    }

    #[test]
    fn an_even_count_has_the_mean_of_both_middle_numbers_as_median() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 9.0]), 3.0);
        assert_eq!((median([5.0]), median([])), (5.0, 0.0));
    }
}
