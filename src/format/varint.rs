//! Integers of variable length (LEB128): seven bits in each byte, the least significant ones first.
//! Every byte but the last has its high bit set.

/// Appends an integer, in as few bytes as possible.
pub(super) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Splits an integer from the front. `None` if it is incomplete, exceeds 64 bits, or takes more
/// bytes than necessary.
pub(super) fn take(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let bits = u64::from(byte & 0x7f);
        let shift = 7 * at as u32;
        if shift > 63 || bits << shift >> shift != bits {
            return None;
        }
        value |= bits << shift;
        if byte < 0x80 {
            return (byte != 0 || at == 0).then_some((value, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_round_trip() {
        let powers = (0..64).map(|bit| 1u64 << bit);
        for value in powers.flat_map(|power| [power - 1, power, power + 1]).chain([u64::MAX]) {
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            assert_eq!(bytes.len(), (64 - value.leading_zeros()).div_ceil(7).max(1) as usize);
            for at in 0..bytes.len() {
                assert_eq!(take(&bytes[..at]), None);
            }
            bytes.push(7);
            assert_eq!(take(&bytes), Some((value, &[7][..])));
        }
    }

    #[test]
    fn only_the_shortest_form_of_at_most_64_bits_is_valid() {
        let largest = [[0xff; 9].as_slice(), &[0x01]].concat();
        assert_eq!(take(&largest), Some((u64::MAX, &[][..])));
        for invalid in [&[0x80, 0][..], &[0xff, 0x80, 0]] {
            assert_eq!(take(invalid), None);
        }
        assert_eq!(take(&[[0xff; 9].as_slice(), &[0x02]].concat()), None);
        assert_eq!(take(&[0xff; 12]), None);
    }
}
