//! Decompression of floats to another dtype: the descriptions in headers and indexes follow.

use super::json_entries::JsonEntries;
use super::safetensors_header;
use crate::dtype::{Dtype, number};
use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;

/// Converts tensors of floats to one dtype.
pub(super) struct DtypeConversion {
    dtype: Dtype,
    /// Bytes of the tensors in the headers so far, converted.
    tensor_bytes: u64,
    /// Tensors of other floats.
    unconverted: u64,
}

impl DtypeConversion {
    /// # Errors
    /// `InvalidArgument` unless `dtype` is a float that values can be converted to.
    pub(super) fn new(dtype: Dtype) -> Result<Self> {
        match number::is_float(dtype) {
            true => Ok(Self { dtype, tensor_bytes: 0, unconverted: 0 }),
            false => Err(Error::invalid(format!("conversion to {dtype}: not a float"))),
        }
    }

    pub(super) fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Tensors of floats in the headers so far that keep their dtype.
    pub(super) fn unconverted(&self) -> u64 {
        self.unconverted
    }

    /// The dtype of a tensor after the conversion.
    pub(super) fn of(&self, dtype: Dtype) -> Dtype {
        if number::is_float(dtype) { self.dtype } else { dtype }
    }

    /// A safetensors header with the dtypes and byte ranges after the conversion: tensors keep the
    /// order of their bytes, keys that of the text.
    ///
    /// # Errors
    /// Those of [`parse_header`](safetensors_header::parse_header); `Unsupported` for too many bytes.
    pub(super) fn header(&mut self, header: &[u8]) -> Result<Vec<u8>> {
        let (mut converted, mut end) = (HashMap::new(), 0u64);
        for tensor in safetensors_header::parse_header(header)? {
            let (dtype, start) = (self.of(tensor.dtype), end);
            self.unconverted += u64::from(is_other_float(tensor.dtype));
            let elements = tensor
                .shape
                .iter()
                .try_fold(1u64, |product, &size| product.checked_mul(size as u64));
            end = elements
                .and_then(|elements| dtype.byte_len(elements)?.checked_add(start))
                .ok_or_else(|| too_large().in_tensor(&tensor.name))?;
            let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
            let shape = shape.join(",");
            let text = format!(
                r#"{{"dtype":"{dtype}","shape":[{shape}],"data_offsets":[{start},{end}]}}"#
            );
            converted.insert(tensor.name, text);
        }
        self.tensor_bytes = self.tensor_bytes.checked_add(end).ok_or_else(too_large)?;
        let all: JsonEntries<Value> = serde_json::from_slice(header)
            .map_err(|error| Error::corrupt(format!("safetensors header: {error}")))?;
        let entry = |(name, value): (String, Value)| {
            let text = converted.remove(&name).unwrap_or_else(|| value.to_string());
            format!("{}:{text}", Value::String(name))
        };
        let entries: Vec<String> = all.0.into_iter().map(entry).collect();
        let mut header = format!("{{{}}}", entries.join(",")).into_bytes();
        header.resize(header.len().next_multiple_of(8), b' ');
        Ok(header)
    }

    /// The index of a sharded checkpoint with the size of the tensors after the conversion, if it
    /// states one; the rest of the text stays.
    pub(super) fn index(&self, index: &[u8]) -> Vec<u8> {
        const KEY: &[u8] = br#""total_size""#;
        let keys = index.windows(KEY.len()).enumerate().filter(|(_, key)| *key == KEY);
        for (at, _) in keys {
            let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == b':';
            let is_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
            let length = |from: usize, belongs: &dyn Fn(&u8) -> bool| {
                index[from..].iter().take_while(|byte| belongs(byte)).count()
            };
            let start = at + KEY.len() + length(at + KEY.len(), &is_space);
            let end = start + length(start, &is_number);
            let size = self.tensor_bytes.to_string();
            let changed = [&index[..start], size.as_bytes(), &index[end..]].concat();
            // The key may be that of something else.
            if end > start && total_size(&changed) == Some(self.tensor_bytes) {
                return changed;
            }
        }
        index.to_vec()
    }
}

/// The size of all tensors that an index states.
fn total_size(index: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Index {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        total_size: u64,
    }
    serde_json::from_slice(index).ok().map(|index: Index| index.metadata.total_size)
}

/// Whether values of this dtype are floats, or scales, that are not converted.
const fn is_other_float(dtype: Dtype) -> bool {
    matches!(
        dtype,
        Dtype::F4
            | Dtype::F6_E2M3
            | Dtype::F6_E3M2
            | Dtype::F8_E8M0
            | Dtype::F8_E4M3Fnuz
            | Dtype::F8_E5M2Fnuz
    )
}

fn too_large() -> Error {
    Error::unsupported("tensors of more than 2^64 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(dtype: Dtype, header: &str) -> String {
        let header = DtypeConversion::new(dtype).unwrap().header(header.as_bytes()).unwrap();
        assert_eq!(header.len() % 8, 0);
        String::from_utf8(header).unwrap().trim_end().to_owned()
    }

    #[test]
    fn headers_keep_order_names_and_metadata() {
        let header = r#"{"b\n":{"dtype":"F8_E4M3","shape":[2,3],"data_offsets":[4,10]},
            "__metadata__":{"k":"v","a":"0"},
            "i":{"dtype":"I16","shape":[1],"data_offsets":[2,4]},
            "e":{"dtype":"F64","shape":[0,7],"data_offsets":[4,4]},
            "s":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}}  "#;
        let expected = concat!(
            r#"{"b\n":{"dtype":"F32","shape":[2,3],"data_offsets":[6,30]},"#,
            r#""__metadata__":{"a":"0","k":"v"},"#,
            r#""i":{"dtype":"I16","shape":[1],"data_offsets":[4,6]},"#,
            r#""e":{"dtype":"F32","shape":[0,7],"data_offsets":[6,6]},"#,
            r#""s":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#,
        );
        assert_eq!(converted(Dtype::F32, header), expected);
        assert_eq!(converted(Dtype::F32, "{}"), "{}");
    }

    #[test]
    fn only_floats_are_targets_and_sizes_are_checked() {
        assert!(DtypeConversion::new(Dtype::I32).is_err());
        assert!(DtypeConversion::new(Dtype::F8_E8M0).is_err());
        let header = r#"{"a":{"dtype":"F8_E4M3","shape":[9223372036854775807],
            "data_offsets":[0,9223372036854775807]}}"#;
        let mut conversion = DtypeConversion::new(Dtype::F32).unwrap();
        assert!(conversion.header(header.as_bytes()).is_err());
    }

    #[test]
    fn the_total_size_of_an_index_follows() {
        let conversion = DtypeConversion { dtype: Dtype::F32, tensor_bytes: 1234, unconverted: 0 };
        let convert = |index: &str| String::from_utf8(conversion.index(index.as_bytes())).unwrap();
        let index = r#"{ "weight_map" : {"a.7":"m-7.st"}, "metadata": { "total_size":  7 } }"#;
        let expected =
            r#"{ "weight_map" : {"a.7":"m-7.st"}, "metadata": { "total_size":  1234 } }"#;
        assert_eq!(convert(index), expected);
        let index = r#"{"weight_map":{"total_size":"7"},"metadata":{"total_size":7.5e3}}"#;
        let expected = r#"{"weight_map":{"total_size":"7"},"metadata":{"total_size":1234}}"#;
        assert_eq!(convert(index), expected);
        for other in [
            r#"{"weight_map":{"total_size":"7"}}"#,
            r#"{"metadata":{},"weight_map":{}}"#,
            r#"{"metadata":{"total_size":null},"total_size":7}"#,
        ] {
            assert_eq!(convert(other), other);
        }
    }
}
