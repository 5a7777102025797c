//! The header of a safetensors file.

use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::format::MAGIC;
use safetensors::tensor::{Metadata, TensorInfo};
use std::io::Read;
use std::ops::Range;

/// Bytes before the header that hold its length.
pub(super) const LENGTH_BYTES: u64 = 8;

/// The longest header the safetensors library reads.
pub(super) const MAX_HEADER_BYTES: u64 = 100_000_000;

/// A tensor as the header describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// Bytes after the header.
    pub(super) range: Range<u64>,
}

/// Reads a file's header, byte for byte, without its length.
///
/// # Errors
/// `Corrupt` or `Truncated` when there is none; `Io`.
pub(super) fn read_header(input: &mut impl Read) -> Result<Vec<u8>> {
    let mut length = Vec::new();
    input.take(LENGTH_BYTES).read_to_end(&mut length)?;
    let length: [u8; 8] = length.try_into().map_err(|_| truncated())?;
    if length == MAGIC {
        return Err(Error::corrupt("not a safetensors file: it is an .occ file"));
    }
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER_BYTES {
        return Err(Error::corrupt("not a safetensors file: its header is said to exceed 100 MB"));
    }
    let mut header = Vec::new();
    input.take(length).read_to_end(&mut header)?;
    if header.len() as u64 != length {
        return Err(truncated());
    }
    Ok(header)
}

fn truncated() -> Error {
    Error::corrupt("not a safetensors file: it ends within the header")
}

/// The tensors of a header, in the order of their bytes: these tile everything after the header.
///
/// # Errors
/// `Corrupt` for what the safetensors library rejects, `Unsupported` for a dtype unknown to us.
pub(super) fn parse_header(header: &[u8]) -> Result<Vec<Described>> {
    // The library checks that offsets tile, and that they fit dtypes and shapes.
    let metadata: Metadata = serde_json::from_slice(header)
        .map_err(|error| Error::corrupt(format!("bad safetensors header: {error}")))?;
    let mut tensors = metadata
        .tensors()
        .into_iter()
        .map(|(name, info)| {
            let dtype = info.dtype.to_string().parse().map_err(|e: Error| e.in_tensor(&name))?;
            let range = info.data_offsets.0 as u64..info.data_offsets.1 as u64;
            Ok(Described { name, dtype, shape: info.shape.clone(), range })
        })
        .collect::<Result<Vec<_>>>()?;
    let key = |tensor: &Described| (tensor.range.start, tensor.range.end);
    tensors.sort_unstable_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name)));
    Ok(tensors)
}

/// A header for tensors that lie end to end in this order.
pub(super) fn write_header<'t>(
    tensors: impl Iterator<Item = (&'t str, Dtype, &'t [usize], u64)>,
) -> Result<Vec<u8>> {
    let mut end = 0;
    let tensors = tensors
        .map(|(name, dtype, shape, bytes)| {
            let start = end;
            end += bytes as usize;
            // Both sides use the names of safetensors.
            let dtype = serde_json::from_value(dtype.name().into())
                .map_err(|error| Error::unsupported(format!("dtype {dtype}: {error}")))?;
            let info = TensorInfo { dtype, shape: shape.to_vec(), data_offsets: (start, end) };
            Ok((name.to_owned(), info))
        })
        .collect::<Result<Vec<_>>>()?;
    let metadata = Metadata::new(None, tensors)
        .map_err(|error| Error::corrupt(format!("impossible as safetensors: {error}")))?;
    let mut header = serde_json::to_vec(&metadata)
        .map_err(|error| Error::corrupt(format!("impossible as safetensors: {error}")))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_that_of_the_bytes() {
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
    fn every_dtype_is_known_to_the_library() {
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
    fn what_is_illegal_is_refused() {
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
