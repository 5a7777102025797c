//! What a frame holds: a tensor or an attachment, described alike in frame and index.

use super::geometry::Geometry;
use crate::dtype::Dtype;
use crate::error::{Error, Result};

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum ObjectKind {
    Tensor = 1,
    /// The JSON header of a safetensors file; the object's name is the file's.
    SafetensorsHeader = 2,
    /// A small file that belongs to the checkpoint, byte for byte.
    File = 3,
}

impl ObjectKind {
    pub(crate) fn from_id(id: u8) -> Result<Self> {
        match id {
            1 => Ok(Self::Tensor),
            2 => Ok(Self::SafetensorsHeader),
            3 => Ok(Self::File),
            _ => Err(Error::unsupported(format!("frame kind {id}"))),
        }
    }
}

/// How chunks lie in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum PayloadLayout {
    /// Each behind a head with its length and CRC.
    Chunked = 0,
    /// End to end from an aligned offset, each of its decoded length; CRCs in the frame header.
    Contiguous = 1,
}

impl PayloadLayout {
    pub(crate) fn from_id(id: u8) -> Result<Self> {
        match id {
            0 => Ok(Self::Chunked),
            1 => Ok(Self::Contiguous),
            _ => Err(Error::unsupported(format!("frame layout {id}"))),
        }
    }
}

/// A tensor or an attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) kind: ObjectKind,
    pub(crate) name: String,
    pub(crate) geometry: Geometry,
    pub(crate) codec: u8,
    pub(crate) layout: PayloadLayout,
}

impl Object {
    /// # Errors
    /// `Corrupt` for an attachment that is not a row of bytes under a plain file name.
    pub(crate) fn new(
        kind: ObjectKind,
        name: String,
        geometry: Geometry,
        codec: u8,
        layout: PayloadLayout,
    ) -> Result<Self> {
        if kind != ObjectKind::Tensor {
            check_file_name(&name)?;
            if geometry.dtype() != Dtype::U8 || geometry.shape().len() != 1 {
                return Err(Error::corrupt("an attachment that is not a row of bytes"));
            }
        }
        Ok(Self { kind, name, geometry, codec, layout })
    }

    /// The shape in this machine's integers.
    ///
    /// # Errors
    /// `Corrupt` when they are too small for it.
    pub(crate) fn native_shape(&self) -> Result<Vec<usize>> {
        let sizes = self.geometry.shape().iter().map(|&size| usize::try_from(size));
        sizes
            .collect::<Result<_, _>>()
            .map_err(|_| Error::corrupt("a shape beyond this machine").in_tensor(&self.name))
    }
}

/// Refuses names of files that lead out of a folder.
///
/// # Errors
/// `Corrupt`.
pub(crate) fn check_file_name(name: &str) -> Result<()> {
    if matches!(name, "" | "." | "..") || name.contains(['/', '\\', ':', '\0']) {
        return Err(Error::corrupt(format!("`{}` is not a plain file name", name.escape_debug())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_file_names_pass() {
        for name in ["a", "model-00001-of-00002.safetensors", ".hidden", "é", "..."] {
            check_file_name(name).unwrap();
        }
        for name in ["", ".", "..", "/a", "a/b", "../a", "a/", "a\\b", "c:a", "a\0"] {
            assert!(check_file_name(name).is_err(), "{name:?}");
        }
    }
}
