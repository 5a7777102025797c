//! Bit fields packed from the least significant bit up.

use crate::error::{Error, Result};

/// Appends bit fields to a byte vector, least significant bit first.
#[derive(Default)]
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
