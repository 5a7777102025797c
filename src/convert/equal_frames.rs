//! Equal tensors of several `.occ` files.

use crate::encode::is_compared;
use crate::error::Result;
use crate::format::ObjectKind;
use crate::read::{Reader, StoredFrame};
use std::collections::{BTreeSet, HashMap};

/// A frame of one of several files: the number of the file, and the position in it.
pub(super) type Place = (usize, usize);

/// Which tensors are equal to one of an earlier file.
#[derive(Default)]
pub(super) struct EqualFrames {
    first: HashMap<Place, Place>,
    referenced: BTreeSet<Place>,
}

impl EqualFrames {
    /// Finds the tensors whose coded bytes are those of a tensor in an earlier file, under the
    /// conditions for references within a checkpoint. Tensors are read only where size and CRC of
    /// two are equal. O(tensors) memory.
    ///
    /// # Errors
    /// Those of reading.
    pub(super) fn find(readers: &[&Reader<'_>]) -> Result<Self> {
        let mut found = Self::default();
        let mut candidates: HashMap<(u64, u32), Vec<Place>> = HashMap::new();
        for (file, reader) in readers.iter().enumerate() {
            for position in 0..reader.object_count() {
                let frame = reader.stored_frame(position)?;
                let object = frame.object();
                if object.kind != ObjectKind::Tensor {
                    continue;
                }
                let key = (object.geometry.decoded_len(), frame.decoded_crc());
                let others = candidates.entry(key).or_default();
                match found.first_of(readers, &frame, file, others)? {
                    Some(first) => {
                        found.first.insert((file, position), first);
                        found.referenced.insert(first);
                    }
                    None => others.push((file, position)),
                }
            }
        }
        Ok(found)
    }

    fn first_of(
        &self,
        readers: &[&Reader<'_>],
        frame: &StoredFrame<'_>,
        file: usize,
        others: &[Place],
    ) -> Result<Option<Place>> {
        let mut earlier = others.iter().filter(|&&(other, _)| other != file).peekable();
        if earlier.peek().is_none() || frame.target()?.is_some() {
            return Ok(None);
        }
        if !is_compared(frame).map_err(|error| frame.locate(error))? {
            return Ok(None);
        }
        for &(other, position) in earlier {
            let candidate = readers[other].stored_frame(position)?;
            if candidate.target()?.is_none() && are_equal(&candidate, frame)? {
                return Ok(Some((other, position)));
            }
        }
        Ok(None)
    }

    /// The equal tensor of an earlier file.
    pub(super) fn first(&self, place: Place) -> Option<Place> {
        self.first.get(&place).copied()
    }

    /// Whether a tensor of a later file is equal.
    pub(super) fn is_referenced(&self, place: Place) -> bool {
        self.referenced.contains(&place)
    }
}

/// Whether all but the names is equal. O(bytes), but ends at the first chunk that differs.
fn are_equal(a: &StoredFrame<'_>, b: &StoredFrame<'_>) -> Result<bool> {
    let (header, other) = (a.header()?, b.header()?);
    let is_same = header.object.geometry == other.object.geometry
        && header.object.codec == other.object.codec
        && header.object.layout == other.object.layout
        && header.parameters == other.parameters
        && header.chunk_crcs == other.chunk_crcs
        && a.footer()? == b.footer()?;
    let (mut buffer, mut other_buffer) = (Vec::new(), Vec::new());
    for number in 0..header.object.geometry.chunk_count() {
        let chunk = |frame: &StoredFrame<'_>, buffer: &mut Vec<u8>| -> Result<Vec<u8>> {
            frame.chunk(number, buffer).map(<[u8]>::to_vec)
        };
        if !is_same || chunk(a, &mut buffer)? != chunk(b, &mut other_buffer)? {
            return Ok(false);
        }
    }
    Ok(is_same)
}
