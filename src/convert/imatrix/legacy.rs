//! The older format of importance matrices.
//!
//! The number of entries, then for each the length of its name, the name, a number of calls, the
//! number of sums, and the sums: numbers of 32 bits, little-endian. The sums are divided by the
//! numbers of inputs and multiplied by the number of calls. Further bytes describe the data set;
//! they are ignored.

use super::cursor::Cursor;
use super::sums::Sums;
use crate::error::{Error, Result};
use crate::io::ReadAt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The entries of a file.
///
/// # Errors
/// `Truncated`; `Corrupt`; `LimitExceeded` for a long name; `Io`.
pub(super) fn parse(source: &Arc<dyn ReadAt>) -> Result<BTreeMap<String, Sums>> {
    let mut cursor = Cursor::new(&**source);
    let count = positive(&mut cursor, "the number of entries")?;
    let mut entries = BTreeMap::new();
    for _ in 0..count {
        let length = positive(&mut cursor, "the length of a name")?;
        let name = cursor.name(length)?;
        let sums = entry(&mut cursor, source).map_err(|error| error.in_tensor(&name))?;
        if entries.insert(name.clone(), sums).is_some() {
            return Err(Error::corrupt("second entry with this name").in_tensor(&name));
        }
    }
    Ok(entries)
}

/// The entry after its name.
fn entry(cursor: &mut Cursor<'_>, source: &Arc<dyn ReadAt>) -> Result<Sums> {
    let calls = cursor.i32()?;
    let values = positive(cursor, "the number of sums")?;
    let offset = cursor.skip(values * 4)?;
    // Without calls, the sums were not multiplied.
    let calls = if calls > 0 { calls as f32 } else { 1.0 };
    Ok(Sums { source: Arc::clone(source), offset, values, counts: vec![calls] })
}

fn positive(cursor: &mut Cursor<'_>, what: &str) -> Result<u64> {
    let offset = cursor.offset();
    let number = cursor.i32()?;
    match u64::try_from(number) {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(Error::corrupt(format!("{what} is {number}")).at_offset(offset)),
    }
}
