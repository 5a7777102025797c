//! Checksums, and numbers in sequences of bytes (1).

use super::Res;

/// CRC-32/ISO-HDLC, bit by bit.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

pub(super) fn ensure(condition: bool, message: &str) -> Res<()> {
    if condition { Ok(()) } else { Err(message.into()) }
}

pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

pub(super) fn to_size(n: u64) -> Res<usize> {
    usize::try_from(n).map_err(|_| "a size overflows".into())
}

#[derive(Clone)]
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or(&[])
    }

    pub(super) fn take(&mut self, len: usize) -> Res<&'a [u8]> {
        let end = self.at.checked_add(len).ok_or("a size overflows")?;
        let taken = self.bytes.get(self.at..end).ok_or("unexpected end")?;
        self.at = end;
        Ok(taken)
    }

    /// Takes `count` items of `size` bytes. Returns a cursor over them.
    pub(super) fn part(&mut self, count: u64, size: u64) -> Res<Cursor<'a>> {
        let len = count.checked_mul(size).ok_or("a size overflows")?;
        Ok(Cursor { bytes: self.take(to_size(len)?)?, at: 0 })
    }

    pub(super) fn array<const N: usize>(&mut self) -> Res<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| "wrong size".into())
    }

    pub(super) fn u8(&mut self) -> Res<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Res<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Res<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Res<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// An integer of variable length, in its shortest form (1).
    pub(super) fn varint(&mut self) -> Res<u64> {
        let (mut value, mut bits) = (0u128, 0);
        loop {
            let byte = self.u8()?;
            value |= u128::from(byte & 127) << bits;
            bits += 7;
            if byte < 128 {
                ensure(byte > 0 || bits == 7, "an integer is longer than necessary")?;
                return u64::try_from(value).map_err(|_| "an integer is too large".into());
            }
            ensure(bits < 70, "an integer is too long")?;
        }
    }

    /// Requires that all bytes have been taken.
    pub(super) fn finish(&self, what: &str) -> Res<()> {
        ensure(self.rest().is_empty(), &format!("bytes left in {what}"))
    }
}
