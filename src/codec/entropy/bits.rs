//! Bit fields packed from the least significant bit up.

use crate::error::{Error, Result};

/// Ones in a Rice code that say: the integer follows whole.
const RICE_LIMIT: u32 = 24;

/// 0, −1, 1, −2, 2… to 0, 1, 2, 3, 4…
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

    /// Appends a signed integer by its Rice code (Rice, 1979): zigzag, the bits above `rice` in
    /// unary, the others as they are; from [`RICE_LIMIT`] ones on, all 32 bits.
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

    /// Bits that [`put_rice`](Self::put_rice) takes.
    pub(crate) fn rice_length(value: i32, rice: u32) -> u32 {
        match zigzag(value) >> rice {
            quotient if quotient < RICE_LIMIT => quotient + 1 + rice,
            _ => RICE_LIMIT + 32,
        }
    }

    /// Appends signed integers: the Rice parameter that suits them best (4 bits), then each.
    pub(crate) fn put_row(&mut self, values: &[i32]) {
        let size = |&rice: &u32| {
            values.iter().map(|&v| u64::from(Self::rice_length(v, rice))).sum::<u64>()
        };
        let rice = (0..16).min_by_key(size).unwrap_or(0);
        self.put(rice, 4);
        values.iter().for_each(|&value| self.put_rice(value, rice));
    }

    /// Pads with zero bits to a whole byte.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.bytes.push(self.pending as u8);
        }
        self.bytes
    }
}

/// Reads what [`BitWriter`] wrote.
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    taken: usize,
    pending: u64,
    count: u32,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, taken: 0, pending: 0, count: 0 }
    }

    /// Takes the next `width` bits, at most 32.
    ///
    /// # Errors
    /// `Truncated` when fewer are left.
    pub(crate) fn take(&mut self, width: u32) -> Result<u32> {
        while self.count < width {
            let byte = *self.bytes.get(self.taken).ok_or_else(Error::truncated)?;
            self.pending |= u64::from(byte) << self.count;
            self.taken += 1;
            self.count += 8;
        }
        let value = self.pending & ((1 << width) - 1);
        self.pending >>= width;
        self.count -= width;
        Ok(value as u32)
    }

    /// Takes a signed integer that [`BitWriter::put_rice`] wrote.
    ///
    /// # Errors
    /// `Truncated`.
    pub(crate) fn take_rice(&mut self, rice: u32) -> Result<i32> {
        let mut quotient = 0;
        while quotient < RICE_LIMIT && self.take(1)? == 1 {
            quotient += 1;
        }
        let zigzag = match quotient {
            RICE_LIMIT => self.take(32)?,
            _ => quotient << rice | self.take(rice)?,
        };
        Ok((zigzag >> 1) as i32 ^ -((zigzag & 1) as i32))
    }

    /// Takes signed integers that [`BitWriter::put_row`] wrote, each of which must fit `T`.
    ///
    /// # Errors
    /// `Truncated`, or `Corrupt` for an integer out of range. Memory grows as integers are read.
    pub(crate) fn take_row<T: TryFrom<i32>>(
        &mut self,
        count: usize,
        out: &mut Vec<T>,
    ) -> Result<()> {
        let rice = self.take(4)?;
        for _ in 0..count {
            let value = T::try_from(self.take_rice(rice)?);
            out.push(value.map_err(|_| Error::corrupt("an integer out of range"))?);
        }
        Ok(())
    }

    /// Ends at the next whole byte and returns the bytes after it.
    ///
    /// # Errors
    /// `Corrupt` when a padding bit is set.
    pub(crate) fn finish(self) -> Result<&'a [u8]> {
        if self.pending != 0 {
            return Err(Error::corrupt("padding bits are not zero"));
        }
        Ok(&self.bytes[self.taken..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fields_come_back(fields in prop::collection::vec((any::<u32>(), 0u32..=32), 0..64)) {
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
        fn rows_come_back(values in prop::collection::vec(
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
        // −3 is 5: with 1 low bit, two ones, a zero, and 1.
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
    fn known_bytes_and_refusals() {
        let mut writer = BitWriter::default();
        writer.put(0b101, 3);
        writer.put(0b11, 2);
        assert_eq!(writer.finish(), [0b11101]);
        assert!(BitReader::new(&[0xff]).take(9).is_err());
        let mut reader = BitReader::new(&[0b1000_0000]);
        reader.take(3).unwrap();
        assert!(reader.finish().is_err());
    }
}
