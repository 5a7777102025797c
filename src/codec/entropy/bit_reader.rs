//! Reading of bit fields, packed from the least significant bit up.

use crate::error::{Error, Result};

/// Length of the unary prefix of a Rice code after which all 32 bits follow.
pub(super) const RICE_LIMIT: u32 = 24;

/// Bits of the Rice parameter of a row.
pub(super) const ROW_RICE_BITS: u32 = 4;

/// Reads bit fields from bytes, least significant bit first.
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

    /// Reads a field of `width` bits, at most 32.
    ///
    /// # Errors
    /// `Truncated` when fewer bits are left.
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

    /// Reads a signed integer with its Rice code (Rice, 1979) of parameter `rice`.
    ///
    /// The code of the zigzag value z (0, −1, 1, −2… become 0, 1, 2, 3…) is z >> `rice` in unary,
    /// then the low `rice` bits of z. A unary prefix of [`RICE_LIMIT`] ones is followed by all 32
    /// bits of z instead.
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

    /// Reads `count` signed integers and appends them to `out`: the Rice parameter (4 bits), then
    /// the Rice code of each integer. Memory grows as integers are read.
    ///
    /// # Errors
    /// `Truncated`, or `Corrupt` for an integer that does not fit `T`.
    pub(crate) fn take_row<T: TryFrom<i32>>(
        &mut self,
        count: usize,
        out: &mut Vec<T>,
    ) -> Result<()> {
        let rice = self.take(ROW_RICE_BITS)?;
        for _ in 0..count {
            let value = T::try_from(self.take_rice(rice)?);
            out.push(value.map_err(|_| Error::corrupt("an integer out of range"))?);
        }
        Ok(())
    }

    /// Ends at the next byte boundary and returns the bytes that follow.
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

    #[test]
    fn known_fields() {
        let mut reader = BitReader::new(&[0b11101, 0xa5]);
        assert_eq!((reader.take(3).unwrap(), reader.take(2).unwrap()), (0b101, 0b11));
        assert_eq!(reader.finish().unwrap(), &[0xa5]);
    }

    #[test]
    fn missing_bits_and_nonzero_padding_are_rejected() {
        assert!(BitReader::new(&[0xff]).take(9).is_err());
        let mut reader = BitReader::new(&[0b1000_0000]);
        reader.take(3).unwrap();
        assert!(reader.finish().is_err());
    }
}
