//! Words to byte planes and back: where a float's exponent and its noise part ways.

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
    pub(crate) const fn of(dtype: Dtype) -> Self {
        let (width, rotate) = match dtype {
            Dtype::Bf16 => (2, true),
            Dtype::F32 | Dtype::C64 => (4, true),
            Dtype::F64 => (8, true),
            // Five exponent bits leave room in the top byte for the sign and two more.
            Dtype::F16 | Dtype::I16 | Dtype::U16 => (2, false),
            Dtype::I32 | Dtype::U32 => (4, false),
            Dtype::I64 | Dtype::U64 => (8, false),
            _ => (1, false),
        };
        Self { width, rotate }
    }

    /// Bits that words are rotated by.
    const fn rotation(self) -> u32 {
        self.rotate as u32
    }

    /// Writes plane `plane` of the words in `bytes` over `out`, one byte a word.
    pub(crate) fn extract(self, kernel: Kernel, plane: usize, bytes: &[u8], out: &mut [u8]) {
        let (shift, rotation) = (8 * plane as u32, self.rotation());
        kernel.run(
            #[inline(always)]
            || match self.width {
                1 => out.copy_from_slice(bytes),
                2 => each_word(bytes, out, |word| {
                    (u16::from_le_bytes(word).rotate_left(rotation) >> shift) as u8
                }),
                4 => each_word(bytes, out, |word| {
                    (u32::from_le_bytes(word).rotate_left(rotation) >> shift) as u8
                }),
                _ => each_word(bytes, out, |word| {
                    (u64::from_le_bytes(word).rotate_left(rotation) >> shift) as u8
                }),
            },
        );
    }

    /// Puts another byte in a plane's place of a word.
    pub(crate) fn replace(self, plane: usize, word: usize, byte: u8, out: &mut [u8]) {
        let word = &mut out[word * self.width..][..self.width];
        let mut bytes = [0; 8];
        bytes[..self.width].copy_from_slice(word);
        // Rotated within its own bits only: in the middle of more of them there is no carry.
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

/// Hands each word to `byte`.
#[inline(always)]
fn each_word<const W: usize>(bytes: &[u8], out: &mut [u8], byte: impl Fn([u8; W]) -> u8) {
    for (out, &word) in out.iter_mut().zip(bytes.as_chunks().0) {
        *out = byte(word);
    }
}

/// Interleaves planes into words, each of which `finish` sees last.
#[inline(always)]
fn join_words<const W: usize>(
    planes: [&[u8]; W],
    out: &mut [u8],
    finish: impl Fn([u8; W]) -> [u8; W],
) {
    let words = out.as_chunks_mut::<W>().0;
    // Equal lengths, said once, keep bounds checks out of the loop.
    let planes = planes.map(|plane| &plane[..words.len()]);
    for (i, word) in words.iter_mut().enumerate() {
        *word = finish(planes.map(|plane| plane[i]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planes_of(split: Split, bytes: &[u8]) -> Vec<Vec<u8>> {
        (0..split.width)
            .map(|plane| {
                let mut all = Kernel::all().into_iter().map(|kernel| {
                    let mut out = vec![9; bytes.len() / split.width];
                    split.extract(kernel, plane, bytes, &mut out);
                    out
                });
                let out = all.next().unwrap();
                assert!(all.all(|other| other == out));
                out
            })
            .collect()
    }

    #[test]
    fn the_exponent_gets_a_plane_of_its_own() {
        // 1.0 and -1.5 have exponent 127.
        let f32s: Vec<u8> = [1.0f32, -1.5].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(planes_of(Split::of(Dtype::F32), &f32s)[3], [127, 127]);
        assert_eq!(planes_of(Split::of(Dtype::F32), &f32s)[0], [0, 1]);
        let bf16s = [0x80, 0x3f, 0xc0, 0xbf];
        assert_eq!(planes_of(Split::of(Dtype::Bf16), &bf16s), [[0, 0x81], [127, 127]]);
        let f64s = [1.0f64.to_le_bytes(), (-1.0f64).to_le_bytes()].concat();
        assert_eq!(planes_of(Split::of(Dtype::F64), &f64s)[7], [0x7f, 0x7f]);
    }

    #[test]
    fn rotation_is_that_of_the_word() {
        let word = 0x8123_4567u32;
        let planes = planes_of(Split { width: 4, rotate: true }, &word.to_le_bytes());
        assert_eq!(planes.concat(), word.rotate_left(1).to_le_bytes());
    }

    #[test]
    fn every_dtype_splits_and_joins() {
        let bytes: Vec<u8> = (0..240u32).map(|i| (i * i / 8) as u8).collect();
        for &dtype in Dtype::ALL {
            let split = Split::of(dtype);
            let planes = planes_of(split, &bytes);
            let planes: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
            for kernel in Kernel::all() {
                let mut out = vec![0xee; bytes.len()];
                split.join(kernel, &planes, &mut out);
                assert_eq!(out, bytes, "{dtype}");
            }
        }
    }

    #[test]
    fn a_byte_is_replaced_where_its_plane_is() {
        let bytes: Vec<u8> = (0..48u32).map(|i| (i * 37 + 128) as u8).collect();
        for &dtype in Dtype::ALL {
            let split = Split::of(dtype);
            for plane in 0..split.width {
                let mut replaced = bytes.clone();
                split.replace(plane, 2, 0xa5, &mut replaced);
                let mut planes = planes_of(split, &bytes);
                planes[plane][2] = 0xa5;
                assert_eq!(planes_of(split, &replaced), planes, "{dtype} {plane}");
            }
        }
    }

    #[test]
    fn every_length_at_any_alignment() {
        for width in [1, 2, 4, 8] {
            let split = Split { width, rotate: width > 1 };
            for words in 0..=65 {
                let bytes: Vec<u8> = (0..words * width).map(|i| (i * i / 3) as u8).collect();
                let expected = planes_of(split, &bytes);
                for read in 0..64 {
                    let write = (29 * read + words) % 64;
                    let bytes = [vec![0; read], bytes.clone()].concat();
                    // Planes lie one after the other, as they do in a chunk.
                    let planes = [vec![0; read], expected.concat()].concat();
                    let planes: Vec<&[u8]> =
                        (0..width).map(|plane| &planes[read + plane * words..][..words]).collect();
                    for kernel in Kernel::all() {
                        for (plane, expected) in expected.iter().enumerate() {
                            let mut out = vec![9; write + words];
                            split.extract(kernel, plane, &bytes[read..], &mut out[write..]);
                            assert_eq!(out[write..], *expected, "{width} {words} {read}");
                        }
                        let mut out = vec![9; write + words * width];
                        split.join(kernel, &planes, &mut out[write..]);
                        assert_eq!(out[write..], bytes[read..], "{width} {words} {read}");
                    }
                }
            }
        }
    }
}
