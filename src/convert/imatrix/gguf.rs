//! Importance matrices in GGUF files.
//!
//! For each weight a file contains two F32 tensors: `in_sum2`, n × matrices in the order of GGUF,
//! which names the fastest dimension first, and `counts`, 1 × matrices. Stacked experts have several
//! matrices. This parser reads the part of GGUF that such files need: it passes over metadata,
//! except for the type of the file and the alignment, and reads the descriptions of tensors.
//!
//! Crates for GGUF were considered. They read whole files or all metadata into memory, allocate
//! what a length field asks for or panic on it, give errors without an offset, or bring parsers and
//! quantized types that importance matrices do not use. The part that is needed here is smaller
//! than the code that would check their results.

use super::cursor::Cursor;
use super::sums::{self, Sums};
use crate::error::{Error, Result};
use crate::io::ReadAt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The first bytes of a file.
pub(super) const MAGIC: [u8; 4] = *b"GGUF";

/// The suffixes of the tensors of an entry.
const SUMS: &str = ".in_sum2";
const COUNTS: &str = ".counts";

/// The number of the type F32 of tensors.
const F32: u32 = 0;

/// The most dimensions of a tensor.
const MAX_DIMENSIONS: u32 = 4;

/// Alignment of tensors without the metadata entry `general.alignment`.
const ALIGNMENT: u64 = 32;

/// Arrays of metadata in arrays.
const MAX_DEPTH: u32 = 4;

/// The entries of a file.
///
/// # Errors
/// `Truncated`; `Corrupt`; `Unsupported` for other versions than 2 and 3, files of another type,
/// such as models, and other dtypes; `LimitExceeded` for a long name; `Io`.
pub(super) fn parse(source: &Arc<dyn ReadAt>) -> Result<BTreeMap<String, Sums>> {
    let mut cursor = Cursor::new(&**source);
    if cursor.u32()?.to_le_bytes() != MAGIC {
        return Err(Error::corrupt("not a GGUF file").at_offset(0));
    }
    let version = cursor.u32()?;
    if !(2..=3).contains(&version) {
        let what = format!("version {version} of GGUF, or a big-endian file");
        return Err(Error::unsupported(what).at_offset(4));
    }
    let (tensors, pairs) = (cursor.u64()?, cursor.u64()?);
    let alignment = metadata(&mut cursor, pairs)?;
    let tensors = descriptions(&mut cursor, tensors, alignment)?;
    // Padding before the first tensor may be absent when there are none.
    let data = aligned(cursor.offset(), alignment).ok_or_else(Error::truncated)?;
    let mut entries = BTreeMap::new();
    for (name, sums) in &tensors {
        let Some(weight) = name.strip_suffix(SUMS) else { continue };
        let counts = tensors.get(&format!("{weight}{COUNTS}"));
        let counts = counts.ok_or_else(|| Error::corrupt("no counts for these sums"));
        let entry = counts.and_then(|counts| entry(source, data, sums, counts));
        entries.insert(weight.to_owned(), entry.map_err(|error| error.in_tensor(name))?);
    }
    match entries.is_empty() {
        true => Err(Error::unsupported("GGUF file: it is not an importance matrix")),
        false => Ok(entries),
    }
}

/// The description of a tensor.
struct Description {
    dtype: u32,
    elements: u64,
    /// The offset from the start of the data.
    offset: u64,
    /// The offset of the description.
    at: u64,
}

fn entry(
    source: &Arc<dyn ReadAt>,
    data: u64,
    sums: &Description,
    counts: &Description,
) -> Result<Sums> {
    let offset = place(&**source, data, sums)?;
    let counts_offset = place(&**source, data, counts)?;
    if sums.elements == 0 || counts.elements == 0 || !sums.elements.is_multiple_of(counts.elements)
    {
        let what = format!("{} sums for {} counts", sums.elements, counts.elements);
        return Err(Error::corrupt(what).at_offset(sums.at));
    }
    let counts = sums::counts(&**source, counts_offset, counts.elements)?;
    Ok(Sums { source: Arc::clone(source), offset, values: sums.elements, counts })
}

/// The offset of the data of a tensor in the file.
fn place(source: &dyn ReadAt, data: u64, tensor: &Description) -> Result<u64> {
    let start = data.checked_add(tensor.offset);
    let end = start.zip(bytes(tensor)).and_then(|(start, bytes)| start.checked_add(bytes));
    match start.zip(end) {
        Some((start, end)) if end <= source.size() => Ok(start),
        _ => Err(Error::truncated().at_offset(source.size())),
    }
}

fn bytes(tensor: &Description) -> Option<u64> {
    tensor.elements.checked_mul(4)
}

fn aligned(offset: u64, alignment: u64) -> Option<u64> {
    offset.checked_next_multiple_of(alignment)
}

/// Passes over the metadata. Returns the alignment of tensors.
fn metadata(cursor: &mut Cursor<'_>, pairs: u64) -> Result<u64> {
    let mut alignment = ALIGNMENT;
    for _ in 0..pairs {
        let length = cursor.u64()?;
        let key = cursor.name(length)?;
        let (kind, offset) = (cursor.u32()?, cursor.offset());
        match (key.as_str(), kind) {
            ("general.alignment", UINT32) => {
                alignment = cursor.u32()?.into();
                if !alignment.is_power_of_two() {
                    let what = format!("the alignment is {alignment}");
                    return Err(Error::corrupt(what).at_offset(offset));
                }
            }
            ("general.type", STRING) => {
                let length = cursor.u64()?;
                let kind = cursor.name(length)?;
                if kind != "imatrix" {
                    let what = format!("GGUF file of type {kind:?}, not \"imatrix\"");
                    return Err(Error::unsupported(what).at_offset(offset));
                }
            }
            _ => skip_value(cursor, kind, 0)?,
        }
    }
    Ok(alignment)
}

/// Types of metadata.
const UINT32: u32 = 4;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// The size of a type of metadata, if it is fixed.
fn size_of(kind: u32) -> Option<u64> {
    Some(match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        10..=12 => 8,
        _ => return None,
    })
}

fn skip_value(cursor: &mut Cursor<'_>, kind: u32, depth: u32) -> Result<()> {
    let at = cursor.offset();
    if let Some(size) = size_of(kind) {
        cursor.skip(size)?;
        return Ok(());
    }
    match kind {
        STRING => {
            let length = cursor.u64()?;
            cursor.skip(length)?;
            Ok(())
        }
        ARRAY if depth < MAX_DEPTH => {
            let (kind, count) = (cursor.u32()?, cursor.u64()?);
            if let Some(size) = size_of(kind) {
                // A product beyond 64 bits is beyond the file as well.
                cursor.skip(count.saturating_mul(size))?;
                return Ok(());
            }
            // Each element takes at least eight bytes of the file.
            (0..count).try_for_each(|_| skip_value(cursor, kind, depth + 1))
        }
        ARRAY => Err(Error::unsupported("nesting of metadata in GGUF").at_offset(at)),
        _ => Err(Error::unsupported(format!("type {kind} of metadata in GGUF")).at_offset(at)),
    }
}

/// Reads the descriptions of tensors, whose data must follow each other, so that entries do not
/// share bytes.
fn descriptions(
    cursor: &mut Cursor<'_>,
    count: u64,
    alignment: u64,
) -> Result<BTreeMap<String, Description>> {
    let mut tensors = BTreeMap::new();
    let mut end = Some(0);
    for _ in 0..count {
        let length = cursor.u64()?;
        let name = cursor.name(length)?;
        let tensor = description(cursor).map_err(|error| error.in_tensor(&name))?;
        let refused = |error: Error| Err(error.at_offset(tensor.at).in_tensor(&name));
        if tensor.dtype != F32 {
            return refused(Error::unsupported(format!("GGUF tensor of type {}", tensor.dtype)));
        }
        if end != Some(tensor.offset) {
            return refused(Error::corrupt("the tensor does not follow the one before it"));
        }
        let next = bytes(&tensor).and_then(|bytes| bytes.checked_add(tensor.offset));
        end = next.and_then(|next| aligned(next, alignment));
        if tensors.contains_key(&name) {
            return refused(Error::corrupt("second tensor with this name"));
        }
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

/// The description after its name.
fn description(cursor: &mut Cursor<'_>) -> Result<Description> {
    let at = cursor.offset();
    let dimensions = cursor.u32()?;
    if dimensions > MAX_DIMENSIONS {
        return Err(Error::unsupported(format!("{dimensions} dimensions in GGUF")).at_offset(at));
    }
    let mut elements = Some(1u64);
    for _ in 0..dimensions {
        let size = cursor.u64()?;
        elements = elements.and_then(|elements| elements.checked_mul(size));
    }
    let elements =
        elements.ok_or_else(|| Error::corrupt("the tensor is too large").at_offset(at))?;
    Ok(Description { dtype: cursor.u32()?, elements, offset: cursor.u64()?, at })
}
