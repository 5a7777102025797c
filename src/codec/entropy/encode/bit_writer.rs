//! Writing of bit fields, packed from the least significant bit up.

use crate::codec::entropy::bit_reader::{RICE_LIMIT, ROW_RICE_BITS};

/// Maps 0, −1, 1, −2, 2… to 0, 1, 2, 3, 4…
fn zigzag(value: i32) -> u32 {
    (value << 1 ^ value >> 31) as u32
}

/// Appends bit fields to a byte vector, least significant bit first.
#[derive(Clone, Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    pending: u64,
    count: u32,
}

impl BitWriter {
    /// Appends the low `width` bits of `value`, at most 32.
    pub(crate) fn put(&mut self, value: u32, width: u32) {
        assert!(width <= 32 && u64::from(value) < 1 << width, "value wider than its field");
        self.pending |= u64::from(value) << self.count;
        self.count += width;
        while self.count >= 8 {
            self.bytes.push(self.pending as u8);
            self.pending >>= 8;
            self.count -= 8;
        }
    }

    /// Appends the Rice code of a signed integer. See
    /// [`BitReader::take_rice`](crate::codec::entropy::BitReader::take_rice).
    pub(crate) fn put_rice(&mut self, value: i32, rice: u32) {
        let zigzag = zigzag(value);
        let quotient = zigzag >> rice;
        if quotient < RICE_LIMIT {
            self.put((1 << quotient) - 1, quotient + 1);
            self.put(zigzag & ((1 << rice) - 1), rice);
        } else {
            self.put((1 << RICE_LIMIT) - 1, RICE_LIMIT);
            self.put(zigzag, 32);
        }
    }

    /// Length in bits of the Rice code of an integer.
    pub(crate) fn rice_length(value: i32, rice: u32) -> u32 {
        match zigzag(value) >> rice {
            quotient if quotient < RICE_LIMIT => quotient + 1 + rice,
            _ => RICE_LIMIT + 32,
        }
    }

    /// Appends signed integers: the Rice parameter that minimises the length, then the Rice code of
    /// each integer. See [`BitReader::take_row`](crate::codec::entropy::BitReader::take_row).
    pub(crate) fn put_row(&mut self, values: &[i32]) {
        let size = |&rice: &u32| {
            values.iter().map(|&v| u64::from(Self::rice_length(v, rice))).sum::<u64>()
        };
        let rice = (0..1 << ROW_RICE_BITS).min_by_key(size).unwrap_or(0);
        self.put(rice, ROW_RICE_BITS);
        values.iter().for_each(|&value| self.put_rice(value, rice));
    }

    /// Pads the last byte with zero bits and returns all bytes.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.bytes.push(self.pending as u8);
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::entropy::BitReader;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fields_round_trip(fields in prop::collection::vec((any::<u32>(), 0u32..=32), 0..64)) {
            let fields: Vec<(u32, u32)> = fields
                .into_iter()
                .map(|(value, width)| ((u64::from(value) & ((1u64 << width) - 1)) as u32, width))
                .collect();
            let mut writer = BitWriter::default();
            for &(value, width) in &fields {
                writer.put(value, width);
            }
            let bits: u32 = fields.iter().map(|field| field.1).sum();
            let mut bytes = writer.finish();
            prop_assert_eq!(bytes.len(), bits.div_ceil(8) as usize);
            bytes.push(0xa5);
            let mut reader = BitReader::new(&bytes);
            for &(value, width) in &fields {
                prop_assert_eq!(reader.take(width).unwrap(), value);
            }
            prop_assert_eq!(reader.finish().unwrap(), &[0xa5]);
        }
    }

    proptest! {
        #[test]
        fn rows_round_trip(values in prop::collection::vec(
            prop_oneof![-9i32..9, any::<i32>()], 0..64,
        )) {
            let mut writer = BitWriter::default();
            writer.put_row(&values);
            let bytes = writer.finish();
            let mut reader = BitReader::new(&bytes);
            let mut back = Vec::<i32>::new();
            reader.take_row(values.len(), &mut back).unwrap();
            prop_assert_eq!(back, values);
            prop_assert!(reader.finish().unwrap().is_empty());
        }
    }

    #[test]
    fn known_rice_codes() {
        // Zigzag maps −3 to 5: with parameter 1, the code is two ones, a zero and the low bit 1.
        let mut writer = BitWriter::default();
        writer.put_rice(-3, 1);
        assert_eq!(writer.finish(), [0b1011]);
        let mut writer = BitWriter::default();
        writer.put_row(&[300]);
        let bytes = writer.finish();
        let mut out = Vec::<i8>::new();
        assert!(BitReader::new(&bytes).take_row(1, &mut out).is_err());
    }

    #[test]
    fn known_bytes() {
        let mut writer = BitWriter::default();
        writer.put(0b101, 3);
        writer.put(0b11, 2);
        assert_eq!(writer.finish(), [0b11101]);
    }
}
