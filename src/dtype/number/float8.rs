//! Floats of eight bits with a sign: E4M3 and E5M2 (Micikevicius et al., 2022; OCP OFP8, 2023).

/// A format of a sign, exponent and mantissa. Its values are those of a binary32 with a smaller
/// exponent and fewer bits of mantissa, subnormals included.
pub(super) struct Float8 {
    mantissa_bits: u32,
    bias: u32,
    /// The largest finite number, without the sign.
    largest: u32,
    /// What is too large becomes this: infinity, or NaN in a format without infinities.
    overflow: u32,
    nan: u32,
    /// The value of each byte.
    values: [f32; 256],
}

/// Without infinities; one NaN of each sign.
pub(super) static E4M3: Float8 = Float8::new(3, 7, 0x7e, 0x7f);

/// The upper byte of a binary16.
pub(super) static E5M2: Float8 = Float8::new(2, 15, 0x7b, 0x7e);

impl Float8 {
    const fn new(mantissa_bits: u32, bias: u32, largest: u32, nan: u32) -> Self {
        let mut values = [f32::NAN; 256];
        // The same exponent in a binary32 has another bias.
        let factor = f32::from_bits((127 + 127 - bias) << 23);
        let mut magnitude = 0;
        while magnitude <= largest {
            let value = f32::from_bits(magnitude << (23 - mantissa_bits)) * factor;
            values[magnitude as usize] = value;
            values[magnitude as usize | 0x80] = -value;
            magnitude += 1;
        }
        if magnitude < nan {
            values[magnitude as usize] = f32::INFINITY;
            values[magnitude as usize | 0x80] = f32::NEG_INFINITY;
        }
        Self { mantissa_bits, bias, largest, overflow: magnitude, nan, values }
    }

    pub(super) fn value(&self, byte: u8) -> f32 {
        self.values[usize::from(byte)]
    }

    /// Rounds to nearest, ties to even, without a branch.
    #[inline(always)]
    pub(super) fn round(&self, value: f32) -> u8 {
        let (sign, bits) = (value.to_bits() >> 24 & 0x80, value.to_bits() & 0x7fff_ffff);
        let cut = 23 - self.mantissa_bits;
        let rounded = (bits + (1 << (cut - 1)) - 1 + (bits >> cut & 1)) >> cut;
        let normal = rounded.wrapping_sub((127 - self.bias) << self.mantissa_bits);
        // Next to this power of two, neighbours are one unit of the subnormals apart.
        let unit = f32::from_bits((127 + 1 - self.bias + cut) << 23);
        let subnormal = (f32::from_bits(bits) + unit).to_bits() - unit.to_bits();
        let is_normal = bits >= (127 + 1 - self.bias) << 23;
        let magnitude = if is_normal { normal } else { subnormal };
        let magnitude = if magnitude > self.largest { self.overflow } else { magnitude };
        let magnitude = if value.is_nan() { self.nan } else { magnitude };
        (sign | magnitude) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A format and its definition: bits of the mantissa, exponent bias, largest number.
    const FORMATS: [(&Float8, u32, i32, f64); 2] = [(&E4M3, 3, 7, 448.0), (&E5M2, 2, 15, 57344.0)];

    /// The value by the definition; above `largest` there are infinities and NaNs.
    fn defined(byte: u8, mantissa_bits: u32, bias: i32) -> f64 {
        let exponent = i32::from((byte & 0x7f) >> mantissa_bits);
        let fraction = f64::from(byte & ((1 << mantissa_bits) - 1)) / f64::from(1 << mantissa_bits);
        let magnitude = match exponent {
            0 => fraction * 2f64.powi(1 - bias),
            _ => (1.0 + fraction) * 2f64.powi(exponent - bias),
        };
        if byte < 0x80 { magnitude } else { -magnitude }
    }

    #[test]
    fn every_byte_has_its_value_and_returns() {
        for (format, mantissa_bits, bias, largest) in FORMATS {
            for byte in 0..=255 {
                let (value, expected) = (format.value(byte), defined(byte, mantissa_bits, bias));
                if expected.abs() <= largest {
                    assert_eq!(f64::from(value).to_bits(), expected.to_bits(), "{byte:#x}");
                    assert_eq!(format.round(value), byte);
                } else if byte & 0x7f == 0x7c {
                    assert_eq!(value, f32::INFINITY.copysign(expected as f32));
                    assert_eq!(format.round(value), byte);
                } else {
                    assert!(value.is_nan() && format.value(format.round(value)).is_nan());
                }
            }
        }
        assert!(E4M3.value(0x7f).is_nan() && E5M2.value(0x7c) == f32::INFINITY);
    }

    /// Between two neighbours, the midpoint rounds to the even one and all others to the nearer one.
    #[test]
    fn values_round_to_nearest_even() {
        for (format, mantissa_bits, bias, _) in FORMATS {
            for sign in [0, 0x80] {
                for lower in 0..=format.largest as u8 {
                    let value = |byte: u8| defined(byte | sign, mantissa_bits, bias);
                    let middle = ((value(lower) + value(lower + 1)) / 2.0) as f32;
                    let next = |by: i32| f32::from_bits(middle.to_bits().wrapping_add_signed(by));
                    let even = lower + lower % 2;
                    let rounded = [-1, 0, 1].map(|by| format.round(next(by)));
                    assert_eq!(rounded, [lower, even, lower + 1].map(|byte| byte | sign));
                }
            }
        }
    }

    /// As casts of `ml_dtypes` and PyTorch: to infinity, or to NaN without infinities.
    #[test]
    fn too_large_values_overflow() {
        for huge in [465.0, 1e10, f32::MAX, f32::INFINITY] {
            assert_eq!([huge, -huge].map(|x| E4M3.round(x)), [0x7f, 0xff]);
        }
        assert_eq!(E4M3.round(464.0), 0x7e);
        for huge in [61440.0, 1e10, f32::MAX, f32::INFINITY] {
            assert_eq!([huge, -huge].map(|x| E5M2.round(x)), [0x7c, 0xfc]);
        }
        assert_eq!(E5M2.round(61439.0), 0x7b);
        for tiny in [0.0, f32::from_bits(1), f32::MIN_POSITIVE, 0.5f32.powi(17)] {
            assert_eq!([tiny, -tiny].map(|x| E5M2.round(x)), [0, 0x80]);
        }
    }
}
