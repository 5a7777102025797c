//! The index: flat records that are read in place, so that no memory is allocated per tensor when
//! a file is opened.

use super::frame::object_from_parts;
use super::layout::{Entry, INDEX_TAG, IndexHead};
use super::object::{Object, ObjectKind, PayloadLayout};
use crate::error::{Error, Result};
use crate::limits::Limits;
use std::cmp::Ordering;
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
    dimensions: Vec<U64>,
    chunk_ends: Vec<U64>,
    names: Vec<u8>,
}

impl IndexBuilder {
    /// Adds a frame. `chunk_ends` are file offsets; empty in the contiguous layout.
    pub(crate) fn push(&mut self, object: &Object, payload: &Payload, chunk_ends: &[u64]) {
        self.entries.push(Entry {
            frame_offset: payload.frame_offset.into(),
            payload_offset: payload.offset.into(),
            payload_length: payload.length.into(),
            chunk_elements: object.geometry.chunk_elements().into(),
            name_offset: (self.names.len() as u64).into(),
            first_dimension: (self.dimensions.len() as u64).into(),
            first_chunk: (self.chunk_ends.len() as u64).into(),
            // Lengths were checked when the frame header was written.
            name_length: (object.name.len() as u32).into(),
            decoded_crc: payload.decoded_crc.into(),
            kind: object.kind as u8,
            dtype: object.geometry.dtype().id(),
            codec: object.codec,
            layout: object.layout as u8,
            rank: (object.geometry.shape().len() as u16).into(),
            reserved: 0.into(),
        });
        self.dimensions.extend(object.geometry.shape().iter().map(|&size| U64::new(size)));
        self.chunk_ends.extend(chunk_ends.iter().map(|&end| U64::new(end)));
        self.names.extend_from_slice(object.name.as_bytes());
    }

    fn key(&self, entry: &Entry) -> (u8, &[u8]) {
        let start = entry.name_offset.get() as usize;
        (entry.kind, &self.names[start..start + entry.name_length.get() as usize])
    }

    /// The length of [`to_bytes`](Self::to_bytes).
    pub(crate) fn length(&self) -> u64 {
        let entries = self.entries.len() * (size_of::<Entry>() + size_of::<U32>());
        let numbers = (self.dimensions.len() + self.chunk_ends.len()) * size_of::<U64>();
        (size_of::<IndexHead>() + entries + numbers + self.names.len()) as u64
    }

    /// The index's bytes.
    ///
    /// # Errors
    /// `InvalidArgument` with more than 2^32 objects.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let count = u32::try_from(self.entries.len())
            .map_err(|_| Error::invalid("file: more than 2^32 objects"))?;
        let head = IndexHead {
            tag: INDEX_TAG,
            reserved: 0.into(),
            entries: u64::from(count).into(),
            dimensions: (self.dimensions.len() as u64).into(),
            chunks: (self.chunk_ends.len() as u64).into(),
            names_length: (self.names.len() as u64).into(),
        };
        let mut order: Vec<u32> = (0..count).collect();
        order.sort_by_key(|&position| self.key(&self.entries[position as usize]));
        let order: Vec<U32> = order.into_iter().map(U32::new).collect();
        Ok([
            head.as_bytes(),
            self.entries.as_bytes(),
            order.as_bytes(),
            self.dimensions.as_bytes(),
            self.chunk_ends.as_bytes(),
            &self.names,
        ]
        .concat())
    }
}

/// The index of an open file, which borrows its bytes.
#[derive(Clone, Copy)]
pub(crate) struct Index<'a> {
    entries: &'a [Entry],
    order: &'a [U32],
    dimensions: &'a [U64],
    chunk_ends: &'a [U64],
    names: &'a [u8],
}

/// The index entry of one object.
#[derive(Clone, Debug)]
pub(crate) struct IndexEntry {
    pub(crate) object: Object,
    pub(crate) payload: Payload,
    /// Positions of its chunks in the index's array of chunk ends; empty in the contiguous layout.
    chunk_ends: Range<usize>,
}

impl<'a> Index<'a> {
    /// Bytes of the whole index that starts with `head`, or `None` if they overflow.
    pub(crate) fn length(head: &[u8; size_of::<IndexHead>()]) -> Option<u64> {
        let head: IndexHead = zerocopy::transmute!(*head);
        let parts = [
            (head.entries, size_of::<Entry>() + size_of::<U32>()),
            (head.dimensions, size_of::<U64>()),
            (head.chunks, size_of::<U64>()),
            (head.names_length, 1),
        ];
        parts.iter().try_fold(size_of::<IndexHead>() as u64, |sum, &(count, size)| {
            sum.checked_add(count.get().checked_mul(size as u64)?)
        })
    }

    /// Bytes of the head that [`length`](Self::length) needs.
    pub(crate) const HEAD_BYTES: usize = size_of::<IndexHead>();

    /// Splits the index into its arrays. Entries are checked when they are used.
    ///
    /// # Errors
    /// `Corrupt` if tag or sizes are wrong.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mismatch = || Error::corrupt("index: length does not match its parts");
        let (head, rest) = IndexHead::read_from_prefix(bytes).map_err(|_| mismatch())?;
        if head.tag != INDEX_TAG || head.reserved != 0 {
            return Err(Error::corrupt("index: wrong tag or reserved bytes"));
        }
        let (entries, rest) = take(rest, head.entries.get()).ok_or_else(mismatch)?;
        let (order, rest) = take(rest, head.entries.get()).ok_or_else(mismatch)?;
        let (dimensions, rest) = take(rest, head.dimensions.get()).ok_or_else(mismatch)?;
        let (chunk_ends, names) = take(rest, head.chunks.get()).ok_or_else(mismatch)?;
        if names.len() as u64 != head.names_length.get() {
            return Err(mismatch());
        }
        Ok(Self { entries, order, dimensions, chunk_ends, names })
    }

    /// The number of objects.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn raw_entry(&self, position: usize) -> Result<&'a Entry> {
        self.entries.get(position).ok_or_else(|| Error::corrupt("index: entry out of range"))
    }

    fn key(&self, entry: &Entry) -> Result<(u8, &'a [u8])> {
        let name = slice(self.names, entry.name_offset.get(), entry.name_length.get().into());
        Ok((entry.kind, name.ok_or_else(|| Error::corrupt("index: name out of range"))?))
    }

    /// The kind of the object at `position`, in file order.
    pub(crate) fn kind(&self, position: usize) -> Result<ObjectKind> {
        ObjectKind::from_id(self.raw_entry(position)?.kind)
    }

    /// The name of the object at `position`, in file order.
    pub(crate) fn name(&self, position: usize) -> Result<&'a str> {
        let (_, name) = self.key(self.raw_entry(position)?)?;
        std::str::from_utf8(name).map_err(|_| Error::corrupt("index: name is not UTF-8"))
    }

    /// The number of objects of a kind, in O(n).
    pub(crate) fn count(&self, kind: ObjectKind) -> usize {
        self.entries.iter().filter(|entry| entry.kind == kind as u8).count()
    }

    /// The position of an object, by binary search.
    pub(crate) fn find(&self, kind: ObjectKind, name: &str) -> Result<Option<usize>> {
        let wanted = (kind as u8, name.as_bytes());
        let (mut low, mut high) = (0, self.order.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let position = self.order[middle].get() as usize;
            match self.key(self.raw_entry(position)?)?.cmp(&wanted) {
                Ordering::Equal => return Ok(Some(position)),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// The object at `position`, in file order, checked.
    ///
    /// # Errors
    /// `Corrupt`, `Unsupported` or `LimitExceeded`.
    pub(crate) fn entry(&self, position: usize, limits: &Limits) -> Result<IndexEntry> {
        let entry = self.raw_entry(position)?;
        let (_, name) = self.key(entry)?;
        let shape = slice(self.dimensions, entry.first_dimension.get(), entry.rank.get().into())
            .ok_or_else(|| Error::corrupt("index: shape out of range"))?;
        let object = object_from_parts(
            [entry.kind, entry.dtype, entry.codec, entry.layout],
            name,
            shape,
            entry.chunk_elements.get(),
            limits,
        )?;
        let chunks = match object.layout {
            PayloadLayout::Chunked => object.geometry.chunk_count(),
            PayloadLayout::Contiguous => 0,
        };
        let chunk_ends = positions(self.chunk_ends.len(), entry.first_chunk.get(), chunks)
            .filter(|_| entry.reserved == 0)
            .ok_or_else(|| Error::corrupt("index: chunks out of range").in_tensor(&object.name))?;
        let payload = Payload {
            frame_offset: entry.frame_offset.get(),
            offset: entry.payload_offset.get(),
            length: entry.payload_length.get(),
            decoded_crc: entry.decoded_crc.get(),
        };
        let entry = IndexEntry { object, payload, chunk_ends };
        self.check_lengths(&entry).map_err(|error| error.in_tensor(&entry.object.name))?;
        Ok(entry)
    }

    fn chunk_ends(&self, entry: &IndexEntry) -> &'a [U64] {
        // Empty if the entry is of another index.
        self.chunk_ends.get(entry.chunk_ends.clone()).unwrap_or_default()
    }

    fn check_lengths(&self, entry: &IndexEntry) -> Result<()> {
        let corrupt = || Error::corrupt("index: payload offsets contradict each other");
        let payload = &entry.payload;
        let end = payload.offset.checked_add(payload.length).ok_or_else(corrupt)?;
        let expected = match entry.object.layout {
            PayloadLayout::Contiguous => {
                payload.offset.checked_add(entry.object.geometry.decoded_len())
            }
            PayloadLayout::Chunked => {
                Some(self.chunk_ends(entry).last().map_or(payload.offset, |last| last.get()))
            }
        };
        if payload.frame_offset >= payload.offset || expected != Some(end) {
            return Err(corrupt());
        }
        Ok(())
    }

    /// Where chunk `number` of an object lies in the file, with its head.
    pub(crate) fn chunk_extent(&self, entry: &IndexEntry, number: u64) -> Option<Range<u64>> {
        match entry.object.layout {
            PayloadLayout::Contiguous => {
                let range = entry.object.geometry.chunk_range(number);
                Some(entry.payload.offset + range.start..entry.payload.offset + range.end)
            }
            PayloadLayout::Chunked => {
                let (ends, number) = (self.chunk_ends(entry), usize::try_from(number).ok()?);
                let end = ends.get(number)?.get();
                let start = match number.checked_sub(1) {
                    Some(before) => ends[before].get(),
                    None => entry.payload.offset,
                };
                Some(start..end)
            }
        }
    }

    /// Checks that names ascend without repetition. Readers do not check that.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(crate) fn check_order(&self) -> Result<()> {
        let mut previous = None;
        for position in self.order {
            let key = self.key(self.raw_entry(position.get() as usize)?)?;
            if previous.is_some_and(|previous| previous >= key) {
                return Err(Error::corrupt("index: names out of order or repeated"));
            }
            previous = Some(key);
        }
        Ok(())
    }
}

/// Splits `count` records from the front.
fn take<T>(bytes: &[u8], count: u64) -> Option<(&[T], &[u8])>
where
    T: FromBytes + Immutable + KnownLayout + Unaligned,
{
    <[T]>::ref_from_prefix_with_elems(bytes, usize::try_from(count).ok()?).ok()
}

/// `length` items from `start` on, if they exist.
fn slice<T>(items: &[T], start: u64, length: u64) -> Option<&[T]> {
    positions(items.len(), start, length).map(|range| &items[range])
}

/// The positions of `length` items from `start` on, if that many of `count` exist.
fn positions(count: usize, start: u64, length: u64) -> Option<Range<usize>> {
    let start = usize::try_from(start).ok()?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    (end <= count).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::Dtype;
    use crate::format::Geometry;

    fn object(kind: ObjectKind, name: &str, layout: PayloadLayout) -> Object {
        let geometry = Geometry::new(Dtype::U8, vec![10], 4, &Limits::tight()).unwrap();
        Object::new(kind, name.into(), geometry, 0, layout).unwrap()
    }

    fn index() -> Vec<u8> {
        let mut builder = IndexBuilder::default();
        let payload = Payload { frame_offset: 64, offset: 128, length: 30, decoded_crc: 7 };
        builder.push(
            &object(ObjectKind::Tensor, "b", PayloadLayout::Chunked),
            &payload,
            &[138, 148, 158],
        );
        builder.push(
            &object(ObjectKind::File, "a", PayloadLayout::Chunked),
            &payload,
            &[138, 148, 158],
        );
        let payload = Payload { frame_offset: 158, offset: 256, length: 10, decoded_crc: 7 };
        builder.push(&object(ObjectKind::Tensor, "a", PayloadLayout::Contiguous), &payload, &[]);
        builder.to_bytes().unwrap()
    }

    #[test]
    fn finds_by_kind_and_name() {
        let bytes = index();
        assert_eq!(Index::length(bytes.first_chunk().unwrap()), Some(bytes.len() as u64));
        let index = Index::parse(&bytes).unwrap();
        index.check_order().unwrap();
        assert_eq!(index.len(), 3);
        assert_eq!(index.find(ObjectKind::Tensor, "a").unwrap(), Some(2));
        assert_eq!(index.find(ObjectKind::Tensor, "b").unwrap(), Some(0));
        assert_eq!(index.find(ObjectKind::File, "a").unwrap(), Some(1));
        assert_eq!(index.find(ObjectKind::File, "b").unwrap(), None);
        let entry = index.entry(0, &Limits::tight()).unwrap();
        assert_eq!(entry.object, object(ObjectKind::Tensor, "b", PayloadLayout::Chunked));
        assert_eq!(index.chunk_extent(&entry, 0), Some(128..138));
        assert_eq!(index.chunk_extent(&entry, 2), Some(148..158));
        assert_eq!(index.chunk_extent(&entry, 3), None);
        let entry = index.entry(2, &Limits::tight()).unwrap();
        assert_eq!(index.chunk_extent(&entry, 2), Some(264..266));
    }

    #[test]
    fn damage_never_panics() {
        let bytes = index();
        for at in 0..bytes.len() {
            assert!(Index::parse(&bytes[..at]).is_err());
            for flip in [1, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                let Ok(index) = Index::parse(&damaged) else { continue };
                let _ = (index.find(ObjectKind::Tensor, "a"), index.check_order());
                for position in 0..=index.len() {
                    let _ = index.entry(position, &Limits::tight());
                }
            }
        }
    }
}
