//! Index and trailer (6).

use super::*;
use std::collections::BTreeMap;

/// Builds the index that the frames determine (6).
#[derive(Default)]
pub struct IndexBuilder {
    entries: Vec<u8>,
    dims: Vec<u64>,
    ends: Vec<u64>,
    names: Vec<u8>,
    positions: BTreeMap<(u8, String), u32>,
}

impl IndexBuilder {
    /// Adds an entry. `place` contains the offset of the frame and the offset and length of the
    /// payload.
    pub fn add(
        &mut self,
        frame: &Frame,
        place: [usize; 3],
        decoded_crc: u32,
        ends: &[u64],
    ) -> Res<()> {
        let position = u32::try_from(self.positions.len()).map_err(|_| "too many objects")?;
        let repeated = self.positions.insert((frame.kind, frame.name.into()), position);
        ensure(repeated.is_none(), "two objects of one kind have the same name")?;
        let firsts = [self.names.len() as u64, self.dims.len() as u64, self.ends.len() as u64];
        self.entries.extend(place.iter().flat_map(|n| (*n as u64).to_le_bytes()));
        self.entries.extend(frame.chunk_elements.to_le_bytes());
        self.entries.extend(firsts.iter().flat_map(|n| n.to_le_bytes()));
        self.entries.extend((frame.name.len() as u32).to_le_bytes());
        self.entries.extend(decoded_crc.to_le_bytes());
        self.entries.extend([frame.kind, frame.dtype, frame.codec, frame.layout]);
        self.entries.extend((frame.shape.len() as u16).to_le_bytes());
        self.entries.extend([0, 0]);
        self.dims.extend(&frame.shape);
        self.ends.extend(ends);
        self.names.extend(frame.name.as_bytes());
        Ok(())
    }

    pub fn finish(self) -> Res<Vec<u8>> {
        ensure(self.positions.len() <= u32::MAX as usize, "too many objects")?;
        let mut index = [INDEX_TAG, &[0; 4]].concat();
        let counts = [self.positions.len(), self.dims.len(), self.ends.len(), self.names.len()];
        index.extend(counts.iter().flat_map(|n| (*n as u64).to_le_bytes()));
        index.extend(self.entries);
        index.extend(self.positions.values().flat_map(|n| n.to_le_bytes()));
        index.extend(self.dims.iter().flat_map(|n| n.to_le_bytes()));
        index.extend(self.ends.iter().flat_map(|n| n.to_le_bytes()));
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

/// Splits the index into its parts. Returns the entries and the chunk ends.
pub fn locate_parts(index: &[u8]) -> Res<(Cursor<'_>, Cursor<'_>)> {
    let mut input = Cursor { bytes: index, at: 0 };
    ensure(input.take(4)? == INDEX_TAG, "wrong tag of the index")?;
    ensure(input.u32()? == 0, "reserved bytes of the index are not zero")?;
    let [objects, dims, chunks, names] = [input.u64()?, input.u64()?, input.u64()?, input.u64()?];
    ensure(objects <= u32::MAX.into(), "too many objects")?;
    let entries = input.part(objects, 72)?;
    input.part(objects, 4)?;
    input.part(dims, 8)?;
    let ends = input.part(chunks, 8)?;
    input.part(names, 1)?;
    input.finish("the index")?;
    Ok((entries, ends))
}

/// The offsets in an entry.
pub struct Entry<'a> {
    pub frame: usize,
    pub payload: usize,
    pub payload_len: usize,
    /// The chunk ends, starting at the first of this object.
    ends: Cursor<'a>,
}

impl<'a> Entry<'a> {
    pub fn read(entries: &mut Cursor, ends: &Cursor<'a>) -> Res<Self> {
        let mut input = Cursor { bytes: entries.take(72)?, at: 0 };
        let places = [input.u64()?, input.u64()?, input.u64()?];
        input.take(24)?; // chunk elements, name, first dimension: compared with the frame later
        let mut ends = ends.clone();
        ends.part(input.u64()?, 8)?;
        let [frame, payload, payload_len] = places.map(to_size);
        Ok(Entry { frame: frame?, payload: payload?, payload_len: payload_len?, ends })
    }

    /// Reads the chunks at the offsets in the index. Returns the same as `Frame::read_payload`.
    pub fn read_payload(&self, body: &[u8], frame: &Frame) -> Res<(Vec<u8>, Vec<u64>)> {
        let mut input = Cursor { bytes: body, at: self.payload };
        if frame.layout == CONTIGUOUS {
            let read = frame.read_payload(&mut input)?;
            input.finish("a payload")?;
            return Ok(read);
        }
        let (mut bytes, mut ends, mut from_index) = (Vec::new(), Vec::new(), self.ends.clone());
        for i in 0..frame.chunks {
            let end = from_index.u64()?;
            let chunk = body.get(..to_size(end)?).ok_or("a chunk ends outside its payload")?;
            input.bytes = chunk;
            bytes.extend(frame.decode_chunk(read_coded(&mut input)?, frame.chunk_len(i)?)?);
            input.finish("a chunk")?;
            ends.push(end);
        }
        ensure(input.at == body.len(), "the chunks do not fill the payload")?;
        Ok((bytes, ends))
    }
}
