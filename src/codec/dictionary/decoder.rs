//! Decoding chunks of indices.

use super::{KIND_FACTORS, KIND_WORDS, MAX_ENTRIES, has_factors};
use crate::arch::Kernel;
use crate::codec::entropy::rans::{DecodeTable, RansDecoder};
use crate::codec::entropy::{BitReader, Frequencies};
use crate::codec::planes::split::Split;
use crate::dtype::{Dtype, number};
use crate::error::{Error, Result};

/// Words that are reconstructed from factors together: they fit the first-level cache.
const TILE: usize = 1 << 11;

/// Decodes chunks of one tensor.
pub(crate) struct DictionaryDecoder {
    dtype: Dtype,
    /// Bytes of a word.
    width: usize,
    /// The index of words without an entry; larger ones are not allowed.
    escape: u8,
    /// The distance of the index that each index is coded relative to; 0 for none.
    distance: usize,
    entries: Entries,
    table: DecodeTable,
}

/// What indices stand for, padded with zeros.
enum Entries {
    /// Words, as bytes.
    Words(Box<[[u8; 8]; 256]>),
    /// Factors of the scale of each `group` words.
    Factors { factors: Box<[f32; 256]>, group: usize },
}

impl DictionaryDecoder {
    /// Reads the parameters of a tensor of this dtype.
    ///
    /// # Errors
    /// `Corrupt` or `Truncated`.
    pub(crate) fn new(dtype: Dtype, parameters: &[u8]) -> Result<Self> {
        let width = Split::of(dtype).width;
        let mut rest = parameters;
        let [kind, escape] = take_array(&mut rest)?;
        let distance = take_u32(&mut rest)?;
        let entries = usize::from(escape);
        if entries == 0 {
            return Err(Error::corrupt("dictionary: no entries"));
        }
        let entries = match kind {
            KIND_WORDS => {
                let mut words = Box::new([[0; 8]; 256]);
                for word in &mut words[..entries] {
                    word[..width].copy_from_slice(take(&mut rest, width)?);
                }
                Entries::Words(words)
            }
            KIND_FACTORS if has_factors(dtype) => {
                let group = take_u32(&mut rest)?;
                if group == 0 {
                    return Err(Error::corrupt("dictionary: groups without words"));
                }
                let mut factors = Box::new([0.0; 256]);
                for factor in &mut factors[..entries] {
                    *factor = f32::from_le_bytes(take_array(&mut rest)?);
                    if !factor.is_finite() {
                        return Err(Error::corrupt("dictionary: a factor is not finite"));
                    }
                }
                Entries::Factors { factors, group }
            }
            _ => return Err(Error::corrupt("dictionary: unknown kind of entries")),
        };
        let mut input = BitReader::new(rest);
        let table = DecodeTable::new(&Frequencies::read(&mut input)?);
        if !input.finish()?.is_empty() {
            return Err(Error::corrupt("codec parameters: trailing bytes"));
        }
        Ok(Self { dtype, width, escape, distance, entries, table })
    }

    /// Decodes one chunk into `out`; O(bytes).
    ///
    /// # Errors
    /// `Corrupt` or `Truncated`; the content of `out` is then unspecified.
    pub(crate) fn decode(&self, coded: &[u8], out: &mut [u8]) -> Result<()> {
        if !out.len().is_multiple_of(self.width) {
            return Err(Error::corrupt(
                "dictionary: chunk length is not a multiple of the element size",
            ));
        }
        let (kernel, mut rest) = (Kernel::best(), coded);
        let length = take_u32(&mut rest)?;
        let mut stream = RansDecoder::new(take(&mut rest, length)?, kernel)?;
        let mut indices = vec![0; out.len() / self.width];
        stream.decode(&self.table, &mut indices)?;
        stream.finish()?;
        if self.distance > 0 {
            kernel.run(
                #[inline(always)]
                || add_previous(&mut indices, self.distance),
            );
        }
        let (largest, escapes) = kernel.run(
            #[inline(always)]
            || summary(&indices, self.escape),
        );
        if largest > self.escape {
            return Err(Error::corrupt("dictionary: an index has no entry"));
        }
        match &self.entries {
            Entries::Words(words) => match self.width {
                1 => look_up::<1>(&indices, words, out),
                2 => look_up::<2>(&indices, words, out),
                4 => look_up::<4>(&indices, words, out),
                _ => look_up::<8>(&indices, words, out),
            },
            Entries::Factors { factors, group } => {
                let scales = take(&mut rest, 4 * indices.len().div_ceil(*group))?;
                self.multiply(&indices, factors, scales.as_chunks().0, *group, out)?;
            }
        }
        if rest.len() != escapes * self.width {
            return Err(Error::corrupt("dictionary: wrong number of words without an entry"));
        }
        if escapes > 0 {
            self.replace_escapes(&indices, rest, out);
        }
        Ok(())
    }

    /// Writes the rounded products of factors and scales.
    fn multiply(
        &self,
        indices: &[u8],
        factors: &[f32; 256],
        scales: &[[u8; 4]],
        group: usize,
        out: &mut [u8],
    ) -> Result<()> {
        let kernel = Kernel::best();
        let mut products = [0.0; TILE];
        let mut start = 0;
        for (tile, out) in indices.chunks(TILE).zip(out.chunks_mut(TILE * self.width)) {
            let mut done = 0;
            while done < tile.len() {
                let number = (start + done) / group;
                let end = ((number + 1) * group - start).min(tile.len());
                let scale = f32::from_le_bytes(scales[number]);
                if !(scale.is_finite() && scale.is_sign_positive()) {
                    return Err(Error::corrupt("dictionary: a scale is negative or not finite"));
                }
                for (product, &index) in products[done..end].iter_mut().zip(&tile[done..end]) {
                    *product = factors[usize::from(index)] * scale;
                }
                done = end;
            }
            number::from_f32(kernel, self.dtype, &products[..tile.len()], out);
            start += tile.len();
        }
        Ok(())
    }

    /// Replaces the words without an entry by `words`, of which there are as many.
    fn replace_escapes(&self, indices: &[u8], words: &[u8], out: &mut [u8]) {
        let mut words = words.chunks_exact(self.width);
        for (indices, out) in indices.chunks(64).zip(out.chunks_mut(64 * self.width)) {
            if !indices.contains(&self.escape) {
                continue;
            }
            let places = indices.iter().zip(out.chunks_exact_mut(self.width));
            let escapes = places.filter(|(index, _)| **index == self.escape);
            escapes.zip(&mut words).for_each(|((_, place), word)| place.copy_from_slice(word));
        }
    }
}

/// Adds to each number the one at `distance` before it, or where there is none the one just before
/// it, modulo 256.
#[inline(always)]
fn add_previous(indices: &mut [u8], distance: usize) {
    let mut done = distance.min(indices.len());
    let mut sum = 0u8;
    for index in &mut indices[..done] {
        sum = sum.wrapping_add(*index);
        *index = sum;
    }
    while done < indices.len() {
        let (before, next) = indices.split_at_mut(done);
        let before = &before[done - distance..];
        for (index, previous) in next.iter_mut().zip(before) {
            *index = index.wrapping_add(*previous);
        }
        done += distance;
    }
}

/// The largest index, and how many there are of `escape`.
#[inline(always)]
fn summary(indices: &[u8], escape: u8) -> (u8, usize) {
    let (mut largest, mut escapes) = (0, 0);
    for block in indices.chunks(255) {
        let mut count = 0u8;
        for &index in block {
            largest = largest.max(index);
            count += u8::from(index == escape);
        }
        escapes += usize::from(count);
    }
    (largest, escapes)
}

/// Writes the word of each index.
fn look_up<const W: usize>(indices: &[u8], words: &[[u8; 8]; 256], out: &mut [u8]) {
    let words: [[u8; W]; 256] =
        std::array::from_fn(|index| std::array::from_fn(|byte| words[index][byte]));
    for (place, &index) in out.as_chunks_mut::<W>().0.iter_mut().zip(indices) {
        *place = words[usize::from(index)];
    }
}

/// The next bytes of the parameters or of a chunk.
fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    let (bytes, after) = rest
        .split_at_checked(length)
        .ok_or_else(|| Error::corrupt("dictionary: parameters or chunk too short"))?;
    *rest = after;
    Ok(bytes)
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N]> {
    let bytes = take(rest, N)?;
    Ok(std::array::from_fn(|i| bytes[i]))
}

fn take_u32(rest: &mut &[u8]) -> Result<usize> {
    let number = u32::from_le_bytes(take_array(rest)?);
    usize::try_from(number).map_err(|_| Error::corrupt("dictionary: a number is too large"))
}

const _: () = assert!(MAX_ENTRIES == u8::MAX as usize, "the index of an escape is a byte");
