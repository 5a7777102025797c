//! Numbers for people.

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

/// The ratio of two byte counts; 1 when both are nothing.
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// Bits of `bytes` for each of `weights`.
pub fn bits_per_weight(bytes: u64, weights: u64) -> f64 {
    if weights == 0 { 0.0 } else { 8.0 * bytes as f64 / weights as f64 }
}

/// A shape as `[512, 64]`.
pub fn shape(sizes: &[usize]) -> String {
    format!("{sizes:?}")
}

/// Three digits or so.
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
    format!("{:.2} %", 100.0 * share)
}

/// Bits a weight, where they are known.
pub fn bits(bits: Option<f64>) -> String {
    bits.map_or_else(|| "–".into(), |bits| format!("{bits:.3}"))
}

/// What a bit more is worth in signal to noise: 20 · log10 2.
pub const DECIBELS_A_BIT: f64 = 6.020_599_913_279_624;

/// An exponent: `⁻⁷`.
pub fn raised(power: i32) -> String {
    let raised = |c| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32('⁰' as u32 + digit as u32 - '0' as u32).unwrap_or(digit),
    };
    power.to_string().chars().map(raised).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([7, 1000, 20_812_288].map(grouped), ["7", "1,000", "20,812,288"]);
        assert_eq!([0.054, 12.34, 174.7, 1584.6].map(short), ["0.05", "12.3", "175", "1,585"]);
        assert_eq!((counted(1, "x"), counted(2, "x")), ("1 x".into(), "2 xs".into()));
        assert_eq!([-17, 2, 308].map(raised), ["⁻¹⁷", "²", "³⁰⁸"]);
        assert_eq!((percent(0.084), bits(None)), ("8.40 %".into(), "–".into()));
    }
}
