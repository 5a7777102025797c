//! Index and trailer (6).

use super::*;
use std::collections::BTreeMap;

/// Builds the index that the frames determine (6).
#[derive(Default)]
pub struct IndexBuilder {
    entries: Vec<u8>,
    descriptions: Vec<u8>,
    /// Descriptions without the position of the dimensions, and shapes.
    described: Vec<(Vec<u8>, Vec<u64>)>,
    dims: Vec<u64>,
    starts: Vec<u64>,
    names: Vec<u8>,
    positions: BTreeMap<(u8, String), u32>,
}

impl IndexBuilder {
    /// Adds an entry for a frame at `start` with its payload at `payload`.
    pub fn add(
        &mut self,
        frame: &Frame,
        start: usize,
        payload: usize,
        decoded_crc: u32,
        ends: &[u64],
    ) -> Res<()> {
        let position = u32::try_from(self.positions.len()).map_err(|_| "too many objects")?;
        let repeated = self.positions.insert((frame.kind, frame.name.clone()), position);
        ensure(repeated.is_none(), "two objects of one kind have the same name")?;
        let rest = [frame.kind, frame.dtype, frame.codec, frame.layout];
        let rank = (frame.shape.len() as u16).to_le_bytes();
        let key =
            ([&frame.chunk_elements.to_le_bytes()[..], &rank, &rest].concat(), frame.shape.clone());
        let known = self.described.iter().position(|described| *described == key);
        let number = known.unwrap_or(self.described.len());
        if known.is_none() {
            self.descriptions.extend(frame.chunk_elements.to_le_bytes());
            self.descriptions.extend((self.dims.len() as u32).to_le_bytes());
            self.descriptions.extend(rank);
            self.descriptions.extend(rest);
            self.dims.extend(&frame.shape);
            self.described.push(key);
        }
        self.entries.extend((start as u64).to_le_bytes());
        for field in [self.names.len() as u32, decoded_crc, number as u32] {
            self.entries.extend(field.to_le_bytes());
        }
        if let Some((_last, others)) = ends.split_last() {
            self.starts.push(payload as u64);
            self.starts.extend(others);
        }
        self.names.extend(frame.name.as_bytes());
        Ok(())
    }

    pub fn finish(self) -> Res<Vec<u8>> {
        let mut index = INDEX_TAG.to_vec();
        let (objects, descriptions) = (self.positions.len(), self.described.len());
        let lens = [self.dims.len(), self.starts.len(), self.names.len()];
        for count in [objects, descriptions].into_iter().chain(lens) {
            index.extend(u32::try_from(count).map_err(|_| "a count is too large")?.to_le_bytes());
        }
        index.extend(self.entries);
        index.extend(self.positions.values().flat_map(|n| n.to_le_bytes()));
        index.extend(self.descriptions);
        index.extend(self.dims.iter().flat_map(|n| n.to_le_bytes()));
        index.extend(self.starts.iter().flat_map(|n| n.to_le_bytes()));
        index.extend(self.names);
        Ok(index)
    }
}

pub fn build_trailer(index_at: usize, index: &[u8]) -> Vec<u8> {
    let numbers = [index_at, index.len(), index_at + index.len() + TRAILER_LEN];
    let mut trailer: Vec<u8> = numbers.iter().flat_map(|n| (*n as u64).to_le_bytes()).collect();
    trailer.extend(crc32(index).to_le_bytes());
    trailer.extend(crc32(&trailer).to_le_bytes());
    trailer.extend(END_MAGIC);
    trailer
}

/// Reads the trailer and checks the CRC of the index. Returns the index and its offset.
pub fn find_index(file: &[u8]) -> Res<(usize, &[u8])> {
    let trailer_at =
        file.len().checked_sub(TRAILER_LEN).ok_or("the file is shorter than a trailer")?;
    let mut input = Cursor { bytes: file, at: trailer_at };
    let covered = input.clone().take(28)?;
    let numbers = [input.u64()?, input.u64()?, input.u64()?];
    let [index_crc, trailer_crc] = [input.u32()?, input.u32()?];
    ensure(input.take(8)? == END_MAGIC, "wrong end magic")?;
    ensure(trailer_crc == crc32(covered), "wrong CRC of the trailer")?;
    let [index_at, index_len, file_len] = numbers;
    ensure(file_len == file.len() as u64, "the file length differs from the trailer")?;
    let (index_at, index_len) = (to_size(index_at)?, to_size(index_len)?);
    ensure(index_at >= HEADER_LEN, "the index is within the header")?;
    let index_end = index_at.checked_add(index_len);
    ensure(index_end == Some(trailer_at), "the index does not end where the trailer starts")?;
    let index = file.get(index_at..trailer_at).ok_or("the index is outside the file")?;
    ensure(crc32(index) == index_crc, "wrong CRC of the index")?;
    Ok((index_at, index))
}

/// The parts of the index.
pub struct Parts<'a> {
    pub objects: usize,
    entries: Cursor<'a>,
    starts: Cursor<'a>,
    names: &'a [u8],
}

/// Splits the index into its parts.
pub fn locate_parts(index: &[u8]) -> Res<Parts<'_>> {
    let mut input = Cursor { bytes: index, at: 0 };
    ensure(input.take(4)? == INDEX_TAG, "wrong tag of the index")?;
    let mut count = || input.u32().map(u64::from);
    let [objects, descriptions, dims, chunks, names] =
        [count()?, count()?, count()?, count()?, count()?];
    let entries = input.part(objects, 20)?;
    input.part(objects, 4)?;
    input.part(descriptions, 18)?;
    input.part(dims, 8)?;
    let starts = input.part(chunks, 8)?;
    let names = input.take(to_size(names)?)?;
    input.finish("the index")?;
    Ok(Parts { objects: to_size(objects)?, entries, starts, names })
}

impl<'a> Parts<'a> {
    /// The offset of the frame and the start of the name of an object; `None` after the last.
    fn entry(&self, position: usize) -> Res<Option<(usize, usize)>> {
        if position == self.objects {
            return Ok(None);
        }
        let mut input = Cursor { bytes: self.entries.bytes, at: 20 * position };
        Ok(Some((to_size(input.u64()?)?, to_size(input.u32()?.into())?)))
    }

    /// The frame of an object ends where the next one starts.
    pub fn frame(&self, position: usize, index_at: usize) -> Res<Range<usize>> {
        let (start, _) = self.entry(position)?.ok_or("no such object")?;
        Ok(start..self.entry(position + 1)?.map_or(index_at, |(next, _)| next))
    }

    pub fn name(&self, position: usize) -> Res<&'a str> {
        let (_, start) = self.entry(position)?.ok_or("no such object")?;
        let end = self.entry(position + 1)?.map_or(self.names.len(), |(_, next)| next);
        let name = self.names.get(start..end).ok_or("a name is outside the index")?;
        std::str::from_utf8(name).map_err(|_| "a name is not UTF-8".into())
    }

    /// The chunk starts in a frame.
    pub fn chunk_starts(&self, frame: &Range<usize>) -> Res<Vec<usize>> {
        let mut input = self.starts.clone();
        let mut starts = Vec::new();
        while !input.rest().is_empty() {
            starts.push(to_size(input.u64()?)?);
        }
        starts.retain(|start| frame.contains(start));
        Ok(starts)
    }
}
