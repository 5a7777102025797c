//! The index: flat records that are read in place, so that no memory is allocated per tensor when
//! a file is opened.

use super::frame::{Footer, object_from_parts};
use super::layout::{Description, Entry, INDEX_TAG, IndexHead};
use super::object::{Object, ObjectKind};
use crate::error::{Error, Result};
use crate::limits::Limits;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::Range;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The position of an object's frame and chunks, and the checksum of the decoded bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Payload {
    /// The start of the frame.
    pub(crate) frame_offset: u64,
    /// The first byte after the frame header and its padding.
    pub(crate) offset: u64,
    /// Bytes from there to the end of the last chunk.
    pub(crate) length: u64,
    /// CRC-32 of the decoded bytes.
    pub(crate) decoded_crc: u32,
}

/// Collects the objects that were written.
#[derive(Default)]
pub(crate) struct IndexBuilder {
    entries: Vec<Entry>,
    descriptions: Vec<Description>,
    dimensions: Vec<U64>,
    chunk_starts: Vec<U64>,
    names: Vec<u8>,
    /// The descriptions that are there, with their shapes: their numbers.
    numbers: HashMap<DescriptionKey, u32>,
}

/// A description without its position, and the shape.
type DescriptionKey = ([u8; size_of::<Description>()], Vec<u64>);

impl IndexBuilder {
    /// Adds a frame. `chunk_ends` are file offsets; empty in the contiguous layout.
    ///
    /// Numbers beyond 32 bits are an error in [`to_bytes`](Self::to_bytes).
    pub(crate) fn push(&mut self, object: &Object, payload: &Payload, chunk_ends: &[u64]) {
        let key = description_key(object);
        let description = self.numbers.get(&key).copied().unwrap_or_else(|| {
            let number = self.descriptions.len() as u32;
            let first_dimension = (self.dimensions.len() as u32).into();
            self.descriptions.push(Description { first_dimension, ..description(object) });
            self.dimensions.extend(key.1.iter().map(|&size| U64::new(size)));
            self.numbers.insert(key, number);
            number
        });
        self.entries.push(Entry {
            frame_offset: payload.frame_offset.into(),
            name_start: (self.names.len() as u32).into(),
            decoded_crc: payload.decoded_crc.into(),
            description: description.into(),
        });
        let starts = std::iter::once(&payload.offset).chain(chunk_ends).take(chunk_ends.len());
        self.chunk_starts.extend(starts.map(|&start| U64::new(start)));
        self.names.extend_from_slice(object.name.as_bytes());
    }

    /// Bytes that [`push`](Self::push) adds to the index, without chunk starts.
    pub(crate) fn growth(&self, object: &Object) -> u64 {
        let key = description_key(object);
        let description = match self.numbers.contains_key(&key) {
            true => 0,
            false => size_of::<Description>() + size_of_val(key.1.as_slice()),
        };
        (size_of::<Entry>() + size_of::<U32>() + object.name.len() + description) as u64
    }

    fn key(&self, position: u32) -> (u8, &[u8]) {
        let position = position as usize;
        let entry = &self.entries[position];
        let end = self.entries.get(position + 1).map(|next| next.name_start.get() as usize);
        let name = entry.name_start.get() as usize..end.unwrap_or(self.names.len());
        (self.descriptions[entry.description.get() as usize].kind, &self.names[name])
    }

    /// The length of [`to_bytes`](Self::to_bytes).
    pub(crate) fn length(&self) -> u64 {
        let entries = self.entries.len() * (size_of::<Entry>() + size_of::<U32>());
        let descriptions = self.descriptions.len() * size_of::<Description>();
        let numbers = (self.dimensions.len() + self.chunk_starts.len()) * size_of::<U64>();
        (size_of::<IndexHead>() + entries + descriptions + numbers + self.names.len()) as u64
    }

    /// The index's bytes.
    ///
    /// # Errors
    /// `InvalidArgument` with 2^32 or more objects, dimensions, chunks, or bytes of names.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let number = |count: usize| {
            let count = u32::try_from(count);
            count
                .map_err(|_| Error::invalid("file: 2^32 or more objects, chunks or bytes of names"))
        };
        let head = IndexHead {
            tag: INDEX_TAG,
            entries: number(self.entries.len())?.into(),
            descriptions: number(self.descriptions.len())?.into(),
            dimensions: number(self.dimensions.len())?.into(),
            chunks: number(self.chunk_starts.len())?.into(),
            names_length: number(self.names.len())?.into(),
        };
        Ok([
            head.as_bytes(),
            self.entries.as_bytes(),
            self.order().as_bytes(),
            self.descriptions.as_bytes(),
            self.dimensions.as_bytes(),
            self.chunk_starts.as_bytes(),
            &self.names,
        ]
        .concat())
    }

    /// The positions of the entries, sorted by kind and name.
    fn order(&self) -> Vec<U32> {
        let mut order: Vec<u32> = (0..self.entries.len() as u32).collect();
        order.sort_by_key(|&position| self.key(position));
        order.into_iter().map(U32::new).collect()
    }

    /// Checks that no two objects of a kind have the same name.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(crate) fn check_names(&self) -> Result<()> {
        let order = self.order();
        match order.is_sorted_by(|a, b| self.key(a.get()) < self.key(b.get())) {
            true => Ok(()),
            false => Err(Error::corrupt("index: repeated names")),
        }
    }
}

/// The description of an object, at position 0.
fn description(object: &Object) -> Description {
    Description {
        chunk_elements: object.geometry.stored_chunk_elements().into(),
        first_dimension: 0.into(),
        // The rank was checked when the frame header was written.
        rank: (object.geometry.shape().len() as u16).into(),
        kind: object.kind as u8,
        dtype: object.geometry.dtype().id(),
        codec: object.codec,
        layout: object.layout as u8,
    }
}

fn description_key(object: &Object) -> DescriptionKey {
    (zerocopy::transmute!(description(object)), object.geometry.shape().to_vec())
}

/// The index of an open file, which borrows its bytes.
#[derive(Clone, Copy)]
pub(crate) struct Index<'a> {
    entries: &'a [Entry],
    order: &'a [U32],
    descriptions: &'a [Description],
    dimensions: &'a [U64],
    chunk_starts: &'a [U64],
    names: &'a [u8],
    /// Where the last frame ends and the index starts in the file.
    offset: u64,
}

/// The index entry of one object.
#[derive(Clone, Debug)]
pub(crate) struct IndexEntry {
    pub(crate) object: Object,
    pub(crate) payload: Payload,
    /// Positions of its chunks in the index's array of chunk starts; empty in the contiguous layout.
    chunks: Range<usize>,
}

impl<'a> Index<'a> {
    /// Bytes of the whole index that starts with `head`.
    pub(crate) fn length(head: &[u8; size_of::<IndexHead>()]) -> u64 {
        let head: IndexHead = zerocopy::transmute!(*head);
        let parts = [
            (head.entries, size_of::<Entry>() + size_of::<U32>()),
            (head.descriptions, size_of::<Description>()),
            (head.dimensions, size_of::<U64>()),
            (head.chunks, size_of::<U64>()),
            (head.names_length, 1),
        ];
        let parts = parts.map(|(count, size)| u64::from(count.get()) * size as u64);
        size_of::<IndexHead>() as u64 + parts.iter().sum::<u64>()
    }

    /// Bytes of the head that [`length`](Self::length) needs.
    pub(crate) const HEAD_BYTES: usize = size_of::<IndexHead>();

    /// Splits the index, which starts at `offset` in the file, into its arrays. Entries are checked
    /// when they are used.
    ///
    /// # Errors
    /// `Corrupt` if tag or sizes are wrong.
    pub(crate) fn parse(bytes: &'a [u8], offset: u64) -> Result<Self> {
        let mismatch = || Error::corrupt("index: length does not match its parts");
        let (head, rest) = IndexHead::read_from_prefix(bytes).map_err(|_| mismatch())?;
        if head.tag != INDEX_TAG {
            return Err(Error::corrupt("index: wrong tag"));
        }
        let (entries, rest) = take(rest, head.entries).ok_or_else(mismatch)?;
        let (order, rest) = take(rest, head.entries).ok_or_else(mismatch)?;
        let (descriptions, rest) = take(rest, head.descriptions).ok_or_else(mismatch)?;
        let (dimensions, rest) = take(rest, head.dimensions).ok_or_else(mismatch)?;
        let (chunk_starts, names) = take(rest, head.chunks).ok_or_else(mismatch)?;
        if names.len() as u64 != u64::from(head.names_length.get()) {
            return Err(mismatch());
        }
        Ok(Self { entries, order, descriptions, dimensions, chunk_starts, names, offset })
    }

    /// The number of objects.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn raw_entry(&self, position: usize) -> Result<&'a Entry> {
        self.entries.get(position).ok_or_else(|| Error::corrupt("index: entry out of range"))
    }

    fn description(&self, position: usize) -> Result<&'a Description> {
        let number = self.raw_entry(position)?.description.get() as usize;
        let description = self.descriptions.get(number);
        description.ok_or_else(|| Error::corrupt("index: description out of range"))
    }

    /// The bytes of the name of the object at `position`, in file order.
    fn name_bytes(&self, position: usize) -> Result<&'a [u8]> {
        let start = self.raw_entry(position)?.name_start.get() as usize;
        let next = self.entries.get(position + 1).map(|next| next.name_start.get() as usize);
        let name = self.names.get(start..next.unwrap_or(self.names.len()));
        name.ok_or_else(|| Error::corrupt("index: name out of range"))
    }

    fn key(&self, position: usize) -> Result<(u8, &'a [u8])> {
        Ok((self.description(position)?.kind, self.name_bytes(position)?))
    }

    /// The kind of the object at `position`, in file order.
    pub(crate) fn kind(&self, position: usize) -> Result<ObjectKind> {
        ObjectKind::from_id(self.description(position)?.kind)
    }

    /// The name of the object at `position`, in file order.
    pub(crate) fn name(&self, position: usize) -> Result<&'a str> {
        let name = std::str::from_utf8(self.name_bytes(position)?);
        name.map_err(|_| Error::corrupt("index: name is not UTF-8"))
    }

    /// The number of objects of a kind, in O(n).
    pub(crate) fn count(&self, kind: ObjectKind) -> usize {
        let kinds = self.entries.iter().map(|entry| {
            self.descriptions.get(entry.description.get() as usize).map(|found| found.kind)
        });
        kinds.filter(|&found| found == Some(kind as u8)).count()
    }

    /// The position of an object, by binary search.
    pub(crate) fn find(&self, kind: ObjectKind, name: &str) -> Result<Option<usize>> {
        let wanted = (kind as u8, name.as_bytes());
        let (mut low, mut high) = (0, self.order.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let position = self.order[middle].get() as usize;
            match self.key(position)?.cmp(&wanted) {
                Ordering::Equal => return Ok(Some(position)),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// The object at `position`, in file order, checked. O(log C) for C chunks in the file.
    ///
    /// # Errors
    /// `Corrupt`, `Unsupported` or `LimitExceeded`.
    pub(crate) fn entry(&self, position: usize, limits: &Limits) -> Result<IndexEntry> {
        let (entry, name) = (self.raw_entry(position)?, self.name_bytes(position)?);
        let description = self.description(position)?;
        let first = description.first_dimension.get() as usize;
        let shape = self.dimensions.get(first..first + usize::from(description.rank.get()));
        let shape = shape.ok_or_else(|| Error::corrupt("index: shape out of range"))?;
        let object = object_from_parts(
            [description.kind, description.dtype, description.codec, description.layout],
            name,
            shape.iter().map(|size| size.get()).collect(),
            description.chunk_elements.get(),
            limits,
        )?;
        let start = entry.frame_offset.get();
        let end =
            self.entries.get(position + 1).map_or(self.offset, |next| next.frame_offset.get());
        let located = self.locate(&object, start, end).ok_or_else(|| {
            Error::corrupt("index: payload does not fit the frame").in_tensor(&object.name)
        });
        let (payload, chunks) = located?;
        let payload = Payload {
            frame_offset: start,
            offset: payload.start,
            length: payload.end - payload.start,
            decoded_crc: entry.decoded_crc.get(),
        };
        Ok(IndexEntry { object, payload, chunks })
    }

    /// The payload of an object whose frame extends from `start` to `end`, and the positions of its
    /// chunk starts. `None` if the frame cannot contain them.
    fn locate(&self, object: &Object, start: u64, end: u64) -> Option<(Range<u64>, Range<usize>)> {
        let end = end.checked_sub(Footer::length(object.layout) as u64)?;
        let (offset, chunks) = match object.layout.is_contiguous() {
            true => (end.checked_sub(object.geometry.decoded_len())?, 0..0),
            false => {
                // The starts ascend, from frame to frame.
                let first = self.chunk_starts.partition_point(|at| at.get() < start);
                let count = usize::try_from(object.geometry.chunk_count()).ok()?;
                let chunks = first..first.checked_add(count)?;
                let starts = self.chunk_starts.get(chunks.clone())?;
                (starts.first().map_or(end, |first| first.get()), chunks)
            }
        };
        (start < offset && offset <= end).then_some((offset..end, chunks))
    }

    /// Where chunk `number` of an object lies in the file, with its head.
    pub(crate) fn chunk_extent(&self, entry: &IndexEntry, number: u64) -> Option<Range<u64>> {
        let payload = &entry.payload;
        if entry.object.layout.is_contiguous() {
            let range = entry.object.geometry.chunk_range(number);
            return Some(payload.offset + range.start..payload.offset + range.end);
        }
        // Empty if the entry is of another index.
        let starts = self.chunk_starts.get(entry.chunks.clone()).unwrap_or_default();
        let number = usize::try_from(number).ok()?;
        let end = starts.get(number + 1).map_or(payload.offset + payload.length, |next| next.get());
        Some(starts.get(number)?.get()..end)
    }
}

/// Splits `count` records from the front.
fn take<T>(bytes: &[u8], count: U32) -> Option<(&[T], &[u8])>
where
    T: FromBytes + Immutable + KnownLayout + Unaligned,
{
    <[T]>::ref_from_prefix_with_elems(bytes, count.get() as usize).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::Dtype;
    use crate::format::{Geometry, PayloadLayout};

    /// Where the index starts, after four frames.
    const OFFSET: u64 = 306;

    fn object(kind: ObjectKind, name: &str, layout: PayloadLayout) -> Object {
        let geometry = Geometry::new(Dtype::U8, vec![10], 4, &Limits::tight()).unwrap();
        Object::new(kind, name.into(), geometry, 0, layout).unwrap()
    }

    fn payload(frame_offset: u64, offset: u64, length: u64) -> Payload {
        Payload { frame_offset, offset, length, decoded_crc: 7 }
    }

    fn builder() -> IndexBuilder {
        let mut builder = IndexBuilder::default();
        let b = object(ObjectKind::Tensor, "b", PayloadLayout::Chunked);
        builder.push(&b, &payload(64, 90, 30), &[100, 110, 120]);
        let file = object(ObjectKind::File, "a", PayloadLayout::ChunkedLossy);
        builder.push(&file, &payload(124, 150, 30), &[160, 170, 180]);
        let a = object(ObjectKind::Tensor, "a", PayloadLayout::Contiguous);
        builder.push(&a, &payload(204, 230, 10), &[]);
        let c = object(ObjectKind::Tensor, "c", PayloadLayout::Chunked);
        builder.push(&c, &payload(240, 270, 32), &[280, 290, 302]);
        builder
    }

    #[test]
    fn finds_by_kind_and_name() {
        let (builder, limits) = (builder(), Limits::tight());
        builder.check_names().unwrap();
        let bytes = builder.to_bytes().unwrap();
        assert_eq!(Index::length(bytes.first_chunk().unwrap()), bytes.len() as u64);
        assert_eq!(builder.length(), bytes.len() as u64);
        let index = Index::parse(&bytes, OFFSET).unwrap();
        assert_eq!((index.len(), index.descriptions.len()), (4, 3));
        assert_eq!((index.count(ObjectKind::Tensor), index.count(ObjectKind::File)), (3, 1));
        assert_eq!(index.find(ObjectKind::Tensor, "a").unwrap(), Some(2));
        assert_eq!(index.find(ObjectKind::Tensor, "b").unwrap(), Some(0));
        assert_eq!(index.find(ObjectKind::File, "a").unwrap(), Some(1));
        assert_eq!(index.find(ObjectKind::File, "b").unwrap(), None);
        let entry = index.entry(0, &limits).unwrap();
        assert_eq!(entry.object, object(ObjectKind::Tensor, "b", PayloadLayout::Chunked));
        assert_eq!(entry.payload, payload(64, 90, 30));
        assert_eq!(index.chunk_extent(&entry, 0), Some(90..100));
        assert_eq!(index.chunk_extent(&entry, 2), Some(110..120));
        assert_eq!(index.chunk_extent(&entry, 3), None);
        assert_eq!(index.entry(1, &limits).unwrap().payload, payload(124, 150, 30));
        let entry = index.entry(2, &limits).unwrap();
        assert_eq!(entry.payload, payload(204, 230, 10));
        assert_eq!(index.chunk_extent(&entry, 2), Some(238..240));
        let entry = index.entry(3, &limits).unwrap();
        assert_eq!(entry.payload, payload(240, 270, 32));
        assert_eq!(index.chunk_extent(&entry, 1), Some(280..290));
    }

    #[test]
    fn growth_is_that_of_the_bytes() {
        let mut builder = builder();
        let layouts = [PayloadLayout::Chunked, PayloadLayout::Contiguous];
        let named = |name: &str, layout| object(ObjectKind::Tensor, name, layout);
        let new_kind = object(ObjectKind::SafetensorsHeader, "x", PayloadLayout::Contiguous);
        for added in layouts.map(|layout| named("longer", layout)).into_iter().chain([new_kind]) {
            let (before, growth) = (builder.length(), builder.growth(&added));
            builder.push(&added, &payload(306, 330, 10), &[]);
            assert_eq!(builder.length() - before, growth);
        }
    }

    #[test]
    fn repeated_names_are_found() {
        let mut builder = builder();
        let again = object(ObjectKind::Tensor, "a", PayloadLayout::Chunked);
        builder.push(&again, &payload(306, 330, 32), &[340, 350, 362]);
        assert!(matches!(builder.check_names(), Err(Error::Corrupt { .. })));
    }

    #[test]
    fn damage_never_panics() {
        let bytes = builder().to_bytes().unwrap();
        for at in 0..bytes.len() {
            assert!(Index::parse(&bytes[..at], OFFSET).is_err());
            for flip in [1, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                let Ok(index) = Index::parse(&damaged, OFFSET) else { continue };
                let _ = (index.find(ObjectKind::Tensor, "a"), index.count(ObjectKind::Tensor));
                for position in 0..=index.len() {
                    let _ = index.entry(position, &Limits::tight());
                }
            }
        }
    }
}
