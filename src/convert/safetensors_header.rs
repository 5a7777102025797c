//! Safetensors headers: reading, parsing and writing.

use super::header_faults;
use crate::dtype::Dtype;
use crate::error::{Error, Location, Result};
use crate::file_kind::FileKind;
use crate::format::MAGIC;
use safetensors::tensor::{Metadata, TensorInfo};
use std::io::Read;
use std::ops::Range;

/// Bytes of the length field before the header.
pub(super) const LENGTH_BYTES: u64 = 8;

/// The longest header that the safetensors library reads.
pub(super) const MAX_HEADER_BYTES: u64 = 100_000_000;

/// The description of a tensor in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeaderEntry {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// Byte range, relative to the end of the header.
    pub(super) range: Range<u64>,
}

/// Reads the header of a file, without the length field. Bytes after it may be read, too.
///
/// # Errors
/// `NotSafetensors` for a file of another format; `Truncated` if it ends within the
/// header; `LimitExceeded`; `Io`.
pub(super) fn read_header(input: &mut impl Read) -> Result<Vec<u8>> {
    let mut start = Vec::new();
    input.by_ref().take(FileKind::PREFIX_BYTES as u64).read_to_end(&mut start)?;
    let found = if start.starts_with(&MAGIC) { FileKind::Occ } else { FileKind::of(&start) };
    let not_safetensors = || Error::NotSafetensors { found, at: Location::default() };
    let (length, header) = start
        .split_first_chunk()
        .filter(|_| found.may_be_safetensors())
        .ok_or_else(not_safetensors)?;
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER_BYTES && found == FileKind::Unknown {
        return Err(not_safetensors());
    }
    Error::check_limit("the length of a safetensors header", length, MAX_HEADER_BYTES)?;
    let mut header = header.to_vec();
    let missing = length.saturating_sub(header.len() as u64);
    input.take(missing).read_to_end(&mut header)?;
    header.truncate(length as usize);
    if length > header.len() as u64 {
        // How many bytes of tensors are missing, too, is in the header.
        return Err(Error::truncated().at_offset(LENGTH_BYTES + header.len() as u64));
    }
    Ok(header)
}

/// The library checks that the byte ranges are contiguous and match dtypes and shapes.
fn parse(header: &[u8]) -> Result<Metadata> {
    let parsed: Result<Metadata, _> = serde_json::from_slice(header);
    let metadata = parsed.map_err(|error| header_faults::explain(header, &error.to_string()))?;
    header_faults::check_names(header)?;
    Ok(metadata)
}

/// Parses a header. Returns its tensors in the order of their bytes, which fill the rest of the
/// file without gaps.
///
/// # Errors
/// `Corrupt` with the tensor if the safetensors library rejects the header, or a name is repeated;
/// `Unsupported` for an unknown dtype.
pub(super) fn parse_header(header: &[u8]) -> Result<Vec<HeaderEntry>> {
    let mut tensors = parse(header)?
        .tensors()
        .into_iter()
        .map(|(name, info)| {
            let dtype = info.dtype.to_string().parse().map_err(|e: Error| e.in_tensor(&name))?;
            let range = info.data_offsets.0 as u64..info.data_offsets.1 as u64;
            Ok(HeaderEntry { name, dtype, shape: info.shape.clone(), range })
        })
        .collect::<Result<Vec<_>>>()?;
    let key = |tensor: &HeaderEntry| (tensor.range.start, tensor.range.end);
    tensors.sort_unstable_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name)));
    Ok(tensors)
}

/// The value of a key of the metadata in a header.
///
/// # Errors
/// As [`parse_header`].
pub(super) fn metadata(header: &[u8], key: &str) -> Result<Option<String>> {
    Ok(parse(header)?.metadata().as_ref().and_then(|metadata| metadata.get(key)).cloned())
}

/// Writes a header for contiguous tensors (name, dtype, shape, bytes) in this order.
pub(super) fn write_header<'t>(
    tensors: impl Iterator<Item = (&'t str, Dtype, &'t [usize], u64)>,
) -> Result<Vec<u8>> {
    let mut end = 0;
    let tensors = tensors
        .map(|(name, dtype, shape, bytes)| {
            let start = end;
            end += bytes as usize;
            // `Dtype` uses the dtype names of safetensors.
            let dtype = serde_json::from_value(dtype.name().into())
                .map_err(|error| Error::unsupported(format!("dtype {dtype}: {error}")))?;
            let info = TensorInfo { dtype, shape: shape.to_vec(), data_offsets: (start, end) };
            Ok((name.to_owned(), info))
        })
        .collect::<Result<Vec<_>>>()?;
    let metadata = Metadata::new(None, tensors)
        .map_err(|error| Error::corrupt(format!("not representable as safetensors: {error}")))?;
    let mut header = serde_json::to_vec(&metadata)
        .map_err(|error| Error::corrupt(format!("not representable as safetensors: {error}")))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_are_in_byte_order() {
        let header = br#" {"b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]},
            "e":{"dtype":"F32","shape":[0],"data_offsets":[4,4]},
            "__metadata__":{"k":"v"},
            "a":{"dtype":"F4","shape":[4,2],"data_offsets":[0,4]}}   "#;
        let tensors = parse_header(header).unwrap();
        let names: Vec<_> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        assert_eq!(names, ["a", "e", "b"]);
        assert_eq!((tensors[0].dtype, tensors[0].range.clone()), (Dtype::F4, 0..4));
    }

    #[test]
    fn every_dtype_has_a_safetensors_name() {
        for &dtype in Dtype::ALL {
            let bytes = dtype.byte_len(8).unwrap();
            let tensors = [("x", dtype, [8usize].as_slice(), bytes)];
            let header = write_header(tensors.into_iter()).unwrap();
            assert_eq!(header.len() % 8, 0);
            let parsed = parse_header(&header).unwrap();
            assert_eq!((parsed[0].dtype, parsed[0].range.clone()), (dtype, 0..bytes));
        }
    }

    #[test]
    fn invalid_headers_are_rejected() {
        for header in [
            "",
            "[]",
            r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#,
            r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,3]}}"#,
            r#"{"a":{"dtype":"X9","shape":[2],"data_offsets":[0,2]}}"#,
            r#"{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}"#,
            r#"{"a":{"dtype":"U8","shape":[9999999999,9999999999,9],"data_offsets":[0,2]}}"#,
        ] {
            assert!(parse_header(header.as_bytes()).is_err(), "{header}");
        }
        assert!(read_header(&mut [1u8; 7].as_slice()).is_err());
        assert!(read_header(&mut [0xff; 20].as_slice()).is_err());
        assert!(read_header(&mut [9, 0, 0, 0, 0, 0, 0, 0, b'{'].as_slice()).is_err());
    }
}
