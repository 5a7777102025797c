//! Extracting a byte plane from words.

use crate::arch::Kernel;
use crate::codec::planes::split::Split;

impl Split {
    /// Writes plane `plane` of the words in `bytes` to `out`, one byte a word.
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
}

/// Maps each word to a byte.
#[inline(always)]
fn each_word<const W: usize>(bytes: &[u8], out: &mut [u8], byte: impl Fn([u8; W]) -> u8) {
    for (out, &word) in out.iter_mut().zip(bytes.as_chunks().0) {
        *out = byte(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::Dtype;

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
    fn words_are_rotated_as_a_whole() {
        let word = 0x8123_4567u32;
        let planes = planes_of(Split { width: 4, rotate: true }, &word.to_le_bytes());
        assert_eq!(planes.concat(), word.rotate_left(1).to_le_bytes());
    }

    #[test]
    fn join_inverts_extract() {
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
    fn replace_changes_one_byte_of_one_plane() {
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
    fn any_length_at_any_alignment() {
        for width in [1, 2, 4, 8] {
            let split = Split { width, rotate: width > 1 };
            for words in 0..=65 {
                let bytes: Vec<u8> = (0..words * width).map(|i| (i * i / 3) as u8).collect();
                let expected = planes_of(split, &bytes);
                for read in 0..64 {
                    let write = (29 * read + words) % 64;
                    let bytes = [vec![0; read], bytes.clone()].concat();
                    // Planes are contiguous, as they are in a chunk.
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
