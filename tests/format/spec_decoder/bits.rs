//! Bit sequences and the integers in them (7.2, 7.3).

use super::{Cursor, Res, ensure};

/// Reads a bit sequence; the least significant bit comes first, in bytes and in numbers.
pub struct Bits<'a> {
    input: Cursor<'a>,
    byte: u8,
    /// Unread bits of `byte`.
    left: u32,
}

impl<'a> Bits<'a> {
    pub fn new(input: Cursor<'a>) -> Self {
        Bits { input, byte: 0, left: 0 }
    }

    pub fn take(&mut self, count: u32) -> Res<u32> {
        let mut value = 0;
        for i in 0..count {
            if self.left == 0 {
                (self.byte, self.left) = (self.input.u8()?, 8);
            }
            value |= u32::from(self.byte & 1) << i;
            self.byte >>= 1;
            self.left -= 1;
        }
        Ok(value)
    }

    /// Skips the bits up to the next byte boundary.
    pub fn align(&mut self) {
        (self.byte, self.left) = (0, 0);
    }

    pub fn flag(&mut self) -> Res<bool> {
        Ok(self.take(1)? == 1)
    }

    /// An F32 that must be positive and at most `largest`.
    pub fn positive(&mut self, largest: f32) -> Res<f32> {
        let value = f32::from_bits(self.take(32)?);
        ensure(
            value > 0.0 && value <= largest,
            "a step, scale or unit is not positive or too large",
        )?;
        Ok(value)
    }

    /// A signed integer, as a Rice code with parameter `r`.
    pub fn rice(&mut self, r: u32) -> Res<i64> {
        let mut q = 0;
        while q < 24 && self.flag()? {
            q += 1;
        }
        let z = if q < 24 {
            q * (1 << r) + i64::from(self.take(r)?)
        } else {
            i64::from(self.take(32)?)
        };
        Ok(if z % 2 == 0 { z / 2 } else { -(z + 1) / 2 })
    }

    /// A list of `count` integers of 16 bits.
    pub fn list(&mut self, count: usize) -> Res<Vec<i64>> {
        let r = self.take(4)?;
        let mut list = Vec::new();
        for _ in 0..count {
            let integer = self.rice(r)?;
            ensure((-32_768..=32_767).contains(&integer), "an integer exceeds 16 bits")?;
            list.push(integer);
        }
        Ok(list)
    }

    /// Ends the sequence at the next byte boundary. Returns the bytes after it.
    pub fn end(self) -> Res<Cursor<'a>> {
        ensure(self.byte == 0, "padding bits are not zero")?;
        Ok(self.input)
    }
}
