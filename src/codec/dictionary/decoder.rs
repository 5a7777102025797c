//! Decoding chunks of indices.

use super::groups::{Groups, Segment};
use super::{
    KIND_FACTORS, KIND_GROUP_WORDS, KIND_WORDS, MAX_ENTRIES, can_round_to, has_factors, has_groups,
};
use crate::arch::Kernel;
use crate::codec::entropy::rans::{DecodeTable, SequenceDecoder};
use crate::codec::entropy::{BitReader, Frequencies};
use crate::codec::planes::PlaneDecoder;
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
    /// Decodes the words without an entry.
    escaped: PlaneDecoder,
}

/// What indices stand for, padded with zeros.
enum Entries {
    /// Words, as bytes.
    Words(Box<[[u8; 8]; 256]>),
    Factors(Factors),
    /// Words that each chunk stores for each of its groups.
    GroupWords(Groups),
}

/// Factors of the scale of a group, to which a minimum may be added.
struct Factors {
    factors: Box<[f32; 256]>,
    groups: Groups,
    has_minima: bool,
    /// What products are rounded to.
    rounding: Dtype,
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
                Entries::Factors(Factors::read(dtype, entries, &mut rest)?)
            }
            KIND_GROUP_WORDS if has_groups(dtype) => Entries::GroupWords(take_groups(&mut rest)?),
            _ => return Err(Error::corrupt("dictionary: unknown kind of entries")),
        };
        let mut input = BitReader::new(rest);
        let table = DecodeTable::new(&Frequencies::read(&mut input)?);
        let escaped = PlaneDecoder::new(dtype, input.finish()?)?;
        Ok(Self { dtype, width, escape, distance, entries, table, escaped })
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
        let mut indices = vec![0; out.len() / self.width];
        let mut coded = SequenceDecoder::take(&mut rest, kernel)?;
        coded.decode(&self.table, &mut indices)?;
        coded.finish()?;
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
            return Err(no_entry());
        }
        match &self.entries {
            Entries::Words(words) => match self.width {
                1 => look_up::<1>(&indices, words, out),
                2 => look_up::<2>(&indices, words, out),
                4 => look_up::<4>(&indices, words, out),
                _ => look_up::<8>(&indices, words, out),
            },
            Entries::Factors(factors) => {
                factors.multiply(self.dtype, &indices, &mut rest, out)?;
            }
            Entries::GroupWords(groups) => match self.width {
                2 => look_up_in_groups::<2>(&indices, self.escape, groups, &mut rest, out)?,
                _ => look_up_in_groups::<4>(&indices, self.escape, groups, &mut rest, out)?,
            },
        }
        if escapes > 0 {
            let mut words = vec![0; escapes * self.width];
            self.escaped.decode(rest, &mut words)?;
            self.replace_escapes(&indices, &words, out);
        } else if !rest.is_empty() {
            return Err(Error::corrupt("dictionary: coded chunk is too long"));
        }
        Ok(())
    }

    /// Replaces the words without an entry by `words`, of which there are as many.
    fn replace_escapes(&self, indices: &[u8], words: &[u8], out: &mut [u8]) {
        match self.width {
            1 => replace::<1>(indices, self.escape, words, out),
            2 => replace::<2>(indices, self.escape, words, out),
            4 => replace::<4>(indices, self.escape, words, out),
            _ => replace::<8>(indices, self.escape, words, out),
        }
    }
}

impl Factors {
    /// Reads the parameters up to the factors, of which there are `entries`.
    fn read(dtype: Dtype, entries: usize, rest: &mut &[u8]) -> Result<Self> {
        let groups = take_groups(rest)?;
        let [rounding, has_minima] = take_array(rest)?;
        let rounding =
            Dtype::from_id(rounding).filter(|&rounding| can_round_to(dtype, rounding)).ok_or_else(
                || Error::corrupt("dictionary: products of this dtype are not possible"),
            )?;
        if has_minima > 1 {
            return Err(Error::corrupt("dictionary: unknown kind of minima"));
        }
        let mut factors = Box::new([0.0; 256]);
        for factor in &mut factors[..entries] {
            *factor = f32::from_le_bytes(take_array(rest)?);
            if !factor.is_finite() {
                return Err(Error::corrupt("dictionary: a factor is not finite"));
            }
        }
        Ok(Self { factors, groups, has_minima: has_minima == 1, rounding })
    }

    /// Writes the rounded products of factors and scales, with the minima added.
    fn multiply(
        &self,
        dtype: Dtype,
        indices: &[u8],
        rest: &mut &[u8],
        out: &mut [u8],
    ) -> Result<()> {
        let groups = self.groups.count(indices.len());
        let scales = take_numbers(rest, groups)?;
        if !scales.iter().all(|scale| scale.is_sign_positive()) {
            return Err(Error::corrupt("dictionary: a scale is negative"));
        }
        let minima = if self.has_minima { take_numbers(rest, groups)? } else { Vec::new() };
        let (mut products, mut filled) = ([0.0; TILE], 0);
        let mut writer = ProductWriter { dtype, rounding: self.rounding, out, rounded: Vec::new() };
        self.groups.segments(indices.len(), |range, segment| {
            let mut at = range.start;
            while at < range.end {
                let length = (range.end - at).min(TILE - filled);
                let place = &mut products[filled..filled + length];
                let factors =
                    indices[at..at + length].iter().map(|&i| self.factors[usize::from(i)]);
                let scaled = place.iter_mut().zip(factors);
                match segment {
                    Segment::InGroup(group) => {
                        let scale = scales[group];
                        scaled.for_each(|(product, factor)| *product = factor * scale);
                        if let Some(minimum) = minima.get(group) {
                            place.iter_mut().for_each(|product| *product += minimum);
                        }
                    }
                    Segment::FromGroup(first) => {
                        let group = first + at - range.start;
                        let scaled = scaled.zip(&scales[group..]);
                        scaled.for_each(|((product, factor), scale)| *product = factor * scale);
                        if self.has_minima {
                            let sums = place.iter_mut().zip(&minima[group..]);
                            sums.for_each(|(product, minimum)| *product += minimum);
                        }
                    }
                }
                (at, filled) = (at + length, filled + length);
                if filled == TILE {
                    writer.write(&products);
                    filled = 0;
                }
            }
        });
        writer.write(&products[..filled]);
        Ok(())
    }
}

/// Writes rounded products in order.
struct ProductWriter<'o> {
    dtype: Dtype,
    rounding: Dtype,
    out: &'o mut [u8],
    /// Working memory.
    rounded: Vec<u8>,
}

impl ProductWriter<'_> {
    fn write(&mut self, products: &[f32]) {
        let kernel = Kernel::best();
        let length = products.len() * (self.dtype.bits() / 8) as usize;
        let (out, rest) = std::mem::take(&mut self.out).split_at_mut(length);
        self.out = rest;
        if self.rounding == self.dtype {
            return number::from_f32(kernel, self.dtype, products, out);
        }
        self.rounded.resize(products.len() * (self.rounding.bits() / 8) as usize, 0);
        number::from_f32(kernel, self.rounding, products, &mut self.rounded);
        let mut values = Vec::new();
        number::to_f32(self.rounding, &self.rounded, &mut values);
        number::from_f32(kernel, self.dtype, &values, out);
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

/// Writes the word of each index: words of the groups of the chunk, whose numbers come first.
fn look_up_in_groups<const W: usize>(
    indices: &[u8],
    escape: u8,
    groups: &Groups,
    rest: &mut &[u8],
    out: &mut [u8],
) -> Result<()> {
    let counts = take(rest, groups.count(indices.len()))?;
    if counts.iter().any(|&count| count > escape) {
        return Err(Error::corrupt("dictionary: a group has too many words"));
    }
    let mut starts = Vec::with_capacity(counts.len() + 1);
    let mut total = 0;
    starts.push(total);
    starts.extend(counts.iter().map(|&count| {
        total += usize::from(count);
        total
    }));
    let words = take(rest, total.saturating_mul(W))?.as_chunks::<W>().0;
    let places = out.as_chunks_mut::<W>().0;
    let mut missing = false;
    let mut look_up =
        |place: &mut [u8; W], index: u8, words: &[[u8; W]]| match words.get(usize::from(index)) {
            Some(word) => *place = *word,
            None => missing |= index != escape,
        };
    groups.segments(indices.len(), |range, segment| {
        let found = places[range.clone()].iter_mut().zip(&indices[range]);
        match segment {
            Segment::InGroup(group) => {
                let words = &words[starts[group]..starts[group + 1]];
                found.for_each(|(place, &index)| look_up(place, index, words));
            }
            Segment::FromGroup(first) => {
                let ranges = starts[first..].windows(2).map(|range| &words[range[0]..range[1]]);
                found.zip(ranges).for_each(|((place, &index), words)| look_up(place, index, words));
            }
        }
    });
    if missing { Err(no_entry()) } else { Ok(()) }
}

/// Replaces the words at escapes, in order.
fn replace<const W: usize>(indices: &[u8], escape: u8, words: &[u8], out: &mut [u8]) {
    let mut words = words.as_chunks::<W>().0.iter();
    for (indices, out) in indices.chunks(64).zip(out.as_chunks_mut::<W>().0.chunks_mut(64)) {
        if !indices.contains(&escape) {
            continue;
        }
        let places = indices.iter().zip(out).filter(|(index, _)| **index == escape);
        places.zip(&mut words).for_each(|((_, place), word)| *place = *word);
    }
}

fn no_entry() -> Error {
    Error::corrupt("dictionary: an index has no entry")
}

/// The next groups of the parameters.
fn take_groups(rest: &mut &[u8]) -> Result<Groups> {
    let groups = Groups { row: take_u32(rest)?, rows: take_u32(rest)?, columns: take_u32(rest)? };
    match groups {
        Groups { row: 1.., rows: 1.., columns: 1.. } => Ok(groups),
        _ => Err(Error::corrupt("dictionary: groups without words")),
    }
}

/// The next finite numbers of a chunk.
fn take_numbers(rest: &mut &[u8], count: usize) -> Result<Vec<f32>> {
    let bytes = take(rest, count.saturating_mul(size_of::<f32>()))?.as_chunks().0;
    let numbers: Vec<f32> = bytes.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    match numbers.iter().all(|number| number.is_finite()) {
        true => Ok(numbers),
        false => Err(Error::corrupt("dictionary: a scale or minimum is not finite")),
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
