//! Words and their byte planes: the planes separate a float's exponent from its mantissa.

use crate::arch::Kernel;
use crate::dtype::Dtype;

/// How elements of a dtype split into planes: plane `p` holds byte `p`, from the least
/// significant, of every word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// Bytes in a word, and planes.
    pub(crate) width: usize,
    /// Words are first rotated left by one bit, which brings a float's exponent to the top of
    /// its word and its sign to the mantissa's low end.
    pub(crate) rotate: bool,
}

impl Split {
    /// The split of a dtype. Types without a known structure have one plane.
    pub(crate) const fn of(dtype: Dtype) -> Self {
        let (width, rotate) = match dtype {
            Dtype::Bf16 | Dtype::F16 => (2, true),
            Dtype::F32 | Dtype::C64 => (4, true),
            Dtype::F64 => (8, true),
            Dtype::I16 | Dtype::U16 => (2, false),
            Dtype::I32 | Dtype::U32 => (4, false),
            Dtype::I64 | Dtype::U64 => (8, false),
            _ => (1, false),
        };
        Self { width, rotate }
    }

    /// Bits of a float's most significant byte that are not of its exponent, after the rotation.
    #[cfg(feature = "encode")]
    pub(crate) const fn bits_below_exponent(dtype: Dtype) -> u32 {
        match dtype {
            Dtype::F16 => 3,
            // Their exponents have at least eight bits.
            _ => 0,
        }
    }

    /// Bits that words are rotated by.
    pub(super) const fn rotation(self) -> u32 {
        self.rotate as u32
    }

    /// Replaces the byte of a plane in word `word` of `out`.
    pub(crate) fn replace(self, plane: usize, word: usize, byte: u8, out: &mut [u8]) {
        let word = &mut out[word * self.width..][..self.width];
        let mut bytes = [0; 8];
        bytes[..self.width].copy_from_slice(word);
        // Rotate within the word's own bits only.
        let (bits, rotation) = (8 * self.width as u32, self.rotation());
        let mut number = u64::from_le_bytes(bytes);
        number = number << rotation | number >> ((bits - rotation) % 64);
        let mut bytes = number.to_le_bytes();
        bytes[plane] = byte;
        bytes[self.width..].fill(0);
        let number = u64::from_le_bytes(bytes);
        let number = number >> rotation | number << ((bits - rotation) % 64);
        word.copy_from_slice(&number.to_le_bytes()[..self.width]);
    }

    /// Reassembles words from their planes into `out`, whose length is `width` times a plane's.
    pub(crate) fn join(self, kernel: Kernel, planes: &[&[u8]], out: &mut [u8]) {
        let rotation = self.rotation();
        kernel.run(
            #[inline(always)]
            || match *planes {
                [plane] => out.copy_from_slice(plane),
                [p0, p1] => join_words([p0, p1], out, |word| {
                    u16::from_le_bytes(word).rotate_right(rotation).to_le_bytes()
                }),
                [p0, p1, p2, p3] => join_words([p0, p1, p2, p3], out, |word| {
                    u32::from_le_bytes(word).rotate_right(rotation).to_le_bytes()
                }),
                [p0, p1, p2, p3, p4, p5, p6, p7] => {
                    join_words([p0, p1, p2, p3, p4, p5, p6, p7], out, |word| {
                        u64::from_le_bytes(word).rotate_right(rotation).to_le_bytes()
                    });
                }
                _ => unreachable!("a split has 1, 2, 4 or 8 planes"),
            },
        );
    }
}

/// Interleaves planes into words; `finish` maps each word.
#[inline(always)]
fn join_words<const W: usize>(
    planes: [&[u8]; W],
    out: &mut [u8],
    finish: impl Fn([u8; W]) -> [u8; W],
) {
    let words = out.as_chunks_mut::<W>().0;
    // Equal lengths remove bounds checks from the loop.
    let planes = planes.map(|plane| &plane[..words.len()]);
    for (i, word) in words.iter_mut().enumerate() {
        *word = finish(planes.map(|plane| plane[i]));
    }
}
