//! What is wrong with a safetensors header that the library of safetensors rejects.

use super::json_entries::JsonEntries;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The name of the entry that is no tensor.
const METADATA: &str = "__metadata__";

/// A tensor in a header, with any numbers.
#[derive(Deserialize)]
struct Claim {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// Checks that no name is repeated, which the library does not.
///
/// # Errors
/// `Corrupt` with the name.
pub(super) fn check_names(header: &[u8]) -> Result<()> {
    let Ok(entries) = serde_json::from_slice::<JsonEntries<serde::de::IgnoredAny>>(header) else {
        return Ok(());
    };
    match entries.repeated_name() {
        None => Ok(()),
        Some(name) => {
            Err(Error::corrupt("safetensors header: two entries have this name").in_tensor(name))
        }
    }
}

/// The first fault of a header that the library rejects with `message`.
pub(super) fn explain(header: &[u8], message: &str) -> Error {
    find_fault(header).err().unwrap_or_else(|| fault(message))
}

fn fault(what: impl std::fmt::Display) -> Error {
    Error::corrupt(format!("safetensors header: {what}"))
}

fn find_fault(header: &[u8]) -> Result<()> {
    if header.starts_with("\u{feff}".as_bytes()) {
        return Err(fault("it starts with a byte order mark, which must be removed"));
    }
    let Ok(JsonEntries(entries)) = serde_json::from_slice::<JsonEntries<Value>>(header) else {
        return Ok(()); // not an object: the message of the library says where
    };
    check_names(header)?;
    let mut tensors = Vec::new();
    for (name, value) in entries {
        if name == METADATA {
            check_metadata(value)?;
            continue;
        }
        let check = || {
            let claim: Claim = serde_json::from_value(value).map_err(fault)?;
            check_size(&claim)?;
            Ok(claim.data_offsets)
        };
        let (start, end) = check().map_err(|error: Error| error.in_tensor(&name))?;
        tensors.push((start, end, name));
    }
    tensors.sort_unstable();
    check_order(&tensors)
}

/// The values are texts.
fn check_metadata(value: Value) -> Result<()> {
    let values: Option<BTreeMap<String, Value>> =
        serde_json::from_value(value).map_err(|error| fault(format!("{METADATA}: {error}")))?;
    match values.unwrap_or_default().iter().find(|(_, value)| !value.is_string()) {
        None => Ok(()),
        Some((key, _)) => {
            let key = key.escape_debug();
            Err(fault(format!("{METADATA}: the value of `{key}` is not a string")))
        }
    }
}

/// The range of a tensor has the length that its dtype and shape need.
fn check_size(claim: &Claim) -> Result<()> {
    let dtype: Dtype = claim.dtype.parse()?;
    let (shape, (start, end)) = (&claim.shape, claim.data_offsets);
    let Some(length) = end.checked_sub(start) else {
        return Err(fault(format!("its bytes end at {end}, before their start at {start}")));
    };
    let elements = shape.iter().try_fold(1u64, |count, &size| count.checked_mul(size));
    let Some(elements) = elements else {
        return Err(fault(format!("the shape {shape:?} has too many elements")));
    };
    let Some(needed) = dtype.byte_len(elements) else {
        let what = format!("{elements} elements of {dtype} are not a whole number of bytes");
        return Err(fault(what));
    };
    if needed != length {
        let what = format!("shape {shape:?} of {dtype} takes {needed} bytes, its range {length}");
        return Err(fault(what));
    }
    Ok(())
}

/// The ranges of tensors follow each other, from byte 0 on. They are sorted.
fn check_order(tensors: &[(u64, u64, String)]) -> Result<()> {
    let (mut expected, mut before) = (0, None);
    for (start, end, name) in tensors {
        if *start > expected {
            let what = format!("{} bytes before it belong to no tensor", start - expected);
            return Err(fault(what).in_tensor(name));
        }
        if *start < expected {
            let before = before.map_or("another one", |name: &String| name.as_str());
            let before = before.escape_debug();
            return Err(fault(format!("its bytes overlap those of `{before}`")).in_tensor(name));
        }
        (expected, before) = (*end, Some(name));
    }
    Ok(())
}
